package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/workflow"
)

const formatCSV format = "csv"

type runsResultsOptions struct {
	run    string
	step   string
	sort   string
	failed bool
	output choice
}

func newRunsResultsCommand(a *app) *cobra.Command {
	o := runsResultsOptions{output: newChoice(string(formatText), string(formatCSV), string(formatJSON))}
	c := &cobra.Command{
		Use:   "results RUN",
		Short: "Print a table of parameters, states and outputs",
		Long: `Prints one row for each instance of a step: its parameters, its state and cause,
how often it was tried, its outputs, how long it took, and what its jobs used.
Steps that are paired with it by for_each stand in the rows of their sources.

Without --step there is a table of each step that fans out and is not paired with
another. Of a workflow without fan-out there is one of each step that submits jobs
or declares outputs.

CSV has every output, one column each, and starts with a header that follows from
the workflow alone. It is of one table: choose the step where there are several.
Durations are in seconds, those of all attempts together, without the pauses in
between. Node-hours are the nodes of the jobs times their elapsed time, over all
attempts, as the scheduler last told.`,
		Example: `  fcflow runs results last
  fcflow runs results sweep --sort -energy
  fcflow runs results sweep --step simulate --output csv >sweep.csv`,
		ValidArgsFunction: a.completeRuns(nil),
	}
	c.Flags().StringVar(&o.step, "step", "", "only the table of this `STEP`")
	completeFlag(c, "step", a.completeSteps)
	c.Flags().StringVar(&o.sort, "sort", "", "sort by `COLUMN`, as CSV names it; with - before it the largest come first")
	c.Flags().BoolVar(&o.failed, "failed", false, "only rows in which something failed")
	addChoice(c, &o.output, "output", "what to print: text for people, csv and json for programs")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRunsResults(c.Context(), a, o)
	})
}

// shownResults is what `runs results` prints. Its JSON form is a contract that
// only grows.
type shownResults struct {
	ID          workflow.RunID    `json:"id"`
	Workflow    string            `json:"workflow"`
	State       workflow.RunState `json:"state"`
	Live        bool              `json:"live"`
	Interrupted bool              `json:"interrupted"`
	Tables      []results.Table   `json:"tables"`
}

func runRunsResults(ctx context.Context, a *app, o runsResultsOptions) error {
	shown, err := a.results(ctx, o)
	if err != nil {
		return err
	}
	if err := refine(shown.Tables, o); err != nil {
		return err
	}
	switch format(o.output.value) {
	case formatJSON:
		return a.streams.Out.JSON(shown)
	case formatCSV:
		return a.printResultsCSV(shown.Tables)
	}
	a.printResults(shown)
	return nil
}

// results reads a run and makes its tables.
func (a *app) results(ctx context.Context, o runsResultsOptions) (*shownResults, error) {
	st, err := a.readStore()
	if err != nil {
		return nil, err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return nil, err
	}
	run, live, err := a.readRun(ctx, st, id, func(workflow.Event) {})
	if err != nil {
		return nil, err
	}
	if _, known := run.Step(o.step); o.step != "" && !known {
		return nil, unknownStep(run, o.step)
	}
	view := run.Describe()
	values := kept{}
	values.addOutputs(run, view.Steps, results.Shown(run.Workflow, view.Steps, o.step))
	if err := values.fill(ctx, a, st, id); err != nil {
		return nil, err
	}
	var now time.Time
	if live {
		now = time.Now()
	}
	tables := results.Tables(run.Workflow, view.Steps, o.step, now)
	if tables == nil {
		tables = []results.Table{}
	}
	return &shownResults{id, run.Workflow.Name, run.State, live, !live && !run.State.Terminal(), tables}, nil
}

// unknownStep says what steps there are.
func unknownStep(run *workflow.Run, name string) error {
	var known []string
	for _, s := range run.Steps {
		known = append(known, s.Step.ID)
	}
	err := fmt.Errorf("run %s has no step %q: %w", run.ID, name, workflow.ErrNotFound)
	if near := workflow.Suggest(name, known); near != "" {
		return withHint(err, "did you mean %q?", near)
	}
	return withHint(err, "its steps are %s", strings.Join(known, ", "))
}

// refine leaves out and sorts rows.
func refine(tables []results.Table, o runsResultsOptions) error {
	sorted := o.sort == "" || len(tables) == 0
	for i := range tables {
		if o.failed {
			tables[i].KeepFailed()
		}
		sorted = o.sort != "" && tables[i].Sort(o.sort) || sorted
	}
	if sorted {
		return nil
	}
	var known []string
	for i := range tables {
		for _, c := range tables[i].Columns() {
			known = append(known, c.Name)
		}
	}
	err := fmt.Errorf("%w: no column %q to sort by", errUsage, o.sort)
	if near := workflow.Suggest(strings.TrimPrefix(o.sort, "-"), known); near != "" {
		return withHint(err, "did you mean %q?", near)
	}
	return withHint(err, "the columns are %s", strings.Join(known, ", "))
}

