package engine

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestFanOut has a case for each rule of docs/semantics.md about steps with many
// instances.
func TestFanOut(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		run        workflow.RunState
		units      string
	}{
		{
			"a matrix is a product, without what is excluded, and with what is included", `
			steps:
			  - id: a
			    uses: act
			    matrix: { b: [x, y], a: [1, 2], exclude: [{ a: 2, b: x }], include: [{ a: 3, b: z }, { a: 1, b: x }] }
			    with: { n: "${{ matrix.a }}" }`,
			workflow.RunSucceeded, `a/a=1,b=x=succeeded a/a=1,b=y=succeeded a/a=2,b=y=succeeded a/a=3,b=z=succeeded`,
		},
		{
			"a matrix of included combinations alone", `
			steps:
			  - { id: a, uses: act, matrix: { include: [{ n: 4, name: four }, { n: 5, name: five }] }, with: { n: "${{ matrix.n }}" } }`,
			workflow.RunSucceeded, `a/n=4,name=four=succeeded a/n=5,name=five=succeeded`,
		},
		{
			"texts that could be taken for something else are quoted", `
			steps:
			  - { id: a, uses: act, for_each: ["30", "a b", "a=1", "", "true", x.nc, x.nc, 30, [1], { k: v, l: 2 }] }`,
			workflow.RunSucceeded, `a/"30"=succeeded a/"a b"=succeeded a/"a=1"=succeeded a/""=succeeded a/"true"=succeeded ` +
				`a/x.nc=succeeded a/x.nc#2=succeeded a/30=succeeded a/[1]=succeeded a/k=v,l=2=succeeded`,
		},
		{
			"a list that another step makes", `
			steps:
			  - { id: a, uses: act, with: { n: 3 } }
			  - { id: b, uses: act, for_each: "${{ 1..steps.a.outputs.n }}", with: { n: "${{ each.item * 10 + each.index }}" } }
			outputs: { n: "${{ sum(map(steps.b.instances, .outputs.n)) }}", keys: "${{ map(steps.b.instances, .key) }}" }`,
			workflow.RunSucceeded, `a=succeeded b/1=succeeded b/2=succeeded b/3=succeeded`,
		},
		{
			"a list whose producer failed is one unit that is skipped", `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit] } }
			  - { id: b, uses: act, for_each: "${{ 1..steps.a.outputs.n }}" }
			  - { id: c, uses: act, for_each: b }
			  - { id: d, uses: act, if: "${{ always() }}", for_each: "${{ 1..steps.a.outputs.n }}" }`,
			workflow.RunFailed, `a=failed(exit) b=skipped(upstream_failed) c=skipped(upstream_failed) d=skipped(source_missing)`,
		},
		{
			"a list that cannot be evaluated is one unit that failed", `
			steps:
			  - { id: a, uses: act, with: { n: 0 } }
			  - { id: b, uses: act, for_each: "${{ [steps.a.outputs.n, 1 % steps.a.outputs.n] }}" }
			  - { id: c, uses: act, for_each: b }`,
			workflow.RunFailed, `a=succeeded b=failed(expression) c=skipped(upstream_failed)`,
		},
		{
			"a step without any instance has succeeded", `
			steps:
			  - { id: a, uses: act, matrix: { x: "${{ filter([1], # > 1) }}" } }
			  - { id: b, uses: act, for_each: a }
			  - { id: c, uses: act, needs: [a, b], if: "${{ steps.a.state == 'succeeded' && len(steps.b.instances) == 0 }}" }`,
			workflow.RunSucceeded, `c=succeeded`,
		},
		{
			"pairs depend on their own source alone", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2, 3] }, with: { do: ["${{ matrix.x == 2 ? 'fail exit' : 'ok' }}"], n: "${{ matrix.x }}" } }
			  - { id: b, uses: act, for_each: a, with: { n: "${{ each.outputs.n + each.matrix.x }}" } }
			  - { id: c, uses: act, for_each: b, if: "${{ always() }}", with: { n: "${{ (each.outputs?.n ?? 100) + each.matrix.x + each.origin.matrix.x }}" } }`,
			workflow.RunFailed, `a/x=1=succeeded a/x=2=failed(exit) a/x=3=succeeded ` +
				`b/x=1=succeeded b/x=2=skipped(upstream_failed) b/x=3=succeeded c/x=1=succeeded c/x=2=succeeded c/x=3=succeeded`,
		},
		{
			"status functions of a pair speak of its source", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2] }, with: { do: ["${{ matrix.x == 2 ? 'fail exit' : 'ok' }}"] } }
			  - { id: b, uses: act, for_each: a, if: "${{ failure() }}" }
			  - { id: c, uses: act, for_each: a, if: "${{ each.state == 'succeeded' }}" }`,
			workflow.RunFailed, `a/x=1=succeeded a/x=2=failed(exit) b/x=1=skipped(condition_false) b/x=2=succeeded ` +
				`c/x=1=succeeded c/x=2=skipped(upstream_failed)`,
		},
		{
			"a pair takes a value of its source, unless it asks for its status", `
			steps:
			  - { id: a, uses: act, continue_on_error: true, matrix: { x: [1, 2] }, with: { do: ["${{ matrix.x == 2 ? 'fail exit' : 'ok' }}"] } }
			  - { id: b, uses: act, for_each: a }
			  - { id: c, uses: act, for_each: a, if: "${{ success() }}" }`,
			workflow.RunSucceeded, `a/x=1=succeeded a/x=2=failed(exit) b/x=1=succeeded b/x=2=skipped(source_missing) ` +
				`c/x=1=succeeded c/x=2=succeeded`,
		},
		{
			"an if is judged per instance", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2] }, if: "${{ matrix.x > 1 }}" }
			  - { id: b, uses: act, needs: a }`,
			workflow.RunSucceeded, `a/x=1=skipped(condition_false) a/x=2=succeeded b=succeeded`,
		},
		{
			"needs waits for every instance", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2] }, with: { do: ["${{ matrix.x == 2 ? 'fail exit' : 'ok' }}"] } }
			  - { id: b, uses: act, needs: a }
			  - { id: c, uses: act, if: "${{ failure() && steps.a.state == 'failed' }}" }`,
			workflow.RunFailed, `a/x=1=succeeded a/x=2=failed(exit) b=skipped(upstream_failed) c=succeeded`,
		},
		{
			"fail_fast skips what has not begun", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2, 3, 4] }, max_parallel: 2, fail_fast: true, with: { do: ["${{ matrix.x == 1 ? 'wait 1m fail exit' : 'wait 2m ok' }}"] } }
			  - { id: b, uses: act, for_each: a }`,
			workflow.RunFailed, `a/x=1=failed(exit) a/x=2=succeeded a/x=3=skipped(upstream_failed) a/x=4=skipped(upstream_failed) ` +
				`b/x=1=skipped(upstream_failed) b/x=2=succeeded b/x=3=skipped(upstream_failed) b/x=4=skipped(upstream_failed)`,
		},
		{
			"instances are retried one by one", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2] }, retry: [{ cause: node_fail, max: 1 }], with: { do: ["${{ matrix.x == 1 && attempt == 1 ? 'fail node_fail' : 'ok' }}"] } }`,
			workflow.RunSucceeded, `a/x=1=succeeded a/x=2=succeeded`,
		},
		{
			"finally goes through instances, too", `
			steps:
			  - { id: a, uses: act, matrix: { x: [1, 2] }, with: { n: "${{ matrix.x }}" } }
			finally:
			  - { id: f, uses: act, for_each: "${{ map(steps.a.instances, .outputs.n) }}" }
			  - { id: g, uses: act, for_each: f }`,
			workflow.RunSucceeded, `a/x=1=succeeded a/x=2=succeeded f/1=succeeded f/2=succeeded g/1=succeeded g/2=succeeded`,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lib := newScripted()
				r, err := drive(t, Config{Library: lib}, load(t, lib, tc.text))
				if err != nil {
					t.Fatal(err)
				}
				if r.State != tc.run {
					t.Errorf("the run is %s: %s", r.State, r.Message)
				}
				if diff := cmp.Diff(strings.ReplaceAll(tc.units, " ", "\n"), strings.ReplaceAll(states(r), " ", "\n")); diff != "" {
					t.Errorf("-want +got:\n%s\n%s", diff, messages(r))
				}
			})
		})
	}
}

