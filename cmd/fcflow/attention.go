package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// attention ends the drive of runs, where that is wanted, once nothing goes on
// in them, or in the runs that their steps have started, but waiting for a person.
type attention struct {
	wanted bool

	mu    sync.Mutex
	stops map[workflow.RunID]context.CancelCauseFunc
	waits map[workflow.RunID]standing
}

// standing is what goes on in a run.
type standing struct {
	busy     bool // with something else than waiting for a person or another run
	person   bool
	children []workflow.RunID
}

func addExitOnAttention(c *cobra.Command, wanted *bool) {
	c.Flags().BoolVar(wanted, "exit-on-attention", false, "stop with exit code 10 when everything that is left waits for a person")
}

// guard returns the context in which to drive a run.
func (t *attention) guard(ctx context.Context, id workflow.RunID) (context.Context, context.CancelFunc) {
	if !t.wanted {
		return ctx, func() {}
	}
	ctx, stop := context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stops == nil {
		t.stops = map[workflow.RunID]context.CancelCauseFunc{}
	}
	t.stops[id] = stop
	return ctx, func() { stop(nil) }
}

// observe is told of each commit of a run, also of those before it is driven.
func (t *attention) observe(run *workflow.Run) {
	if !t.wanted {
		return
	}
	now := waits(run)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits == nil {
		t.waits = map[workflow.RunID]standing{}
	}
	t.waits[run.ID] = now
	for id, stop := range t.stops {
		if t.needed(id) {
			stop(engine.ErrAttention)
		}
	}
}

// needed reports whether somebody must act for a run to go on.
func (t *attention) needed(id workflow.RunID) bool {
	w, known := t.waits[id]
	if !known || w.busy {
		return false
	}
	for _, child := range w.children {
		if !t.needed(child) {
			return false
		}
	}
	return w.person || len(w.children) > 0
}

// waits looks at what goes on in a run.
func waits(run *workflow.Run) (w standing) {
	if run.Running() > 0 {
		return standing{busy: true}
	}
	for _, s := range run.Steps {
		if s.Count(workflow.Ready) > 0 {
			return standing{busy: true}
		}
		if s.Count(workflow.Waiting) == 0 {
			continue
		}
		for _, u := range s.Units {
			if u.State != workflow.Waiting {
				continue
			}
			id, child := engine.ChildOf(u.Wait.Topic)
			switch {
			case child:
				w.children = append(w.children, id)
			case u.Wait.Reason.Person() && u.Attempt().Approval == nil:
				w.person = true
			default:
				return standing{busy: true}
			}
		}
	}
	return w
}
