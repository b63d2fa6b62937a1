package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type cancelOptions struct {
	run    string
	noWait bool
}

func newCancelCommand(a *app) *cobra.Command {
	var o cancelOptions
	c := &cobra.Command{
		Use:   "cancel RUN",
		Short: "Cancel a run with its jobs",
		Long: `Asks for the end of a run and waits until its jobs are proved to have ended and
"finally" has run. The request is durable: it holds whatever happens to the
processes. A second one also skips "finally". A run that nobody drives is taken
over for that. Cancelling a run that has ended does nothing.`,
		Example:           "  fcflow cancel last\n  fcflow cancel K3X9QZ --no-wait",
		ValidArgsFunction: a.completeRuns(unfinished),
	}
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "return as soon as the request is durable")
	a.addTakeOver(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runCancel(c.Context(), a, o)
	})
}

func runCancel(ctx context.Context, a *app, o cancelOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	summary, err := st.Summary(ctx, id)
	if err != nil {
		return err
	}
	if summary.Err == nil && summary.State.Terminal() {
		a.note("run %s of %s has ended already: %s", shortID(id), summary.Workflow, summary.State)
		return nil
	}
	return a.reach(ctx, st, id, "cancel",
		func(c *server.Client) error { return a.cancelThere(ctx, st, c, id, o.noWait) },
		func() error { return a.cancelHere(ctx, id, o.noWait) })
}

// cancelThere asks the owner.
func (a *app) cancelThere(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, noWait bool) error {
	if err := c.Cancel(ctx, id, whoami()); err != nil {
		return err
	}
	if noWait {
		a.note("run %s is being cancelled", shortID(id))
		return nil
	}
	switch err := a.followEvents(ctx, st, c, id, 1, func(workflow.Event) error { return nil }); {
	case errors.Is(err, errInterrupted):
		a.note("run %s is being cancelled all the same; watch it: fcflow runs watch %s", shortID(id), a.refer(id))
		return &ended{err}
	case err != nil:
		return err
	}
	view, err := c.View(ctx, id)
	if errors.Is(err, server.ErrGone) || errors.Is(err, workflow.ErrNotFound) {
		var run *workflow.Run
		if run, err = a.stored(ctx, st, id); err == nil {
			view = run.Describe()
		}
	}
	if err != nil {
		return err
	}
	a.note("run %s of %s has ended: %s (%s)", shortID(id), view.Workflow, view.State, tally(view.Units))
	return nil
}

// cancelHere takes over a run that nobody drives and drives it to its end. Not
// to wait means to leave it once the request is durable; the next owner carries
// it out.
func (a *app) cancelHere(ctx context.Context, id workflow.RunID, noWait bool) error {
	e, x, err := a.takeOver(ctx, id, false)
	if err != nil {
		return err
	}
	started := x.Run().State != workflow.RunQueued
	if err := x.LeaveCancel(ctx, whoami()); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	if noWait && started {
		e.stopProgress()
		a.note("run %s is being cancelled; its jobs end when somebody drives it: fcflow cancel %s", shortID(id), a.refer(id))
		return errors.Join(putSummary(e.store, x), x.Close(), e.close())
	}
	err = e.drive(ctx, x)
	if err = e.conclude(x.Run(), err); errors.Is(err, errRunCancelled) || errors.Is(err, errRunFailed) {
		err = nil // what was asked for is done
	}
	return errors.Join(err, e.close())
}
