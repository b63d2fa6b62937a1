package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestSharedLimits: the runs of one engine share its slots and the places in
// the queue of a system, and a run that had to wait for another goes on.
func TestSharedLimits(t *testing.T) {
	t.Parallel()
	lib := jobLibrary()
	var text strings.Builder
	text.WriteString("steps:\n")
	for i := range 6 {
		fmt.Fprintf(&text, "  - { id: s%d, uses: place, with: { system: daint } }\n", i)
	}
	w := load(t, lib, text.String())
	synctest.Test(t, func(t *testing.T) {
		// Counted where a job enters and leaves the queue: what the runs say of it
		// comes a moment later.
		var mu sync.Mutex
		queued, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			queued += n
			most = max(most, queued)
		}
		place := lib.steps["place"]
		run := place.Run
		place.Run = func(ctx context.Context, inv *Invocation, with any) Outcome {
			if inv.Reason == workflow.WakeStart {
				count(1)
			}
			outcome := run(ctx, inv, with)
			if outcome.kind != kindWait {
				count(-1)
			}
			return outcome
		}
		e := New(Config{Library: lib, JobsPerSystem: 4, Slots: 3, Binder: &site{answers: []error{nil}}})
		began := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			x, err := e.Create(t.Context(), memory.New(), w, workflow.RunCreated{})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := x.Drive(t.Context()); err != nil || x.Run().State != workflow.RunSucceeded {
					t.Errorf("run %s, error %v", x.Run().State, err)
				}
			})
		}
		wg.Wait()
		// 18 jobs of an hour, 4 at a time.
		if took := time.Since(began).Round(time.Hour); most > 4 || took != 5*time.Hour {
			t.Errorf("at most %d jobs in the queue, %s in all", most, took)
		}
	})
}

// TestOwnPlace: a run that waits for a place it holds itself goes on when it
// frees it.
func TestOwnPlace(t *testing.T) {
	t.Parallel()
	lib := jobLibrary()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: place, with: { system: daint } }
		  - { id: b, uses: place, with: { system: daint } }
		  - { id: c, uses: place, with: { system: daint } }`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib, JobsPerSystem: 1, Binder: &site{answers: []error{nil}}}, w)
		if err != nil || run.State != workflow.RunSucceeded {
			t.Errorf("run %s, error %v", run.State, err)
		}
	})
}

// TestDueWithoutSlot: a wait that is due while every slot is taken does not keep
// the owner busy, and is entered when a slot frees.
func TestDueWithoutSlot(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [wait 1m ok] } }
		  - { id: b, uses: act, timeout: 1h, needs: c, with: { do: [block] } }
		  - { id: c, uses: act }`)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		run, err := drive(t, Config{Library: lib, Slots: 1}, w)
		if err != nil || states(run) != "a=succeeded b=failed(timed_out) c=succeeded" || time.Since(began) != time.Hour {
			t.Errorf("%s after %s, error %v", states(run), time.Since(began), err)
		}
	})
}

// TestTurns: a run with much to do leaves every other slot that frees to a run
// that waits for one.
func TestTurns(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	var text strings.Builder
	text.WriteString("steps:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  - { id: s%d, uses: act, with: { do: [busy 1m] } }\n", i)
	}
	large, small := load(t, lib, text.String()), load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [busy 1m] } }
		  - { id: b, uses: act, needs: a, with: { do: [busy 1m] } }`)
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{Library: lib, Slots: 1})
		var wg sync.WaitGroup
		began := time.Now()
		start := func(w *workflow.Workflow, latest time.Duration) {
			x, err := e.Create(t.Context(), memory.New(), w, workflow.RunCreated{})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := x.Drive(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > latest {
					t.Errorf("a run of %d steps was over after %s, want %s", len(w.Steps), took, latest)
				}
			})
			synctest.Wait()
		}
		start(large, 22*time.Minute)
		start(small, 5*time.Minute)
		wg.Wait()
	})
}

// TestLeaverFreesOthers: what a run holds that ends without being over goes to
// those who wait for it.
func TestLeaverFreesOthers(t *testing.T) {
	t.Parallel()
	lib := jobLibrary()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: place, with: { system: daint } }`)
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{Library: lib, JobsPerSystem: 1, Binder: &site{answers: []error{nil}}})
		leaver, err := e.Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		waiter, err := e.Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var wg sync.WaitGroup
		wg.Go(func() { _ = leaver.Drive(ctx) })
		synctest.Wait()
		began := time.Now()
		wg.Go(func() {
			if err := waiter.Drive(t.Context()); err != nil || time.Since(began) != time.Hour+time.Minute {
				t.Errorf("error %v after %s", err, time.Since(began))
			}
		})
		wg.Wait()
	})
}

// jobLibrary adds a step type that holds a place in a queue for an hour.
func jobLibrary() *scripted {
	lib := newScripted()
	place := *lib.steps["fenced"]
	place.Name, place.Remote = "place", true
	place.Inputs = append(place.Inputs, workflow.Field{Name: "system", Type: workflow.Type{Kind: workflow.String}})
	for i := range place.Inputs {
		if place.Inputs[i].Name == "do" {
			place.Inputs[i].Default = []byte(`["job 1h ok"]`)
		}
	}
	lib.steps["place"] = &place
	return lib
}
