package engine

import (
	"context"
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// Resolve makes the word of a person about a submission durable, and has the
// attempt that waits for it entered. An error that is [workflow.ErrConflict] if there
// is nothing to resolve.
func (x *Execution) Resolve(ctx context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	return x.tell(ctx, func() error { return x.resolve(unit, word) })
}

// LeaveWord is Resolve before Drive is called: whoever drives the run acts on it.
func (x *Execution) LeaveWord(ctx context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	return x.leave(ctx, func() error { return x.resolve(unit, word) })
}

// tell has the owner take the word of a person, which is durable when it returns,
// or refuse it.
func (x *Execution) tell(ctx context.Context, say func() error) error {
	return x.ask(ctx, say)
}

// leave makes a word durable in a run that is not driven here.
func (x *Execution) leave(ctx context.Context, say func() error) error {
	if err := say(); err != nil {
		return err
	}
	return x.commit(ctx)
}

func (x *Execution) resolve(ref workflow.UnitRef, word workflow.SubmissionResolved) error {
	if x.run.State.Terminal() {
		return fmt.Errorf("nothing to resolve: the run has ended: %s: %w", x.run.State, workflow.ErrConflict)
	}
	u, ok := x.run.Unit(ref)
	if !ok {
		return fmt.Errorf("the run has no step %s: %w", ref, workflow.ErrNotFound)
	}
	if err := u.Resolvable(); err != nil {
		return err
	}
	x.emit(command{unit: u, attempt: len(u.Attempts), payload: &word})
	return nil
}
