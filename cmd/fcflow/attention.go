package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// attention ends the drive of runs, where that is wanted, once nothing goes on
// in them but waiting for a person.
type attention struct {
	wanted bool

	mu    sync.Mutex
	stops map[workflow.RunID]context.CancelCauseFunc
}

func addExitOnAttention(c *cobra.Command, wanted *bool) {
	c.Flags().BoolVar(wanted, "exit-on-attention", false, "stop with exit code 10 when everything that is left waits for a person")
}

// guard returns the context in which to drive a run.
func (t *attention) guard(ctx context.Context, id workflow.RunID) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stops == nil {
		t.stops = map[workflow.RunID]context.CancelCauseFunc{}
	}
	t.stops[id] = stop
	return ctx, func() { stop(nil) }
}

// observe is told of each commit of a run.
func (t *attention) observe(run *workflow.Run) {
	if !t.wanted || !needsAttention(run) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if stop := t.stops[run.ID]; stop != nil {
		stop(engine.ErrAttention)
	}
}

// needsAttention reports whether somebody must act for the run to go on.
func needsAttention(run *workflow.Run) bool {
	if run.Running() > 0 {
		return false
	}
	waiting := false
	for _, s := range run.Steps {
		if s.Count(workflow.Ready) > 0 {
			return false
		}
		if s.Count(workflow.Waiting) == 0 {
			continue
		}
		for _, u := range s.Units {
			if u.State != workflow.Waiting {
				continue
			}
			if !u.Wait.Reason.Person() || u.Attempt().Approval != nil {
				return false
			}
			waiting = true
		}
	}
	return waiting
}
