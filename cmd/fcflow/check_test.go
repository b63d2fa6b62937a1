package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// newHistory makes a run that somebody owns until the history is closed.
func newHistory(t *testing.T, st *store.Store, at time.Time) (workflow.RunID, workflow.History) {
	t.Helper()
	id := engine.NewRunID(at)
	frozen := []byte("version: 1\nname: test\nsteps:\n  - { id: a, uses: sleep, with: { duration: 1s } }\n")
	first := []workflow.Event{{Seq: 1, Epoch: 1, At: at.UTC(), Data: &workflow.RunCreated{ID: id, Workflow: "test"}}}
	h, err := st.Create(t.Context(), id, frozen, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return id, h
}

// TestCheckAllIsAboutDamage: only what cannot be read is called damaged, not a run that
// is driven elsewhere or gone meanwhile, and nothing when the check is interrupted.
func TestCheckAllIsAboutDamage(t *testing.T) {
	t.Parallel()
	a, stdout, _ := testApp(t)
	elsewhere, err := store.Open(a.getenv("FCFLOW_STATE_DIR"), store.Options{Owner: workflow.Owner{Host: "daint-ln2", PID: 4711}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	driven, _ := newHistory(t, elsewhere, now)
	whole, h := newHistory(t, elsewhere, now.Add(time.Second))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := a.readStore()
	if err != nil {
		t.Fatal(err)
	}
	o := checkOptions{all: true, output: newOutput()}
	ids := []workflow.RunID{engine.NewRunID(now.Add(time.Minute)), whole, driven}
	if err := a.checkRuns(t.Context(), st, ids, o); err != nil {
		t.Errorf("check --all: %v", err)
	}
	want := fmt.Sprintf("%s  ○ queued  1 event\n%s  ? not checked, driven elsewhere: process 4711 on daint-ln2\n", whole, driven)
	if stdout.String() != want {
		t.Errorf("check --all says\n%swant\n%s", stdout, want)
	}
	o.all = false
	if err := a.checkRuns(t.Context(), st, []workflow.RunID{driven}, o); !errors.Is(err, workflow.ErrOwned) {
		t.Errorf("check of a run that is driven elsewhere: %v", err)
	}
	if err := a.checkRuns(t.Context(), st, ids[:1], o); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("check of a run that is not there: %v", err)
	}

	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errInterrupted)
	stdout.Reset()
	if err := a.checkRuns(ctx, st, ids, o); !errors.Is(err, errInterrupted) || stdout.Len() > 0 {
		t.Errorf("an interrupted check: %v, and says %q", err, stdout)
	}
}

// TestInterruptedReading: what the store says of a context that ended is not all that
// is known of it.
func TestInterruptedReading(t *testing.T) {
	t.Parallel()
	st, err := store.Open(filepath.Join(t.TempDir(), "state"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ := testApp(t)
	stream := console.Plain(nil, out, out).Out
	ctx, end := context.WithCancelCause(t.Context())
	if _, _, err := st.Recent(ctx, 0, nil); settled(ctx, err, stream) != nil {
		t.Fatal(err)
	}
	end(errInterrupted)
	_, _, err = st.Recent(ctx, 0, nil)
	if err == nil {
		t.Fatal("a list is made although it was interrupted")
	}
	if o := outcomeOf(settled(ctx, fmt.Errorf("run x: %w", err), stream)); o.exit != exitInterrupted {
		t.Errorf("an interrupted list ends with %d %s", o.exit, o.code)
	}
	if err := settled(ctx, errRunFailed, stream); !errors.Is(err, errRunFailed) {
		t.Errorf("a run that failed, and then an interrupt: %v", err)
	}
	ctx, end = context.WithCancelCause(t.Context())
	end(engine.ErrAttention)
	if err := settled(ctx, context.Canceled, stream); errors.Is(err, errInterrupted) || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("a context that ended for another reason: %v", err)
	}
}
