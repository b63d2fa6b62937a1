package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// liveRun is a run that a living process owns.
type liveRun struct {
	owner  workflow.Owner
	client *server.Client // nil if its owner cannot be asked from here
}

func (l *liveRun) who() string {
	if l.owner.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d on %s", l.owner.PID, l.owner.Host)
}

// outOfReach is the error of a command that wants a run which lives where it cannot be
// asked. do says what can be done on its host; taking is the command that, with
// --take-over, takes the run if the process is dead.
func (a *app) outOfReach(st *store.Store, id workflow.RunID, live *liveRun, do, taking string) error {
	err := fmt.Errorf("run %s: %s: %w", id, live.who(), workflow.ErrOwned)
	host := live.owner.Host
	switch {
	case host == "" || host == st.Self().Host:
		return withHint(err, "%s", do)
	case a.takesOver:
		return withHint(err, "it holds the lock of the run, so it is not dead; %s on %s", do, host)
	}
	return withHint(err, "%s on %s; if that process is dead: fcflow %s --take-over", do, host, taking)
}

func (l *liveRun) close() {
	if l.client != nil {
		l.client.Close()
	}
}

// alive returns the owner of a run, nil if nobody owns it.
func (a *app) alive(ctx context.Context, st *store.Store, id workflow.RunID) (*liveRun, error) {
	owner, alive, err := st.Owner(ctx, id)
	if err != nil || !alive || died(owner, st.Self()) {
		return nil, err
	}
	l := &liveRun{owner: owner}
	self := st.Self()
	if owner.Socket == "" || owner.Host != self.Host || owner.PID == self.PID && owner.BootID == self.BootID {
		return l, nil // also if it is this process, which is just opening or closing it and has no answer yet
	}
	l.client, err = server.Dial(ctx, owner.Socket)
	if errors.Is(err, server.ErrGone) {
		// It is just starting or letting go; what the disk says will do.
		return l, nil
	}
	return l, err
}

// died reports whether the owner is a process of this machine that is no more.
// Its lock and its socket may outlive it for a moment, in a child that it was
// just starting when it was killed.
func died(owner, self workflow.Owner) bool {
	if owner.PID == 0 || owner.Host != self.Host || owner.BootID != self.BootID {
		return false
	}
	return errors.Is(syscall.Kill(owner.PID, 0), syscall.ESRCH)
}

// shownRun is a run as `runs show` prints it.
type shownRun struct {
	workflow.RunView
	Live        bool `json:"live"`        // a process drives the run now
	Interrupted bool `json:"interrupted"` // it is not over and none does; `fcflow resume` continues it
	// NodeHours is what its jobs have used, as the scheduler last told: their nodes
	// times their elapsed time, over all attempts.
	NodeHours *float64 `json:"node_hours,omitempty"`
	// WaitsFor is the concurrency group in which a queued run waits for a place.
	WaitsFor *waitsFor `json:"waits_for,omitempty"`
	// Children are the runs that the newest attempts of its steps have started.
	Children []shownRun             `json:"children,omitempty"`
	places   map[workflow.RunID]int // of Children
}

// child finds a run among Children; nil if it is not there.
func (r *shownRun) child(id workflow.RunID) *shownRun {
	if i, ok := r.places[id]; ok {
		return &r.Children[i]
	}
	return nil
}

// eachBelow calls f with the runs that its steps have started, and what these have.
func (r *shownRun) eachBelow(f func(*shownRun)) {
	for i := range r.Children {
		f(&r.Children[i])
		r.Children[i].eachBelow(f)
	}
}

// addChildren adds the runs that steps of a run have started, and what these have.
// One that is not there, any more or yet, is left out.
func (a *app) addChildren(ctx context.Context, st *store.Store, run *shownRun) error {
	run.places = map[workflow.RunID]int{}
	for _, s := range run.Steps {
		for _, u := range s.Instances {
			if len(u.Attempts) == 0 || u.Attempts[len(u.Attempts)-1].Child == "" {
				continue
			}
			child, err := a.view(ctx, st, u.Attempts[len(u.Attempts)-1].Child)
			if errors.Is(err, workflow.ErrNotFound) {
				continue
			}
			if err == nil {
				err = a.addChildren(ctx, st, &child)
			}
			if err != nil {
				return err
			}
			run.places[child.ID] = len(run.Children)
			run.Children = append(run.Children, child)
		}
	}
	return nil
}

func shown(view workflow.RunView, interrupted, live bool) shownRun {
	r := shownRun{RunView: view, Live: live, Interrupted: interrupted}
	if hours, known := results.RunNodeHours(&view); known {
		r.NodeHours = &hours
	}
	return r
}

