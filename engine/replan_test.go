package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// planFor plans that a stored run of w goes on with next.
func planFor(ctx context.Context, h workflow.History, w, next *workflow.Workflow) (*workflow.Replanning, int64, error) {
	run, err := Fold(ctx, w, h)
	if err != nil {
		return nil, 0, err
	}
	scratch, err := Fold(ctx, w, h)
	if err != nil {
		return nil, 0, err
	}
	seq := run.Seq
	plan, err := workflow.Replan(run, scratch, next, workflow.ReplanOptions{
		Replanned: workflow.RunReplanned{By: "ada"}, At: time.Now().UTC().Truncate(time.Millisecond),
		Blobs: func(digest string) ([]byte, error) { return h.Blob(ctx, digest) },
	})
	return plan, seq, err
}

// replanned has a run that nobody drives go on with another workflow, without
// driving it.
func replanned(ctx context.Context, s workflow.Store, lib *scripted, id workflow.RunID, w, next *workflow.Workflow) (*workflow.Replanning, *Execution, error) {
	h, err := s.Open(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	plan, seq, err := planFor(ctx, h, w, next)
	if err != nil || len(plan.InFlight) > 0 {
		return plan, nil, errors.Join(err, h.Close())
	}
	x, err := New(Config{Library: lib}).Open(ctx, h, w, workflow.Owner{}, "test")
	if err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	return plan, x, x.Replan(ctx, plan, seq)
}

// planWords prints a plan: "a: kept 1; b: again 1 (with.n changed)".
func planWords(p *workflow.Replanning) string {
	var lines []string
	for _, s := range p.Steps {
		var parts []string
		for i, n := range []int{s.Kept, s.Again, s.New, s.Open, s.Dropped} {
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d", []string{"kept", "again", "new", "open", "dropped"}[i], n))
			}
		}
		if s.Unknown {
			parts = append(parts, "unknown")
		}
		text := s.ID + ": " + strings.Join(parts, ", ")
		if len(s.Why) > 0 {
			text += " (" + strings.Join(s.Why, ", ") + ")"
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "; ")
}

const replanBase = `
steps:
  - { id: a, uses: act, with: { n: 2 } }
  - { id: b, uses: act, matrix: { x: [1, 2] }, with: { n: "${{ matrix.x }}", from: ["${{ steps.a.outputs.n }}"] } }
  - { id: c, uses: act, for_each: b, with: { n: "${{ each.outputs.n }}" } }
  - { id: d, uses: act, needs: [c], with: { n: 1 } }
finally:
  - { id: f, uses: act }
outputs: { n: "${{ steps.a.outputs.n }}" }`

// TestReplanEnded: a run that has ended goes on with an edited workflow, and does
// what the edit touches, what follows from it, and `finally`.
func TestReplanEnded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, from, to, plan, tried string }{
		{
			"a value", "id: a, uses: act, with: { n: 2 }", "id: a, uses: act, with: { n: 3 }",
			"a: again 1 (with.n changed); b: again 2 (depends on a); c: again 2 (depends on b); d: again 1 (depends on c); f: again 1 (follows what is done again)",
			"a#2 b/x=1#2 b/x=2#2 c/x=1#2 c/x=2#2 d#2 f#2",
		},
		{
			"one instance", `n: "${{ matrix.x }}"`, `n: "${{ matrix.x == 2 ? 7 : 1 }}"`,
			"a: kept 1; b: kept 1, again 1 (with.n changed); c: kept 1, again 1 (depends on b); d: again 1 (depends on c); f: again 1 (follows what is done again)",
			"b/x=2#2 c/x=2#2 d#2 f#2",
		},
		{
			"another instance", "x: [1, 2]", "x: [2, 3]",
			"a: kept 1; b: kept 1, new 1, dropped 1 (new); c: kept 1, new 1, dropped 1 (new); d: again 1 (depends on c); f: again 1 (follows what is done again)",
			"b/x=3#1 c/x=3#1 d#2 f#2",
		},
		{
			"what does not count", "needs: [c], with", "needs: [c], timeout: 1h, max_attempts: 3, name: last, with",
			"a: kept 1; b: kept 2; c: kept 2; d: kept 1; f: kept 1", "",
		},
		{
			"the type", "id: d, uses: act", "id: d, uses: once",
			"a: kept 1; b: kept 2; c: kept 2; d: again 1 (uses changed); f: again 1 (follows what is done again)", "d#2 f#2",
		},
		{
			"another dependency", "needs: [c]", "needs: [b]",
			"a: kept 1; b: kept 2; c: kept 2; d: again 1 (waits for other steps); f: again 1 (follows what is done again)", "d#2 f#2",
		},
		{
			"a step goes", "  - { id: d, uses: act, needs: [c], with: { n: 1 } }\n", "",
			"a: kept 1; b: kept 2; c: kept 2; f: again 1 (follows what is done again); d: dropped 1 (is not in the workflow any more)", "f#2",
		},
		{
			"a step comes", "finally:", "  - { id: e, uses: act, needs: [a] }\nfinally:",
			"a: kept 1; b: kept 2; c: kept 2; d: kept 1; e: new 1 (new); f: again 1 (follows what is done again)", "e#1 f#2",
		},
		{
			"finally", "id: f, uses: act", "id: f, uses: act, with: { n: 3 }",
			"a: kept 1; b: kept 2; c: kept 2; d: kept 1; f: again 1 (with.n changed)", "f#2",
		},
		{
			"a list", "matrix: { x: [1, 2] }, with: { n: \"${{ matrix.x }}\"", "for_each: \"${{ [steps.a.outputs.n, 3] }}\", with: { n: \"${{ each.item }}\"",
			"a: kept 1; b: new 2, dropped 2 (new); c: new 2, dropped 2 (new); d: again 1 (depends on c); f: again 1 (follows what is done again)",
			"b/2#1 b/3#1 c/2#1 c/3#1 d#2 f#2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w, next := load(t, lib, replanBase), load(t, lib, strings.Replace(replanBase, c.from, c.to, 1))
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
					t.Fatal(err)
				}
				lib.entries = nil
				plan, x, err := replanned(t.Context(), store, lib, x.ID(), w, next)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
					t.Fatal(err)
				}
				if got := planWords(plan); got != c.plan {
					t.Errorf("plan\n%s, want\n%s", got, c.plan)
				}
				if got := tried(lib); got != c.tried {
					t.Errorf("tried %s, want %s", got, c.tried)
				}
				if run := x.Run(); run.State != workflow.RunSucceeded || run.Round != 2 || run.Replans != 1 {
					t.Errorf("round %d, %d changes: %s", run.Round, run.Replans, run.State)
				}
				if plan.Idle() != (c.tried == "") {
					t.Errorf("idle: %v", plan.Idle())
				}
			})
		})
	}
}