func (a *app) printResultsCSV(tables []results.Table) error {
	var names []string
	for _, t := range tables {
		names = append(names, t.Step)
	}
	switch len(tables) {
	case 0:
		return withHint(fmt.Errorf("%w: no step of the run has instances, jobs or declared outputs", errUsage), "choose one with --step")
	case 1:
	default:
		return withHint(fmt.Errorf("%w: CSV is of one table, and the run has those of %s", errUsage, strings.Join(names, ", ")),
			"choose one with --step %s", names[0])
	}
	columns := tables[0].Columns()
	records := make([][]string, 1, len(tables[0].Rows)+1)
	for _, c := range columns {
		records[0] = append(records[0], c.Name)
	}
	a.streams.Out.CSV(append(records, tables[0].Cells(columns)...))
	return nil
}

func (a *app) printResults(shown *shownResults) {
	if len(shown.Tables) == 0 {
		a.note("no step of the run has instances, jobs or declared outputs; --step shows another")
	}
	printed := 0
	for i := range shown.Tables {
		t := &shown.Tables[i]
		if len(t.Rows) > 0 {
			if printed > 0 {
				a.streams.Out.Println()
			}
			if len(shown.Tables) > 1 {
				a.streams.Out.Println(console.Text{S: t.Step, Style: console.Bold})
			}
			a.printResultTable(t)
			printed++
		}
		text := fmt.Sprintf("%s: %s", t.Step, tally(t.Units))
		if t.NodeHours != nil {
			text += fmt.Sprintf("; %s node-hours", hoursText(*t.NodeHours))
		}
		for _, from := range importedFrom(t.Rows) {
			text += "; imported from run " + shortID(from)
		}
		a.note("%s", text)
	}
	if shown.Interrupted {
		a.note("the run is interrupted; continue it: fcflow resume %s", a.refer(shown.ID))
	}
}

// importedFrom lists the runs in which rows were done, if not in this one.
func importedFrom(rows []results.Row) []workflow.RunID {
	var runs []workflow.RunID
	for i := range rows {
		if from := rows[i].Imported; from != "" && !slices.Contains(runs, from) {
			runs = append(runs, from)
		}
	}
	return runs
}

// printResultTable prints the columns that people look at first, but for those
// that are empty.
func (a *app) printResultTable(t *results.Table) {
	columns := slices.DeleteFunc(t.Columns(), func(c results.Column) bool { return !c.Brief })
	cells := t.Cells(columns)
	var header []string
	rows := make([][]console.Text, len(cells))
	for j, c := range columns {
		name := columnHeader(&c)
		column := shownColumn(&c, cells, j)
		if column == nil {
			continue
		}
		if isNumeric(cells, j) {
			name = rightAlign(name, column)
		}
		header = append(header, name)
		for i := range rows {
			rows[i] = append(rows[i], column[i])
		}
	}
	a.streams.Out.Table(header, rows)
}

// columnHeader names a column for people: what is fcflow's own in capitals, what
// the workflow names as it is written there.
func columnHeader(c *results.Column) string {
	prefix, name, paired := strings.Cut(c.Name, ".")
	if !paired {
		prefix, name = "", c.Name
	}
	switch {
	case !c.Own:
	case name == "seconds":
		name = "DURATION (s)"
	case name == "node_hours":
		name = "NODE-HOURS"
	default:
		name = strings.ToUpper(name)
	}
	if c.Unit != "" {
		name += " (" + c.Unit + ")"
	}
	if paired {
		name = prefix + " " + name
	}
	return name
}

// maxCell is how many characters of a value people see; programs get all.
const maxCell = 48

// shownColumn are the cells of a column, nil if there is nothing in any.
func shownColumn(c *results.Column, cells [][]string, j int) []console.Text {
	column := make([]console.Text, len(cells))
	empty := len(cells) > 0
	for i := range cells {
		text := cells[i][j]
		empty = empty && text == ""
		if c.State && text != "" {
			column[i] = console.State(text)
			continue
		}
		if utf8.RuneCountInString(text) > maxCell {
			text = string([]rune(text)[:maxCell-1]) + "…"
		}
		column[i] = console.Say(text)
	}
	if empty {
		return nil
	}
	return column
}

// isNumeric reports whether a column holds numbers and nothing else.
func isNumeric(cells [][]string, j int) bool {
	some := false
	for i := range cells {
		if text := cells[i][j]; text != "" {
			if !results.IsNumber(text) {
				return false
			}
			some = true
		}
	}
	return some
}

// rightAlign puts the numbers of a column, and its name, below each other.
func rightAlign(name string, column []console.Text) string {
	width := console.Width(name)
	for _, cell := range column {
		width = max(width, console.Width(cell.S))
	}
	for i := range column {
		if text := column[i].S; text != "" {
			column[i].S = strings.Repeat(" ", width-console.Width(text)) + text
		}
	}
	return strings.Repeat(" ", width-console.Width(name)) + name
}
