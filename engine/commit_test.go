package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// counted is a store that counts the commits of its runs.
type counted struct {
	workflow.Store
	commits, events int
}

func (c *counted) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	c.commits, c.events = c.commits+1, c.events+len(first)
	h, err := c.Store.Create(ctx, id, frozen, first, blobs)
	return countedHistory{h, c}, err
}

type countedHistory struct {
	workflow.History
	store *counted
}

func (h countedHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	h.store.commits, h.store.events = h.store.commits+1, h.store.events+len(events)
	return h.History.Append(ctx, after, events, blobs...)
}

// TestCommits: in a chain the end of a step and the start of the next share a
// commit, and an attempt that never waits has two events.
func TestCommits(t *testing.T) {
	t.Parallel()
	const n = 20
	lib := newScripted()
	var text strings.Builder
	text.WriteString("steps:\n  - { id: s0, uses: act }\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&text, "  - { id: s%d, uses: act, needs: s%d }\n", i, i-1)
	}
	w := load(t, lib, text.String())
	synctest.Test(t, func(t *testing.T) {
		store := &counted{Store: memory.New()}
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if store.commits > n+2 || store.events != 2*n+3 {
			t.Errorf("%d commits of %d events for %d steps, want %d of %d", store.commits, store.events, n, n+2, 2*n+3)
		}
	})
}

// slow is a store whose commits take their time.
type slow struct {
	workflow.Store
	mu     sync.Mutex
	stored []workflow.Event
}

func (s *slow) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	h, err := s.Store.Create(ctx, id, frozen, first, blobs)
	return slowHistory{h, s}, err
}

type slowHistory struct {
	workflow.History
	store *slow
}

func (h slowHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	time.Sleep(time.Second) // virtual
	if err := h.History.Append(ctx, after, events, blobs...); err != nil {
		return err
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.stored = append(h.store.stored, events...)
	return nil
}

// has reports whether the history says that of a step.
func (s *slow) has(step string, kind workflow.EventKind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.stored, func(e workflow.Event) bool { return e.Step == step && e.Data.Kind() == kind })
}

// TestNothingBeforeItIsStored: a step runs when its start is stored, and the end
// of what it depends on; a fact that an attempt reports is stored when it goes on.
func TestNothingBeforeItIsStored(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	store := &slow{Store: memory.New()}
	before := map[string]string{"b": "a", "c": "b"}
	lib.steps["look"] = &Step{
		StepSpec: workflow.StepSpec{Name: "look", Idempotent: true, Decode: decode, Inputs: lib.steps["act"].Inputs},
		Run: func(ctx context.Context, inv *Invocation, _ any) Outcome {
			if step := inv.Unit.Step; !store.has(step, "attempt.started") || before[step] != "" && !store.has(before[step], "attempt.finished") {
				t.Errorf("%s runs before its start and the end of %q are stored", step, before[step])
			}
			if err := inv.Put("key", 1); err != nil {
				return Failure(workflow.CauseAPI, err.Error())
			}
			if err := inv.Flush(ctx); err != nil || !store.has(inv.Unit.Step, "attempt.checkpoint") {
				t.Errorf("%s goes on before its checkpoint is stored, error %v", inv.Unit.Step, err)
			}
			return Success(nil)
		},
	}
	w := load(t, lib, `
		steps:
		  - { id: a, uses: look }
		  - { id: b, uses: look, needs: a }
		  - { id: c, uses: look, needs: b }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Drive(t.Context()); err != nil || states(x.Run()) != "a=succeeded b=succeeded c=succeeded" {
			t.Errorf("%s, error %v", states(x.Run()), err)
		}
	})
}

// TestManyDecisions: more decisions than one commit takes are all made, though
// nothing happens outside.
func TestManyDecisions(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	var text strings.Builder
	text.WriteString("steps:\n  - { id: a, uses: act, with: { do: [fail exit(1)] } }\n")
	for i := range 3 * maxCommands * 4 {
		fmt.Fprintf(&text, "  - { id: s%d, uses: act, needs: a }\n", i)
	}
	w := load(t, lib, text.String())
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil || run.State != workflow.RunFailed {
			t.Errorf("run %s, error %v", run.State, err)
		}
	})
}

// TestLongTexts: whatever a step says, its event can be stored.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	for _, long := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("\x01", 1<<17), strings.Repeat("\xff", 1<<17), strings.Repeat("<&>", 1<<17),
		strings.Repeat("ö\u2028", 1<<16),
	} {
		lib := newScripted()
		said := Failure(workflow.CauseExit, long).WithTail(long).WithEvidence(long)
		lib.steps["say"] = &Step{
			StepSpec: workflow.StepSpec{Name: "say", Fenced: true, Job: true, Decode: decode, Inputs: lib.steps["act"].Inputs},
			Run: func(ctx context.Context, inv *Invocation, _ any) Outcome {
				if inv.Reason == workflow.WakeStart {
					if err := inv.Intend(ctx, workflow.SubmissionIntent{}, nil); err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					k, err := inv.Sending(ctx)
					if err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					if err := inv.Note(ctx, &workflow.SubmissionOutcome{K: k, Class: workflow.Rejected, Message: long, RequestID: long}); err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					if err := inv.Observed(ctx, workflow.JobObserved{State: long, Reason: long, Stdout: long, Stderr: long}); err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					if err := inv.Put("key", long); err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					if err := inv.Flush(ctx); err != nil {
						return Failure(workflow.CauseAPI, err.Error())
					}
					return Suspend(Wait{Reason: workflow.WaitJob, Message: long, Until: inv.StartedAt})
				}
				return said
			},
		}
		w := load(t, lib, `
			steps:
			  - { id: a, uses: say }`)
		synctest.Test(t, func(t *testing.T) {
			run, err := drive(t, Config{Library: lib}, w)
			if err != nil || states(run) != "a=failed(exit)" {
				t.Errorf("%s, error %v", states(run), err)
			}
		})
	}
}

// TestLargeInputs: inputs that do not fit into the first event are refused in
// words, before there is a run.
func TestLargeInputs(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act }`)
	store := memory.New()
	inputs := map[string]json.RawMessage{"list": []byte(`"` + strings.Repeat("x", workflow.MaxInputBytes) + `"`)}
	_, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Inputs: inputs})
	if err == nil || !strings.Contains(err.Error(), "give large values as files") {
		t.Errorf("error %v", err)
	}
	if ids, err := store.List(t.Context()); err != nil || len(ids) > 0 {
		t.Errorf("runs %v, error %v", ids, err)
	}
}
