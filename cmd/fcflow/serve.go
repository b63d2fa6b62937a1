package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/server/ui"
)

type serveOptions struct {
	workflows string
	listen    string
	hostNames []string
	sandbox   string
	adopt     bool
}

func newServeCommand(a *app) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Drive runs day and night, start scheduled ones, serve the web page",
		Long: `Runs until it is told to stop. It continues the runs that it drove before, takes new
ones from the web page, from the API and from "fcflow run --server", and starts
those that the schedules of workflow files ask for. All runs share one poller and one
set of limits. Commands such as "fcflow runs", "fcflow cancel" and "fcflow retry" work
on its runs as on any others.

Workflow files are read from a directory, and again when they change. Of a file with
a mistake the version before stays in use, also after a restart.

It listens on this machine only, and asks for a token, which is made the first time
and kept in the state directory; "fcflow serve token" prints it as a link. On SIGTERM
or Ctrl-C no step begins any more, everything is on disk, jobs go on, and the next
start continues.`,
		Example: `  fcflow serve --workflows ~/workflows
  fcflow serve --workflows ./workflows --sandbox --listen 127.0.0.1:8090`,
	}
	c.Flags().StringVar(&o.workflows, "workflows", "", "`DIR` with the workflow files to offer and to schedule")
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8888", "`ADDRESS` of the API and the web page; off is none")
	c.Flags().StringArrayVar(&o.hostNames, "host-name", nil, "`NAME` by which a proxy in front of it is asked; may be repeated")
	c.Flags().BoolVar(&o.adopt, "adopt", false, "continue every interrupted run, also those that other commands began")
	addSandbox(c, &o.sandbox)
	c.AddCommand(newServeTokenCommand(a))
	return a.command(c, func(c *cobra.Command, _ []string) error { return runServe(c.Context(), a, o) })
}

func runServe(ctx context.Context, a *app, o serveOptions) error {
	a.serving = true
	s, err := a.settings("")
	if err != nil {
		return err
	}
	profile, err := choose(s, o.sandbox)
	if err != nil {
		return err
	}
	h, err := a.openHost(ctx, s, profile, o)
	if err != nil {
		return err
	}
	err = h.serve(ctx, o)
	if errors.Is(err, errInterrupted) {
		err = nil
	}
	return errors.Join(err, h.close())
}

// serve does everything until ctx ends.
func (h *host) serve(ctx context.Context, o serveOptions) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	h.begin(ctx) // before anybody asks for anything
	if h.profile.URL == "" && h.profile.Sandbox == "" {
		h.log.Warn().Msg("no FirecREST service is configured: workflows that need one cannot start; set FIRECREST_URL and a login, choose a --profile, or try --sandbox")
	}
	guarded, err := h.listen(o)
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	if guarded != nil {
		work.Go(func() {
			if err := h.session.server.ServeGuarded(guarded.listener, guarded.guard); err != nil {
				stop(err)
			}
		})
		defer func() { _ = guarded.listener.Close() }() // closing it twice does no harm
	}
	if err := h.resume(ctx, o.adopt); err != nil && ctx.Err() == nil {
		return err
	}
	work.Go(func() {
		if err := h.scheduler.Run(ctx); err != nil {
			stop(err)
		}
	})
	work.Go(func() { h.shelf.watch(ctx, h.reloaded) })
	work.Go(func() { h.retain(ctx) })
	<-ctx.Done()
	h.log.Info().Msg("stopping: no step begins any more, jobs go on")
	h.driving.dismiss()
	return context.Cause(ctx)
}

// guarded is the listener for the network.
type guarded struct {
	listener net.Listener
	guard    *server.Guard
}

func (h *host) listen(o serveOptions) (*guarded, error) {
	if o.listen == "off" {
		if err := h.announce(""); err != nil { // before it is said, for whoever waits for that
			return nil, err
		}
		h.log.Info().Msg("serving commands of this machine only")
		return nil, nil
	}
	if err := checkListen(o); err != nil {
		return nil, err
	}
	tokens, err := h.tokens()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, withHint(err, "choose another address with --listen, or --listen off")
	}
	a := h.session.app
	a.streams.Secrets.Add(tokens.Full, tokens.ReadOnly)
	address := "http://" + l.Addr().String() + "/"
	if err := h.announce(address); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	h.log.Info().Str("address", address).Msg("serving")
	if a.streams.Err.Terminal() {
		// Where only a person looks: a log would keep it.
		fmt.Fprintf(os.Stderr, "%s#token=%s\n", address, tokens.Full)
	} else {
		h.log.Info().Msg("fcflow serve token prints the link to open")
	}
	var page http.Handler = ui.Handler()
	return &guarded{l, &server.Guard{
		Full: tokens.Full, ReadOnly: tokens.ReadOnly, Hosts: server.LoopbackHosts(l.Addr(), o.hostNames...), Page: page,
	}}, nil
}

// checkListen refuses to show a token to the network without encryption.
func checkListen(o serveOptions) error {
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return withHint(fmt.Errorf("%w: --listen: %w", errUsage, err), "write address and port, such as 127.0.0.1:8888")
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return withHint(fmt.Errorf("%w: --listen %s is no address of this machine alone, and what goes there is not encrypted", errUsage, o.listen),
		"listen on 127.0.0.1 and put the proxy of the site in front of it: docs/operations.md")
}

// resume continues the runs that a server of this state directory drove, or all.
func (h *host) resume(ctx context.Context, all bool) error {
	interrupted, err := h.session.interrupted(ctx)
	if err != nil {
		return err
	}
	mine := h.marks()
	for _, l := range interrupted {
		if !mine[l.ID] && !all {
			continue
		}
		switch x, err := h.session.reopen(ctx, l.ID); {
		case passing(err):
			h.log.Warn().Err(err).Str("run", string(l.ID)).Msg("the run is tried again later")
			h.driving.begin(func() { h.driveAgain(l.ID) })
		case err != nil:
			h.log.Warn().Err(err).Str("run", string(l.ID)).Msg("the run is not continued")
		default:
			h.log.Info().Str("run", string(l.ID)).Str("workflow", x.Run().Workflow.Name).Msg("the run goes on")
			h.drive(x)
		}
	}
	return nil
}

// openFailed closes what is open of a host that cannot be.
func (h *host) openFailed(err error) error { return errors.Join(err, h.close()) }

// said prints an error with what can be done, for logs.
func said(err error) string {
	text := plain(err)
	var hint *hinted
	if errors.As(err, &hint) {
		text += ": " + hint.hint
	}
	return console.Clean(text)
}
