package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestRequests: what attempts ask the service for adds up over waits and retries.
func TestRequests(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	lib.steps["act"].Run = func(ctx context.Context, inv *Invocation, with any) Outcome {
		inv.Requested("GET /a")
		if inv.Attempt == 2 {
			inv.Requested("GET /b")
		}
		return lib.run(ctx, inv, with)
	}
	w := load(t, lib, `
		steps:
		  - id: a
		    uses: act
		    with: { do: [wait 1s fail exit(1), ok] }
		    retry: [{ cause: exit, max: 1 }]
		  - id: b
		    uses: act`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"GET /a": 4, "GET /b": 1}
		if diff := cmp.Diff(want, run.Describe().Requests); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// TestRequestsOfResumed: what was asked for before a stop counts with the rest.
func TestRequestsOfResumed(t *testing.T) {
	t.Parallel()
	lib, made := newScripted(), 0
	lib.steps["act"].Run = func(ctx context.Context, inv *Invocation, with any) Outcome {
		inv.Requested("GET /a")
		made++
		return lib.run(ctx, inv, with)
	}
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [job 10m ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		store, engine, stop := memory.New(), New(Config{Library: lib}), errors.New("signal")
		x, err := engine.Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stop)
		defer cancel()
		if err := x.Drive(ctx); !errors.Is(err, stop) {
			t.Fatalf("drive ended with %v", err)
		}
		before := made
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
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
		if got := x.Run().Describe().Requests["GET /a"]; before == 0 || made <= before || got != made {
			t.Errorf("%d requests are on record of %d, %d of them before the stop", got, made, before)
		}
	})
}
