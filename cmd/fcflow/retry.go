package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type retryOptions struct {
	run             string
	units           []string
	force           bool
	exitOnAttention bool
	output          output
}

func newRetryCommand(a *app) *cobra.Command {
	o := retryOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "retry RUN [STEP[/KEY]…]",
		Short: "Do again what failed, and what depends on it",
		Long: `Has steps of a run done again, in the same run, with the workflow and the inputs it
began with. Without names these are all that failed or were cancelled and that the
run could not do without. With names it is those: one instance whatever became of
it, or, by the name of a step with many or by a part of a key, those of them that
failed or were cancelled. With --force steps too that succeeded.

What depends on them and has not succeeded is done with them; everything that
depends on a step that had succeeded; and "finally". Attempts are kept, and the next
one has the next number; rules of retries count anew. Nothing is done again while it
is under way.

A run that has ended begins a new round, which this command drives to its end as
"fcflow resume" does. A run that somebody drives takes the request and goes on.`,
		Example: `  fcflow retry last
  fcflow retry K3X9QZ simulate/dt=30,levels=40
  fcflow retry K3X9QZ simulate/dt=30 publish
  fcflow retry last fetch --force`,
		ValidArgsFunction: a.completeRunAndUnits,
	}
	c.Flags().BoolVar(&o.force, "force", false, "do again what succeeded, too")
	a.addTakeOver(c)
	addExitOnAttention(c, &o.exitOnAttention)
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run, o.units = args[0], args[1:]
		return runRetry(c.Context(), a, o)
	})
}

// choice is what the command line asks for.
func (o *retryOptions) choice() workflow.UnitsReset {
	choice := workflow.UnitsReset{Force: o.force, By: whoami()}
	for _, name := range o.units {
		choice.Units = append(choice.Units, unitNamed(name))
	}
	return choice
}

func runRetry(ctx context.Context, a *app, o retryOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	run, _, err := a.readRun(ctx, st, id, func(workflow.Event) {})
	if err != nil {
		return err
	}
	choice := o.choice()
	set, err := run.ResetSet(&choice)
	if err != nil {
		return a.explainRefusal(run, o, err)
	}
	said := "again: " + listed(set)
	live, err := a.alive(ctx, st, id)
	switch {
	case err != nil:
		return err
	case live == nil:
		return a.retryHere(ctx, id, choice, o, said)
	case live.client == nil:
		return a.outOfReach(st, id, live, "retry it", "retry "+a.refer(id))
	}
	defer live.close()
	err = live.client.Retry(ctx, id, choice)
	if errors.Is(err, server.ErrGone) || errors.Is(err, workflow.ErrOwned) || errors.Is(err, workflow.ErrNotFound) {
		return a.retryHere(ctx, id, choice, o, said) // it has just ended
	}
	if err != nil {
		return err
	}
	a.note("%s", said)
	a.note("%s drives the run; watch it: fcflow runs watch %s", live.who(), a.refer(id))
	return a.printAsked(ctx, st, id, o.output.format())
}

// printAsked prints for programs a run that somebody else drives.
func (a *app) printAsked(ctx context.Context, st *store.Store, id workflow.RunID, f format) error {
	if f == formatText {
		return nil
	}
	view, err := a.view(ctx, st, id)
	return errors.Join(err, a.printShown(view, f))
}

// retryHere takes over a run that nobody drives, resets units of it, and drives
// it to its end.
func (a *app) retryHere(ctx context.Context, id workflow.RunID, choice workflow.UnitsReset, o retryOptions, said string) error {
	e, x, err := a.takeOver(ctx, id, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	if err := e.begin(x, func() error { return x.Reset(ctx, choice) }); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	e.progress.say(console.Say(said))
	if o.output.format() == formatName {
		a.streams.Out.Printf("%s\n", id)
	}
	return errors.Join(e.finish(ctx, x, o.output.format()), e.close())
}

// begin has a run begun again. The summary of one that has ended would be believed
// without a look at its history: it is made doubtful before that changes.
func (e *session) begin(x *engine.Execution, change func() error) error {
	if !x.Run().State.Terminal() {
		return change()
	}
	ended := x.Run().Summarize()
	doubtful := ended
	doubtful.State, doubtful.Seq = workflow.RunQueued, 0
	if err := e.store.PutSummary(x.ID(), doubtful); err != nil {
		return err
	}
	err := change()
	if x.Run().State.Terminal() {
		err = errors.Join(err, e.store.PutSummary(x.ID(), ended))
	}
	return err
}

// explainRefusal adds to a refusal what a person can do about it.
func (a *app) explainRefusal(run *workflow.Run, o retryOptions, err error) error {
	view := run.Describe()
	if errors.Is(err, workflow.ErrNotFound) {
		for _, name := range o.units {
			if !strings.Contains(err.Error(), name) {
				continue
			}
			if _, unknown := namedUnits(&view, name); unknown != nil {
				return unknown
			}
		}
		return withHint(err, "see fcflow runs show %s", a.refer(run.ID))
	}
	for _, unit := range view.Attention {
		if strings.Contains(err.Error(), unit.String()+" is "+string(workflow.Waiting)) {
			return withHint(err, "%s waits for a person: see fcflow runs why %s %s", unit, a.refer(run.ID), shellQuote(unit.String()))
		}
	}
	return err
}
