package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/compare"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsDiffOptions struct {
	a, b     string
	exitCode bool
	output   choice
}

func newRunsDiffCommand(a *app) *cobra.Command {
	o := runsDiffOptions{output: newChoice(string(formatText), string(formatJSON))}
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two runs",
		Long: `Says in what run B differs from run A: the workflow, its inputs with size and digest
of files, where it worked and by which versions, and of each instance its state and
cause, what its last attempt was given, and its outputs. Instances are matched by
step and key.

What differs between any two runs is no difference: their ids and directories, those
of the runs that their steps started, the tokens and ids of their jobs, and when a
person approved. Durations, node-hours and numbers of attempts are shown, but are no
difference either, nor are comments and layout of the file.

The exit code is 0. With --exit-code it is 11 if the runs differ.`,
		Example: "  fcflow runs diff K3X9QZ last\n  fcflow runs diff --exit-code K3X9QZ last --output json",
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeRuns(nil)(c, nil, text)
	}
	c.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 11 if the runs differ")
	addChoice(c, &o.output, "output", "what to print: text for people, json for programs")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.a, o.b = args[0], args[1]
		return runRunsDiff(c.Context(), a, o)
	})
}

func runRunsDiff(ctx context.Context, a *app, o runsDiffOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	var sides [2]*compare.Side
	for i, ref := range []string{o.a, o.b} {
		id, err := a.resolve(ctx, st, ref)
		if err != nil {
			return err
		}
		if sides[i], err = a.side(ctx, st, id); err != nil {
			return err
		}
	}
	d := compare.Runs(sides[0], sides[1])
	if o.output.value == string(formatJSON) {
		err = a.streams.Out.JSON(d)
	} else {
		a.printDifference(d)
	}
	if err == nil && o.exitCode && !d.Same {
		return &ended{errDifferent}
	}
	return err
}

// side reads all of a run that is compared.
func (a *app) side(ctx context.Context, st *store.Store, id workflow.RunID) (*compare.Side, error) {
	s := &compare.Side{}
	version := func(v string) {
		if v != "" && !slices.Contains(s.Versions, v) {
			s.Versions = append(s.Versions, v)
		}
	}
	run, live, err := a.readRun(ctx, st, id, func(e workflow.Event) {
		switch p := e.Data.(type) {
		case *workflow.RunCreated:
			version(p.Version)
		case *workflow.RunOpened:
			version(p.Version)
		}
	})
	if err != nil {
		return nil, err
	}
	if live {
		s.Now = time.Now()
	}
	s.View, s.Created, s.Frozen = run.Describe(), run.Created, run.Workflow.Frozen()
	top := shown(s.View, false, live)
	if err := a.addChildren(ctx, st, &top); err != nil {
		return nil, err
	}
	s.Children = map[workflow.RunID]*workflow.RunView{}
	top.eachBelow(func(r *shownRun) { s.Children[r.ID] = &r.RunView })
	values := kept{}
	values.add(run.Outputs, &s.View.Outputs)
	values.addInputs(run, s.View.Steps)
	var all []string
	for _, step := range run.Steps {
		all = append(all, step.Step.ID)
	}
	values.addOutputs(run, s.View.Steps, all)
	return s, values.fill(ctx, a, st, id)
}

func (a *app) printDifference(d *compare.Difference) {
	out := a.streams.Out
	a.printHead("--- A", console.Red, &d.A)
	a.printHead("+++ B", console.Green, &d.B)
	heading := func(text string) {
		out.Println()
		out.Println(console.Text{S: text, Style: console.Bold})
	}
	changes := func(name string, list []compare.Change) {
		if len(list) == 0 {
			return
		}
		heading(name)
		for i := range list {
			out.Println(console.Say("  " + changeText(&list[i])))
		}
	}
	changes("run", d.Run)
	if d.Definition != nil {
		heading("definition")
		a.printDefinition(d.Definition)
	}
	changes("inputs", d.Inputs)
	changes("service", d.Service)
	changes("outputs", d.Outputs)
	if len(d.Instances) > 0 {
		heading("instances")
		a.printInstances(d.Instances)
	}
	if len(d.Steps) > 0 {
		heading("took")
		out.Table([]string{"STEP", "INSTANCES", "ATTEMPTS", "DURATION", "NODE-HOURS"}, tookRows(d.Steps))
	}
	if d.Same {
		a.note("no difference, but for what it took")
	}
}

