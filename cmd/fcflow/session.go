package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// session is what a command needs that owns runs: the store, signed with the
// socket on which the runs are served, and a display.
type session struct {
	app       *app
	store     *store.Store
	runs      workflow.Store // the same, for owning runs
	progress  *progress
	owned     *owned
	attention attention
	// observed is told of each commit; it is set before the run is driven.
	observed func(run *workflow.Run, events []workflow.Event)
	// requests are told of each request.
	requests []func(firecrest.RequestInfo)

	// host is what is served beside the runs; nil for a command.
	host      server.Host
	server    *server.Server
	served    chan error
	undoLog   func()
	opening   sync.Mutex // guards services
	services  []*service
	displaced sync.WaitGroup // runs that are being cancelled for one that waits
}

// openSession starts serving; without a socket it goes on, and other terminals
// see the run with a delay.
func (a *app) openSession(s *settings.Settings, quiet bool) (*session, error) {
	return a.openHosting(s, quiet, nil)
}

// openHosting is openSession for a process that has more to serve than its runs.
func (a *app) openHosting(s *settings.Settings, quiet bool, host func(*session) server.Host) (*session, error) {
	e := &session{app: a, owned: &owned{runs: map[workflow.RunID]*engine.Execution{}, leaving: map[workflow.RunID]chan struct{}{}}}
	var owner workflow.Owner
	listener, err := server.Listen(a.getenv)
	switch {
	case err != nil && host != nil: // everything that it serves comes and goes there
		return nil, withHint(err, "set XDG_RUNTIME_DIR or TMPDIR to a directory of yours that can be written")
	case err != nil:
		log := a.logger()
		log.Warn().Err(err).Msg("other terminals see this run with a delay")
	default:
		owner.Socket = listener.Addr().String()
	}
	if e.store, err = a.openStore(s, store.Options{Owner: owner}); err == nil {
		runs := e.store
		if a.takesOver { // what is owned: the run that was named, and those that its steps have started
			runs = runs.TakingOver()
		}
		e.runs, err = crashing(a.getenv, runs)
	}
	if err != nil {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return nil, err
	}
	if host != nil {
		e.host = host(e)
	}
	e.serve(listener)
	e.progress = newProgress(a.streams.Err, quiet, a.refer)
	e.undoLog = a.log.divert(e.progress)
	return e, nil
}

func (e *session) serve(l net.Listener) {
	if l == nil {
		return
	}
	e.server, e.served = server.New(e.owned), make(chan error, 1)
	if e.host != nil {
		e.server = server.NewHost(e.host)
		e.server.LogTo(e.app.logger())
	}
	go func() { e.served <- e.server.Serve(l) }()
}

// close ends everything, the display first, so that what is printed afterwards
// stays.
func (e *session) close() error {
	e.stopProgress()
	e.displaced.Wait()
	var errs []error
	if e.server != nil {
		errs = append(errs, e.server.Close(), <-e.served)
		e.server = nil
	}
	errs = append(errs, e.owned.close())
	for _, v := range e.services {
		errs = append(errs, v.close())
	}
	e.services = nil
	return errors.Join(errs...)
}

func (e *session) stopProgress() {
	e.undoLog()
	e.progress.close()
}

// connect returns the service of a profile, one per profile and process, with
// the engine that shares its limits between the runs on it.
func (e *session) connect(ctx context.Context, s *settings.Settings, p workflow.Profile, systems []string) (*service, error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	for _, v := range e.services {
		if v.profile.URL == p.URL && v.profile.Sandbox == p.Sandbox && v.profile.Name == p.Name {
			if v.attached == nil {
				return v, nil
			}
			return v, v.attached.AddSystems(ctx, systems...)
		}
	}
	v, err := e.app.connect(ctx, s, p, systems, e.requests...)
	if err != nil {
		return nil, err
	}
	v.engine = e.newEngine(s, v)
	e.services = append(e.services, v)
	return v, nil
}

// pollIntervals says how often systems are asked about jobs. One that several
// profiles name has the shorter time.
func (e *session) pollIntervals() map[string]time.Duration {
	e.opening.Lock()
	defer e.opening.Unlock()
	all := map[string]time.Duration{}
	for _, v := range e.services {
		for system, pause := range v.library.PollIntervals() {
			if known, asked := all[system]; !asked || pause < known {
				all[system] = pause
			}
		}
	}
	return all
}

