package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Children says how the runs are executed that steps of other runs start. They
// are driven by the process that drives their parent, and share its slots.
type Children struct {
	// Store keeps the runs. Nil = this process executes none.
	Store workflow.Store
	// Owner and Version sign what this process owns.
	Owner   workflow.Owner
	Version string
	// Prepare completes what a new run records. An error says that it cannot run.
	Prepare func(ctx context.Context, w *workflow.Workflow, created *workflow.RunCreated) error
	// Load returns the definition that a run executes; nil = the one that its
	// parent holds.
	Load func(ctx context.Context, h workflow.History) (*workflow.Workflow, error)
	// Drive executes a run as this process does with others; nil = x.Drive.
	Drive func(ctx context.Context, x *Execution) error
	// Elsewhere reaches runs that another process owns.
	Elsewhere Elsewhere
}

// Elsewhere reaches runs that another process owns.
type Elsewhere interface {
	// Cancel sees to it that the end of a run was asked for so many times.
	Cancel(ctx context.Context, id workflow.RunID, by string, times int) error
	// Watch calls fire, once, when a run is over or nobody owns it any more. It
	// never blocks; stop ends the watch.
	Watch(id workflow.RunID, fire func()) (stop func())
}

// ErrChildRefused: a run cannot be made of what an attempt gives it, or the run that
// it made cannot be read here. Neither passes.
var ErrChildRefused = errors.New("the run of the other workflow cannot begin or go on")

// ChildTopic is what an attempt waits for that has started a run.
func ChildTopic(id workflow.RunID) string { return childTopic + string(id) }

// ChildOf returns the run that a topic is about, if it is about one.
func ChildOf(topic string) (id workflow.RunID, ok bool) {
	text, ok := strings.CutPrefix(topic, childTopic)
	return workflow.RunID(text), ok
}

const childTopic = "run:"

// ChildRun is how a run stands that an attempt started.
type ChildRun struct {
	ID    workflow.RunID
	State workflow.RunState
	// Elsewhere: another process owns the run.
	Elsewhere bool
	// Outputs and Message are there once it is over. Message says how it ended.
	Outputs json.RawMessage
	Message string
}

// Over reports whether the run has ended.
func (r *ChildRun) Over() bool { return r.State.Terminal() }

// Child is the workflow that the step runs; nil for other step types, and if
// its definition is not known.
func (inv *Invocation) Child() *workflow.Workflow { return inv.child.workflow }

// ChildID is the id of the run that this attempt starts.
func (inv *Invocation) ChildID() workflow.RunID { return inv.child.created.ID }

// StartChild has the run of this attempt executed. It makes the run, with the
// inputs and directories of created, if there is none; takes it over if nobody
// owns it; and returns how it stands.
func (inv *Invocation) StartChild(ctx context.Context, created workflow.RunCreated) (*ChildRun, error) {
	c := inv.child
	c.created.Inputs, c.created.Dir, c.created.OutputDir = created.Inputs, created.Dir, created.OutputDir
	return inv.owner.startChild(ctx, c)
}

// StopChild asks for the end of the run of this attempt, as often as the end of
// the parent was asked for, and returns how it stands. It is
// [workflow.ErrNotFound] if there is none.
func (inv *Invocation) StopChild(ctx context.Context) (*ChildRun, error) {
	return inv.owner.stopChild(ctx, inv.child)
}

// child is what an attempt knows of the run it starts.
type child struct {
	workflow *workflow.Workflow
	created  workflow.RunCreated
	cancels  int // how often the end is to be asked for
}

func (x *Execution) childOf(u *workflow.Unit) child {
	spec := u.Step.Step.Spec()
	if spec == nil || !spec.SubWorkflow {
		return child{}
	}
	a, ref, mine := u.Attempt(), u.Ref(), x.run.Created
	profile := mine.Profile
	profile.System = cmp.Or(x.run.DefaultSystem(), profile.System)
	return child{
		workflow: u.Step.Step.Child(),
		created: workflow.RunCreated{
			ID:      workflow.ChildID(mine.Nonce, ref, a.Number, a.StartedAt),
			Trigger: workflow.TriggerParent,
			Parent:  &workflow.ParentRef{Run: x.id, Step: ref.Step, Instance: ref.Instance, Attempt: a.Number},
			Profile: profile, By: mine.By, Version: x.engine.cfg.Children.Version,
		},
		cancels: max(1, x.run.CancelRequests),
	}
}

func (r *attemptRecorder) startChild(ctx context.Context, c child) (*ChildRun, error) {
	k, run, err := r.x.findChild(ctx, c, true)
	if k == nil || err != nil {
		return run, err
	}
	return k.stands(), nil
}

func (r *attemptRecorder) stopChild(ctx context.Context, c child) (*ChildRun, error) {
	k, run, err := r.x.findChild(ctx, c, false)
	by := "run " + string(r.x.id)
	switch {
	case err != nil:
		return nil, err
	case k != nil:
		if err := k.x.cancel(ctx, by, c.cancels); err != nil && !errors.Is(err, errNotDriven) {
			return nil, err
		}
		return k.stands(), nil
	case run.Elsewhere && r.x.engine.cfg.Children.Elsewhere != nil:
		return run, r.x.engine.cfg.Children.Elsewhere.Cancel(ctx, run.ID, by, c.cancels)
	}
	return run, nil
}

