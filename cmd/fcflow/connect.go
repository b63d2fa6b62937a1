package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

// service is the FirecREST service that runs talk to.
type service struct {
	profile  workflow.Profile
	poll     firecrest.PollSettings
	client   *firecrest.Client
	library  *steps.Library
	attached *sandbox.Attached         // of a sandbox
	objects  *datatransfer.StoreConfig // of a sandbox; else the environment names the store
	engine   *engine.Engine            // once a session connected it
}

// sandboxSystem is where steps run on a sandbox when nothing names a system.
const sandboxSystem = "sandbox"

// connect prepares the service that a profile names; nothing is sent to a real
// one. Systems are made known to a sandbox. Without a service only local steps
// can be executed. Each try of a request is told to the observers.
func (a *app) connect(ctx context.Context, s *settings.Settings, p workflow.Profile, systems []string,
	observers ...func(firecrest.RequestInfo),
) (*service, error) {
	return a.connectWith(ctx, s, p, systems, firecrest.WithObserver(logRequests(a.logger(), observers)))
}

// connectWith is connect with options for the client.
func (a *app) connectWith(ctx context.Context, s *settings.Settings, p workflow.Profile, systems []string, more ...firecrest.Option) (*service, error) {
	v := &service{profile: p}
	roots, err := trusted(s)
	if err != nil {
		return nil, err
	}
	if p.URL == "" && p.Sandbox == "" {
		v.library = steps.New(steps.Config{RootCAs: roots})
		return v, nil
	}
	poll := firecrest.PollSettings{Min: s.Duration("poll.min"), Max: s.Duration("poll.max")}
	options := append([]firecrest.Option{
		firecrest.WithUserAgent("fcflow/" + releaseName()),
		firecrest.WithLimiter(a.limits.of(p, s)),
	}, more...)
	var base string
	if p.Sandbox != "" {
		poll = sandboxPoll()
		base, options, err = a.attach(ctx, v, systems, options)
	} else {
		base = p.URL
		options, err = a.login(s, options)
	}
	v.poll = poll
	if err == nil {
		v.client, err = firecrest.New(base, append(options, firecrest.WithPollSettings(poll))...)
		if err != nil {
			err = fmt.Errorf("%w: url: %w", settings.ErrInvalid, err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, v.close())
	}
	config := steps.Config{
		Client: v.client, RemoteRoot: s.Text("remote_root"), Account: s.Text("account"), Poll: poll, ObjectStore: v.objects,
		RootCAs: roots,
	}
	if p.Sandbox != "" {
		config.Fence, config.Pause = sandboxFence(), time.Second
	}
	v.library = steps.New(config)
	return v, nil
}

// attach joins the sandbox of a profile.
func (a *app) attach(ctx context.Context, v *service, systems []string, options []firecrest.Option) (string, []firecrest.Option, error) {
	attached, err := sandbox.Attach(ctx, sandbox.Config{Root: v.profile.Sandbox, Systems: append([]string{sandboxSystem}, systems...)})
	if err != nil {
		return "", nil, err
	}
	v.attached = attached
	v.profile.Sandbox = attached.Root()
	credentials := attached.Credentials()
	a.streams.Secrets.Add(credentials.ClientSecret, credentials.SecretKey)
	// A new connection for each request: on one that was used before, a
	// submission that fails could have been received.
	transport, err := crashingTransport(a.getenv, &http.Transport{DialContext: attached.DialContext, DisableKeepAlives: true})
	if err != nil {
		return "", nil, err
	}
	v.objects = &datatransfer.StoreConfig{
		Endpoint: attached.StoreURL(), AccessKey: credentials.AccessKey, SecretKey: firecrest.Secret(credentials.SecretKey), Transport: transport,
	}
	return attached.BaseURL(), append(options,
		firecrest.WithTransport(transport),
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: attached.TokenURL(), ClientID: credentials.ClientID, ClientSecret: firecrest.Secret(credentials.ClientSecret),
		}),
	), nil
}

