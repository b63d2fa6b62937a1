package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/sandbox"
)

type sandboxOptions struct {
	root      string
	listen    string
	prefix    string
	systems   []string
	scheduler choice
	site      string
	release   choice
	faults    []string
	seed      uint64
}

func newSandboxCommand(a *app) *cobra.Command {
	o := sandboxOptions{scheduler: newChoice("slurm", "pbs"), release: choice{choices: sandbox.Releases()}}
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve the sandbox to other programs",
		Long: `Serves a FirecREST v2 API on this machine until it is interrupted: files under
its root directory, and batch jobs that are local processes. Its files, jobs and
credentials are still there when it is started again on the same root.

"fcflow run --sandbox" needs no such server. This one is for other clients, and
to look at. No request reaches outside the root; job scripts run with your rights.

--site describes the site to imitate, in YAML or JSON: systems with partitions,
reservations, accounts and limits, users, how files are moved, what is down. It
restricts: without it every partition and account is fine. The root remembers it;
docs/sandbox-site.md lists what it can say.
How to log in, with the names that the official client reads, is in the file
client.env in the root, and so is the object store through which large files go,
with the names that S3 clients read.

--release answers the way that release of FirecREST does. --fault has it
misbehave: a kind with its value, then parameters, such as drop-submit=0.5, or
status=429,ops=GET /compute*,times=3,retry-after=1. docs/sandbox.md lists the
kinds. --fault-seed repeats the chance of an earlier run.`,
		Example: `  fcflow sandbox --root /tmp/sandbox --listen 127.0.0.1:8080 --system daint
  . /tmp/sandbox/client.env && fcflow run workflow.yaml
  fcflow sandbox --release 2.4.2 --fault 5xx=0.1 --fault 'latency=200ms,ops=GET *'`,
	}
	c.Flags().StringVar(&o.root, "root", "", "`DIR` of the sandbox; default in the state directory")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "loopback `ADDRESS` to listen on; port 0 takes a free one")
	c.Flags().StringVar(&o.prefix, "prefix", "", "`PATH` below which the API is served as well, such as /hpc/firecrest/v2")
	c.Flags().StringArrayVar(&o.systems, "system", nil, "`NAME` of a system to serve; may be repeated")
	c.Flags().StringVar(&o.site, "site", "", "`FILE` that describes the site to imitate")
	addChoice(c, &o.scheduler, "scheduler", "whose words the batch systems use")
	addChoice(c, &o.release, "release", "which release of FirecREST to imitate; default 2.5.6 with what 2.5.7 adds to job lists")
	c.Flags().StringArrayVar(&o.faults, "fault", nil, "`FAULT` to switch on; may be repeated")
	c.Flags().Uint64Var(&o.seed, "fault-seed", 0, "`SEED` of the chance of the faults; 0 takes a new one")
	completeFlag(c, "fault", completeFaults)
	completeFlag(c, "system", cobra.NoFileCompletions)
	c.MarkFlagsMutuallyExclusive("site", "scheduler") // a description says it for each system
	return a.command(c, func(c *cobra.Command, _ []string) error { return runSandbox(c.Context(), a, o) })
}

