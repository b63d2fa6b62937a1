package engine

import (
	"context"
	"errors"
	"fmt"
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

// again takes a run over that nobody drives, and resets units of it.
func again(ctx context.Context, s workflow.Store, lib *scripted, w *workflow.Workflow, id workflow.RunID, choice workflow.UnitsReset) (*Execution, error) {
	h, err := s.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	x, err := New(Config{Library: lib}).Open(ctx, h, w, workflow.Owner{}, "test")
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if err := x.Reset(ctx, choice); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// tried prints the entries of a library as "unit#attempt", sorted.
func tried(lib *scripted) string {
	var list []string
	for _, e := range lib.Entries() {
		list = append(list, fmt.Sprintf("%s#%d", e.Unit, e.Attempt))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestRetryEndedRun: in a new round what failed, what depends on it, and
// `finally` are done; what succeeded is not. The outputs are those of the new
// round.
func TestRetryEndedRun(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [fail exit(3), ok], n: 2 } }
		  - { id: b, uses: act, with: { from: ["${{ steps.a.outputs.n }}"] } }
		  - { id: c, uses: act }
		finally:
		  - { id: f, uses: act }
		outputs: { n: "${{ steps.b.outputs.n }}" }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); x.Run().State != workflow.RunFailed || got != "a=failed(exit(3)) b=skipped(upstream_failed) c=succeeded f=succeeded" {
			t.Fatalf("%s: %s", x.Run().State, got)
		}
		lib.entries = nil
		if x, err = again(t.Context(), store, lib, w, x.ID(), workflow.UnitsReset{By: "ada"}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
			t.Fatal(err)
		}
		if got := tried(lib); got != "a#2 b#1 f#2" {
			t.Errorf("tried %s", got)
		}
		if run := x.Run(); run.State != workflow.RunSucceeded || string(run.Outputs.JSON) != `{"n":3}` || run.Round != 2 || run.Epoch != 2 {
			t.Errorf("round %d, epoch %d: %s with outputs %s", run.Round, run.Epoch, run.State, run.Outputs.JSON)
		}
		if _, err := again(t.Context(), store, lib, w, x.ID(), workflow.UnitsReset{By: "ada"}); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("nothing to do again: %v", err)
		}
		events := 0
		count := func(workflow.Event) error { events++; return nil }
		if h, err := store.Open(t.Context(), x.ID()); err != nil || errors.Join(h.Read(t.Context(), 1, count), h.Close()) != nil || int64(events) != x.Run().Seq {
			t.Errorf("a refused reset leaves something behind: %d events, %v", events, err)
		}
	})
}