func (a *app) printHead(mark string, style console.Style, h *compare.Head) {
	line := console.Line{{S: mark, Style: style}, console.Say(fmt.Sprintf("  %s  %s  ", h.ID, h.Workflow)), console.State(string(h.State))}
	if !h.StartedAt.IsZero() {
		line = append(line, console.Say("  "+h.StartedAt.Local().Format(time.DateTime)))
	}
	if h.Seconds != nil {
		line = append(line, console.Say(", "+secondsText(h.Seconds)))
	}
	a.streams.Out.Println(line...)
}

func (a *app) printDefinition(d *compare.Definition) {
	out := a.streams.Out
	text := "comments and layout only"
	if len(d.Changed) > 0 {
		text = strings.Join(d.Changed, ", ")
	}
	out.Println(console.Say("  " + text))
	for line := range strings.Lines(d.Text) {
		style := console.Regular
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			continue
		case strings.HasPrefix(line, "-"):
			style = console.Red
		case strings.HasPrefix(line, "+"):
			style = console.Green
		case strings.HasPrefix(line, "@"):
			style = console.Cyan
		}
		out.Println(console.Text{S: "  " + strings.TrimSuffix(line, "\n"), Style: style})
	}
}

// shownInstances is how many instances of a step people see; programs get all.
const shownInstances = 20

func (a *app) printInstances(all []compare.Instance) {
	out, shown := a.streams.Out, map[string]int{}
	for i := range all {
		u := &all[i]
		if shown[u.Step]++; shown[u.Step] > shownInstances {
			continue
		}
		line := console.Line{console.Say("  " + workflow.UnitRef{Step: u.Step, Instance: u.Instance}.String())}
		if u.Only != "" {
			line = append(line, console.Say("  only in "+strings.ToUpper(u.Only)))
		}
		if u.A != nil && u.B != nil {
			line = append(line, console.Text{S: "  took " + arrow(secondsText(u.A.Seconds), secondsText(u.B.Seconds)), Style: console.Dim})
		}
		out.Println(line...)
		for j := range u.Changes {
			out.Println(console.Say("    " + changeText(&u.Changes[j])))
		}
	}
	for _, step := range slices.Compact(stepsOf(all)) {
		if more := shown[step] - shownInstances; more > 0 {
			a.note("%d more instances of %s differ; --output json has all", more, step)
		}
	}
}

func stepsOf(all []compare.Instance) []string {
	var steps []string
	for i := range all {
		steps = append(steps, all[i].Step)
	}
	return steps
}

func tookRows(steps []compare.Step) [][]console.Text {
	var rows [][]console.Text
	for _, s := range steps {
		var units, attempts, seconds, hours [2]string
		for i, t := range []*compare.StepTotal{s.A, s.B} {
			units[i] = "–"
			if t == nil {
				continue
			}
			n := 0
			for _, in := range t.Units {
				n += in
			}
			units[i], attempts[i], seconds[i] = strconv.Itoa(n), strconv.Itoa(t.Attempts), secondsText(t.Seconds)
			if t.NodeHours != nil {
				hours[i] = hoursText(*t.NodeHours)
			}
		}
		rows = append(rows, []console.Text{
			console.Say(s.Step), console.Say(arrow(units[0], units[1])), console.Say(arrow(attempts[0], attempts[1])),
			console.Say(arrow(seconds[0], seconds[1])), console.Say(arrow(hours[0], hours[1])),
		})
	}
	return rows
}

func secondsText(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	return console.Duration(time.Duration(*seconds * float64(time.Second)))
}

// arrow reads "a → b", or "a" if that is the same.
func arrow(a, b string) string {
	if a == b {
		return a
	}
	none := func(s string) string {
		if s == "" {
			return "–"
		}
		return s
	}
	return none(a) + " → " + none(b)
}

func changeText(c *compare.Change) string {
	a, b := shortened([]rune(string(c.A)), []rune(string(c.B)))
	return c.Name + ": " + arrow(a, b)
}

// shortened are two values as people see them: of long ones, the part from where
// they begin to differ.
func shortened(a, b []rune) (string, string) {
	const context = 8
	cut := 0
	if len(a) > maxCell || len(b) > maxCell {
		for cut < len(a) && cut < len(b) && a[cut] == b[cut] {
			cut++
		}
		cut = max(cut-context, 0)
	}
	short := func(text []rune) string {
		from := min(cut, len(text))
		if from > 0 {
			from--
			text = append([]rune("…"), text[from+1:]...)
		}
		if len(text) > maxCell {
			text = append(text[:maxCell-1:maxCell-1], '…')
		}
		return string(text)
	}
	return short(a), short(b)
}
