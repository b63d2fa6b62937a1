package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsListOptions struct {
	limit    int
	state    choice
	workflow string
	children bool
	output   output
}

func newRunsListCommand(a *app) *cobra.Command {
	var states []string
	for _, s := range workflow.RunStates() {
		states = append(states, string(s))
	}
	o := runsListOptions{state: choice{choices: append(states, "interrupted", needsPerson)}, output: newOutput()}
	c := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Long: `Lists runs in the order of their ids, which begin with a time: that at which the run
was made, or that of the slot for which a schedule made it. A run of a backfill hence
stands where its slot was.`,
		Example: "  fcflow runs list --state failed --workflow sweep\n  fcflow runs list --output json",
	}
	c.Flags().IntVar(&o.limit, "limit", 50, "the newest `N` runs; 0 lists all")
	addChoice(c, &o.state, "state", "only runs in this state; attention: those that wait for a person")
	c.Flags().StringVar(&o.workflow, "workflow", "", "only runs of the workflow of this `NAME`")
	completeFlag(c, "workflow", a.completeWorkflows)
	c.Flags().BoolVar(&o.children, "children", false, "also runs that steps of other runs started")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, _ []string) error { return runRunsList(c.Context(), a, o) })
}

// listedRun is a run in a list. Its JSON form is a contract that only grows.
type listedRun struct {
	workflow.Summary
	Live        bool   `json:"live"`
	Interrupted bool   `json:"interrupted"`
	Error       string `json:"error,omitempty"` // why the rest is not known
	// WaitsFor is the concurrency group in which a queued run waits for a place.
	WaitsFor *waitsFor `json:"waits_for,omitempty"`
}

func runRunsList(ctx context.Context, a *app, o runsListOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	found, scanned, err := st.Recent(ctx, o.limit, func(l store.Listed) bool {
		return (l.Parent == nil || o.children) && listedAs(l, o.state.value) && (o.workflow == "" || l.Workflow == o.workflow)
	})
	if err != nil {
		return err
	}
	switch o.output.format() {
	case formatJSON:
		list := make([]listedRun, 0, len(found))
		for _, l := range found {
			r := listedRun{Summary: l.Summary, Live: l.Live, Interrupted: l.Interrupted, WaitsFor: waiting(ctx, st, l.Summary)}
			if l.Err != nil {
				r.Error = l.Err.Error()
			}
			list = append(list, r)
		}
		return a.streams.Out.JSON(list)
	case formatName:
		for _, l := range found {
			a.streams.Out.Printf("%s\n", l.ID)
		}
		return nil
	}
	if len(found) == 0 {
		if scanned == 0 {
			a.note("no runs yet")
		} else {
			a.note("none of %s", count(scanned, "run"))
		}
		return nil
	}
	a.streams.Out.Table([]string{"RUN", "WORKFLOW", "STATE", "STEPS", "STARTED", "TOOK", "NOTE"}, listRows(found, time.Now(), func(l store.Listed) string { return listNote(ctx, st, l) }))
	if o.limit > 0 && len(found) == o.limit {
		a.note("the newest %d; --limit 0 lists all", o.limit)
	}
	return nil
}

// displayed is the state of a run as lists show it.
func displayed(l store.Listed) string {
	if l.Interrupted {
		return "interrupted"
	}
	return string(l.State)
}

// needsPerson is a filter in the place of a state: a run that waits for a person has
// another one.
const needsPerson = "attention"

// listedAs reports whether a list of the runs in a state has the run; "" is any.
func listedAs(l store.Listed, state string) bool {
	switch state {
	case "":
		return true
	case needsPerson:
		return len(l.Attention) > 0 && !l.State.Terminal()
	}
	return displayed(l) == state
}

func listRows(runs []store.Listed, now time.Time, note func(store.Listed) string) [][]console.Text {
	var rows [][]console.Text
	for _, l := range runs {
		if l.State == "" {
			rows = append(rows, []console.Text{console.Say(shortID(l.ID)), console.Say("?"), console.State("unreadable"), {}, {}, {}, console.Say(l.Err.Error())})
			continue
		}
		began := l.StartedAt
		if began.IsZero() {
			began = l.CreatedAt
		}
		rows = append(rows, []console.Text{
			console.Say(shortID(l.ID)), console.Say(l.Workflow), console.State(displayed(l)),
			console.Say(doneOf(l.Units)), console.Say(console.Ago(began, now)), console.Say(took(l.Summary, l.Live, now)), console.Say(note(l)),
		})
	}
	return rows
}

// doneOf reads "3/5".
func doneOf(units map[workflow.State]int) string {
	done, all := 0, 0
	for state, n := range units {
		all += n
		if state.Done() {
			done += n
		}
	}
	return fmt.Sprintf("%d/%d", done, all)
}

func took(s workflow.Summary, live bool, now time.Time) string {
	switch {
	case s.StartedAt.IsZero():
		return ""
	case !s.EndedAt.IsZero():
		return console.Duration(s.EndedAt.Sub(s.StartedAt))
	case live:
		return console.Duration(now.Sub(s.StartedAt))
	}
	return ""
}

func listNote(ctx context.Context, st *store.Store, l store.Listed) string {
	w := waiting(ctx, st, l.Summary)
	switch {
	case w != nil:
		return w.String()
	case len(l.Attention) > 0:
		return fmt.Sprintf("%s waits for a person", l.Attention[0])
	case len(l.FailedSteps) > 0:
		return failedNote(l.Summary)
	case l.Cause != "":
		return string(l.Cause)
	case l.Message != "":
		return firstLine(l.Message)
	case l.Err != nil:
		return l.Err.Error()
	}
	return ""
}

// failedNote reads "simulate, fetch, … failed (timed_out)".
func failedNote(s workflow.Summary) string {
	const most = 3 // fewer than a summary has
	text := strings.Join(s.FailedSteps[:min(len(s.FailedSteps), most)], ", ")
	if len(s.FailedSteps) > most {
		text += ", …"
	}
	text += " failed"
	if s.Cause != "" {
		text += fmt.Sprintf(" (%s)", s.Cause)
	}
	return text
}