// TestRefusedFanOuts: what a step cannot fan out to fails it, and says why.
func TestRefusedFanOuts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{ id: a, uses: act, matrix: { x: "${{ 1..400 }}", y: "${{ 1..400 }}" } }`: "more than 100000 combinations",
		`{ id: a, uses: act, for_each: "${{ 1..52000 }}" }
			  - { id: b, uses: act, for_each: a }`: "the run would have 104000 instances, and at most 100000 are possible",
		`{ id: a, uses: act, for_each: "${{ 1..int(repeat('x', 60000)) }}" }`:            "xxx…", // its message holds all of the text
		`{ id: a, uses: act, matrix: { x: [1, 1] } }`:                                    "the combination x=1 twice",
		`{ id: a, uses: act, for_each: "${{ [repeat('x', 40000)] }}" }`:                  "item 0 takes 40002 bytes",
		`{ id: a, uses: act, matrix: { x: [1], include: "${{ [{'x': 2, 'y': 3}] }}" } }`: "members that are no dimension",
		`{ id: a, uses: act, matrix: { x: [1], y: [2], exclude: "${{ [1] }}" } }`:        "a combination is a mapping, not the number 1",
	} {
		synctest.Test(t, func(t *testing.T) {
			lib := newScripted()
			r, err := drive(t, Config{Library: lib}, load(t, lib, `
			steps:
			  - `+text))
			if err != nil {
				t.Fatal(err)
			}
			if got := messages(r); r.State != workflow.RunFailed || !strings.Contains(got, want) {
				t.Errorf("the run is %s: %s\nwant %q", r.State, got, want)
			}
		})
	}
}

// TestManyMatrices: the bound on the instances of a run is held also by matrices that
// are expanded together, and what goes through them counts.
func TestManyMatrices(t *testing.T) {
	t.Parallel()
	w := load(t, newScripted(), `
		steps:
		  - { id: a, uses: act, matrix: { x: "${{ 1..30000 }}" } }
		  - { id: b, uses: act, matrix: { x: "${{ 1..30000 }}" } }
		  - { id: c, uses: act, for_each: b }
		  - { id: d, uses: act, matrix: { x: "${{ 1..20000 }}" } }
		  - { id: e, uses: act, matrix: { x: "${{ 1..9000 }}" } }`)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	run := workflow.NewRun(w)
	apply := func(step string, p workflow.Payload) {
		t.Helper()
		if err := workflow.Apply(run, &workflow.Event{Seq: run.Seq + 1, At: now, Epoch: 1, Step: step, Data: p}); err != nil {
			t.Fatal(err)
		}
	}
	apply("", &workflow.RunCreated{ID: "r", Nonce: "n"})
	apply("", &workflow.RunStarted{})
	for _, c := range decide(run, input{now: now}) {
		apply(c.step.Step.ID, c.payload)
	}
	got := map[string]int{}
	for _, s := range run.Steps {
		got[s.Step.ID] = len(s.Units)
	}
	if want := map[string]int{"a": 30000, "b": 30000, "c": 30000, "d": 1, "e": 9000}; !maps.Equal(got, want) {
		t.Errorf("instances %v, want %v", got, want)
	}
	if d, _ := run.Step("d"); d.Units[0].State != workflow.Failed || !strings.Contains(d.Units[0].Message, "would have 110000 instances") {
		t.Errorf("d is %s: %s", d.Units[0].State, d.Units[0].Message)
	}
}

// messages prints what units that did not succeed say.
func messages(r *workflow.Run) string {
	var b strings.Builder
	for _, s := range r.Steps {
		for _, u := range s.Units {
			if u.Message != "" {
				fmt.Fprintf(&b, "%s: %s\n", u.Ref(), u.Message)
			}
		}
	}
	return b.String()
}

// TestPipelining: the pair of the first instance ends before the last instance
// starts.
func TestPipelining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib := newScripted()
		r, err := drive(t, Config{Library: lib}, load(t, lib, `
		steps:
		  - { id: a, uses: act, matrix: { x: "${{ 1..12 }}" }, max_parallel: 4, with: { do: [wait 1m ok] } }
		  - { id: b, uses: act, for_each: a, with: { do: [wait 10s ok] } }`))
		if err != nil {
			t.Fatal(err)
		}
		last := r.Steps[0].Units[11].Attempt().StartedAt
		if first := r.Steps[1].Units[0].Attempt().EndedAt; !first.Before(last) {
			t.Errorf("the first pair ends at %s, the last instance starts at %s", first, last)
		}
	})
}

// TestMaxParallel: attempts that wait hold their place.
func TestMaxParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib, most := newScripted(), 0
		cfg := Config{Library: lib, Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
			most = max(most, r.Steps[0].InQueue())
		}}
		if _, err := drive(t, cfg, load(t, lib, `
		steps:
		  - { id: a, uses: act, matrix: { x: "${{ 1..40 }}" }, max_parallel: 7, with: { do: [wait 1m ok] } }`)); err != nil {
			t.Fatal(err)
		}
		if most != 7 {
			t.Errorf("%d at once, want 7", most)
		}
	})
}

// TestLongList: items are stored in events of bearable size, and a run that is
// taken over has the same instances.
func TestLongList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lib, store := newScripted(), memory.New()
		w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { n: 3000 } }
		  - { id: b, uses: act, for_each: "${{ map(1..steps.a.outputs.n, 'item-' + string(#)) }}" }`)
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		kinds := map[workflow.EventKind]int{}
		if err := x.Events(t.Context(), 1, func(e workflow.Event) error {
			kinds[e.Data.Kind()]++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		again, err := Fold(t.Context(), w, x.history)
		if err != nil {
			t.Fatal(err)
		}
		if kinds["step.items"] != 3 || kinds["step.expanded"] != 1 || len(again.Steps[1].Units) != 3000 || states(again) != states(x.Run()) {
			t.Errorf("%v, %d units", kinds, len(again.Steps[1].Units))
		}
	})
}