func runSandbox(ctx context.Context, a *app, o sandboxOptions) (err error) {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	if o.root == "" {
		if o.root, err = defaultSandbox(s); err != nil {
			return err
		}
	}
	site, err := readSite(o.site)
	if err != nil {
		return err
	}
	for _, fault := range o.faults {
		if err := sandbox.CheckFault(fault); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	srv, err := sandbox.Open(sandbox.Config{
		Root: o.root, Systems: o.systems, Prefix: o.prefix, Scheduler: o.scheduler.value, Site: site, Release: o.release.value,
		Faults: o.faults, FaultSeed: o.seed, Logger: a.slogger(),
		Observe: logAnswers(a.logger(), ""), StoreObserve: logAnswers(a.logger(), "s3 "),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	for _, name := range o.systems {
		if known := srv.Systems(); !slices.Contains(known, strings.ToLower(name)) {
			return fmt.Errorf("%w: --system: the site of %s has no %q; it has %s", errUsage, srv.Root(), name, joinNames(known))
		}
	}
	l, err := listen(o.listen)
	if err != nil {
		return withHint(fmt.Errorf("%w: --listen: %w", errUsage, err), "--listen 127.0.0.1:0 takes a free port")
	}
	host := "http://" + l.Addr().String()
	url := host + strings.TrimRight("/"+strings.Trim(o.prefix, "/"), "/")
	envFile, err := writeClientEnv(srv, url, host, o.systems)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	a.streams.Out.Printf("FirecREST sandbox at %s\nroot     %s\ntokens   %s\nobjects  %s\nsystems  %s\nclient   %s, its secret is in client.env\nlogin    . %s\n",
		url, srv.Root(), host+srv.Credentials().TokenPath, host+sandbox.StorePath, joinNames(srv.Systems()), srv.Credentials().ClientID, envFile)
	if o.release.value != "" {
		a.streams.Out.Printf("release  %s\n", o.release.value)
	}
	seed, faults := srv.Faults()
	for _, f := range faults {
		a.streams.Out.Printf("fault    %s\n", f.Fault)
	}
	if len(faults) > 0 {
		a.streams.Out.Printf("seed     %d\n", seed)
	}
	a.note("interrupt to stop; running jobs go on")
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return errors.Join(srv.Close(), <-served)
	}
}

// logAnswers logs each request that the sandbox has answered, under the names
// that fault switches have for operations.
func logAnswers(log zerolog.Logger, prefix string) func(op string, status int) {
	return func(op string, status int) {
		log.Debug().Str("operation", prefix+op).Int("status", status).Msg("request")
	}
}

// listen takes no address from which others could reach the sandbox.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is not a loopback address: job scripts run with your rights", address), l.Close())
	}
	return l, nil
}

// completeFaults completes the kind of a fault switch.
func completeFaults(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var kinds []string
	for _, k := range sandbox.FaultKinds() {
		kinds = append(kinds, k.Name+"\t"+k.Help)
	}
	return kinds, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// maxSiteBytes bounds a description of a site.
const maxSiteBytes = 1 << 20

// readSite reads the description of a site; none without a name.
func readSite(name string) (*sandbox.SiteConfig, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSiteBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(text) > maxSiteBytes:
		return nil, fmt.Errorf("%w: %s is larger than 1 MiB", errUsage, name)
	}
	if text, err = settings.ToJSON(text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	site, err := sandbox.ParseSite(text)
	if err != nil {
		return nil, withHint(fmt.Errorf("%w: %s: %w", errUsage, name, err), "docs/sandbox-site.md lists what it can say")
	}
	return site, nil
}

// writeClientEnv writes how to log in and the first system, in the names of the
// official client, and the object store in those of every S3 client, to a file that
// only we can read.
func writeClientEnv(srv *sandbox.Server, url, host string, systems []string) (string, error) {
	c := srv.Credentials()
	system := append(systems, srv.Systems()...)[0]
	var b strings.Builder
	for _, v := range [][2]string{
		{"FIRECREST_URL", url}, {"AUTH_TOKEN_URL", host + c.TokenPath},
		{"FIRECREST_CLIENT_ID", c.ClientID}, {"FIRECREST_CLIENT_SECRET", c.ClientSecret},
		{"FIRECREST_SYSTEM", system},
		{"AWS_ENDPOINT_URL_S3", host + sandbox.StorePath}, {"AWS_REGION", srv.ObjectStore().Region()},
		{"AWS_ACCESS_KEY_ID", c.AccessKey}, {"AWS_SECRET_ACCESS_KEY", c.SecretKey},
	} {
		fmt.Fprintf(&b, "export %s=%s\n", v[0], shellQuote(v[1]))
	}
	name := filepath.Join(srv.Root(), "client.env")
	temporary, err := os.CreateTemp(srv.Root(), ".client.env-") // made with mode 0600
	if err != nil {
		return "", err
	}
	_, err = temporary.WriteString(b.String())
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(temporary.Name()))
	}
	return name, nil
}

// slogger is the logger for a library that wants the standard one.
func (a *app) slogger() *slog.Logger { return slog.New(zerolog.NewSlogHandler(a.logger())) }
