package results_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

const sweep = `version: 1
name: sweep
defaults: { system: daint }
steps:
  - id: prepare
    uses: mkdir
    with: { path: in }
  - id: simulate
    needs: [prepare]
    uses: job
    matrix: { dt: [30, 60], name: [a, "b,c"] }
    with:
      script: "#!/bin/sh\n"
      outputs:
        energy: { from: stdout, regex: 'E=(\S+)', type: float }
  - id: analyse
    for_each: simulate
    uses: job
    with:
      script: "#!/bin/sh\n"
      outputs: { error: { from: stdout, regex: 'e=(\S+)', type: float } }
  - id: fetch
    for_each: analyse
    uses: download
    with: { from: "${{ each.outputs.stdout }}" }
  - id: count
    for_each: "${{ [1, 2] }}"
    uses: run
    with: { script: "true" }
`

func load(t testing.TB, text string) *workflow.Workflow {
	t.Helper()
	w, problems := workflow.Load("sweep.yaml", []byte(text), steps.Catalogue(), workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return w
}

var began = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// unit is an instance that is over, after as many attempts as it has jobs.
func unit(step, key string, state workflow.State, outputs string, jobs ...*workflow.JobObserved) workflow.UnitView {
	u := workflow.UnitView{Step: step, Instance: key, State: state}
	if outputs != "" {
		u.Outputs = json.RawMessage(outputs)
	}
	for i, j := range jobs {
		at := began.Add(time.Duration(i) * time.Minute)
		u.Attempts = append(u.Attempts, workflow.AttemptView{
			Attempt: i + 1, StartedAt: at, EndedAt: at.Add(90 * time.Second), JobID: fmt.Sprint(i + 1), Job: j,
		})
	}
	return u
}

func job(nodes int, elapsed time.Duration) *workflow.JobObserved {
	return &workflow.JobObserved{Nodes: nodes, ElapsedMS: elapsed.Milliseconds(), Terminal: true}
}

// named gives the instances of a step the parameters by which they are named.
func named(v workflow.StepView, parameters ...map[string]any) workflow.StepView {
	for i := range v.Instances {
		v.Instances[i].Parameters = parameters[i]
	}
	return v
}

func at(dt int, name string) map[string]any {
	return map[string]any{"dt": json.Number(fmt.Sprint(dt)), "name": name}
}

func sweepViews() []workflow.StepView {
	failed := unit("simulate", `dt=60,name="b,c"`, workflow.Failed, "", job(2, time.Hour), job(2, 30*time.Minute))
	failed.Cause = "exit(3)"
	skipped := unit("analyse", `dt=60,name="b,c"`, workflow.Skipped, "")
	skipped.Cause = workflow.CauseSourceMissing
	return []workflow.StepView{
		{ID: "prepare", Uses: "mkdir", Instances: []workflow.UnitView{unit("prepare", "", workflow.Succeeded, `{"path":"/in"}`, nil)}},
		named(workflow.StepView{ID: "simulate", Uses: "job", Instances: []workflow.UnitView{
			unit("simulate", "dt=30,name=a", workflow.Succeeded, `{"energy":-2.5,"elapsed":"1m30s","state":"good","workdir":"/w"}`, job(4, time.Hour)),
			failed,
			unit("simulate", "dt=60,name=a", workflow.Succeeded, `{"energy":10,"elapsed":"1s","state":"good"}`, job(1, 6*time.Minute)),
			{Step: "simulate", Instance: `dt=30,name="b,c"`, State: workflow.Pending},
		}}, at(30, "a"), at(60, "b,c"), at(60, "a"), at(30, "b,c")),
		named(workflow.StepView{ID: "analyse", Uses: "job", Instances: []workflow.UnitView{
			unit("analyse", "dt=60,name=a", workflow.Succeeded, `{"error":0.001}`, job(1, time.Hour)),
			unit("analyse", "dt=30,name=a", workflow.Failed, "", job(1, 0)),
			skipped,
		}}, at(60, "a"), at(30, "a"), at(60, "b,c")),
		{ID: "fetch", Uses: "download", Instances: []workflow.UnitView{unit("fetch", "dt=60,name=a", workflow.Succeeded, `{"path":"/x"}`, nil)}},
		named(workflow.StepView{ID: "count", Uses: "run", Instances: []workflow.UnitView{
			unit("count", "2", workflow.Succeeded, `{"exit_code":0}`, nil), unit("count", "two words#2", workflow.Succeeded, `{"exit_code":0}`, nil),
		}}, map[string]any{"item": json.Number("2")}, map[string]any{"item": []any{"two", "words"}}),
	}
}

// csv prints some columns of a table, one row a line.
func csv(t *testing.T, table *results.Table, names ...string) string {
	t.Helper()
	var columns []results.Column
	for _, name := range names {
		i := slices.IndexFunc(table.Columns(), func(c results.Column) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("no column %q", name)
		}
		columns = append(columns, table.Columns()[i])
	}
	var b strings.Builder
	for _, row := range table.Cells(columns) {
		b.WriteString(strings.Join(row, "|") + "\n")
	}
	return b.String()
}

func TestTables(t *testing.T) {
	t.Parallel()
	tables := results.Tables(load(t, sweep), sweepViews(), "", time.Time{})
	if len(tables) != 2 || tables[0].Step != "simulate" || tables[1].Step != "count" {
		t.Fatalf("tables %+v", tables)
	}
	simulate := &tables[0]
	want := `30|a|succeeded||1|-2.5|good|90|90|4|failed||
60|b,c|failed|exit(3)|2||||180|3|skipped||
60|a|succeeded||1|10|good|1|90|0.1|succeeded|0.001|succeeded
30|b,c|pending||0|||||||||
`
	got := csv(t, simulate, "dt", "name", "state", "cause", "attempts", "energy", "state_output", "elapsed_seconds", "seconds", "node_hours",
		"analyse.state", "analyse.error", "fetch.state")
	want = strings.Replace(want, "30|b,c|pending||0|||||||||", "30|b,c|pending||0||||||||", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if simulate.NodeHours == nil || *simulate.NodeHours != 8.1 {
		t.Errorf("node-hours %v, want 8.1", simulate.NodeHours)
	}
	if diff := cmp.Diff([]string{"analyse", "fetch"}, simulate.Pairs); diff != "" {
		t.Error(diff)
	}
	if got := csv(t, &tables[1], "item", "exit_code"); got != "2|0\n[\"two\",\"words\"]|0\n" {
		t.Errorf("items %q", got)
	}
}

// TestHeaderIsStable: what columns there are follows from the definition, not from
// how far the run is.
func TestHeaderIsStable(t *testing.T) {
	t.Parallel()
	w := load(t, sweep)
	var early []workflow.StepView
	for _, s := range w.AllSteps() {
		early = append(early, workflow.StepView{ID: s.ID, Uses: s.Uses})
	}
	header := func(views []workflow.StepView) (names []string) {
		for _, table := range results.Tables(w, views, "", time.Time{}) {
			for _, c := range table.Columns() {
				names = append(names, c.Name)
			}
		}
		return names
	}
	names := header(sweepViews())
	if diff := cmp.Diff(names, header(early)); diff != "" {
		t.Errorf("columns at the end and at the beginning:\n%s", diff)
	}
	simulate := names[:slices.Index(names[1:], "instance")+1]
	seen := map[string]bool{}
	for _, name := range simulate {
		if seen[name] {
			t.Errorf("two columns are called %q", name)
		}
		seen[name] = true
	}
}

// TestColumnNames: no two columns have one name, whatever parameters and outputs are
// called; those of the step type keep theirs.
func TestColumnNames(t *testing.T) {
	t.Parallel()
	w := load(t, `version: 1
name: sweep
defaults: { system: daint }
steps:
  - id: simulate
    uses: job
    matrix: { state: [1], state_parameter: [1], energy: [1] }
    with:
      script: "#!/bin/sh\n"
      outputs:
        elapsed_seconds: { from: stdout, regex: 'a=(\S+)', type: float }
        energy_output: { from: stdout, regex: 'b=(\S+)', type: float }
        energy: { from: stdout, regex: 'c=(\S+)', type: float }
`)
	tables := results.Tables(w, []workflow.StepView{{ID: "simulate", Uses: "job"}}, "", time.Time{})
	var names []string
	for _, c := range tables[0].Columns() {
		names = append(names, c.Name)
	}
	want := []string{"instance", "state_parameter", "state_parameter_parameter", "energy", "state", "cause", "attempts", "job_id",
		"elapsed_seconds_output", "energy_output", "energy_output_output",
		"state_output", "exit_code", "workdir", "stdout", "elapsed_seconds", "nodes", "started_at", "ended_at", "seconds", "node_hours"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestOneStep(t *testing.T) {
	t.Parallel()
	w := load(t, sweep)
	for id, want := range map[string]int{"prepare": 1, "analyse": 3, "nothing": 0} {
		rows := 0
		for _, table := range results.Tables(w, sweepViews(), id, time.Time{}) {
			rows += len(table.Rows)
		}
		if rows != want {
			t.Errorf("%s has %d rows, want %d", id, rows, want)
		}
	}
	analyse := results.Tables(w, sweepViews(), "analyse", time.Time{})[0]
	if got := csv(t, &analyse, "dt", "state", "fetch.state"); !strings.HasPrefix(got, "60|succeeded|succeeded\n30|failed|\n") {
		t.Errorf("a pair by itself: %q", got)
	}
	if diff := cmp.Diff([]string{"analyse", "fetch"}, results.Shown(w, sweepViews(), "analyse")); diff != "" {
		t.Error(diff)
	}
	plain := load(t, strings.NewReplacer("    matrix: { dt: [30, 60], name: [a, \"b,c\"] }\n", "", "for_each: simulate", "needs: [simulate]",
		"for_each: analyse", "needs: [analyse]", "each.outputs.stdout", "steps.analyse.outputs.stdout", "    for_each: \"${{ [1, 2] }}\"\n", "").Replace(sweep))
	if diff := cmp.Diff([]string{"simulate", "analyse"}, results.Shown(plain, sweepViews(), "")); diff != "" {
		t.Errorf("without fan-out, what submits jobs:\n%s", diff)
	}
}

func TestSort(t *testing.T) {
	t.Parallel()
	for by, want := range map[string]string{
		"energy": "-2.5\n10\n\n\n", "-energy": "10\n-2.5\n\n\n", "ENERGY": "-2.5\n10\n\n\n", "-name": "\n\n-2.5\n10\n", "analyse.error": "10\n-2.5\n\n\n",
	} {
		table := results.Tables(load(t, sweep), sweepViews(), "simulate", time.Time{})[0]
		if !table.Sort(by) {
			t.Errorf("no column %q", by)
		}
		if got := csv(t, &table, "energy"); got != want {
			t.Errorf("by %s: %q, want %q", by, got, want)
		}
	}
	table := results.Tables(load(t, sweep), sweepViews(), "simulate", time.Time{})[0]
	if table.Sort("nothing") {
		t.Error("sorted by what is not there")
	}
}

func TestKeepFailed(t *testing.T) {
	t.Parallel()
	table := results.Tables(load(t, sweep), sweepViews(), "simulate", time.Time{})[0]
	table.KeepFailed()
	if got := csv(t, &table, "instance"); got != "dt=30,name=a\ndt=60,name=\"b,c\"\n" {
		t.Errorf("failed are %q", got)
	}
}

// TestTook: attempts count, and not the days between them, or the pause in which one
// waits for the next.
func TestTook(t *testing.T) {
	t.Parallel()
	later := began.Add(72 * time.Hour)
	u := workflow.UnitView{State: workflow.Waiting, Attempts: []workflow.AttemptView{
		{StartedAt: began, EndedAt: began.Add(time.Minute)}, {StartedAt: later, EndedAt: later.Add(2 * time.Minute)},
	}}
	for _, now := range []time.Time{later.Add(time.Hour), {}} {
		if took, ok := results.Took(&u, now); !ok || took != 3*time.Minute {
			t.Errorf("took %v, %v", took, ok)
		}
	}
	if _, ok := results.Took(&workflow.UnitView{}, later); ok {
		t.Error("without an attempt there is a duration")
	}
}

// TestUnfinished: what is going on counts until now, and nothing of what nobody
// drives.
// TestDroppedHours: what jobs have used counts, also those of instances that the run
// has no more.
func TestDroppedHours(t *testing.T) {
	t.Parallel()
	v := workflow.RunView{
		Steps:   []workflow.StepView{{ID: "a", Instances: []workflow.UnitView{unit("a", "", workflow.Succeeded, "", job(2, time.Hour))}}},
		Dropped: []workflow.UnitView{unit("b", "", workflow.Succeeded, "", job(3, time.Hour))},
	}
	if hours, known := results.RunNodeHours(&v); hours != 5 || !known {
		t.Errorf("%v node-hours, %v", hours, known)
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	u := workflow.UnitView{State: workflow.Waiting, Attempts: []workflow.AttemptView{
		{StartedAt: began, Job: &workflow.JobObserved{JobID: "1", Nodes: 2, ElapsedMS: 1800_000}},
	}}
	if took, ok := results.Took(&u, began.Add(time.Minute)); !ok || took != time.Minute {
		t.Errorf("took %v, %v", took, ok)
	}
	if _, ok := results.Took(&u, time.Time{}); ok {
		t.Error("an interrupted instance has a duration")
	}
	if hours, ok := results.NodeHours(&u); !ok || hours != 1 {
		t.Errorf("%v node-hours, %v", hours, ok)
	}
	u.Attempts[0].Job = &workflow.JobObserved{JobID: "1", Nodes: 2}
	if _, ok := results.NodeHours(&u); ok {
		t.Error("a job in the queue has node-hours")
	}
	u.Attempts[0].Job = &workflow.JobObserved{Nodes: 2, Terminal: true, StartedAt: began, EndedAt: began.Add(time.Hour)}
	if hours, _ := results.NodeHours(&u); hours != 2 {
		t.Errorf("%v node-hours by the times of the job, want 2", hours)
	}
}

func BenchmarkTables(b *testing.B) {
	w := load(b, sweep)
	views := sweepViews()
	var units []workflow.UnitView
	for i := range 10_000 {
		u := unit("simulate", fmt.Sprintf("dt=%d,name=a", i), workflow.Succeeded, `{"energy":1.5,"elapsed":"1s","state":"good","workdir":"/w"}`, job(1, time.Hour))
		u.Parameters = at(i, "a")
		units = append(units, u)
	}
	views[1].Instances = units
	for b.Loop() {
		for _, t := range results.Tables(w, views, "", time.Time{}) {
			t.Cells(t.Columns())
		}
	}
}
