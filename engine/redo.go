package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// Retry has units of a run that is driven done again; the reset is durable when
// it returns. An error that is [workflow.ErrConflict] or [workflow.ErrNotFound] if it
// cannot be, [workflow.ErrOwned] if the run is driven no more and not given up yet.
func (x *Execution) Retry(ctx context.Context, choice workflow.UnitsReset) error {
	err := x.ask(ctx, func() error { return x.reset(choice) })
	if errors.Is(err, errNotDriven) {
		err = fmt.Errorf("run %s: %w: %w", x.id, err, workflow.ErrOwned)
	}
	return err
}

// Reset is Retry before Drive is called. A run that has ended is begun again, in
// a new round.
func (x *Execution) Reset(ctx context.Context, choice workflow.UnitsReset) error {
	if err := x.reset(choice); err != nil {
		return err
	}
	return x.commit(ctx)
}

func (x *Execution) reset(choice workflow.UnitsReset) error {
	if _, err := x.run.ResetSet(&choice); err != nil {
		return err
	}
	if x.run.State.Terminal() {
		x.reopen()
	}
	x.emit(command{payload: &choice})
	clear(x.unbindable) // a system that could not serve the run may do so now
	return x.fatal
}

// reopen begins a new round of a run that had ended when it was taken over.
func (x *Execution) reopen() {
	if x.taker != nil {
		x.emit(command{payload: x.taker})
		x.taker = nil
	}
	x.emit(command{payload: &workflow.RunReopened{Round: x.run.Round + 1}})
}
