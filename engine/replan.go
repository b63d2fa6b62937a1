package engine

import (
	"context"
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// Replan has a run that is not driven yet go on with another workflow, by a plan
// that was made when its history had seq events: [workflow.ErrConflict] if it had
// more when it was taken over. All of it is durable in one commit, or nothing. A run
// that has ended is begun again, in a new round.
func (x *Execution) Replan(ctx context.Context, plan *workflow.Replanning, seq int64) error {
	if taken := x.taken(); x.run.Seq != seq+taken {
		return fmt.Errorf("run %s has gone on since it was looked at: try again: %w", x.id, workflow.ErrConflict)
	}
	if x.run.State.Terminal() {
		x.reopen()
	}
	for _, e := range plan.Events {
		c := command{payload: e.Data}
		if e.Step != "" {
			c.step, _ = x.run.Step(e.Step)
		}
		x.emit(c)
	}
	clear(x.unbindable)
	return x.commit(ctx)
}

// taken counts the events by which this process took the run over.
func (x *Execution) taken() int64 {
	if x.taker == nil || x.run.State.Terminal() {
		return 0
	}
	return 1
}
