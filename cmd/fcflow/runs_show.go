package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

type runsShowOptions struct {
	run    string
	all    bool
	output output
}

func newRunsShowCommand(a *app) *cobra.Command {
	o := runsShowOptions{output: newOutput()}
	c := &cobra.Command{
		Use:               "show RUN",
		Short:             "Show a run: its steps, jobs and failures",
		Example:           "  fcflow runs show last\n  fcflow runs show quickstart --output json",
		ValidArgsFunction: a.completeRuns(nil),
	}
	c.Flags().BoolVar(&o.all, "all", false, "list every instance of steps that have many")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRunsShow(c.Context(), a, o)
	})
}

func runRunsShow(ctx context.Context, a *app, o runsShowOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	view, err := a.view(ctx, st, id)
	if err != nil {
		return err
	}
	view.WaitsFor = waiting(ctx, st, view.Summary)
	if err := a.addChildren(ctx, st, &view); err != nil {
		return err
	}
	if o.output.format() == formatText {
		a.printRun(&view, o.all, time.Now())
		return nil
	}
	return a.printShown(view, o.output.format())
}

// printShown prints a run for programs; for people it was printed already.
func (a *app) printShown(view shownRun, f format) error {
	switch f {
	case formatJSON:
		return a.streams.Out.JSON(view)
	case formatName:
		a.streams.Out.Printf("%s\n", view.ID)
	}
	return nil
}

func (a *app) printAllShown(views []shownRun, f format) error {
	if f == formatJSON {
		if views == nil {
			views = []shownRun{}
		}
		return a.streams.Out.JSON(views)
	}
	for _, v := range views {
		if err := a.printShown(v, f); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printRun(v *shownRun, all bool, now time.Time) {
	out := a.streams.Out
	fact := func(label string, text ...console.Text) {
		if len(text) > 0 && text[0].S != "" {
			out.Println(append(console.Line{{S: fmt.Sprintf("%-10s ", label), Style: console.Dim}}, text...)...)
		}
	}
	fact("run", console.Say(string(v.ID)))
	fact("workflow", console.Say(v.Workflow))
	state := console.Line{console.State(v.display())}
	if v.Live {
		state = append(state, console.Say(" (live)"))
	}
	if v.Cause != "" || v.Message != "" {
		state = append(state, console.Say("  "+strings.Trim(fmt.Sprintf("%s: %s", v.Cause, v.Message), ": ")))
	}
	fact("state", state...)
	if v.WaitsFor != nil {
		fact("queued", console.Say(v.WaitsFor.String()))
	}
	fact("started", console.Say(timeLine(v, now)))
	fact("used", console.Say(v.used()))
	fact("by", console.Say(v.By))
	fact("rerun of", console.Say(string(v.RerunOf)))
	if p := v.Parent; p != nil {
		fact("parent", console.Say(fmt.Sprintf("%s of run %s", p.Unit(), p.Run)))
	}
	fact("service", console.Say(serviceName(v.Profile)))
	for _, s := range v.Sites {
		fact("system", console.Say(fmt.Sprintf("%s as %s in %s", s.System, s.User, s.RemoteDir)))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Inputs)) {
		value, err := json.Marshal(v.Inputs[name])
		if err != nil {
			continue
		}
		fact("input", console.Say(fmt.Sprintf("%s = %s", name, value)))
	}
	if len(v.Steps) > 0 {
		out.Println()
		out.Table([]string{"STEP", "USES", "STATE", "TOOK", "JOB", "NOTE"}, stepRows(v, all, now))
	}
	a.printUnknown(v, now)
	a.printQuestions(v)
	a.printFailures(out, &v.RunView, func() { out.Println() })
	if len(v.Outputs) > 0 {
		out.Println()
		a.printOutputs(&v.RunView)
	}
	if v.Interrupted {
		a.note("continue it: fcflow resume %s", a.refer(v.ID))
	}
}

func timeLine(v *shownRun, now time.Time) string {
	if v.StartedAt.IsZero() {
		return ""
	}
	text := v.StartedAt.Local().Format(time.DateTime)
	if t := took(v.Summary, v.Live, now); t != "" {
		text += ", " + t
	}
	return text
}

// hoursText prints node-hours with as many digits as a person needs.
func hoursText(hours float64) string {
	if hours < 0.01 {
		return "less than 0.01"
	}
	return strconv.FormatFloat(hours, 'f', 2, 64)
}

func serviceName(p workflow.Profile) string {
	name := p.URL
	switch {
	case p.Sandbox != "":
		return "sandbox " + p.Sandbox
	case p.URL != "" && p.Name != "":
		name = fmt.Sprintf("%s (profile %s)", p.URL, p.Name)
	}
	if p.Insecure {
		name += ", certificates not verified"
	}
	return name
}

// unitRows is a row for each of some instances of a step, and below it, further in,
// those of the run that it started.
func unitRows(v *shownRun, s *workflow.StepView, units []workflow.UnitView, all bool, now time.Time) [][]console.Text {
	var rows [][]console.Text
	for _, u := range units {
		job, length, child := "", "", workflow.RunID("")
		if n := len(u.Attempts); n > 0 {
			last := u.Attempts[n-1]
			job, child = last.JobID, last.Child
			switch {
			case !last.EndedAt.IsZero():
				length = console.Duration(last.EndedAt.Sub(last.StartedAt))
			case v.Live:
				length = console.Duration(now.Sub(last.StartedAt))
			}
		}
		rows = append(rows, []console.Text{
			console.Say(unitRef(&u).String()), console.Say(s.Uses), console.State(string(u.State)),
			console.Say(length), console.Say(job), console.Say(unitNote(&u)),
		})
		if below := v.child(child); below != nil {
			rows = append(rows, indented(stepRows(below, all, now))...)
		}
	}
	return rows
}

// unitNote says why an instance is where it is.
func unitNote(u *workflow.UnitView) string {
	var parts []string
	if n := len(u.Attempts); n > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", n))
	}
	if u.Imported != "" {
		parts = append(parts, "imported from run "+shortID(u.Imported))
	}
	switch {
	case u.Wait != nil && u.Unknown:
		parts = append(parts, string(u.Wait.Reason)+": nobody knows what became of its job")
	case u.Wait != nil && u.Wait.Reason == workflow.WaitJob && u.Wait.Message != "":
		parts = append(parts, u.Wait.Message)
	case u.Wait != nil:
		parts = append(parts, strings.Trim(fmt.Sprintf("%s: %s", u.Wait.Reason, u.Wait.Message), ": "))
	case u.Cause != "":
		note := string(u.Cause)
		if u.Root != nil {
			note += " (" + u.Root.String() + ")"
		}
		parts = append(parts, note)
	}
	return strings.Join(parts, ", ")
}
