package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type resumeOptions struct {
	run             string
	all             bool
	workflow        string
	inputs          []string
	dryRun          bool
	cancelRunning   bool
	exitOnAttention bool
	output          output
}

func newResumeCommand(a *app) *cobra.Command {
	o := resumeOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "resume RUN|--all",
		Short: "Continue an interrupted run",
		Long: `Takes over a run that nobody drives and continues it where it was, with the
workflow, the inputs and the service it began with. What is done stays done;
jobs that went on meanwhile are found again.

With --workflow the run goes on with another workflow of the same name: the file
after an edit. That is possible for a run that has ended, too, which then begins a
new round. The inputs stay; -i changes some. An instance that is done stays so if what
it was given is the same: the type of its step, "with" as evaluated, the script and
the files, and everything it depends on. "retry", "timeout", "if" and "max_parallel"
do not count. All else is done, and what the workflow has no more is dropped. The plan
is shown, and written beside the run, before anything starts. What is under way and
would change is in the way; --cancel-running ends it first.

A run of "fcflow serve" goes on there: the server is asked, and the run is watched.

A run whose process was on another host, and did not let go of it, is not touched: the
locks of a network file system may not reach from there. --take-over takes it, and it
goes on here. Do that only if you know that the process is dead: that its host is down
or was started anew, or that "ps" shows it there no more. If it lives, both drive the
run until one of them cannot record what it did, and stops.`,
		Example: `  fcflow resume last
  fcflow resume --all
  fcflow resume last --workflow sweep.yaml --dry-run`,
		Args:              oneRunOr("all"),
		ValidArgsFunction: a.completeRuns(unfinished),
	}
	c.Flags().BoolVar(&o.all, "all", false, "continue every interrupted run")
	c.Flags().StringVar(&o.workflow, "workflow", "", "go on with the workflow in `FILE`, and do again what it changes")
	completeFlag(c, "workflow", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	c.Flags().StringArrayVarP(&o.inputs, "input", "i", nil, "with --workflow, another value of an input, as `NAME=VALUE`; may be repeated")
	completeFlag(c, "input", cobra.NoFileCompletions)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "with --workflow, show the plan and do nothing")
	c.Flags().BoolVar(&o.cancelRunning, "cancel-running", false, "with --workflow, end what is under way and not as the new workflow has it")
	a.addTakeOver(c)
	addExitOnAttention(c, &o.exitOnAttention)
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		if err := o.check(args); err != nil {
			return err
		}
		if o.all && a.takesOver {
			return fmt.Errorf("%w: --take-over is for one run, whose process is known to be dead", errUsage)
		}
		if o.all {
			return runResumeAll(c.Context(), a, o)
		}
		o.run = args[0]
		return runResume(c.Context(), a, o)
	})
}

// check refuses what belongs to another workflow where there is none.
func (o *resumeOptions) check(args []string) error {
	switch {
	case o.workflow != "" && o.all:
		return fmt.Errorf("%w: --workflow is for one run", errUsage)
	case o.workflow != "":
		return nil
	case len(o.inputs) > 0 && !o.all:
		words := args[0]
		for _, input := range o.inputs {
			words += " -i " + shellQuote(input)
		}
		return withHint(fmt.Errorf("%w: resume goes on with the inputs that the run has; -i changes them together with the workflow, which may be the same file", errUsage),
			"fcflow resume %s --workflow FILE has the run go on with what changes done again; fcflow rerun %s makes a new run", words, words)
	case len(o.inputs) > 0 || o.dryRun || o.cancelRunning:
		return fmt.Errorf("%w: --input, --dry-run and --cancel-running belong to --workflow, which is for one run", errUsage)
	}
	return nil
}

// whileDriven says what to do about a run that somebody drives.
func (o *resumeOptions) whileDriven(run string) string {
	if o.workflow != "" {
		return "its workflow can change while nobody drives it, or fcflow serve does: stop that process, its jobs go on, and do this again"
	}
	return "watch it: fcflow runs watch " + run
}

func runResume(ctx context.Context, a *app, o resumeOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return err
	}
	var c *server.Client
	if live != nil || !a.takesOver { // else it goes on here: a server takes no run from another host
		c, err = a.serverOf(ctx, id, live)
	}
	if c != nil {
		defer c.Close()
		return a.resumeThere(ctx, st, c, id, o)
	}
	switch {
	case err != nil:
		return err
	case live != nil && live.client == nil && live.owner.Host != st.Self().Host:
		return a.outOfReach(st, id, live, "watch it", "resume "+a.refer(id))
	case live != nil:
		return withHint(fmt.Errorf("run %s: %s: %w", id, live.who(), workflow.ErrOwned), "%s", o.whileDriven(a.refer(id)))
	case o.workflow != "":
		return runReplan(ctx, a, st, id, o)
	}
	summary, err := st.Summary(ctx, id)
	if err != nil {
		return err
	}
	if summary.Err == nil && summary.State.Terminal() {
		return a.noteOver(ctx, st, summary, o)
	}
	e, x, err := a.takeOver(ctx, id, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	if o.output.format() == formatName {
		a.streams.Out.Printf("%s\n", id)
	}
	return errors.Join(e.finish(ctx, x, o.output.format()), e.close())
}

