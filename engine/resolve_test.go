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

var errLeave = errors.New("left")

// lostStep submits something whose fate is never known, and does what a person
// says.
func lostStep(lib *scripted) *Step {
	return &Step{
		StepSpec: workflow.StepSpec{Name: "lost", Fenced: true, Job: true, Decode: decode, Inputs: lib.steps["act"].Inputs},
		Run: func(ctx context.Context, inv *Invocation, _ any) Outcome {
			if inv.Submission() == nil {
				if err := inv.Intend(ctx, workflow.SubmissionIntent{Token: inv.Token, Fence: workflow.FenceOff}, nil); err != nil {
					return Failure(workflow.CauseAPI, err.Error())
				}
				if _, err := inv.Sending(ctx); err != nil {
					return Failure(workflow.CauseAPI, err.Error())
				}
				if err := inv.Note(ctx, &workflow.SubmissionOutcome{K: 1, Class: workflow.Ambiguous}); err != nil {
					return Failure(workflow.CauseAPI, err.Error())
				}
			}
			if word := inv.Submission().Resolved; word != nil {
				return Failure(workflow.CauseLost, word.By+" said so")
			}
			return Suspend(Wait{Reason: workflow.WaitAttention})
		},
	}
}

// TestResolve: the word of a person reaches the attempt that waits for it, and
// only where there is something to say.
func TestResolve(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	lib.steps["lost"] = lostStep(lib)
	w := load(t, lib, `
		steps:
		  - { id: a, uses: lost }
		  - { id: b, uses: act, with: { do: [job 1h ok] } }`)
	word := workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada"}
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		time.Sleep(time.Minute) // virtual
		if err := x.Resolve(t.Context(), workflow.UnitRef{Step: "c"}, word); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("a step that is not there: %v", err)
		}
		if err := x.Resolve(t.Context(), workflow.UnitRef{Step: "b"}, word); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("a step that waits for a known job: %v", err)
		}
		if err := x.Resolve(t.Context(), workflow.UnitRef{Step: "a"}, word); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if view, err := x.View(t.Context()); err != nil || view.Steps[0].State != workflow.Failed {
			t.Errorf("a is %s, error %v", view.Steps[0].State, err)
		}
		if err := x.Resolve(t.Context(), workflow.UnitRef{Step: "a"}, word); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("a step that has ended: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestLeaveWord: a word that is left in a run that nobody drives is acted on by
// its next owner.
func TestLeaveWord(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	lib.steps["lost"] = lostStep(lib)
	w := load(t, lib, `
		steps:
		  - { id: a, uses: lost }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(time.Minute) // virtual
			cancel(errLeave)
		}()
		if err := x.Drive(ctx); !errors.Is(err, errLeave) {
			t.Fatalf("drive: %v", err)
		}
		next := func() *Execution {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			history, err := store.Open(t.Context(), x.ID())
			if err != nil {
				t.Fatal(err)
			}
			x, err = New(Config{Library: lib}).Open(t.Context(), history, w, workflow.Owner{}, "test")
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		word := workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada"}
		if err := next().LeaveWord(t.Context(), workflow.UnitRef{Step: "a"}, word); err != nil {
			t.Fatal(err)
		}
		if err := next().Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		u, _ := x.Run().Unit(workflow.UnitRef{Step: "a"})
		if u.State != workflow.Failed || u.Message != "ada said so" {
			t.Errorf("%s: %s", u.State, u.Message)
		}
		if err := next().LeaveWord(t.Context(), workflow.UnitRef{Step: "a"}, word); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("in a run that has ended: %v", err)
		}
	})
}

// TestPanicOverJob: a step that panics while its job may be under way does not leave
// the job to nobody: a later owner goes on with it, or a person gives it up.
func TestPanicOverJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		mended bool // the next fcflow
		units  string
	}{
		{"resumed", true, "a=succeeded"},
		{"given up", false, "a=failed(panic)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			secretJob(lib)
			good := lib.steps["keyed"].Run
			mended := false
			lib.steps["keyed"].Run = func(ctx context.Context, inv *Invocation, with any) Outcome {
				if inv.Reason != workflow.WakeStart && !mended {
					panic("no such member")
				}
				return good(ctx, inv, with)
			}
			w := load(t, lib, "steps:\n  - { id: a, uses: keyed }")
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				if err := x.Drive(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				u := x.Run().Steps[0].Units[0]
				if u.State != workflow.Waiting || u.Wait.Reason != workflow.WaitAttention || !u.Unknown() {
					t.Fatalf("a is %s for %s: %s", u.State, u.Wait.Reason, u.Wait.Message)
				}
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
				mended = c.mended
				h, err := store.Open(t.Context(), x.ID())
				if err != nil {
					t.Fatal(err)
				}
				if x, err = New(Config{Library: lib}).Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
					t.Fatal(err)
				}
				if !c.mended {
					word := workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada"}
					if err := x.LeaveWord(t.Context(), u.Ref(), word); err != nil {
						t.Fatal(err)
					}
				}
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := states(x.Run()); got != c.units {
					t.Errorf("%s, want %s", got, c.units)
				}
			})
		})
	}
}
