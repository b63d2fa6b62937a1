package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type resolveOptions struct {
	run, step string
	job       string
	neverRan  bool
	failed    bool
	noWait    bool
}

func newResolveCommand(a *app) *cobra.Command {
	var o resolveOptions
	c := &cobra.Command{
		Use:   "resolve RUN STEP[/KEY]",
		Short: "Say what became of a job that nobody can find",
		Long: `Where fcflow cannot know whether a submission made a job, or what became of the
job, the step waits, and "fcflow runs why" shows the evidence. Look at the system,
then say one of --job, --never-ran and --failed. A job is refused whose name does not
begin with the token of the attempt. A part of a key will do where only one instance
has it.

Before --never-ran and --failed take effect the token is fenced off, where the step
has a fence: should there be a job after all, it runs nothing. A job that has claimed
the token meanwhile is followed instead. The word is durable. A run that nobody drives
is taken over until the word has taken effect.`,
		Example:           "  fcflow resolve last simulate --job 4711\n  fcflow resolve K3X9QZ simulate --never-ran",
		ValidArgsFunction: a.completeRunAndUnit(unfinished),
	}
	c.Flags().StringVar(&o.job, "job", "", "the job with this `ID` is the one: follow it to its end")
	c.Flags().BoolVar(&o.neverRan, "never-ran", false, "no job of the attempt ever ran: make it again")
	c.Flags().BoolVar(&o.failed, "failed", false, "the attempt has failed: give it up")
	c.Flags().BoolVar(&o.noWait, "no-wait", false, "return as soon as the word is durable")
	completeFlag(c, "job", cobra.NoFileCompletions)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run, o.step = args[0], args[1]
		return runResolve(c.Context(), a, o)
	})
}

// word is what the flags say.
func (o *resolveOptions) word(jobGiven bool) (workflow.SubmissionResolved, error) {
	said := workflow.SubmissionResolved{By: whoami()}
	n := 0
	for _, flag := range []struct {
		given bool
		as    workflow.Resolution
	}{{jobGiven, workflow.ResolvedJob}, {o.neverRan, workflow.ResolvedNeverRan}, {o.failed, workflow.ResolvedFailed}} {
		if flag.given {
			said.As = flag.as
			n++
		}
	}
	if n != 1 {
		return said, fmt.Errorf("%w: say one of --job ID, --never-ran and --failed", errUsage)
	}
	if !jobGiven {
		return said, nil
	}
	said.JobID = string(firecrest.JobID(o.job).Base())
	if _, err := strconv.ParseUint(said.JobID, 10, 64); err != nil {
		return said, fmt.Errorf("%w: --job: %q is no id of a job", errUsage, o.job)
	}
	return said, nil
}

func runResolve(ctx context.Context, a *app, o resolveOptions) error {
	word, err := o.word(a.given("job"))
	if err != nil {
		return err
	}
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
	u, err := unitOf(run, o.step)
	if err != nil {
		return err
	}
	if run.State.Terminal() {
		return fmt.Errorf("nothing to resolve: run %s has ended: %s: %w", shortID(id), run.State, workflow.ErrConflict)
	}
	if err := u.Resolvable(); err != nil {
		return withHint(err, "fcflow runs why %s %s", a.refer(id), shellQuote(o.step))
	}
	if err := a.checkWord(ctx, run, u, word, a.note); err != nil {
		return err
	}
	return a.passWord(ctx, st, newEffect(id, u, word), o.noWait)
}

// passWord has the owner of a run take the word of a person, or takes the run
// over for that.
func (a *app) passWord(ctx context.Context, st *store.Store, f *effect, noWait bool) error {
	return a.reach(ctx, st, f.run, "resolve",
		func(c *server.Client) error { return a.resolveThere(ctx, st, c, f, noWait) },
		func() error { return a.resolveHere(ctx, f, noWait) })
}

// resolveThere tells the owner, and watches what follows.
func (a *app) resolveThere(ctx context.Context, st *store.Store, c *server.Client, f *effect, noWait bool) error {
	view, err := c.View(ctx, f.run)
	if err != nil {
		return err
	}
	if err := c.Resolve(ctx, f.run, f.unit, f.word); err != nil {
		return err
	}
	a.note("recorded: %s", f.said())
	if noWait {
		return nil
	}
	err = a.followEvents(ctx, st, c, f.run, view.Seq+1, func(e workflow.Event) error {
		if f.note(e); f.done() {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errInterrupted):
		a.note("it takes effect all the same; watch it: fcflow runs watch %s", a.refer(f.run))
		return &ended{err}
	case errors.Is(err, server.ErrGone) && !f.done():
		a.note("its owner has stopped; it takes effect when somebody drives the run: fcflow resume %s", a.refer(f.run))
		return nil
	case err != nil && !errors.Is(err, errEnough) && !errors.Is(err, server.ErrGone):
		return err
	}
	f.report(a)
	return nil
}

// resolveHere takes over a run that nobody drives, and drives it until the word
// has taken effect and nothing is under way here that would be cut short. Not to
// wait means to leave it once the word is durable; the next owner acts on it.
func (a *app) resolveHere(ctx context.Context, f *effect, noWait bool) error {
	e, x, err := a.takeOver(ctx, f.run, false)
	if err != nil {
		return err
	}
	driveCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	e.observed = func(run *workflow.Run, events []workflow.Event) {
		if run.ID != x.ID() { // one that a step of it has started
			return
		}
		for _, event := range events {
			f.note(event)
		}
		if f.done() && run.Running() == 0 && !run.State.Terminal() {
			stop(errEnough)
		}
	}
	if err := x.LeaveWord(ctx, f.unit, f.word); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	e.progress.say(console.Say("recorded: " + f.said()))
	if noWait { // nothing has driven it: the session does not know of it
		err := errors.Join(x.Close(), e.close())
		a.note("it takes effect when somebody drives the run: fcflow resume %s", a.refer(f.run))
		return err
	}
	err = e.drive(driveCtx, x)
	e.stopProgress()
	if f.done() {
		f.report(a)
	}
	if errors.Is(err, errEnough) && !x.Run().State.Terminal() {
		a.note("continue it: fcflow resume %s", a.refer(f.run))
		return e.close()
	}
	if err = e.conclude(x.Run(), err); errors.Is(err, errRunCancelled) || errors.Is(err, errRunFailed) {
		err = nil // what was asked for is done
	}
	return errors.Join(err, e.close())
}
