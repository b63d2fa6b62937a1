package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// final is what must not depend on where a run was interrupted.
type final struct {
	State   workflow.RunState
	Cause   workflow.Cause
	Outputs string
	Units   map[string]unitEnd
}

type unitEnd struct {
	State    workflow.State
	Cause    workflow.Cause
	Outputs  string
	Attempts int
}

func finalOf(r *workflow.Run) final {
	f := final{State: r.State, Cause: r.Cause, Outputs: string(r.Outputs.JSON), Units: map[string]unitEnd{}}
	for _, s := range r.Steps {
		for _, u := range s.Units {
			f.Units[u.Ref().String()] = unitEnd{u.State, u.Cause, string(u.Outputs.JSON), len(u.Attempts)}
		}
	}
	return f
}

// TestEveryPrefixEndsTheSame: from every prefix of a history the run ends the
// same, and no attempt whose end is in the prefix is entered again.
func TestEveryPrefixEndsTheSame(t *testing.T) {
	t.Parallel()
	scripts := []string{
		"ok", "ok", "ok", "fail exit(3)", "fail node_fail", "fail api", "panic",
		"wait 30s ok", "job 2m ok", "job 1m wait 5s ok", "job 10s fail exit(1)", "queue 30s job 1m ok",
	}
	rapid.Check(t, func(rt *rapid.T) {
		lib := newScripted()
		w := drawWorkflow(rt, lib, shape{most: 6, uses: []string{"act", "fenced"}, scripts: scripts, outputs: true, fanOut: true})
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = everyPrefix(t.Context(), w) })
		if failure != "" {
			rt.Fatalf("%s\n%s", failure, w.Source)
		}
	})
}

func everyPrefix(ctx context.Context, w *workflow.Workflow) string {
	store := memory.New()
	x, err := New(Config{Library: newScripted()}).Create(ctx, store, w, workflow.RunCreated{Nonce: "n"})
	if err != nil {
		return err.Error()
	}
	if err := x.Drive(ctx); err != nil {
		return err.Error()
	}
	want := finalOf(x.Run())
	var events []workflow.Event
	if err := x.Events(ctx, 1, func(e workflow.Event) error { events = append(events, e); return nil }); err != nil {
		return err.Error()
	}
	if err := x.Close(); err != nil {
		return err.Error()
	}
	if failure := outOfOrder(w, events); failure != "" {
		return failure
	}
	for n := 1; n <= len(events); n++ {
		if failure := resumeFrom(ctx, store.Prefix(x.ID(), n), x.ID(), w, events[:n], want); failure != "" {
			return fmt.Sprintf("from event %d of %d: %s", n, len(events), failure)
		}
	}
	return ""
}

// outOfOrder finds an attempt that began before the outcome of what it depends
// on was recorded.
func outOfOrder(w *workflow.Workflow, events []workflow.Event) string {
	run := workflow.NewRun(w)
	for _, e := range events {
		if _, ok := e.Data.(*workflow.AttemptStarted); ok {
			s, _ := run.Step(e.Step)
			for i, other := range run.Steps {
				before := slices.Contains(s.Step.Barriers, i) || s.Step.Finally && !other.Step.Finally
				if before && !other.State().Done() {
					return fmt.Sprintf("event %d starts %s while %s is %s", e.Seq, e.Step, other.Step.ID, other.State())
				}
			}
		}
		if err := workflow.Apply(run, &e); err != nil {
			return err.Error()
		}
	}
	return ""
}

func resumeFrom(ctx context.Context, s workflow.Store, id workflow.RunID, w *workflow.Workflow, prefix []workflow.Event, want final) string {
	h, err := s.Open(ctx, id)
	if err != nil {
		return err.Error()
	}
	defer h.Close()
	lib := newScripted()
	x, err := New(Config{Library: lib}).Open(ctx, h, w, workflow.Owner{}, "test")
	if err != nil {
		return err.Error()
	}
	if err := x.Drive(ctx); err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(want, finalOf(x.Run())); diff != "" {
		return "ends otherwise (-want +got):\n" + diff
	}
	var events []workflow.Event
	if err := x.Events(ctx, 1, func(e workflow.Event) error { events = append(events, e); return nil }); err != nil {
		return err.Error()
	}
	if failure := outOfOrder(w, events); failure != "" {
		return failure
	}
	ended := map[scriptEntry]bool{}
	for _, e := range prefix {
		if _, ok := e.Data.(*workflow.AttemptFinished); ok {
			ended[scriptEntry{Unit: workflow.UnitRef{Step: e.Step, Instance: e.Instance}, Attempt: e.Attempt}] = true
		}
	}
	for _, e := range lib.Entries() {
		if ended[scriptEntry{Unit: e.Unit, Attempt: e.Attempt}] {
			return fmt.Sprintf("attempt %d of %s had ended and ran again", e.Attempt, e.Unit)
		}
	}
	return ""
}