// TestBudgetsBeginAnew: rules of retries, max_attempts, and what was grown count
// from the reset.
func TestBudgetsBeginAnew(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: rule, uses: act, with: { do: [fail exit(3)] }, retry: [{ cause: exit, max: 1 }] }
		  - { id: most, uses: act, with: { do: [fail exit(3)] }, max_attempts: 2, retry: [{ cause: exit, max: 9 }] }
		  - { id: own, uses: act, with: { do: [fail api] } }
		  - id: grown
		    uses: fenced
		    with: { do: [fail walltime], resources: { nodes: 1 } }
		    retry: [{ cause: walltime, max: 9, grow: { nodes: x2 }, until: { nodes: 4 } }]`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		for round := 1; round <= 3; round++ {
			if round > 1 {
				if x, err = again(t.Context(), store, lib, w, x.ID(), workflow.UnitsReset{By: "ada"}); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
				t.Fatal(err)
			}
			for id, n := range map[string]int{"rule": 2, "most": 2, "own": 4, "grown": 3} {
				u, _ := x.Run().Unit(workflow.UnitRef{Step: id})
				if len(u.Attempts) != n*round || len(u.Tries()) != n {
					t.Errorf("round %d: %d attempts of %s, want %d", round, len(u.Attempts), id, n*round)
				}
				if pause := u.Tries()[0].End.Retry.At.Sub(u.Tries()[0].EndedAt); pause > 13*time.Second {
					t.Errorf("round %d: the first pause of %s is %s", round, id, pause)
				}
			}
			grown, _ := x.Run().Unit(workflow.UnitRef{Step: "grown"})
			for i, a := range grown.Tries() {
				if want := fmt.Sprintf(`"nodes":%d`, 1<<i); !strings.Contains(string(a.With.JSON), want) {
					t.Errorf("round %d: attempt %d was given %s, want %s", round, i+1, a.With.JSON, want)
				}
			}
		}
	})
}

// TestRetryLive: the owner of a run takes a reset while it drives it, unless
// what is to be reset is under way.
func TestRetryLive(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [fail exit(3), busy 1h] } }
		  - { id: b, uses: act, needs: a }
		  - { id: c, uses: act, with: { do: [busy 3h] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		synctest.Wait()
		if err := x.Retry(t.Context(), workflow.UnitsReset{By: "ada"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		view, err := x.View(t.Context())
		if err != nil || view.Steps[0].State != workflow.Running || view.Steps[1].State != workflow.Pending {
			t.Errorf("a is %s, b is %s, error %v", view.Steps[0].State, view.Steps[1].State, err)
		}
		for _, step := range []string{"a", "c"} {
			err := x.Retry(t.Context(), workflow.UnitsReset{Units: []workflow.UnitRef{{Step: step}}, Force: true, By: "ada"})
			if !errors.Is(err, workflow.ErrConflict) || !strings.Contains(err.Error(), step+" is running") {
				t.Errorf("%s runs: %v", step, err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := tried(lib); x.Run().State != workflow.RunSucceeded || got != "a#1 a#2 b#1 c#1" {
			t.Errorf("%s: tried %s", x.Run().State, got)
		}
		if err := x.Retry(t.Context(), workflow.UnitsReset{By: "ada"}); !errors.Is(err, workflow.ErrOwned) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestListsAreToldAnew: a list that depends on what is done again is gone through
// as it is then, also if it was empty; what goes through its instances follows; and
// what a key has tried before counts.
func TestListsAreToldAnew(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { n: "${{ attempt }}" } }
		  - { id: empty, uses: act, for_each: "${{ filter([1, 2], # < steps.a.outputs.n) }}", needs: a }
		  - { id: after, uses: act, with: { n: "${{ len(steps.empty.instances) }}" } }
		  - { id: list, uses: act, for_each: "${{ [steps.a.outputs.n, 9] }}" }
		  - { id: pair, uses: act, for_each: list, with: { n: "${{ each.outputs.n }}" } }
		  - { id: sum, uses: act, with: { n: "${{ len(filter(steps.pair.instances, .key == '9')) + len(steps.pair.instances) }}" } }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"a#1 after#1 list/1#1 list/9#1 pair/1#1 pair/9#1 sum#1",
			"a#2 after#2 empty/1#1 list/2#1 list/9#2 pair/2#1 pair/9#2 sum#2",
			"a#3 after#3 empty/1#2 empty/2#1 list/3#1 list/9#3 pair/3#1 pair/9#3 sum#3",
		}
		for round := range want {
			if round > 0 {
				choice := workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "a"}}, Force: true, By: "ada"}
				if x, err = again(t.Context(), store, lib, w, x.ID(), choice); err != nil {
					t.Fatal(err)
				}
			}
			lib.entries = nil
			if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
				t.Fatal(err)
			}
			if got := tried(lib); got != want[round] {
				t.Errorf("round %d: tried %s, want %s", round+1, got, want[round])
			}
			for step, n := range map[string]string{"after": fmt.Sprintf(`{"n":%d}`, round), "sum": `{"n":3}`} {
				if u, _ := x.Run().Unit(workflow.UnitRef{Step: step}); string(u.Outputs.JSON) != n {
					t.Errorf("round %d: the outputs of %s are %s, want %s", round+1, step, u.Outputs.JSON, n)
				}
			}
		}
		w := load(t, lib, `
			steps:
			  - { id: a, uses: act, with: { do: [fail exit(3), ok] } }
			  - { id: list, uses: act, for_each: "${{ [steps.a.outputs.n, 9] }}" }
			  - { id: pair, uses: act, for_each: list }`)
		x, err = New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil || errors.Join(x.Drive(t.Context()), x.Close()) != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=failed(exit(3)) list=skipped(upstream_failed) pair=skipped(upstream_failed)" {
			t.Errorf("%s", got)
		}
		if x, err = again(t.Context(), store, lib, w, x.ID(), workflow.UnitsReset{By: "ada"}); err != nil || errors.Join(x.Drive(t.Context()), x.Close()) != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=succeeded list/1=succeeded list/9=succeeded pair/1=succeeded pair/9=succeeded" {
			t.Errorf("%s", got)
		}
	})
}

// TestRetrySomeInstances: of many instances those that failed, or that a part of
// a key names; what fail_fast skipped goes with what failed.
func TestRetrySomeInstances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fast   string
		choice workflow.UnitsReset
		want   string
	}{
		{"all that failed", "", workflow.UnitsReset{}, "m/x=1,y=a#2 p/x=1,y=a#1 sum#1"},
		{"a step", "", workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "m"}}}, "m/x=1,y=a#2 p/x=1,y=a#1 sum#1"},
		{"a part, what succeeded too", "", workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "m", Instance: "y=b"}}, Force: true}, "m/x=1,y=b#2 m/x=2,y=b#2 p/x=1,y=b#2 p/x=2,y=b#2 "},
		{"a pair", "", workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "p", Instance: "x=2,y=b"}}, Force: true}, "p/x=2,y=b#2 "},
		{"with what fail_fast skipped", "fail_fast: true, max_parallel: 1,", workflow.UnitsReset{}, "m/x=1,y=a#2 m/x=1,y=b#1 m/x=2,y=a#1 m/x=2,y=b#1 p/x=1,y=a#1 p/x=1,y=b#1 p/x=2,y=a#1 p/x=2,y=b#1 sum#1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w := load(t, lib, `
				steps:
				  - { id: m, uses: act, `+c.fast+` matrix: { x: [1, 2], y: [a, b] }, with: { do: ["${{ matrix.x == 1 && matrix.y == 'a' ? 'fail exit(3)' : 'ok' }}", ok] } }
				  - { id: p, uses: act, for_each: m }
				  - { id: sum, uses: act, needs: p }`)
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
				if err != nil || errors.Join(x.Drive(t.Context()), x.Close()) != nil {
					t.Fatal(err)
				}
				lib.entries = nil
				c.choice.By = "ada"
				if x, err = again(t.Context(), store, lib, w, x.ID(), c.choice); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil {
					t.Fatal(err)
				}
				if got := tried(lib); got != strings.TrimSpace(c.want) {
					t.Errorf("tried %s\n want %s", got, c.want)
				}
			})
		})
	}
}

// TestInstancesAfterReset: what expressions saw of the instances of a step is not
// what they see once some of them were done again.
func TestInstancesAfterReset(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: m, uses: act, matrix: { x: [1, 2] }, with: { do: ["${{ matrix.x == 1 ? 'fail exit(3)' : 'ok' }}", ok] } }
		  - id: good
		    uses: act
		    if: "${{ always() }}"
		    with: { do: [fail exit(4), ok], n: "${{ len(filter(steps.m.instances, .state == 'succeeded')) }}" }
		  - { id: slow, uses: act, with: { do: [busy 1h] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		synctest.Wait()
		if err := x.Retry(t.Context(), workflow.UnitsReset{By: "ada"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if u, _ := x.Run().Unit(workflow.UnitRef{Step: "good"}); string(u.Outputs.JSON) != `{"n":2}` {
			t.Errorf("%s with outputs %s, message %s", u.State, u.Outputs.JSON, u.Message)
		}
	})
}

// TestRetryAfterCancel: the request to cancel does not outlive its round.
func TestRetryAfterCancel(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [lasting 1m, ok] } }
		  - { id: b, uses: act, needs: a }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		synctest.Wait()
		if err := x.Cancel(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if err := x.Retry(t.Context(), workflow.UnitsReset{By: "ada"}); !errors.Is(err, workflow.ErrConflict) || !strings.Contains(err.Error(), "being cancelled") {
			t.Errorf("while it is cancelled: %v", err)
		}
		if err := errors.Join(<-done, x.Close()); err != nil || x.Run().State != workflow.RunCancelled {
			t.Fatalf("%s, error %v", x.Run().State, err)
		}
		if x, err = again(t.Context(), store, lib, w, x.ID(), workflow.UnitsReset{By: "ada"}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.Drive(t.Context()), x.Close()); err != nil || x.Run().State != workflow.RunSucceeded {
			t.Errorf("%s, error %v", x.Run().State, err)
		}
	})
}

// TestEveryPrefixWithResetEndsTheSame: wherever a second round was interrupted,
// it ends the same, and no attempt that has ended is entered again.
func TestEveryPrefixWithResetEndsTheSame(t *testing.T) {
	t.Parallel()
	scripts := []string{"ok", "fail exit(3)", "fail exit(3)", "fail api", "panic", "wait 30s ok", "job 2m ok", "job 10s fail exit(1)"}
	rapid.Check(t, func(rt *rapid.T) {
		lib := newScripted()
		w := drawWorkflow(rt, lib, shape{most: 5, uses: []string{"act", "fenced"}, scripts: scripts, outputs: true, fanOut: true})
		choice := workflow.UnitsReset{By: "ada", Force: true}
		if rapid.Bool().Draw(rt, "named") {
			choice.Units = []workflow.UnitRef{{Step: rapid.SampledFrom(w.AllSteps()).Draw(rt, "step").ID}}
		}
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = everyPrefixWithReset(t.Context(), w, choice) })
		if failure != "" {
			rt.Fatalf("%v: %s\n%s", choice, failure, w.Source)
		}
	})
}

func everyPrefixWithReset(ctx context.Context, w *workflow.Workflow, choice workflow.UnitsReset) string {
	store := memory.New()
	x, err := New(Config{Library: newScripted()}).Create(ctx, store, w, workflow.RunCreated{Nonce: "n"})
	if err != nil {
		return err.Error()
	}
	if err := errors.Join(x.Drive(ctx), x.Close()); err != nil {
		return err.Error()
	}
	lib := newScripted()
	x, err = again(ctx, store, lib, w, x.ID(), choice)
	if errors.Is(err, workflow.ErrConflict) {
		return "" // all is well
	} else if err != nil {
		return err.Error()
	}
	set, anew := map[workflow.UnitRef]bool{}, map[string]bool{}
	for _, s := range x.Run().Steps {
		anew[s.Step.ID] = !s.Expanded()
		for _, u := range s.Units {
			set[u.Ref()] = !u.State.Done()
		}
	}
	first := int(x.Run().Seq)
	if err := x.Drive(ctx); err != nil {
		return err.Error()
	}
	for _, e := range lib.Entries() {
		if !set[e.Unit] && !anew[e.Unit.Step] {
			return fmt.Sprintf("%s was not reset and ran", e.Unit)
		}
	}
	want := finalOf(x.Run())
	var events []workflow.Event
	if err := errors.Join(x.Events(ctx, 1, func(e workflow.Event) error { events = append(events, e); return nil }), x.Close()); err != nil {
		return err.Error()
	}
	folded, err := Fold(ctx, w, sliceReader(events))
	if err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(want, finalOf(folded)); diff != "" {
		return "folds otherwise (-want +got):\n" + diff
	}
	for n := first; n <= len(events); n++ {
		if failure := resumeFrom(ctx, store.Prefix(x.ID(), n), x.ID(), w, events[:n], want); failure != "" {
			return fmt.Sprintf("from event %d of %d: %s", n, len(events), failure)
		}
	}
	return ""
}

// sliceReader reads events from memory.
type sliceReader []workflow.Event

func (r sliceReader) Read(_ context.Context, from int64, f func(workflow.Event) error) error {
	for _, e := range r[slices.IndexFunc(r, func(e workflow.Event) bool { return e.Seq == from }):] {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}
