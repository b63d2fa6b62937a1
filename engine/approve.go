package engine

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Approve makes the answer of a person durable for the units that ref names, a
// part of their key being enough, and that ask for one, and has them entered
// again. It returns which they are. The error is [workflow.ErrNotFound] if nothing
// has that name, and [workflow.ErrConflict] if nothing of it waits for an answer.
func (x *Execution) Approve(ctx context.Context, ref workflow.UnitRef, word workflow.ApprovalGiven) (units []workflow.UnitRef, err error) {
	err = x.tell(ctx, func() (err error) { units, err = x.approve(ref, word); return err })
	return units, err
}

// LeaveApproval is Approve before Drive is called: whoever drives the run goes on
// with it.
func (x *Execution) LeaveApproval(ctx context.Context, ref workflow.UnitRef, word workflow.ApprovalGiven) (units []workflow.UnitRef, err error) {
	err = x.leave(ctx, func() (err error) { units, err = x.approve(ref, word); return err })
	return units, err
}

func (x *Execution) approve(ref workflow.UnitRef, word workflow.ApprovalGiven) ([]workflow.UnitRef, error) {
	asking, err := x.run.ToApprove(ref, time.Now())
	if err != nil {
		return nil, err
	}
	var units []workflow.UnitRef
	for _, u := range asking {
		x.emit(command{unit: u, attempt: len(u.Attempts), payload: &word})
		units = append(units, u.Ref())
	}
	return units, nil
}
