package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// withApprove adds a step type that asks a person.
func withApprove(lib *scripted) *scripted {
	lib.steps["approve"] = &Step{
		StepSpec: workflow.StepSpec{Name: "approve", Idempotent: true, Resumable: true, Decode: decode, Inputs: lib.steps["act"].Inputs},
		Run: func(_ context.Context, inv *Invocation, _ any) Outcome {
			switch said := inv.Approval(); {
			case said == nil && inv.Stopping():
				return Ended("nobody had answered")
			case said == nil:
				return Suspend(Wait{Reason: workflow.WaitApproval, Message: "sure?"})
			case said.Rejected:
				return Failure(workflow.CauseRejected, said.By+" said no")
			}
			return Success(nil)
		},
	}
	return lib
}

var ada = workflow.ApprovalGiven{By: "ada@login1"}

// TestApprove: an answer reaches the attempt that asks, and only there; a deadline
// and a cancel end the question.
func TestApprove(t *testing.T) {
	t.Parallel()
	lib := withApprove(newScripted())
	w := load(t, lib, `
		steps:
		  - { id: yes, uses: approve }
		  - { id: "no", uses: approve }
		  - { id: late, uses: approve, timeout: 1h }
		  - { id: never, uses: approve }
		  - { id: after, uses: act, needs: [yes] }
		  - { id: other, uses: act, with: { do: [job 3h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib, Slots: 1}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		time.Sleep(time.Minute) // virtual
		approve := func(step string, word workflow.ApprovalGiven) error {
			units, err := x.Approve(t.Context(), workflow.UnitRef{Step: step}, word)
			if err == nil && !slices.Equal(units, []workflow.UnitRef{{Step: step}}) {
				t.Errorf("%s: answered %v", step, units)
			}
			return err
		}
		if err := approve("yes", ada); err != nil {
			t.Error(err)
		}
		if err := approve("no", workflow.ApprovalGiven{By: "eve@login1", Rejected: true}); err != nil {
			t.Error(err)
		}
		for step, want := range map[string]error{"yes": workflow.ErrConflict, "other": workflow.ErrConflict, "nope": workflow.ErrNotFound} {
			if err := approve(step, ada); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", step, err, want)
			}
		}
		time.Sleep(90 * time.Minute)
		if err := approve("late", ada); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("after the deadline: %v", err)
		}
		if err := x.Cancel(t.Context(), "ada"); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := "yes=succeeded no=failed(rejected) late=failed(timed_out) never=cancelled after=succeeded other=cancelled"
		if got := states(x.Run()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// TestApprovalSurvives: from every moment of a run with an answer the next owner
// comes to the same end, without asking again.
func TestApprovalSurvives(t *testing.T) {
	t.Parallel()
	lib := withApprove(newScripted())
	w := load(t, lib, `
		steps:
		  - { id: sure, uses: approve, timeout: 1h }
		  - { id: after, uses: act, needs: [sure] }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		time.Sleep(time.Minute) // virtual
		if _, err := x.Approve(t.Context(), workflow.UnitRef{Step: "sure"}, ada); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{time.Minute, 2 * time.Hour} { // before its deadline, and after
			time.Sleep(later)
			answered, prefixes := false, 0
			err = x.Events(t.Context(), 1, func(e workflow.Event) error {
				if _, ok := e.Data.(*workflow.ApprovalGiven); ok {
					answered = true
				}
				if !answered {
					return nil
				}
				prefixes++
				return goesOn(t.Context(), store.Prefix(x.ID(), int(e.Seq)), x.ID(), w, "sure=succeeded after=succeeded")
			})
			if err != nil || prefixes < 3 {
				t.Errorf("%d prefixes: %v", prefixes, err)
			}
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
}

func goesOn(ctx context.Context, s workflow.Store, id workflow.RunID, w *workflow.Workflow, want string) error {
	h, err := s.Open(ctx, id)
	if err != nil {
		return err
	}
	defer h.Close()
	x, err := New(Config{Library: withApprove(newScripted())}).Open(ctx, h, w, workflow.Owner{}, "test")
	if err != nil {
		return err
	}
	seq := x.Run().Seq
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := x.Drive(ctx); err != nil || states(x.Run()) != want {
		return fmt.Errorf("from event %d: %s, error %w", seq-1, states(x.Run()), err)
	}
	return nil
}

// TestLeaveApproval: an answer that is left in a run that nobody drives is acted
// on by its next owner.
func TestLeaveApproval(t *testing.T) {
	t.Parallel()
	lib := withApprove(newScripted())
	w := load(t, lib, `
		steps:
		  - { id: sure, uses: approve }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errLeave)
		defer cancel()
		if err := errors.Join(x.Drive(ctx), x.Close()); !errors.Is(err, errLeave) {
			t.Fatalf("drive: %v", err)
		}
		h, err := store.Open(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if x, err = New(Config{Library: lib}).Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
			t.Fatal(err)
		}
		ref := workflow.UnitRef{Step: "sure"}
		if units, err := x.LeaveApproval(t.Context(), ref, ada); err != nil || !slices.Equal(units, []workflow.UnitRef{ref}) {
			t.Errorf("left for %v: %v", units, err)
		}
		if _, err := x.LeaveApproval(t.Context(), ref, ada); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("a second time: %v", err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if err := goesOn(t.Context(), store, x.ID(), w, "sure=succeeded"); err != nil {
			t.Error(err)
		}
	})
}
