package workflow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// load checks a workflow that must be right.
func load(t testing.TB, source string) *Workflow {
	t.Helper()
	w, problems := Load("test.yaml", []byte(source), testCatalogue(), CheckOptions{DefaultSystem: "daint"})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, source)
	}
	return w
}

func stepNamed(t testing.TB, w *Workflow, id string) *Step {
	t.Helper()
	for _, s := range w.AllSteps() {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("no step %q", id)
	return nil
}

func TestCheckReportsEverythingAtOnceAndNothingTwice(t *testing.T) {
	t.Parallel()
	source := `version: 1
name: test
inputs:
  levels: { type: "list<int>", default: none }
steps:
  - id: a
    uses: uplaod
    with: { from: "${{ inputs.lvls }}", anything: 1 }
  - id: b
    uses: noop
    needs: [c, a, aa]
    with: { int: x, text: "${{ steps.a.outputs.whatever }}", bool: "${{ steps.a.outputs.x.y > 3 }}" }
  - id: c
    uses: noop
    if: ${{ inputs.levels }}
    with: { list: "${{ inputs.levels }}", text: "${{ steps.b.outputs.txt }}" }
  - id: d
    uses: job
    with: { script: "${{ run.id }}", resources: { time: 6 }, oops: 1 }
    retry: [{ cause: walltme, max: 1, grow: { memory: x2 } }]
`
	_, problems := Load("test.yaml", []byte(source), testCatalogue(), CheckOptions{})
	want := []string{
		"4:41 input_default",
		"7:11 unknown_step_type",
		"8:31 unknown_name",
		"11:19 unknown_step",
		"12:18 wrong_type",
		"15:13 wrong_type",
		"16:70 unknown_name",
		"18:11 missing_system",
		"19:26 expression_place",
		"19:57 wrong_type",
		"19:62 unknown_step_input",
		"20:22 unknown_cause",
		"20:47 grow_key",
	}
	// The misspelt output still makes the dependency, but a cycle through it is
	// not reported while the expression is wrong.
	if diff := cmp.Diff(want, codesAt(problems)); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, problems)
	}
}

func TestCheckDerivesDependencies(t *testing.T) {
	t.Parallel()
	w := load(t, `version: 1
name: test
steps:
  - { id: a, uses: noop }
  - { id: b, uses: noop, needs: a }
  - { id: sweep, uses: noop, matrix: { dt: [1, 2] }, with: { text: "${{ steps.b.outputs.text }}" } }
  - { id: pair, uses: noop, for_each: sweep, with: { text: "${{ each.outputs.text }}" } }
  - { id: soft, uses: noop, needs: [b, b], with: { text: "${{ steps.a.outputs?.text ?? steps.b.state }}" } }
  - { id: late, uses: noop, for_each: pair, if: "${{ always() }}" }
  - { id: next, uses: noop, for_each: pair }
  - { id: list, uses: noop, for_each: "${{ steps.a.outputs.list }}" }
  - { id: all, uses: noop, if: "${{ !failure() && len(steps.sweep.instances) > 0 }}" }
finally:
  - { id: tell, uses: noop, with: { text: "${{ steps.a.outputs.text }}", any: "${{ steps.b.state }}" } }
  - { id: done, uses: noop, needs: tell, with: { text: "${{ steps.tell.outputs.text }}" } }
`)
	type derived struct {
		ID               string
		Barriers, Values []int
		StatusIf         bool
		Pair             string
		PairValue        bool
	}
	want := []derived{
		{ID: "a"},
		{ID: "b", Barriers: []int{0}},
		{ID: "sweep", Barriers: []int{1}, Values: []int{1}},
		{ID: "pair", Pair: "sweep", PairValue: true},
		{ID: "soft", Barriers: []int{0, 1}},
		{ID: "late", StatusIf: true, Pair: "pair"},
		{ID: "next", Pair: "pair", PairValue: true},
		{ID: "list", Barriers: []int{0}, Values: []int{0}},
		{ID: "all", Barriers: []int{2}, StatusIf: true},
		{ID: "tell", Values: []int{0}},
		{ID: "done", Barriers: []int{9}, Values: []int{9}},
	}
	var got []derived
	for _, s := range w.AllSteps() {
		d := derived{ID: s.ID, Barriers: s.Barriers, Values: s.Values, StatusIf: s.StatusIf, PairValue: s.PairValue}
		if s.Pair != nil {
			d.Pair = s.Pair.ID
		}
		got = append(got, d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{0}, {1, 7}, {2, 4}, {3, 8}, {5, 6}, {9}, {10}}, w.Levels()); diff != "" {
		t.Errorf("levels: -want +got:\n%s", diff)
	}
}

func TestStepTypeProblemsHaveTheirLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		with string
		want Pos
	}{
		"block":    {"\n      script: |\n        #!/bin/bash\n\n        #SBATCH --wait\n        srun ./model", Pos{11, 9}},
		"one line": {` { script: "#SBATCH --wait" }`, Pos{7, 21}},
		"quoted":   {"\n      script: \"#!/bin/bash\\n#SBATCH --wait\"", Pos{8, 15}},
	} {
		source := "version: 1\nname: test\ndefaults: { system: daint }\nsteps:\n  - id: a\n    uses: job\n    with:" + tc.with + "\n"
		_, problems := Load("test.yaml", []byte(source), testCatalogue(), CheckOptions{})
		if len(problems) != 1 || problems[0].Pos != tc.want {
			t.Errorf("%s: %v, want a problem at %v", name, problems, tc.want)
		}
	}
}

// An alias shares its text between steps in which it means different types.
func TestAliasesAreCheckedPerStep(t *testing.T) {
	t.Parallel()
	w := load(t, `version: 1
name: test
steps:
  - id: a
    uses: noop
    matrix: { x: [1, 2] }
    with: &with { any: "${{ matrix.x }}" }
  - id: b
    uses: noop
    matrix: { x: [left, right] }
    with: *with
`)
	for id, value := range map[string]any{"a": 1, "b": "left"} {
		got, err := w.EvalWith(stepNamed(t, w, id), &Scope{Matrix: map[string]any{"x": value}})
		want, _ := CanonicalJSON(map[string]any{"any": value, "mode": "fast"})
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %s, %v; want %s", id, got, err, want)
		}
	}
}

func TestSecretsAreNoted(t *testing.T) {
	t.Parallel()
	w := load(t, `version: 1
name: test
secrets: [HOOK]
steps:
  - { id: plain, uses: noop }
  - { id: tell, uses: notify, with: { webhook: "${{ secrets.HOOK }}", text: done } }
`)
	for _, s := range w.AllSteps() {
		if want := s.ID == "tell"; s.UsesSecrets() != want {
			t.Errorf("%s uses secrets: %v, want %v", s.ID, s.UsesSecrets(), want)
		}
	}
}

// The types of a fan-out reach through pairs.
func TestFanOutTypes(t *testing.T) {
	t.Parallel()
	head := `version: 1
name: test
inputs: { levels: { type: "list<int>", default: [1] } }
steps:
  - { id: sweep, uses: noop, matrix: { dt: [30, 60], mode: [a, b], levels: "${{ inputs.levels }}" } }
  - { id: pair, uses: noop, for_each: sweep }
  - { id: again, uses: noop, for_each: pair }
  - { id: list, uses: noop, for_each: [{ name: x, n: 1 }, { name: y, n: 2 }] }
`
	for expression, want := range map[string]string{
		"for_each: pair, with: { int: '${{ each.matrix.dt }}' }":                             "",
		"for_each: pair, with: { int: '${{ each.matrix.mode }}' }":                           "wrong_type",
		"for_each: again, with: { int: '${{ each.matrix.levels }}' }":                        "",
		"for_each: again, with: { text: '${{ each.origin.key }}' }":                          "",
		"for_each: list, with: { any: '${{ each.item }}' }":                                  "",
		"for_each: sweep, if: \"${{ each.state == 'done' }}\"":                               "unknown_state",
		"with: { list: '${{ map(steps.sweep.instances, .matrix.dt) }}' }":                    "",
		"with: { list: '${{ map(steps.sweep.instances, .matrix.mode) }}' }":                  "wrong_type",
		"with: { any: '${{ map(steps.sweep.instances, .matrix.dx) }}' }":                     "unknown_name",
		"with: { any: '${{ filter(steps.pair.instances, .state == \"failure\") }}' }":        "unknown_state",
		"with: { text: '${{ first(steps.sweep.instances).outputs.text }}' }":                 "",
		"with: { int: '${{ steps.list.instances[0].each.index }}' }":                         "",
		"with: { list: '${{ map(steps.sweep.instances, .outputs.int) }}' }":                  "",
		"with: { list: '${{ map(steps.sweep.instances, .outputs?.int ?? 0) }}' }":            "",
		"with: { list: '${{ map(steps.sweep.instances, .outputs?.text ?? \"\") }}' }":        "wrong_type",
		"with: { int: '${{ sum(map(steps.sweep.instances, .outputs.int)) }}' }":              "",
		"with: { any: '${{ map(steps.sweep.instances, { let o = .outputs; o.int + 1 }) }}'}": "",
	} {
		_, problems := Load("test.yaml", []byte(head+"  - { id: z, uses: noop, "+expression+" }\n"), testCatalogue(), CheckOptions{})
		got := ""
		if len(problems) > 0 {
			got = string(problems[0].Code)
		}
		if got != want || len(problems) > 1 {
			t.Errorf("%s: %v, want %q", expression, problems, want)
		}
	}
}