// edits are what people change in a random workflow, as text and what it becomes.
var edits = [][2]string{
	{"      n: 0\n", "      n: 100\n"},
	{"      n: 1\n", "      n: 101\n"},
	{"      n: 2\n", "      n: 102\n"},
	{"y: [a, b]", "y: [b, c]"},
	{"for_each: [x, y]", "for_each: [y, z]"},
	{", 1, 1]", ", 1]"},
	{"- fail exit(3)\n", "- ok\n"},
	{"- ok\n", "- fail exit(3)\n"},
	{"- panic\n", "- ok\n"},
	{"uses: fenced", "uses: act"},
	{"continue_on_error: true", "continue_on_error: false"},
	{"max_attempts: ", "timeout: 9h\n    max_attempts: "},
	{"steps:\n", "steps:\n  - { id: extra, uses: act }\n"},
	{"uses: act\n", "uses: act\n    needs: [s0]\n"},
}

// onlyFirst keeps the first line of a script, so that what happens does not depend
// on how often it was tried before.
var onlyFirst = regexp.MustCompile(`(      do:\n        - [^\n]+\n)(?:        - [^\n]+\n)*`)

// TestReplanEndsAsIfNew: wherever a run is stopped and its workflow edited, it ends
// as a new run of the edited workflow does; nothing is started but what the plan
// names; and it ends the same from every later prefix of its history.
func TestReplanEndsAsIfNew(t *testing.T) {
	t.Parallel()
	scripts := []string{"ok", "ok", "ok", "fail exit(3)", "panic", "wait 30s ok", "job 2m ok", "job 10s fail exit(1)"}
	rapid.Check(t, func(rt *rapid.T) {
		lib := newScripted()
		drawn := drawWorkflow(rt, lib, shape{most: 6, uses: []string{"act", "fenced"}, scripts: scripts, outputs: true, fanOut: true})
		source := onlyFirst.ReplaceAllString(string(drawn.Source), "$1")
		edited := source
		for range rapid.IntRange(1, 3).Draw(rt, "edits") {
			e := rapid.SampledFrom(edits).Draw(rt, "edit")
			if i := strings.Count(edited, e[0]); i > 0 {
				edited = replaceNth(edited, e[0], e[1], rapid.IntRange(1, i).Draw(rt, "which"))
			}
		}
		w, problems := workflow.Load("random.yaml", []byte(source), lib, workflow.CheckOptions{})
		if len(problems) > 0 {
			rt.Fatal(problems)
		}
		next, problems := workflow.Load("random.yaml", []byte(edited), lib, workflow.CheckOptions{})
		if len(problems) > 0 {
			rt.Skip("the edit makes no workflow")
		}
		part := rapid.Float64Range(0, 1).Draw(rt, "part")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = endsAsIfNew(t.Context(), w, next, part) })
		if failure != "" {
			rt.Fatalf("%s\n%s\n--- edited\n%s", failure, source, edited)
		}
	})
}

