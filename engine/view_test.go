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

// TestViews: a run can be looked at while and after it is driven, and the
// small picture is a part of the full one.
func TestViews(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [wait 1h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		look := func(want workflow.RunState) {
			view, err := x.View(t.Context())
			small, smallErr := x.Summary(t.Context())
			if err := errors.Join(err, smallErr); err != nil || view.State != want {
				t.Errorf("%s, want %s: %v", view.State, want, err)
			}
			if diff := cmp.Diff(view.Summary, small); diff != "" {
				t.Errorf("%s (-view +summary):\n%s", want, diff)
			}
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		time.Sleep(time.Minute) // virtual
		look(workflow.RunRunning)
		if err := <-done; err != nil {
			t.Error(err)
		}
		look(workflow.RunSucceeded)
	})
}

// TestGivenUpQuestions: who leaves before the answer is there shares nothing with the
// owner of the run, as the race detector sees.
func TestGivenUpQuestions(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [wait 1h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- x.Drive(t.Context()) }()
		gone, leave := context.WithCancel(t.Context())
		leave()
		for range 100 {
			_, _ = x.Summary(gone)
			_ = x.Retry(gone, workflow.UnitsReset{})
			_ = x.Resolve(gone, workflow.UnitRef{Step: "b"}, workflow.SubmissionResolved{})
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