func TestLongCyclesAreCutShort(t *testing.T) { // not parallel: it measures
	var steps []string
	for i := range 5000 {
		steps = append(steps, fmt.Sprintf("  - { id: s%d, uses: noop, needs: s%d }", i, (i+1)%5000))
	}
	source := []byte(sourceOf(steps...))
	_, problems := Load("test.yaml", source, testCatalogue(), CheckOptions{})
	if len(problems) != 1 || problems[0].Code != CodeCycle {
		t.Fatalf("%d problems: %.300v", len(problems), problems)
	}
	if want := "steps wait for each other: s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → s8 → s9 → s10 → … → s4999 → s0"; problems[0].Message != want {
		t.Errorf("%s", problems[0].Message)
	}
	checkLoad(t, source)
}

// Many mistakes must not cost more than many right steps.
func TestManyMistakesStayCheap(t *testing.T) { // not parallel: it measures
	var steps []string
	for i := range 5000 {
		steps = append(steps, fmt.Sprintf("  - { id: s%d, uses: noop, needs: t%d, with: { text: '${{ steps.u%d.state }}' } }", i, i, i))
	}
	source := []byte(sourceOf(steps...))
	_, problems := Load("test.yaml", source, testCatalogue(), CheckOptions{})
	if len(problems) != maxProblems {
		t.Errorf("%d problems, want %d", len(problems), maxProblems)
	}
	checkLoad(t, source)
}

// manySteps is a chain of n steps with one expression each, in no more YAML
// values than a file may have for 10,000.
func manySteps(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nname: many\ninputs: { dt: { type: int, default: 1 } }\nsteps:\n  - { id: s0, uses: noop }\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "  - { id: s%d, uses: noop, if: '${{ inputs.dt + steps.s%d.outputs.int > 0 }}' }\n", i, i-1)
	}
	return b.String()
}

func BenchmarkCheck10000(b *testing.B) {
	source := []byte(manySteps(10_000))
	for b.Loop() {
		b.StopTimer()
		w, problems := Parse("many.yaml", source)
		b.StartTimer()
		if w == nil {
			b.Fatal(problems)
		}
		if problems = append(problems, Check(w, testCatalogue(), CheckOptions{})...); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

func BenchmarkEvalWithConstant(b *testing.B) {
	w := load(b, sourceOf("  - { id: a, uses: noop, with: { int: 4, text: x } }"))
	s, sc := w.Steps[0], &Scope{}
	for b.Loop() {
		if _, err := w.EvalWith(s, sc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvalWithExpression(b *testing.B) {
	w := load(b, sourceOf("  - { id: a, uses: noop }", "  - { id: b, uses: noop, with: { int: '${{ steps.a.outputs.int + attempt }}' } }"))
	s := w.Steps[1]
	sc := &Scope{Step: func(string) StepFacts {
		return StepFacts{State: Succeeded, Outputs: map[string]any{"int": 4}}
	}}
	for b.Loop() {
		if _, err := w.EvalWith(s, sc); err != nil {
			b.Fatal(err)
		}
	}
}
