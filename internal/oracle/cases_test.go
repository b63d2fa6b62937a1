package oracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rule is a rule of docs/semantics.md by an example: a workflow, what its attempts
// do, and how the run and its units end. Times are those of requests to cancel it.
type rule struct {
	name, text string
	acts       Acts
	cancels    []time.Duration
	run        State
	units      string
}

// source is the whole file; the indentation of the test is removed.
func (r rule) source() string {
	lines := strings.Split(strings.Trim(r.text, "\n"), "\n")
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], "\t"))
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, strings.Repeat("\t", indent))
	}
	return "version: 1\nname: rule\n" + strings.Join(lines, "\n") + "\n"
}

func (r rule) script(t *testing.T) Script {
	t.Helper()
	script, err := r.acts.Script()
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// ends prints how a run ended as the table has it: the run, and the units in the
// order of their names.
func ends(f Final) (State, string) {
	var names, list []string
	for name := range f {
		if _, ok := strings.CutPrefix(name, "unit "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		words := strings.Split(f[name], " ")
		end := words[0]
		if words[1] != "" {
			end += "(" + words[1] + ")"
		}
		list = append(list, strings.TrimPrefix(name, "unit ")+"="+end)
	}
	run, _, _ := strings.Cut(f["run"], " ")
	return State(run), strings.Join(list, " ")
}

// TestRules has both the interpreter and the engine say what the table says.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(orderRules, valueRules, conditionRules, attemptRules, fanOutRules, endRules) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.judge(t, c.units)
		})
	}
}

// judge has the interpreter say what the rule says, and the engine what it is known
// to.
func (r rule) judge(t *testing.T, engine string) {
	t.Helper()
	script := r.script(t)
	w, err := Read(r.source())
	if err != nil {
		t.Fatal(err)
	}
	own, err := Play(w, script, r.cancels...)
	if err != nil {
		t.Fatal(err)
	}
	if run, units := ends(own); run != r.run || units != r.units {
		t.Errorf("the interpreter: %s: %s\nwant %s: %s", run, units, r.run, r.units)
	}
	g := Graph{Source: r.source(), Script: script, Cancels: r.cancels, Ordered: true}
	o, err := observe(t, g)
	if err != nil {
		t.Fatal(err)
	}
	if run, units := ends(o.final); run != r.run || units != engine {
		t.Errorf("the engine: %s: %s\nwant %s: %s", run, units, r.run, engine)
	}
	if failure := agree(g, o, semantics()); failure != "" {
		t.Error(failure)
	}
}

var orderRules = []rule{
	{
		name: "failure touches only what depends on it",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a }
			  - { id: c, uses: act, needs: b }
			  - { id: d, uses: act }`,
		acts: Acts{"a": {"fail exit(3)"}},
		run:  Failed, units: "a=failed(exit(3)) b=skipped(upstream_failed) c=skipped(upstream_failed) d=succeeded",
	},
	{
		name: "a barrier waits for every unit",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] } }
			  - { id: b, uses: act, needs: a }`,
		acts: Acts{"a/d=1": {"busy 1m ok"}, "a/d=2": {"busy 2m fail exit(1)"}},
		run:  Failed, units: "a/d=1=succeeded a/d=2=failed(exit(1)) b=skipped(upstream_failed)",
	},
	{
		name: "naming a step in an expression is a barrier",
		text: `
			steps:
			  - { id: b, uses: act, if: "${{ steps.a.state == 'succeeded' }}" }
			  - { id: a, uses: act }`,
		acts: Acts{"a": {"busy 1m ok"}},
		run:  Succeeded, units: "a=succeeded b=succeeded",
	},
	{
		name: "a pair waits for its own unit only",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] } }
			  - { id: b, uses: act, for_each: a, with: { n: "${{ each.outputs.n }}" } }`,
		acts: Acts{"a/d=2": {"busy 1m fail exit(1)"}},
		run:  Failed, units: "a/d=1=succeeded a/d=2=failed(exit(1)) b/d=1=succeeded b/d=2=skipped(upstream_failed)",
	},
	{
		name: "pairs can be chained",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] } }
			  - { id: b, uses: act, for_each: a, if: "${{ each.matrix.d == 2 }}" }
			  - { id: c, uses: act, for_each: b, with: { n: "${{ each.matrix.d }}" } }
			  - { id: d, uses: act, needs: c }`,
		run: Succeeded,
		units: "a/d=1=succeeded a/d=2=succeeded b/d=1=skipped(condition_false) b/d=2=succeeded " +
			"c/d=1=skipped(source_missing) c/d=2=succeeded d=succeeded",
	},
}