func replaceNth(text, from, to string, n int) string {
	parts := strings.SplitN(text, from, n+1)
	return strings.Join(parts[:n], from) + to + parts[n]
}

// historyOf drives a new run of w to its end and returns its events.
func historyOf(ctx context.Context, store *memory.Store, w *workflow.Workflow) (*Execution, []workflow.Event, error) {
	x, err := New(Config{Library: newScripted()}).Create(ctx, store, w, workflow.RunCreated{Nonce: "n"})
	if err != nil {
		return nil, nil, err
	}
	err = x.Drive(ctx)
	var events []workflow.Event
	collect := func(e workflow.Event) error { events = append(events, e); return nil }
	return x, events, errors.Join(err, x.Events(ctx, 1, collect), x.Close())
}

func endsAsIfNew(ctx context.Context, w, next *workflow.Workflow, part float64) string {
	store := memory.New()
	x, events, err := historyOf(ctx, store, w)
	if err != nil {
		return err.Error()
	}
	fresh, _, err := historyOf(ctx, memory.New(), next)
	if err != nil {
		return err.Error()
	}
	cut := 1 + int(part*float64(len(events)-1)+0.5)
	some := store.Prefix(x.ID(), cut)
	id := x.ID()
	plan, x, err := replanned(ctx, some, newScripted(), id, w, next)
	if err != nil {
		return fmt.Sprintf("from event %d: %v", cut, err)
	}
	if x == nil {
		return "" // something is under way
	}
	seq := x.Run().Seq
	busy := map[workflow.UnitRef]bool{}
	for _, s := range x.Run().Steps {
		for _, u := range s.Units {
			busy[u.Ref()] = u.State == workflow.Running || u.State == workflow.Waiting
		}
	}
	err = x.Drive(ctx)
	events = nil
	collect := func(e workflow.Event) error { events = append(events, e); return nil }
	if err := errors.Join(err, x.Events(ctx, 1, collect), x.Close()); err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(endsOf(fresh.Run()), endsOf(x.Run())); diff != "" {
		return fmt.Sprintf("stopped at event %d, plan %s: ends otherwise than a new run (-new +edited):\n%s", cut, planWords(plan), diff)
	}
	if failure := unplanned(plan, events[seq:], busy); failure != "" {
		return failure
	}
	want := finalOf(x.Run())
	for n := int(seq); n <= len(events); n++ {
		if failure := resumeFrom(ctx, some.Prefix(id, n), id, w, events[:n], want); failure != "" {
			return fmt.Sprintf("from event %d of %d: %s", n, len(events), failure)
		}
	}
	return ""
}