// sandboxPoll asks often: nobody else is waiting for that server.
func sandboxPoll() firecrest.PollSettings {
	return firecrest.PollSettings{
		First: []time.Duration{200 * time.Millisecond}, Min: 200 * time.Millisecond, Max: 2 * time.Second,
		LookupEvery: 2 * time.Second, LookupsPerMinute: 60, Grace: 10 * time.Second,
	}
}

// sandboxFence is less patient than for a real site: a sandbox accepts a job at
// once or never.
func sandboxFence() steps.FenceSettings {
	return steps.FenceSettings{
		Quiet: 2 * time.Second, Between: 200 * time.Millisecond, Visible: 10 * time.Second, Confirm: time.Second, Margin: 10 * time.Second,
	}
}

// login adds how to get tokens, and whom to trust.
func (a *app) login(s *settings.Settings, options []firecrest.Option) ([]firecrest.Option, error) {
	switch {
	case s.Text("token_command") != "":
		options = append(options, firecrest.WithTokenSource(firecrest.TokenCommand(s.Text("token_command"))))
	case s.Text("client_id") != "":
		options = append(options, firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: s.Text("token_url"), ClientID: s.Text("client_id"),
			ClientSecret: firecrest.Secret(s.Text("client_secret")), Basic: s.Text("auth_method") == "client_secret_basic",
		}))
	default:
		return nil, withHint(fmt.Errorf("%w: no login for %s", settings.ErrInvalid, s.Text("url")),
			"set FIRECREST_CLIENT_ID, FIRECREST_CLIENT_SECRET and AUTH_TOKEN_URL, or FIRECREST_TOKEN_COMMAND")
	}
	if !s.Verify() {
		return a.insecurely(s, options)
	}
	pem, err := bundle(s)
	if err != nil || pem == nil {
		return options, err
	}
	return append(options, firecrest.WithCABundle(pem)), nil
}

// bundle reads the certificates of ca_bundle; nil if there is none.
func bundle(s *settings.Settings) ([]byte, error) {
	file, err := s.Path("ca_bundle")
	if err != nil || file == "" {
		return nil, err
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: ca_bundle (%s): %w", settings.ErrInvalid, s.Value("ca_bundle").Source, err)
	}
	return pem, nil
}

// trusted are the certificates for addresses that workflows name: those of this
// machine and of ca_bundle, because not all of them are of the site.
func trusted(s *settings.Settings) (*x509.CertPool, error) {
	pem, err := bundle(s)
	if err != nil || pem == nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("certificates of this machine: %w", err)
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}

// insecureVariable has to say "1" besides `verify: false`: a line that somebody left
// in a file is not enough to give a token away.
const insecureVariable = "FCFLOW_INSECURE"

// insecurely verifies no certificate, if two places want that.
func (a *app) insecurely(s *settings.Settings, options []firecrest.Option) ([]firecrest.Option, error) {
	if a.getenv(insecureVariable) != "1" {
		return nil, withHint(fmt.Errorf("%w: verify is false (%s), but the environment does not say %s=1",
			settings.ErrInvalid, s.Value("verify").Source, insecureVariable),
			"trust the site's own certificates with ca_bundle; setting the variable, too, lets anybody in between read the token")
	}
	a.streams.Err.Println(console.Text{S: "warning: ", Style: console.Yellow},
		console.Say(fmt.Sprintf("certificates are not verified (%s); anybody in between can read the token", s.Value("verify").Source)))
	return append(options, firecrest.WithTLSConfig(&tls.Config{InsecureSkipVerify: true})), nil
}

func logRequests(log zerolog.Logger, observers []func(firecrest.RequestInfo)) func(firecrest.RequestInfo) {
	return func(r firecrest.RequestInfo) {
		for _, observe := range observers {
			observe(r)
		}
		log.Debug().Str("operation", r.Operation).Str("system", r.System).Int("status", r.Status).
			Str("request_id", r.RequestID).Int64("duration_ms", r.Duration.Milliseconds()).AnErr("error", r.Err).Msg("request")
	}
}

func (v *service) close() error {
	if v.library != nil {
		v.library.Close()
	}
	if v.client != nil {
		v.client.Close()
	}
	if v.attached != nil {
		return v.attached.Close()
	}
	return nil
}