var valueRules = []rule{
	{
		name: "a missing value skips its reader, good if its producer is",
		text: `
			steps:
			  - { id: a, uses: act, if: "${{ false }}" }
			  - { id: b, uses: act, with: { from: ["${{ steps.a.outputs.n }}"] } }
			  - { id: c, uses: act, needs: b }`,
		run: Succeeded, units: "a=skipped(condition_false) b=skipped(source_missing) c=succeeded",
	},
	{
		name: "a missing value of a bad producer is bad",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, if: "${{ always() }}", with: { from: ["${{ steps.a.outputs.n }}"] } }
			  - { id: c, uses: act, needs: b }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed, units: "a=failed(exit(1)) b=skipped(source_missing) c=skipped(upstream_failed)",
	},
	{
		name: "a value that may be missing is none",
		text: `
			steps:
			  - { id: a, uses: act, if: "${{ false }}" }
			  - { id: b, uses: act, with: { from: ["${{ steps.a.outputs?.n ?? 7 }}"] } }
			outputs: { n: "${{ steps.b.outputs.n }}" }`,
		run: Succeeded, units: "a=skipped(condition_false) b=succeeded",
	},
	{
		name: "a pair is a value",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, if: "${{ matrix.d == 1 }}" }
			  - { id: b, uses: act, for_each: a }`,
		run:   Succeeded,
		units: "a/d=1=succeeded a/d=2=skipped(condition_false) b/d=1=succeeded b/d=2=skipped(source_missing)",
	},
	{
		name: "a pair is no value if its condition names a status function",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, if: "${{ matrix.d == 1 }}" }
			  - { id: b, uses: act, for_each: a, if: "${{ always() }}" }
			  - { id: c, uses: act, for_each: a, if: "${{ always() }}", with: { n: "${{ each.outputs.n }}" } }
			  - { id: d, uses: act, for_each: a, if: "${{ always() }}", with: { n: "${{ each.outputs?.n ?? 7 }}" } }`,
		run: Succeeded,
		units: "a/d=1=succeeded a/d=2=skipped(condition_false) b/d=1=succeeded b/d=2=succeeded " +
			"c/d=1=succeeded c/d=2=skipped(source_missing) d/d=1=succeeded d/d=2=succeeded",
	},
	{
		name: "members of instances are not values",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, if: "${{ matrix.d == 1 }}" }
			  - { id: b, uses: act, with: { from: "${{ map(steps.a.instances, .outputs.n) }}" } }
			  - { id: c, uses: act, with: { from: "${{ map(filter(steps.a.instances, .state == 'succeeded'), .outputs.n) }}" } }`,
		run:   Failed,
		units: "a/d=1=succeeded a/d=2=skipped(condition_false) b=failed(expression) c=succeeded",
	},
	{
		name: "outputs of what failed under continue_on_error are missing",
		text: `
			steps:
			  - { id: a, uses: act, continue_on_error: true }
			  - { id: b, uses: act, with: { from: ["${{ steps.a.outputs.n }}"] } }
			  - { id: c, uses: act, needs: b }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Succeeded, units: "a=failed(exit(1)) b=skipped(source_missing) c=succeeded",
	},
}

