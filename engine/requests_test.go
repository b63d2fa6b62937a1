package engine

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
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
