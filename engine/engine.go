package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/workflow"
)

// Config is what an engine executes runs with. The zero value of each field but
// Library is usable.
type Config struct {
	Library Library
	// Binder serves steps that need a system; Watcher tells when jobs change.
	Binder  Binder
	Watcher Watcher
	// Admission lets runs start that belong to concurrency groups; without one they
	// start at once.
	Admission Admission
	// Children says how the runs are executed that steps start.
	Children Children
	// Secrets resolves a secret by name.
	Secrets func(name string) (string, error)
	// Slots bounds how many attempts run at once in this process; default 64.
	Slots int
	// JobsPerSystem bounds how many units may be in the queue of one system, over
	// all runs of this process; default 200.
	JobsPerSystem int
	// Patience is how long a run that never had a good answer waits for the first
	// one; default 30 s, negative = for ever.
	Patience time.Duration
	// LogDir names the directory for the logs of a run's attempts.
	LogDir func(workflow.RunID) string
	// PrivateDir names the directory for what attempts of a run keep while they
	// last and is nobody else's to read.
	PrivateDir func(workflow.RunID) string
	Logger     zerolog.Logger
	// Observe is called after each commit on the goroutine that owns the run: it
	// must be quick and must not keep the run.
	Observe func(run *workflow.Run, events []workflow.Event, changed []*workflow.Unit)
	// Turn is called by an attempt, which a token names, before it hands something
	// to the owner of its run. It may hold the attempt for a moment: a simulation
	// puts what would happen at one instant in an order that way.
	Turn func(token string)
	// Progress is called for passing facts of attempts, from any goroutine.
	Progress func(workflow.RunID, workflow.UnitRef, Progress)
}

const (
	defaultSlots    = 64
	defaultJobs     = 200
	defaultPatience = 30 * time.Second
)

// Engine executes runs. The runs of one engine share its attempt slots and its
// places in the queues of systems.
type Engine struct {
	cfg  Config
	pool *pool
}

// New returns an engine.
func New(cfg Config) *Engine {
	if cfg.Slots <= 0 {
		cfg.Slots = defaultSlots
	}
	if cfg.JobsPerSystem <= 0 {
		cfg.JobsPerSystem = defaultJobs
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	return &Engine{cfg: cfg, pool: newPool(cfg.Slots, cfg.JobsPerSystem)}
}

// NewRunID returns an id for a run created now.
func NewRunID(now time.Time) workflow.RunID {
	return workflow.RunID(ulid.MustNew(ulid.Timestamp(now), rand.Reader).String())
}

// Create makes a run of w durable, without starting it. The text of the workflow,
// with those that its steps run, becomes the frozen definition. ID, Definition and Nonce of created are filled
// in where they are empty. It belongs to the groups of created.Concurrency and to that of
// its workflow. The inputs may take 32 KiB.
func (e *Engine) Create(ctx context.Context, s workflow.Store, w *workflow.Workflow, created workflow.RunCreated) (*Execution, error) {
	return e.create(ctx, s, w, created, nil)
}

// create makes a run that begins with what begin adds to it, in the same commit.
func (e *Engine) create(ctx context.Context, s workflow.Store, w *workflow.Workflow, created workflow.RunCreated, begin *imports) (*Execution, error) {
	d, err := draw(w, created, begin)
	if err != nil {
		return nil, err
	}
	return e.store(ctx, s, d)
}

// draft is a run that is not stored yet.
type draft struct {
	run   *workflow.Run
	first []workflow.Event
	blobs []workflow.Blob
}

// store makes a draft durable.
func (e *Engine) store(ctx context.Context, s workflow.Store, d *draft) (*Execution, error) {
	history, err := s.Create(ctx, d.run.ID, d.run.Workflow.Frozen(), d.first, d.blobs)
	if err != nil {
		return nil, err
	}
	return newExecution(e, d.run, history), nil
}

// draw drafts a run. An error is of what it is to be made of.
func draw(w *workflow.Workflow, created workflow.RunCreated, begin *imports) (*draft, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if created.ID == "" {
		created.ID = NewRunID(now)
	}
	if created.Nonce == "" {
		created.Nonce = rand.Text()
	}
	if n := workflow.InputBytes(created.Inputs); n > workflow.MaxInputBytes {
		return nil, fmt.Errorf("the inputs of the run take %d bytes, and at most %d are kept with it: give large values as files", n, workflow.MaxInputBytes)
	}
	created.Workflow = w.Name
	created.Definition = workflow.NewBlob(w.Frozen()).Digest
	if created.Parent == nil { // else its groups do not count
		own, err := w.EvalMembership(&created, now)
		if err != nil {
			return nil, err
		}
		created.Concurrency = workflow.MergeMemberships(created.Concurrency, own)
	}
	d := &draft{run: workflow.NewRun(w)}
	files := created.CutFiles()
	for _, p := range append([]workflow.Payload{&created}, files...) {
		first := workflow.Event{Seq: d.run.Seq + 1, At: now, Epoch: 1, Data: p}
		if err := workflow.Apply(d.run, &first); err != nil {
			return nil, err
		}
		if text, err := first.MarshalJSON(); err != nil {
			return nil, err
		} else if len(text) > workflow.MaxEventBytes {
			return nil, fmt.Errorf("what is recorded of the run at its start takes %d bytes, and at most %d are kept: give large values as files", len(text), workflow.MaxEventBytes)
		}
		d.first = append(d.first, first)
	}
	more, blobs, err := begin.into(d.run, now)
	if err != nil {
		return nil, err
	}
	d.first, d.blobs = append(d.first, more...), blobs
	return d, nil
}

// Open takes a run over whose history this process has come to own: it folds
// the history and, unless the run is over, records the new owner. w is the
// frozen definition, parsed and checked.
func (e *Engine) Open(ctx context.Context, h workflow.History, w *workflow.Workflow, owner workflow.Owner, version string) (*Execution, error) {
	run, err := Fold(ctx, w, h)
	if err != nil {
		return nil, err
	}
	return e.Adopt(ctx, h, run, owner, version)
}

// Adopt is Open for a history that is folded already.
func (e *Engine) Adopt(ctx context.Context, h workflow.History, run *workflow.Run, owner workflow.Owner, version string) (*Execution, error) {
	x := newExecution(e, run, h)
	owner.Epoch = h.Epoch()
	x.taker = &workflow.RunOpened{Owner: owner, Version: version}
	if run.State.Terminal() {
		return x, nil
	}
	x.emit(command{payload: x.taker})
	return x, x.commit(ctx)
}

// EventReader is the reading half of a history.
type EventReader interface {
	Read(ctx context.Context, from int64, f func(workflow.Event) error) error
}

// Fold computes the state of a run of w from its stored events.
func Fold(ctx context.Context, w *workflow.Workflow, events EventReader) (*workflow.Run, error) {
	run := workflow.NewRun(w)
	err := events.Read(ctx, 1, func(e workflow.Event) error { return workflow.Apply(run, &e) })
	if err != nil {
		return nil, err
	}
	if run.Seq == 0 {
		return nil, errors.New("the history is empty")
	}
	run.TakeChanged()
	return run, nil
}