// display is the state as people see it.
func (r *shownRun) display() string {
	if r.Interrupted {
		return "interrupted"
	}
	return string(r.State)
}

// view returns the full picture of a run: from its owner, else from its
// history. Of a run that lives where it cannot be asked there is only the
// summary.
func (a *app) view(ctx context.Context, st *store.Store, id workflow.RunID) (shownRun, error) {
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return shownRun{}, err
	}
	if live != nil && live.client != nil {
		defer live.close()
		view, err := live.client.View(ctx, id)
		if !errors.Is(err, server.ErrGone) && !errors.Is(err, workflow.ErrNotFound) {
			return shown(view, false, true), err
		}
	}
	run, err := a.stored(ctx, st, id)
	if errors.Is(err, workflow.ErrOwned) {
		l, err := st.Summary(ctx, id)
		return shown(workflow.RunView{Summary: l.Summary}, false, true), errors.Join(err, l.Err)
	}
	if err != nil {
		return shownRun{}, err
	}
	return shown(run.Describe(), !run.State.Terminal(), false), nil
}

// stored folds a run that nobody owns.
func (a *app) stored(ctx context.Context, st *store.Store, id workflow.RunID) (*workflow.Run, error) {
	source, err := st.Frozen(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.fold(ctx, source, a.events(st, id))
}

// readRun folds a run, asking its owner for the events if there is one, and
// tells note of each event. It reports whether a process drives the run.
func (a *app) readRun(ctx context.Context, st *store.Store, id workflow.RunID, note func(workflow.Event)) (run *workflow.Run, driven bool, err error) {
	source, err := st.Frozen(ctx, id)
	if err != nil {
		return nil, false, err
	}
	events := reading(func(ctx context.Context, from int64, f func(workflow.Event) error) (err error) {
		driven, err = a.readEvents(ctx, st, id, from, f)
		return err
	})
	run, err = a.fold(ctx, source, telling(events, note))
	return run, driven, err
}

// readEvents calls f with the events of a run from a sequence number on, which it
// has of its owner, if there is one. It reports whether a process drives the run.
func (a *app) readEvents(ctx context.Context, st *store.Store, id workflow.RunID, from int64, f func(workflow.Event) error) (driven bool, err error) {
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return false, err
	}
	next := from
	if live != nil && live.client != nil {
		defer live.close()
		err := liveEvents(live.client, id).Read(ctx, next, func(e workflow.Event) error {
			next = e.Seq + 1
			return f(e)
		})
		if !errors.Is(err, server.ErrGone) {
			return true, err
		}
	}
	err = a.events(st, id).Read(ctx, next, f)
	if errors.Is(err, workflow.ErrOwned) && live != nil {
		err = withHint(fmt.Errorf("run %s: %s: %w", id, live.who(), workflow.ErrOwned), "ask on %s", live.owner.Host)
	}
	return false, err
}

// telling is a reader that tells note of each event, more than once if it is read
// more than once.
func telling(events engine.EventReader, note func(workflow.Event)) engine.EventReader {
	return reading(func(ctx context.Context, from int64, f func(workflow.Event) error) error {
		return events.Read(ctx, from, func(e workflow.Event) error {
			note(e)
			return f(e)
		})
	})
}

// events reads the history of a run that nobody owns.
func (a *app) events(st *store.Store, id workflow.RunID) engine.EventReader {
	return reading(func(ctx context.Context, from int64, f func(workflow.Event) error) error {
		return st.ReadEvents(ctx, id, from, f)
	})
}

// liveEvents reads what a run's owner has stored so far.
func liveEvents(c *server.Client, id workflow.RunID) engine.EventReader {
	return reading(func(ctx context.Context, from int64, f func(workflow.Event) error) error {
		return c.Events(ctx, id, from, false, f)
	})
}

// resolve finds the run a person means, with a suggestion when there is none.
func (a *app) resolve(ctx context.Context, st *store.Store, ref string) (workflow.RunID, error) {
	id, err := st.Resolve(ctx, ref)
	if !errors.Is(err, workflow.ErrNotFound) {
		return id, err
	}
	runs, _, listErr := st.Recent(ctx, 50, nil)
	if listErr != nil {
		return "", err
	}
	names := []string{"last"}
	for _, r := range runs {
		names = append(names, shortID(r.ID), r.Workflow)
	}
	if near := workflow.Suggest(ref, names); near != "" {
		return "", withHint(err, "did you mean %q?", near)
	}
	return "", withHint(err, "see fcflow runs list")
}