var conditionRules = []rule{
	{
		name: "a bad dependency comes before a missing value, and both before the condition",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, if: "${{ false }}" }
			  - { id: c, uses: act, needs: a, if: "${{ steps.b.outputs.n == 1 }}" }
			  - { id: d, uses: act, if: "${{ [1][5] == steps.b.outputs.n }}" }
			  - { id: e, uses: act, if: "${{ [1][5] == 1 }}" }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed,
		units: "a=failed(exit(1)) b=skipped(condition_false) c=skipped(upstream_failed) " +
			"d=skipped(source_missing) e=failed(expression)",
	},
	{
		name: "a condition without status function is and-ed with success()",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act, needs: a, if: "${{ true }}" }
			  - { id: c, uses: act, needs: a, if: "${{ true || success() }}" }`,
		acts: Acts{"a": {"fail exit(1)"}},
		run:  Failed, units: "a=failed(exit(1)) b=skipped(upstream_failed) c=succeeded",
	},
	{
		name: "status functions speak of the dependencies",
		text: `
			steps:
			  - { id: a, uses: act, continue_on_error: true }
			  - { id: b, uses: act }
			  - { id: c, uses: act, needs: a, if: "${{ failure() }}" }
			  - { id: d, uses: act, needs: b, if: "${{ failure() }}" }
			  - { id: e, uses: act, needs: a, if: "${{ success() && !cancelled() }}" }`,
		acts:  Acts{"a": {"fail exit(1)"}, "b": {"fail exit(1)"}},
		run:   Failed,
		units: "a=failed(exit(1)) b=failed(exit(1)) c=skipped(condition_false) d=succeeded e=succeeded",
	},
	{
		name: "a condition is judged per unit",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2, 3] } }
			  - { id: b, uses: act, for_each: a, if: "${{ failure() }}" }
			  - { id: c, uses: act, for_each: a, if: "${{ each.state == 'failed' || each.matrix.d == 3 }}" }`,
		acts: Acts{"a/d=2": {"fail exit(1)"}},
		run:  Failed,
		units: "a/d=1=succeeded a/d=2=failed(exit(1)) a/d=3=succeeded " +
			"b/d=1=skipped(condition_false) b/d=2=succeeded b/d=3=skipped(condition_false) " +
			"c/d=1=skipped(condition_false) c/d=2=skipped(upstream_failed) c/d=3=succeeded",
	},
	{
		name: "the state of a step with instances",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] } }
			  - { id: b, uses: act, matrix: { d: [1, 2] }, continue_on_error: true }
			  - { id: c, uses: act, matrix: { d: [1, 2] }, if: "${{ false }}" }
			  - { id: d, uses: act, matrix: { d: [1, 2] }, if: "${{ matrix.d == 1 }}" }
			  - { id: e, uses: act, matrix: { d: [1, 2] }, needs: a }
			finally:
			  - { id: f, uses: act, if: "${{ steps.a.state == 'failed' && steps.b.state == 'succeeded' }}" }
			  - { id: g, uses: act, if: "${{ steps.c.state == 'skipped' && steps.d.state == 'succeeded' && steps.e.state == 'skipped' }}" }`,
		acts: Acts{"a/d=1": {"fail exit(1)"}, "b": {"fail exit(1)"}},
		run:  Failed,
		units: "a/d=1=failed(exit(1)) a/d=2=succeeded b/d=1=failed(exit(1)) b/d=2=failed(exit(1)) " +
			"c/d=1=skipped(condition_false) c/d=2=skipped(condition_false) d/d=1=succeeded d/d=2=skipped(condition_false) " +
			"e/d=1=skipped(upstream_failed) e/d=2=skipped(upstream_failed) f=succeeded g=succeeded",
	},
}

var attemptRules = []rule{
	{
		name: "the first rule that names the cause applies, max times",
		text: `
			steps:
			  - { id: a, uses: act, retry: [{ cause: exit(75), max: 2 }] }
			  - { id: b, uses: act, retry: [{ cause: [node_fail, exit(75)], max: 1 }, { cause: exit, max: 5 }] }
			  - { id: c, uses: act, retry: [{ cause: exit(7), max: 5 }] }`,
		acts: Acts{
			"a": {"fail exit(75)", "fail exit(75)", "ok"}, "b": {"fail exit(75)", "fail exit(75)", "ok"},
			"c": {"fail exit(75)", "ok"},
		},
		run: Failed, units: "a=succeeded b=failed(exit(75)) c=failed(exit(75))",
	},
	{
		name: "max_attempts bounds all rules together",
		text: `
			steps:
			  - { id: a, uses: act, max_attempts: 2, retry: [{ cause: exit, max: 5 }, { cause: node_fail, max: 5 }] }
			  - { id: b, uses: act, max_attempts: 3, retry: [{ cause: exit, max: 5 }, { cause: node_fail, max: 5 }] }
			  - { id: c, uses: act, max_attempts: 3 }`,
		acts: Acts{"a": {"fail exit(1)", "fail node_fail", "ok"}, "b": {"fail exit(1)", "fail node_fail", "ok"}, "c": {"fail api"}},
		run:  Failed, units: "a=failed(node_fail) b=succeeded c=failed(api)",
	},
	{
		name: "api and transfer are retried by themselves, for idempotent types",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act }
			  - { id: c, uses: once }
			  - { id: d, uses: act, retry: [{ cause: api, max: 1 }] }`,
		acts: Acts{
			"a": {"fail api", "fail transfer", "fail api", "ok"}, "b": {"fail api", "fail api", "fail api", "fail api", "ok"},
			"c": {"fail api", "ok"}, "d": {"fail api", "fail api", "ok"},
		},
		run: Failed, units: "a=succeeded b=failed(api) c=failed(api) d=failed(api)",
	},
	{
		name: "a success lacks no output, and a panic is a failure",
		text: `
			steps:
			  - { id: a, uses: act }
			  - { id: b, uses: act }
			  - { id: c, uses: act, retry: [{ cause: output_missing, max: 1 }] }`,
		acts: Acts{"a": {"mute"}, "b": {"panic"}, "c": {"mute", "ok"}},
		run:  Failed, units: "a=failed(output_missing) b=failed(panic) c=succeeded",
	},
	{
		name: "inputs are evaluated for each attempt, and an error there is final",
		text: `
			steps:
			  - { id: a, uses: act, with: { n: "${{ [5, 6, 7][attempt] }}" }, retry: [{ cause: exit, max: 5 }] }
			  - { id: b, uses: act, with: { n: "${{ [5, 6, 7][attempt] }}" }, retry: [{ cause: exit, max: 5 }] }`,
		acts: Acts{"a": {"fail exit(1)", "ok"}, "b": {"fail exit(1)"}},
		run:  Failed, units: "a=succeeded b=failed(expression)",
	},
	{
		name: "continue_on_error acts after the retries, per unit",
		text: `
			steps:
			  - { id: a, uses: act, matrix: { d: [1, 2] }, continue_on_error: true, retry: [{ cause: exit, max: 1 }] }
			  - { id: b, uses: act, for_each: a }
			  - { id: c, uses: act, needs: a }`,
		acts:  Acts{"a/d=1": {"fail exit(1)"}, "a/d=2": {"fail exit(1)", "ok"}},
		run:   Succeeded,
		units: "a/d=1=failed(exit(1)) a/d=2=succeeded b/d=1=skipped(source_missing) b/d=2=succeeded c=succeeded",
	},
}

// TestHappenRefuses: an order that the rules do not allow is refused, and one that
// ends too early.
func TestHappenRefuses(t *testing.T) {
	t.Parallel()
	w, err := Read("version: 1\nname: x\nsteps:\n  - { id: a, uses: act }\n  - { id: b, uses: act, needs: a }\n")
	if err != nil {
		t.Fatal(err)
	}
	script, err := Acts{}.Script()
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]Happening{
		{{Starts, "b"}},
		{{Starts, "c"}},
		{{Ends, "a"}},
		{{Starts, "a"}, {Starts, "a"}},
		{{Starts, "a"}, {Waits, "a"}},
		{{Starts, "a"}, {Ends, "a"}, {Ends, "a"}},
		{{Starts, "a"}, {Ends, "a"}},
		{{Cancels, ""}, {Starts, "a"}},
	} {
		if f, err := Replay(w, script, order); err == nil {
			t.Errorf("%s: no error, but %v", fmt.Sprint(order), f)
		}
	}
	if _, err := Replay(w, script, []Happening{{Starts, "a"}, {Ends, "a"}, {Starts, "b"}, {Ends, "b"}}); err != nil {
		t.Error(err)
	}
}