func (e *session) newEngine(s *settings.Settings, v *service) *engine.Engine {
	config := engine.Config{
		Library: v.library, JobsPerSystem: s.Count("limits.jobs"), Patience: s.Duration("patience"),
		Secrets: s.Secret, Logger: e.app.logger(), Admission: &admission{session: e},
		LogDir:     func(id workflow.RunID) string { return e.store.Paths(id).Logs },
		PrivateDir: func(id workflow.RunID) string { return e.store.Paths(id).Private },
		Observe: func(run *workflow.Run, events []workflow.Event, changed []*workflow.Unit) {
			e.progress.observe(run, events, changed)
			e.attention.observe(run)
			if e.observed != nil {
				e.observed(run, events)
			}
		},
		Progress: e.progress.passing,
		Children: e.children(v),
	}
	config.Watcher = v.library.Watcher() // also of files on this machine
	if v.client != nil {
		config.Binder = v.library.Binder()
	}
	return engine.New(config)
}

// drive executes a run that this process owns until it is over or ctx ends, and
// keeps its summary.
func (e *session) drive(ctx context.Context, x *engine.Execution) error {
	ctx, done := e.attention.guard(ctx, x.ID())
	defer done()
	return e.execute(ctx, x)
}

func (e *session) execute(ctx context.Context, x *engine.Execution) error {
	e.owned.add(x)
	keeping, stop := context.WithCancel(ctx)
	var kept sync.WaitGroup
	kept.Go(func() { e.keepSummary(keeping, x) })
	err := x.Drive(ctx)
	stop()
	kept.Wait()
	return errors.Join(err, putSummary(e.store, x))
}

// owned are the runs of this process, as package server wants them.
type owned struct {
	mu      sync.Mutex
	runs    map[workflow.RunID]*engine.Execution
	leaving map[workflow.RunID]chan struct{} // closed once the run is nobody's
}

func (o *owned) add(x *engine.Execution) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[x.ID()] = x
}

// release lets go of a run that is driven no longer.
func (o *owned) release(x *engine.Execution) error {
	left := make(chan struct{})
	o.mu.Lock()
	delete(o.runs, x.ID())
	o.leaving[x.ID()] = left
	o.mu.Unlock()
	err := x.Close()
	o.mu.Lock()
	delete(o.leaving, x.ID())
	o.mu.Unlock()
	close(left)
	return err
}

func (o *owned) remove(id workflow.RunID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.runs, id)
}

// all lists the runs, newest first.
func (o *owned) all() []*engine.Execution {
	o.mu.Lock()
	all := slices.Collect(maps.Values(o.runs))
	o.mu.Unlock()
	slices.SortFunc(all, func(p, q *engine.Execution) int { return strings.Compare(string(q.ID()), string(p.ID())) })
	return all
}

// views returns the full pictures, newest first.
func (o *owned) views(ctx context.Context) ([]workflow.RunView, error) {
	var list []workflow.RunView
	for _, x := range o.all() {
		view, err := x.View(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, view)
	}
	return list, nil
}

