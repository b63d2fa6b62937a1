package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestQueueTimeout: it counts from the acceptance of a job to its first running
// state, not longer.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: late, uses: fenced, queue_timeout: 10m, with: { do: [queue 1h ok] } }
		  - { id: early, uses: fenced, queue_timeout: 10m, with: { do: [queue 9m job 5h ok] } }
		  - { id: none, uses: fenced, queue_timeout: 10m, with: { do: [job 1h ok] } }
		  - { id: both, uses: fenced, queue_timeout: 10m, timeout: 5m, with: { do: [queue 1h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil {
			t.Fatal(err)
		}
		want := "late=failed(queue_timeout) early=succeeded none=succeeded both=failed(timed_out)"
		if got := states(run); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		u := run.Steps[0].Units[0]
		if took := u.Attempt().EndedAt.Sub(u.Attempt().StartedAt); took != 10*time.Minute {
			t.Errorf("ended after %s", took)
		}
	})
}

// TestDeadlinesAfterReopen: what is found when a run is taken over comes before
// the deadlines that passed while nobody owned it.
func TestDeadlinesAfterReopen(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: done, uses: fenced, queue_timeout: 10m, timeout: 1h, with: { do: [queue 20m job 10m ok] } }
		  - { id: queued, uses: fenced, queue_timeout: 10m, with: { do: [queue 5h ok] } }
		  - { id: runs, uses: fenced, queue_timeout: 10m, with: { do: [queue 20m job 5h ok] } }
		  - { id: slow, uses: fenced, timeout: 1h, with: { do: [job 5h ok] } }
		  - { id: sleeps, uses: act, timeout: 1h, with: { do: [wait 5h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		run := interrupted(t, New(Config{Library: lib}), memory.New(), w, time.Minute, 2*time.Hour)
		want := "done=succeeded queued=failed(queue_timeout) runs=succeeded slow=failed(timed_out) sleeps=failed(timed_out)"
		if got := states(run); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		ended := run.Steps[1].Units[0].Attempt().EndedAt.Sub(run.Steps[1].Units[0].Attempt().StartedAt)
		if want := 2*time.Hour + time.Minute + 30*time.Second; ended != want {
			t.Errorf("the queued job was given up after %s, want %s", ended, want)
		}
	})
}

// interrupted drives a run for some time, leaves it alone for some, and drives
// it to its end.
func interrupted(t *testing.T, engine *Engine, store workflow.Store, w *workflow.Workflow, first, pause time.Duration) *workflow.Run {
	t.Helper()
	x, err := engine.Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), first)
	defer stop()
	if err := x.Drive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("drive ended with %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause) // virtual
	h, err := store.Open(t.Context(), x.ID())
	if err != nil {
		t.Fatal(err)
	}
	if x, err = engine.Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
		t.Fatal(err)
	}
	if err := x.Drive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x.Run()
}
