package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsPruneOptions struct {
	olderThan age
	keep      int
	workflow  string
	dryRun    bool
	declared  bool // the workflows say what is kept
	output    output
}

// age is a length of time on the command line, such as 90d.
type age struct {
	text     string
	duration time.Duration
}

func (d *age) String() string { return d.text }
func (d *age) Type() string   { return "DURATION" }

func (d *age) Set(text string) (err error) {
	d.text = text
	d.duration, err = workflow.ParseDuration(text)
	return err
}

func newRunsPruneCommand(a *app) *cobra.Command {
	o := runsPruneOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete old runs that went well",
		Long: `Deletes runs that succeeded or were cancelled: those that ended longer ago than
--older-than, but for the --keep of each workflow that ended last; with both, a run
goes only if both let it go. Without the two, the "retention" of each workflow says
it, as it stands in the definition that the run made last keeps; runs of a workflow
that has none stay.

Runs that failed or are not over stay, and so do remote directories and downloaded
files. Runs that steps of others have started go with these, whatever became of them;
those whose run is gone already go by themselves once they are over, unless they are
younger than what is kept. Look at what would go with --dry-run.`,
		Example: "  fcflow runs prune --dry-run\n  fcflow runs prune --older-than 90d --dry-run\n  fcflow runs prune --keep 100 --workflow nightly",
	}
	c.Flags().Var(&o.olderThan, "older-than", "runs that ended longer ago than this, such as 36h or 90d")
	c.Flags().IntVar(&o.keep, "keep", 0, "keep the `N` of these runs of each workflow that ended last")
	c.Flags().StringVar(&o.workflow, "workflow", "", "only runs of the workflow of this `NAME`")
	completeFlag(c, "workflow", a.completeWorkflows)
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be deleted, and delete nothing")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, _ []string) error {
		o.declared = !c.Flags().Changed("older-than") && !c.Flags().Changed("keep")
		if o.keep < 0 {
			return fmt.Errorf("%w: --keep %d: it cannot be negative", errUsage, o.keep)
		}
		return runRunsPrune(c.Context(), a, o, time.Now())
	})
}

func runRunsPrune(ctx context.Context, a *app, o runsPruneOptions, now time.Time) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	rule := func(string) *workflow.Retention {
		return &workflow.Retention{Runs: o.keep, Age: o.olderThan.duration}
	}
	if o.declared {
		if rule, err = a.retentions(ctx, st, o.workflow); err != nil {
			return err
		}
	}
	chosen, children, err := outdated(ctx, st, o.workflow, rule, now)
	if err != nil {
		return err
	}
	gone := chosen
	var errs []error
	if !o.dryRun {
		gone, errs = a.pruneAll(ctx, st, chosen, children)
	}
	if err := a.printPruned(gone, o, now); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// prunable reports whether a run may go once it is old enough. The runs of
// sub-workflows belong to others.
func prunable(l store.Listed) bool {
	ended := l.State == workflow.RunSucceeded || l.State == workflow.RunCancelled
	return ended && l.Err == nil && !l.Live && l.Trigger != workflow.TriggerParent
}

// prunableNow looks again at a run that was chosen: somebody may have reopened it, and
// the parent of one that seemed to have none may have been made while runs were listed.
func prunableNow(ctx context.Context, st *store.Store, id workflow.RunID) (bool, error) {
	l, err := st.Summary(ctx, id)
	if err != nil || l.Parent == nil {
		return err == nil && prunable(l), err
	}
	_, err = st.Summary(ctx, l.Parent.Run)
	if errors.Is(err, workflow.ErrNotFound) {
		return idle(l), nil
	}
	return false, err
}

// pruneAll deletes runs and their children, but for those that may not go any more.
func (a *app) pruneAll(ctx context.Context, st *store.Store, runs []store.Listed, children *descent) (gone []store.Listed, errs []error) {
	for _, l := range runs {
		if ctx.Err() != nil {
			return gone, append(errs, context.Cause(ctx))
		}
		may, err := prunableNow(ctx, st, l.ID)
		if err == nil && !may {
			continue
		}
		if err == nil {
			err = children.deleteTree(ctx, st, l.ID)
		}
		switch {
		case err == nil:
			gone = append(gone, l)
		case errors.Is(err, workflow.ErrOwned), errors.Is(err, workflow.ErrNotFound):
			a.note("run %s stays: %v", shortID(l.ID), err)
		default:
			errs = append(errs, err)
		}
	}
	return gone, errs
}

// prunedRun is a run that was deleted, or would be. Its JSON form is a contract
// that only grows.
type prunedRun struct {
	ID       workflow.RunID    `json:"id"`
	Workflow string            `json:"workflow"`
	State    workflow.RunState `json:"state"`
	EndedAt  time.Time         `json:"ended_at"`
	DryRun   bool              `json:"dry_run"`
}

func (a *app) printPruned(runs []store.Listed, o runsPruneOptions, now time.Time) error {
	switch o.output.format() {
	case formatJSON:
		list := make([]prunedRun, 0, len(runs))
		for _, l := range runs {
			list = append(list, prunedRun{l.ID, l.Workflow, l.State, l.EndedAt, o.dryRun})
		}
		return a.streams.Out.JSON(list)
	case formatName:
		for _, l := range runs {
			a.streams.Out.Printf("%s\n", l.ID)
		}
		return nil
	}
	if len(runs) > 0 {
		rows := make([][]console.Text, 0, len(runs))
		for _, l := range runs {
			rows = append(rows, []console.Text{
				console.Say(shortID(l.ID)), console.Say(l.Workflow), console.State(string(l.State)), console.Say(console.Ago(l.EndedAt, now)),
			})
		}
		a.streams.Out.Table([]string{"RUN", "WORKFLOW", "STATE", "ENDED"}, rows)
	}
	verb := "deleted"
	if o.dryRun {
		verb = "would delete"
	}
	a.note("%s %s", verb, count(len(runs), "run"))
	if o.declared && len(runs) == 0 {
		a.note("without --older-than and --keep it is the retention in workflow files that lets runs go")
	}
	return nil
}