// List implements server.Runs.
func (o *owned) List(ctx context.Context) ([]workflow.Summary, error) {
	var list []workflow.Summary
	for _, x := range o.all() {
		s, err := x.Summary(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Find implements server.Runs.
func (o *owned) Find(ctx context.Context, id workflow.RunID) (server.Run, error) {
	o.mu.Lock()
	x, left := o.runs[id], o.leaving[id]
	o.mu.Unlock()
	if x != nil {
		return x, nil
	}
	if left != nil { // its history can be read when it is closed
		select {
		case <-left:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("run %q: %w", id, workflow.ErrNotFound)
}

func (o *owned) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, x := range o.runs {
		errs = append(errs, x.Close())
	}
	clear(o.runs)
	return errors.Join(errs...)
}

// checkSecrets makes sure that every secret which a workflow declares, or one that
// it runs, has a value before anything starts, and masks the values in whatever is
// printed.
func (a *app) checkSecrets(s *settings.Settings, w *workflow.Workflow) error {
	var errs []error
	for _, name := range secretsOf(w) {
		value, err := s.Secret(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.streams.Secrets.Add(value)
	}
	return errors.Join(errs...)
}

// maskSecrets masks the secrets of a run in whatever is printed, as far as their
// values are to be had here.
func (a *app) maskSecrets(ctx context.Context, st *store.Store, s *settings.Settings, v *workflow.RunView) {
	source, err := st.Frozen(ctx, v.ID)
	if err != nil {
		return // a run that is not there has no output either
	}
	texts := [][]byte{source}
	if now, err := os.ReadFile(st.Paths(v.ID).Frozen); err == nil { // it may go on with another workflow
		texts = append(texts, now)
	}
	for _, text := range texts {
		w, _ := workflow.Load("workflow.yaml", text, a.catalogue, workflow.CheckOptions{})
		if w == nil {
			continue
		}
		for _, name := range secretsOf(w) {
			if value, err := s.Secret(name); err == nil {
				a.streams.Secrets.Add(value)
			}
		}
	}
}

// secretsOf lists the secrets of a workflow and of those that it runs.
func secretsOf(w *workflow.Workflow) []string {
	var names []string
	for _, w := range w.WithChildren() {
		for _, secret := range w.Secrets {
			if !slices.Contains(names, secret.Name) {
				names = append(names, secret.Name)
			}
		}
	}
	return names
}

// conclude turns the end of a drive into the end of a command, and says on
// stderr what a person needs to know.
func (e *session) conclude(run *workflow.Run, err error) error {
	e.stopProgress()
	view := run.Describe()
	switch {
	case e.progress.quiet && err == nil:
		return endOf(&view)
	case e.progress.quiet:
		return err
	case errors.Is(err, errInterrupted):
		e.app.sayInterrupted(&view)
		return &ended{errInterrupted}
	case errors.Is(err, engine.ErrAttention):
		e.app.sayAttention(&view)
		return &ended{err}
	case err != nil:
		return withHint(err, "%s", e.app.afterError(&view, err))
	}
	e.app.printEnd(&view, time.Now())
	return endOf(&view)
}

// afterError says what to do when a run could not go on.
func (a *app) afterError(v *workflow.RunView, err error) string {
	resume := "fcflow resume " + a.refer(v.ID)
	first := len(v.Sites) == 0 && v.Profile.URL != "" // the service never gave a good answer
	switch {
	case first && errors.Is(err, engine.ErrLogin):
		return "check FIRECREST_CLIENT_ID, FIRECREST_CLIENT_SECRET and AUTH_TOKEN_URL, or the profile; then " + resume
	case first && errors.Is(err, engine.ErrUnavailable):
		return fmt.Sprintf("if %s is right, try later with %s; if not, set FIRECREST_URL and run again", v.Profile.URL, resume)
	}
	return "the run can be continued: " + resume
}

// endOf is the end of a command that waited for a run.
func endOf(view *workflow.RunView) error {
	switch view.State {
	case workflow.RunFailed:
		return &ended{fmt.Errorf("%w: run %s", errRunFailed, view.ID)}
	case workflow.RunCancelled:
		if view.Cause == workflow.CauseConcurrency {
			return &ended{fmt.Errorf("%w: run %s", errGroupFull, view.ID)}
		}
		return &ended{fmt.Errorf("%w: run %s", errRunCancelled, view.ID)}
	}
	return nil
}

// refer is how to name a run on the next command line.
func (a *app) refer(id workflow.RunID) string {
	if a.given("state-dir") {
		return fmt.Sprintf("%s --state-dir %s", shortID(id), *a.flags["state-dir"])
	}
	return shortID(id)
}

// shortID is the end of an id, which people see: its beginning is the time, and
// that of the next run looks the same.
func shortID(id workflow.RunID) string {
	if len(id) < 6 {
		return string(id)
	}
	return string(id[len(id)-6:])
}

// note prints a line for people on stderr.
func (a *app) note(format string, args ...any) {
	a.streams.Err.Println(console.Say(fmt.Sprintf(format, args...)))
}
