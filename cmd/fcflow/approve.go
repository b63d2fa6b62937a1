package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type approveOptions struct {
	run, step string
	reject    bool
	note      string
}

func newApproveCommand(a *app) *cobra.Command {
	var o approveOptions
	c := &cobra.Command{
		Use:   "approve RUN STEP[/KEY]",
		Short: "Answer a step that asks for approval",
		Long: `Says yes to a step that uses approve, or no with --reject, which fails it. Who
answered, on which machine and when is kept in the history of the run. STEP means
all instances of the step that wait for an answer, a part of a key such as dt=30
all that have it.

A run that somebody drives goes on at once. In a run that nobody drives the answer
is kept until "fcflow resume" continues it.`,
		Example: `  fcflow approve last sure
  fcflow approve K3X9QZ sure/dt=30 --reject --note 'too large'`,
		ValidArgsFunction: a.completeRunAndUnit(unfinished),
	}
	c.Flags().BoolVar(&o.reject, "reject", false, "say no: the step fails with rejected")
	c.Flags().StringVar(&o.note, "note", "", "`TEXT` to keep with the answer")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run, o.step = args[0], args[1]
		return runApprove(c.Context(), a, o)
	})
}

func runApprove(ctx context.Context, a *app, o approveOptions) error {
	if len(o.note) > workflow.MaxNote {
		return fmt.Errorf("%w: --note takes %d bytes; at most %d are kept", errUsage, len(o.note), workflow.MaxNote)
	}
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	ref := unitNamed(o.step)
	word := workflow.ApprovalGiven{By: whoami(), Note: o.note, Rejected: o.reject}
	var units []workflow.UnitRef
	left := false
	err = a.reach(ctx, st, id, "approve",
		func(c *server.Client) (err error) {
			units, err = c.Approve(ctx, id, ref, word)
			return err
		},
		func() (err error) {
			left = true
			units, err = a.approveHere(ctx, st, id, ref, word)
			return err
		})
	if errors.Is(err, workflow.ErrNotFound) {
		return a.nearUnit(ctx, st, id, o.step, err)
	}
	if err != nil {
		return withHint(err, "fcflow runs show %s", a.refer(id))
	}
	verb := "approved"
	if o.reject {
		verb = "rejected"
	}
	for _, u := range units {
		a.note("%s: %s", verb, u)
	}
	if left {
		a.note("nobody drives the run; continue it: fcflow resume %s", a.refer(id))
	}
	return nil
}

// approveHere leaves the answer for whoever drives the run next. Who is refused
// leaves no trace.
func (a *app) approveHere(ctx context.Context, st *store.Store, id workflow.RunID, ref workflow.UnitRef, word workflow.ApprovalGiven) (units []workflow.UnitRef, err error) {
	run, err := a.stored(ctx, st, id)
	if err != nil {
		return nil, err
	}
	if _, err := run.ToApprove(ref, time.Now()); err != nil {
		return nil, err
	}
	err = a.leaveWord(ctx, id, func(x *engine.Execution) (err error) {
		units, err = x.LeaveApproval(ctx, ref, word)
		return err
	})
	return units, err
}

// nearUnit adds to the error that nothing has a name what has a similar one.
func (a *app) nearUnit(ctx context.Context, st *store.Store, id workflow.RunID, name string, notFound error) error {
	view, err := a.view(ctx, st, id)
	if err != nil {
		return errors.Join(notFound, err)
	}
	if _, unknown := namedUnits(&view.RunView, name); unknown != nil {
		return unknown
	}
	return notFound
}
