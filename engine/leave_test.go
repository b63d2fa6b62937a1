package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestLeave: a run is left when nothing goes on in it that would be lost. Until then
// nothing begins; when that takes too long, it goes on.
func TestLeave(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: command, uses: once, with: { do: [busy 10m] } }
		  - { id: job, uses: fenced, with: { do: [job 1h ok] } }
		  - { id: short, uses: act, with: { do: [wait 5m ok] } }
		  - { id: after, needs: [short], uses: once, with: { do: [busy 3h] } }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		driven := make(chan error, 1)
		go func() { driven <- x.Drive(t.Context()) }()
		synctest.Wait() // until all has begun
		soon, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if waits := x.Leave(soon, nil); !slices.Equal(waits, []string{"command"}) {
			t.Errorf("it was not left because of %q", waits)
		}
		late, stopLate := context.WithTimeout(t.Context(), time.Hour)
		defer stopLate()
		if waits := x.Leave(late, nil); waits != nil {
			t.Errorf("it was not left because of %q", waits)
		}
		if err := errors.Join(<-driven, x.Close()); !errors.Is(err, ErrLeft) {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "command=succeeded job=waiting short=succeeded after=ready" {
			t.Errorf("as it was left: %s", got)
		}
		h, err := store.Open(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if x, err = New(Config{Library: lib}).Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
			t.Fatal(err)
		}
		go func() { driven <- x.Drive(t.Context()) }()
		time.Sleep(time.Minute) // in virtual time: the last step goes on now
		if waits := x.Leave(soon, []workflow.UnitRef{{Step: "after"}}); waits != nil {
			t.Errorf("it was not left because of %q, which is expendable", waits)
		}
		if err := errors.Join(<-driven, x.Close()); !errors.Is(err, ErrLeft) {
			t.Fatal(err)
		}
		if x.Leave(t.Context(), nil) != nil {
			t.Error("a run that was left cannot be left again")
		}
	})
}

// TestLeaveTold: when the run is not left after all, all that was held up begins.
func TestLeaveTold(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: command, uses: once, with: { do: [busy 10m] } }
		  - { id: short, uses: act, with: { do: [wait 1m ok] } }
		  - { id: after, needs: [short], uses: act }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		driven := make(chan error, 1)
		go func() { driven <- x.Drive(t.Context()) }()
		synctest.Wait() // until all has begun
		soon, stop := context.WithTimeout(t.Context(), 5*time.Minute)
		defer stop()
		if waits := x.Leave(soon, nil); len(waits) != 1 {
			t.Errorf("it was not left because of %q", waits)
		}
		if err := errors.Join(<-driven, x.Close()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "command=succeeded short=succeeded after=succeeded" {
			t.Errorf("in the end: %s", got)
		}
		after, _ := x.Run().Step("after")
		if began := after.Units[0].Attempt().StartedAt.Sub(x.Run().StartedAt); began < 5*time.Minute || began > 6*time.Minute {
			t.Errorf("what was held up began after %s", began)
		}
	})
}