// noteOver says of a run that has ended what became of it, and what can be done.
func (a *app) noteOver(ctx context.Context, st *store.Store, run store.Listed, o resumeOptions) error {
	a.note("run %s of %s has ended: %s", shortID(run.ID), run.Workflow, run.State)
	view, err := a.view(ctx, st, run.ID)
	if err != nil {
		return err
	}
	if run.State != workflow.RunSucceeded {
		a.noteRetry(&view.RunView)
	}
	return errors.Join(endOf(&view.RunView), a.printShown(view, o.output.format()))
}

// takeOver opens a session and takes ownership of a run in it.
func (a *app) takeOver(ctx context.Context, id workflow.RunID, quiet bool) (*session, *engine.Execution, error) {
	s, err := a.settings("")
	if err != nil {
		return nil, nil, err
	}
	e, err := a.openSession(s, quiet)
	if err != nil {
		return nil, nil, err
	}
	before, _, err := e.store.Owner(ctx, id)
	if err != nil {
		return nil, nil, errors.Join(err, e.close())
	}
	x, err := e.reopen(ctx, id)
	if err != nil {
		return nil, nil, errors.Join(err, e.close())
	}
	if before.Host != "" && before.Host != e.store.Self().Host {
		e.progress.say(console.Say(fmt.Sprintf("taken from process %d on %s", before.PID, before.Host)))
	}
	return e, x, nil
}

// reopen takes ownership of a run.
func (e *session) reopen(ctx context.Context, id workflow.RunID) (*engine.Execution, error) {
	return e.reopenWith(ctx, id)
}

// reopenWith does the same for a run that will need some more systems.
func (e *session) reopenWith(ctx context.Context, id workflow.RunID, systems ...string) (*engine.Execution, error) {
	history, err := e.runs.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	x, err := e.open(ctx, history, systems)
	if err != nil {
		return nil, errors.Join(err, history.Close())
	}
	return x, nil
}

// open prepares a run for going on, with the settings of its own profile unless
// the person named another one.
func (e *session) open(ctx context.Context, history workflow.History, systems []string) (*engine.Execution, error) {
	created, err := creation(ctx, history)
	if err != nil {
		return nil, err
	}
	s, err := e.app.settings(created.Profile.Name)
	if err != nil {
		return nil, err
	}
	if err := checkPinned(s, created.Profile); err != nil {
		return nil, err
	}
	source, err := history.Frozen(ctx)
	if err != nil {
		return nil, err
	}
	run, err := e.app.fold(ctx, source, history)
	if err != nil {
		return nil, err
	}
	w := run.Workflow    // perhaps not the one it began with
	if run.Replans > 0 { // who changed it may have ended before the copy was written
		if err := e.store.PutWorkflow(run.ID, w.Frozen()); err != nil {
			return nil, err
		}
	}
	if err := e.app.checkSecrets(s, w); err != nil {
		return nil, err
	}
	v, err := e.connect(ctx, s, created.Profile, append(systemsOf(w, run.Created), systems...))
	if err != nil {
		return nil, err
	}
	x, err := v.engine.Adopt(ctx, history, run, e.store.Self(), releaseName())
	if err != nil {
		return nil, err
	}
	e.progress.say(console.Say(fmt.Sprintf("run %s of %s goes on (%s)", shortID(created.ID), w.Name, created.ID)))
	return x, nil
}

// interrupted lists what can be resumed by itself: not the runs that are
// continued by their parents.
func (e *session) interrupted(ctx context.Context) ([]store.Listed, error) {
	unfinished := map[workflow.RunID]bool{}
	all, _, err := e.store.Recent(ctx, 0, func(l store.Listed) bool {
		unfinished[l.ID] = !l.State.Terminal()
		return l.Interrupted
	})
	return slices.DeleteFunc(all, func(l store.Listed) bool { return l.Parent != nil && unfinished[l.Parent.Run] }), err
}

// runResumeAll continues every interrupted run in one process. A run that cannot
// be taken does not keep the others from going on.
func runResumeAll(ctx context.Context, a *app, o resumeOptions) error {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	e, err := a.openSession(s, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	interrupted, err := e.interrupted(ctx)
	if err != nil {
		return errors.Join(err, e.close())
	}
	errs := make([]error, len(interrupted))
	var executions []*engine.Execution
	var driving sync.WaitGroup
	for i, l := range interrupted {
		x, err := e.reopen(ctx, l.ID)
		if err != nil {
			errs[i] = fmt.Errorf("resume run %s: %w", l.ID, err)
			continue
		}
		executions = append(executions, x)
		driving.Go(func() { errs[i] = e.drive(ctx, x) })
	}
	driving.Wait()
	e.stopProgress()
	if len(interrupted) == 0 {
		a.note("no interrupted runs")
	}
	var views []shownRun
	for _, x := range executions {
		if !x.Stored() { // its error says so
			continue
		}
		view := x.Run().Describe()
		views = append(views, shown(view, !view.State.Terminal(), false))
		if view.State.Terminal() {
			errs = append(errs, endOf(&view))
		}
		if o.output.format() == formatText {
			a.note("%s  run %s of %s", console.State(views[len(views)-1].display()).S, shortID(view.ID), view.Workflow)
		}
	}
	return errors.Join(errors.Join(errs...), a.printAllShown(views, o.output.format()), e.close())
}
