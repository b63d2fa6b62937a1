package subject

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

const (
	site   = "https://firecrest.example.org"
	system = "alps"
)

// Catalogue is what workflows of simulations are checked against.
var catalogue = steps.Catalogue()

// Load reads a workflow for runs in a simulation.
func Load(name string, text []byte) (*workflow.Workflow, error) {
	w, problems := workflow.Load(name, text, catalogue, workflow.CheckOptions{DefaultSystem: system})
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %v", name, problems)
	}
	return w, nil
}

// Program is fcflow that executes one run of a workflow. Its store is what
// outlives a kill.
type Program struct {
	workflow *workflow.Workflow
	store    *memory.Store
	created  workflow.RunCreated
	seed     simulation.Seed
	private  string
}

// New returns a program that will run w. The seed decides the id of the run and
// its nonce, and with it all tokens.
func New(w *workflow.Workflow, seed simulation.Seed) *Program {
	return &Program{workflow: w, seed: seed, store: memory.New(), created: workflow.RunCreated{
		ID:    workflow.RunID("01" + seed.Text("run id", 24)),
		Nonce: seed.Text("nonce", 26), Trigger: workflow.TriggerManual, Version: "simulated",
		Dir: "/nowhere", OutputDir: "/nowhere/results", Profile: workflow.Profile{URL: site, System: system},
	}}
}

// In has the run read local files from one directory, and write to another.
func (p *Program) In(dir, output string) *Program {
	p.created.Dir, p.created.OutputDir, p.private = dir, filepath.Join(output, "results"), filepath.Join(output, "private")
	return p
}

// Run is one life: `fcflow run` if there is no run yet, else `fcflow resume`.
func (p *Program) Run(ctx context.Context, host *simulation.Host) error {
	client, err := firecrest.New(site,
		firecrest.WithTransport(host.Transport()),
		// Whoever may go first of those that wait for a slot depends on the
		// scheduler of this machine, so there is a slot for everybody.
		firecrest.WithMaxInFlight(1000),
		firecrest.WithRandom(rand.New(&momentary{seed: p.seed})),
		firecrest.WithTokenSource(firecrest.ClientCredentials{TokenURL: site + "/token", ClientID: "ada", ClientSecret: "secret"}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	library := steps.New(steps.Config{Client: client})
	defer library.Close()
	x, err := p.open(ctx, host, p.engine(host, library))
	if err != nil {
		return err
	}
	stop := p.heed(ctx, host, x)
	err = x.Drive(ctx)
	stop()
	err = errors.Join(err, x.Close())
	if err == nil && x.Run().State.Terminal() {
		host.Report(account(x.Run()))
	}
	return err
}

// momentary is a source whose numbers follow from the instant, so that those who
// draw at the same instant, in whatever order, draw the same. It changes only
// for who draws very often, until he likes what he gets.
type momentary struct {
	seed  simulation.Seed
	at    int64
	draws int
}

// Uint64 implements rand.Source.
func (m *momentary) Uint64() uint64 {
	if now := time.Now().UnixNano(); now != m.at {
		m.at, m.draws = now, 0
	}
	m.draws++
	return m.seed.Number("moment", strconv.FormatInt(m.at, 10), strconv.Itoa(m.draws/100))
}

func (p *Program) engine(host *simulation.Host, library *steps.Library) *engine.Engine {
	var private func(workflow.RunID) string
	if p.private != "" {
		private = func(workflow.RunID) string { return p.private }
	}
	return engine.New(engine.Config{
		PrivateDir: private, Turn: host.Pause,
		Library: pausing{library, host}, Binder: binder{library.Binder()}, Watcher: watcher{library.Watcher(), host},
		Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
			host.Attention(len(r.Summarize().Attention) > 0)
		},
	})
}

// open creates the run, or takes it over.
func (p *Program) open(ctx context.Context, host *simulation.Host, e *engine.Engine) (*engine.Execution, error) {
	store := store{p.store, host, p.created.Nonce}
	ids, err := p.store.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return e.Create(ctx, store, p.workflow, p.created)
	}
	history, err := store.Open(ctx, ids[0])
	if err != nil {
		return nil, err
	}
	x, err := e.Open(ctx, history, p.workflow, workflow.Owner{Host: "simulated"}, "simulated")
	if err != nil {
		return nil, errors.Join(err, history.Close())
	}
	return x, nil
}

// heed cancels the run when somebody asks for it.
func (p *Program) heed(ctx context.Context, host *simulation.Host, x *engine.Execution) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-host.CancelAsked():
			_ = x.Cancel(ctx, "somebody") // who is asked again if this life ends first
		case <-done:
		}
	}()
	return func() { close(done); <-ended }
}

// account is the run as the world is told of it.
func account(r *workflow.Run) simulation.Account {
	a := simulation.Account{State: string(r.State), Units: map[string]simulation.UnitAccount{}}
	for _, step := range r.Steps {
		for _, u := range step.Units {
			unit := simulation.UnitAccount{State: string(u.State), Cause: string(u.Cause)}
			if last := u.Attempt(); last != nil && last.Submission != nil {
				unit.Job = last.Submission.JobID
			}
			label := strings.TrimPrefix(workflow.JobName("t", u.Ref().String()), "t-") // as in the names of jobs
			a.Units[label] = unit
		}
	}
	return a
}

// pausing is a library whose steps begin and end at moments of their own, so
// that what was woken together does not run together.
type pausing struct {
	engine.Library
	host *simulation.Host
}

// Lookup implements engine.Library.
func (p pausing) Lookup(uses string) (*engine.Step, bool) {
	step, ok := p.Library.Lookup(uses)
	if !ok || step.Run == nil {
		return step, ok
	}
	paused := *step
	paused.Run = func(ctx context.Context, inv *engine.Invocation, with any) engine.Outcome {
		p.host.Pause(inv.Token)
		ctx = unhurried{simulation.WithCaller(ctx, inv.Token), func() { p.host.Pause(inv.Token) }}
		out := step.Run(ctx, inv, with)
		p.host.Pause(inv.Token)
		return out
	}
	return &paused, true
}

// unhurried is the context of an attempt, which is held for a moment each time it
// looks whether it is over, as it does before it waits for anything: attempts
// that were let go together by something that they share do not compete then.
type unhurried struct {
	context.Context
	pause func()
}

// Done implements context.Context.
func (u unhurried) Done() <-chan struct{} {
	u.pause()
	return u.Context.Done()
}

// watcher tells the news of each topic at a moment of its own.
type watcher struct {
	engine.Watcher
	host *simulation.Host
}

// Watch implements engine.Watcher.
func (w watcher) Watch(topic string, since time.Time, fire func()) (stop func()) {
	return w.Watcher.Watch(topic, since, func() {
		go func() {
			w.host.Pause(topic)
			fire()
		}()
	})
}

// binder names who binds.
type binder struct{ engine.Binder }

// Bind implements engine.Binder.
func (b binder) Bind(ctx context.Context, system, root string, run workflow.RunCreated) (*workflow.RunBound, error) {
	return b.Binder.Bind(simulation.WithCaller(ctx, "bind"), system, root, run)
}

// Verify implements engine.Binder.
func (b binder) Verify(ctx context.Context, site workflow.RunBound) error {
	return b.Binder.Verify(simulation.WithCaller(ctx, "verify"), site)
}