// endsOf is how a run ends, however often what was tried.
func endsOf(r *workflow.Run) final {
	f := finalOf(r)
	for ref, u := range f.Units {
		u.Attempts = 0
		f.Units[ref] = u
	}
	return f
}

// unplanned finds an attempt of what the plan does not name.
func unplanned(plan *workflow.Replanning, events []workflow.Event, busy map[workflow.UnitRef]bool) string {
	planned := maps.Clone(busy)
	for _, u := range plan.Units {
		planned[u.UnitRef] = true
	}
	for _, e := range events {
		ref := workflow.UnitRef{Step: e.Step, Instance: e.Instance}
		unknown := slices.ContainsFunc(plan.Steps, func(s workflow.PlannedStep) bool { return s.ID == e.Step && s.Unknown })
		if _, ok := e.Data.(*workflow.AttemptStarted); ok && !planned[ref] && !unknown {
			return fmt.Sprintf("%s was started, and the plan is %s", ref, planWords(plan))
		}
	}
	return ""
}

// TestReplanUnderWay: what is under way and would change is in the way, until it is
// ended; what would not goes on as the same attempt. Nothing else begins meanwhile.
func TestReplanUnderWay(t *testing.T) {
	t.Parallel()
	const source = `
steps:
  - { id: a, uses: fenced, with: { do: [job 10m ok], n: 2 } }
  - { id: b, uses: fenced, with: { do: [job 10m ok], n: 3 } }
  - { id: c, uses: act, needs: [a] }
  - { id: d, uses: act, with: { do: [wait 5m fail exit(3)] } }`
	lib := newScripted()
	w, next := load(t, lib, source), load(t, lib, strings.Replace(source, "n: 2", "n: 5", 1))
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := errors.Join(x.Drive(ctx), x.Close()); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		plan, none, err := replanned(t.Context(), store, lib, x.ID(), w, next)
		if err != nil || none != nil || len(plan.InFlight) != 1 || plan.InFlight[0].Step != "a" {
			t.Fatalf("in the way: %v, %v", plan.InFlight, err)
		}
		h, err := store.Open(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if x, err = New(Config{Library: lib}).Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.EndUnits(t.Context(), plan.InFlight), x.Close()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=failed(killed) b=waiting c=pending d=waiting" {
			t.Errorf("once it is ended: %s", got)
		}
		plan, x, err = replanned(t.Context(), store, lib, x.ID(), w, next)
		if err != nil || x == nil {
			t.Fatalf("in the way: %v, %v", plan.InFlight, err)
		}
		if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=succeeded b=succeeded c=succeeded d=failed(exit(3))" {
			t.Errorf("in the end: %s", got)
		}
		a, _ := x.Run().Step("a")
		b, _ := x.Run().Step("b")
		if len(a.Units[0].Attempts) != 2 || len(b.Units[0].Attempts) != 1 || string(a.Units[0].Outputs.JSON) != `{"n":5}` {
			t.Errorf("a took %d attempts to %s, b %d", len(a.Units[0].Attempts), a.Units[0].Outputs.JSON, len(b.Units[0].Attempts))
		}
	})
}
