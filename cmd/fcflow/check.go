package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type checkOptions struct {
	run    string
	all    bool
	output output
}

func newCheckCommand(a *app) *cobra.Command {
	o := checkOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "check RUN|--all",
		Short: "Check that the history of a run is whole",
		Long: `Reads every event of a run, checks it against its checksum, and computes the
state of the run from them. Nothing is changed. The owner of a run is asked for them;
where it cannot be asked from here, the run is not checked, and with --all that is no
error.`,
		Example:           "  fcflow check last\n  fcflow check --all",
		Args:              oneRunOr("all"),
		ValidArgsFunction: a.completeRuns(nil),
	}
	c.Flags().BoolVar(&o.all, "all", false, "check every run")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		if !o.all {
			o.run = args[0]
		}
		return runCheck(c.Context(), a, o)
	})
}

// checkedRun is what a check found. Its JSON form is a contract that only grows.
type checkedRun struct {
	ID    workflow.RunID    `json:"id"`
	OK    bool              `json:"ok"`
	State workflow.RunState `json:"state,omitempty"`
	Seq   int64             `json:"seq"`
	// NotChecked: a process drives the run that cannot be asked from here. Error has it.
	NotChecked bool   `json:"not_checked,omitempty"`
	Error      string `json:"error,omitempty"`
}

func runCheck(ctx context.Context, a *app, o checkOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	var ids []workflow.RunID
	if o.all {
		ids, err = st.List(ctx)
	} else {
		ids = make([]workflow.RunID, 1)
		ids[0], err = a.resolve(ctx, st, o.run)
	}
	if err != nil {
		return err
	}
	return a.checkRuns(ctx, st, ids, o)
}

func (a *app) checkRuns(ctx context.Context, st *store.Store, ids []workflow.RunID, o checkOptions) error {
	var errs []error
	checked := make([]checkedRun, 0, len(ids))
	for _, id := range ids {
		c := checkedRun{ID: id, OK: true}
		run, _, err := a.readRun(ctx, st, id, func(workflow.Event) {})
		if run != nil {
			c.State, c.Seq = run.State, run.Seq
		}
		switch {
		case ctx.Err() != nil: // which says nothing of this run, nor of those that are left
			return errors.Join(append(errs, context.Cause(ctx))...)
		case o.all && errors.Is(err, workflow.ErrNotFound):
			continue // deleted meanwhile
		case errors.Is(err, workflow.ErrOwned):
			c.OK, c.NotChecked, c.Error = false, true, err.Error()
			if !o.all {
				errs = append(errs, err)
			}
		case err != nil:
			c.OK, c.Error = false, err.Error()
			errs = append(errs, err)
		}
		checked = append(checked, c)
		a.printChecked(c, o.output.format())
	}
	if o.output.format() == formatJSON {
		errs = append(errs, a.streams.Out.JSON(checked))
	}
	return errors.Join(errs...)
}

func (a *app) printChecked(c checkedRun, f format) {
	switch {
	case f == formatName && !c.OK && !c.NotChecked:
		a.streams.Out.Printf("%s\n", c.ID)
	case f != formatText:
	case c.OK:
		a.streams.Out.Println(console.Say(fmt.Sprintf("%s  ", c.ID)), console.State(string(c.State)), console.Say(fmt.Sprintf("  %s", count(int(c.Seq), "event"))))
	case c.NotChecked:
		why := strings.TrimSuffix(strings.TrimPrefix(c.Error, fmt.Sprintf("run %s: ", c.ID)), ": "+workflow.ErrOwned.Error())
		a.streams.Out.Println(console.Say(fmt.Sprintf("%s  ", c.ID)), console.Text{S: "? not checked", Style: console.Yellow}, console.Say(", driven elsewhere: "+why))
	default:
		a.streams.Out.Println(console.Say(fmt.Sprintf("%s  ", c.ID)), console.Text{S: "✗ damaged", Style: console.Red})
	}
}
