package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// EndUnits is Drive that only ends what some instances have under way, until there is
// evidence of their ends: they are in the way of another workflow. What has not begun
// does not begin meanwhile, and the other instances stay under way for a later owner.
func (x *Execution) EndUnits(ctx context.Context, units []workflow.UnitRef) error {
	x.ending = []*workflow.Unit{}
	for _, ref := range units {
		u, ok := x.run.Unit(ref)
		if !ok {
			return fmt.Errorf("run %s has no instance %s: %w", x.id, ref, workflow.ErrNotFound)
		}
		if underWay(u) && u.Attempt().Expired == "" {
			x.emit(command{unit: u, attempt: len(u.Attempts), payload: &workflow.AttemptExpired{Cause: workflow.CauseKilled}})
		}
		x.ending = append(x.ending, u)
	}
	if err := x.commit(ctx); err != nil {
		return err
	}
	err := x.Drive(ctx)
	if err == nil && slices.ContainsFunc(x.ending, underWay) {
		err = errors.New("what is under way has not ended; please report this")
	}
	return err
}

// underWay reports whether an attempt of the unit has begun and not ended.
func underWay(u *workflow.Unit) bool {
	return u.State == workflow.Running || u.State == workflow.Waiting && u.Wait.Reason != workflow.WaitBackoff
}
