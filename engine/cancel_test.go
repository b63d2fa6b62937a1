package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestCancel: what has nothing under way is cancelled at once, the rest by
// evidence; finally runs; a second request skips it.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		requests int
		want     string
	}{
		{1, "a=cancelled b=cancelled c=cancelled d=cancelled e=succeeded f=succeeded g=succeeded"},
		{2, "a=cancelled b=cancelled c=cancelled d=cancelled e=succeeded f=cancelled g=cancelled"},
	} {
		t.Run(fmt.Sprint(c.requests), func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w := load(t, lib, `
				steps:
				  - { id: a, uses: act, with: { do: [job 10m ok] } }
				  - { id: b, uses: act, with: { do: [block] } }
				  - { id: c, uses: act, with: { do: [wait 10m ok] } }
				  - { id: d, uses: act, needs: a, if: "${{ always() }}" }
				  - { id: e, uses: act }
				finally:
				  - { id: f, uses: act, with: { do: [job 1m ok] } }
				  - { id: g, uses: act, needs: f }`)
			synctest.Test(t, func(t *testing.T) {
				x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for range c.requests {
						time.Sleep(10 * time.Second) // virtual
						if err := x.Cancel(t.Context(), "test"); err != nil {
							t.Error(err)
						}
					}
				}()
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := states(x.Run()); got != c.want || x.Run().State != workflow.RunCancelled {
					t.Errorf("run %s: %s\nwant %s", x.Run().State, got, c.want)
				}
			})
		})
	}
}

// TestFinallyTimeout: after a cancel, finally has its time and no more.
func TestFinallyTimeout(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		finally_timeout: 2m
		steps:
		  - { id: a, uses: act, with: { do: [job 10m ok] } }
		finally:
		  - { id: f, uses: act, with: { do: [job 1h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		go func() {
			if err := x.Cancel(t.Context(), "test"); err != nil {
				t.Error(err)
			}
		}()
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=cancelled f=cancelled" || time.Since(began) != 2*time.Minute {
			t.Errorf("%s after %s", got, time.Since(began))
		}
	})
}

// TestCancelSoon: the request is answered without an error however fast the run
// ends by it, and also when the run is over.
func TestCancelSoon(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [wait 10m ok] } }`)
	for range 200 {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan error)
		go func() { answer <- x.Cancel(t.Context(), "test") }()
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-answer; err != nil {
			t.Fatal(err)
		}
		if got := states(x.Run()); got != "a=cancelled" {
			t.Fatal(got)
		}
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
	}
}