// defaultSandbox is the root of the sandbox that `--sandbox` without a directory
// means.
func defaultSandbox(s *settings.Settings) (string, error) {
	dir, err := s.Path("state_dir")
	return filepath.Join(dir, "sandbox"), err
}

// choose says what service a new run is for: the sandbox of --sandbox, or the
// service of the settings.
func choose(s *settings.Settings, sandboxDir string) (p workflow.Profile, err error) {
	p = workflow.Profile{Name: s.Profile(), System: s.Text("system")}
	switch sandboxDir {
	case "":
		p.URL, p.Insecure = s.Text("url"), s.Text("url") != "" && !s.Verify()
		return p, nil
	case here:
		p.Sandbox, err = defaultSandbox(s)
	default:
		p.Sandbox, err = filepath.Abs(sandboxDir)
	}
	if p.System == "" {
		p.System = sandboxSystem
	}
	return p, err
}

// checkService refuses a profile that names no service.
func checkService(p workflow.Profile) error {
	if p.URL != "" || p.Sandbox != "" {
		return nil
	}
	return withHint(fmt.Errorf("%w: no FirecREST service is configured", settings.ErrInvalid),
		"set FIRECREST_URL, choose a --profile, or try it with --sandbox")
}

// here is the value of --sandbox without a directory.
const here = "default"

// checkPinned refuses to continue a run with another service than it began
// with, and without the verification that it began with.
func checkPinned(s *settings.Settings, pinned workflow.Profile) error {
	switch {
	case pinned.URL == "":
		return nil
	case pinned.URL == s.Text("url") && (s.Verify() || pinned.Insecure):
		return nil
	case pinned.URL == s.Text("url"):
		return withHint(fmt.Errorf("%w: the run began with verified certificates, and verify is false now (%s)",
			engine.ErrConflict, s.Value("verify").Source), "remove that line, or trust the site's own certificates with ca_bundle")
	}
	hint := fmt.Sprintf("set FIRECREST_URL=%s", pinned.URL)
	if pinned.Name != "" {
		hint = fmt.Sprintf("choose --profile %s", pinned.Name)
	}
	now := s.Text("url")
	if now == "" {
		now = "no service"
	}
	return withHint(fmt.Errorf("%w: the run belongs to %s, the settings name %s", engine.ErrConflict, pinned.URL, now), "%s", hint)
}

// needsService reports whether a step of the workflow, or of one that it runs, is
// for a system.
func needsService(w *workflow.Workflow) bool {
	for _, w := range w.WithChildren() {
		if w.NeedsDefaultSite() {
			return true
		}
		for _, s := range w.AllSteps() {
			if s.Remote() {
				return true
			}
		}
	}
	return false
}

// usesObjects reports whether a step of the workflow, or of one that it runs, works
// on an object store; a sandbox has one of its own.
func usesObjects(w *workflow.Workflow) bool {
	for _, w := range w.WithChildren() {
		for _, s := range w.AllSteps() {
			if spec := s.Spec(); spec != nil {
				if _, ok := spec.Input("path_style"); ok {
					return true
				}
			}
		}
	}
	return false
}

// systemsOf lists the systems of a run: the one of the settings, and those that
// the workflow names, as far as its inputs alone tell.
func systemsOf(w *workflow.Workflow, created workflow.RunCreated) []string {
	scope := workflow.Scope{Inputs: map[string]any{}}
	for _, in := range w.Inputs {
		if v, err := in.Type.Decode(created.Inputs[in.Name]); err == nil {
			scope.Inputs[in.Name] = v
		}
	}
	var systems []string
	if created.Profile.System != "" {
		systems = append(systems, created.Profile.System)
	}
	if name, err := w.EvalDefault("system", &scope); err == nil && name != "" {
		systems = append(systems, name)
	}
	for _, step := range w.AllSteps() {
		if !step.Remote() {
			continue
		}
		v, err := w.EvalField(step, "system", &scope)
		if name, ok := v.(string); err == nil && ok && name != "" {
			systems = append(systems, name)
		}
	}
	return systems // those of the workflows that it runs are added when these begin
}