// findChild returns a run that this process drives, or how it stands otherwise.
func (x *Execution) findChild(ctx context.Context, c child, create bool) (*kid, *ChildRun, error) {
	cfg, id := &x.engine.cfg.Children, c.created.ID
	if k := x.kids.find(id); k != nil {
		return k, nil, nil
	}
	if cfg.Store == nil || c.workflow == nil {
		return nil, nil, fmt.Errorf("%w: its definition is not known here", ErrChildRefused)
	}
	h, err := cfg.Store.Open(ctx, id)
	var cx *Execution
	switch {
	case errors.Is(err, workflow.ErrOwned):
		return nil, &ChildRun{ID: id, Elsewhere: true}, nil
	case errors.Is(err, workflow.ErrNotFound) && create:
		cx, err = x.createChild(ctx, c)
	case errors.Is(err, workflow.ErrCorrupt), errors.Is(err, workflow.ErrNewer):
		err = fmt.Errorf("%w: %w", ErrChildRefused, err)
	case err == nil:
		cx, err = x.openChild(ctx, c, h)
	}
	if err != nil {
		return nil, nil, err
	}
	if cx.run.State.Terminal() {
		run := cx.asChild()
		return nil, run, cx.Close()
	}
	k, err := x.driveChild(cx)
	return k, nil, err
}

func (x *Execution) createChild(ctx context.Context, c child) (*Execution, error) {
	cfg := &x.engine.cfg.Children
	if cfg.Prepare != nil {
		if err := cfg.Prepare(ctx, c.workflow, &c.created); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrChildRefused, err)
		}
	}
	d, err := draw(c.workflow, c.created, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChildRefused, err)
	}
	return x.engine.store(ctx, cfg.Store, d)
}

func (x *Execution) openChild(ctx context.Context, c child, h workflow.History) (_ *Execution, err error) {
	cfg := &x.engine.cfg.Children
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	run, err := foldChild(ctx, cfg, h, c.workflow)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrChildRefused, err)
	}
	return x.engine.Adopt(ctx, h, run, cfg.Owner, cfg.Version)
}

// foldChild reads a run that an attempt started. An error is of what is stored.
func foldChild(ctx context.Context, cfg *Children, h workflow.History, w *workflow.Workflow) (run *workflow.Run, err error) {
	if cfg.Load != nil {
		if w, err = cfg.Load(ctx, h); err != nil {
			return nil, err
		}
	}
	return Fold(ctx, w, h)
}

// driveChild executes a run beside its parent. When it cannot go on, neither can
// the parent in this process.
func (x *Execution) driveChild(cx *Execution) (*kid, error) {
	k := &kid{x: cx, done: make(chan struct{})}
	if !x.kids.add(k) {
		return nil, errors.Join(ErrStopping, cx.Close())
	}
	go func() {
		drive := x.engine.cfg.Children.Drive
		if drive == nil {
			drive = func(ctx context.Context, x *Execution) error { return x.Drive(ctx) }
		}
		err := drive(x.ctx, cx)
		if cx.stored.Terminal() {
			k.run = cx.asChild()
		}
		err = errors.Join(err, cx.Close())
		close(k.done)
		x.kids.driving.Done()
		switch {
		case err == nil || x.ctx.Err() != nil:
		case k.run != nil:
			cx.logger.Warn().Err(err).Msg("the run is over, but not all about it could be stored")
		default:
			x.send(func(x *Execution) { x.quit = fmt.Errorf("run %s of %s: %w", cx.id, cx.run.Workflow.Name, err) })
		}
	}()
	return k, nil
}

// asChild is how a run stands that nobody drives.
func (x *Execution) asChild() *ChildRun {
	c := &ChildRun{ID: x.id, State: x.run.State}
	c.Message = endWords(x.run)
	if x.run.State == workflow.RunSucceeded {
		var err error
		if c.Outputs, err = x.run.Outputs.Load(x.blob); err != nil {
			c.State, c.Message = workflow.RunFailed, fmt.Sprintf("the outputs of run %s cannot be read: %v", x.id, err)
		}
	}
	return c
}

// mostFailures is how many failed steps of a run its parent lists.
const mostFailures = 5

// endWords says how a run ended, and why.
func endWords(run *workflow.Run) string {
	text := fmt.Sprintf("run %s of %s", run.ID, run.Workflow.Name)
	switch run.State {
	case workflow.RunCancelled:
		return fmt.Sprintf("%s was cancelled by %s", text, run.CancelledBy)
	case workflow.RunSucceeded:
		return text + " succeeded"
	}
	text += " failed"
	var parts []string
	if run.Cause != "" || run.Message != "" {
		parts = append(parts, strings.Trim(fmt.Sprintf("%s: %s", run.Cause, run.Message), ": "))
	}
	for _, s := range run.Steps {
		for _, u := range s.Units {
			if u.State == workflow.Failed && !u.Good {
				parts = append(parts, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", u.Ref(), u.Cause, u.Message), ": "))
			}
		}
	}
	if n := len(parts); n > mostFailures {
		parts = append(parts[:mostFailures], fmt.Sprintf("… and %d more", n-mostFailures))
	}
	return strings.TrimSuffix(text+": "+strings.Join(parts, "; "), ": ")
}
