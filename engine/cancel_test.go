package engine

import (
	"context"
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

// TestToldOnce: an attempt that is ending its work because it was told to is
// not disturbed at it when others are told to stop.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - { id: a, uses: act, with: { do: [lasting 10m] } }
		  - { id: b, uses: act, with: { do: [lasting 10m] }, timeout: 2m }`)
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-time.After(time.Minute)
			if err := x.Cancel(t.Context(), "test"); err != nil {
				t.Error(err)
			}
		}()
		if err := x.Drive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := states(x.Run()), "a=cancelled b=cancelled"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
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

// TestCancelAt asks for a cancel at some moments of a run, and looks at its end.
func TestCancelAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		at         []time.Duration
		run        workflow.RunState
		cause      workflow.Cause
		units      string
		took       time.Duration
	}{
		{
			"in backoff", `
			steps:
			  - { id: a, uses: act, with: { do: [wait 1s fail api, ok] } }`,
			[]time.Duration{3 * time.Second},
			workflow.RunCancelled, "", "a=cancelled", 3 * time.Second,
		},
		{
			"what ends by itself keeps its end", `
			steps:
			  - { id: a, uses: fenced, with: { do: [attention 10s ok] } }
			  - { id: b, uses: fenced, with: { do: [attention 10s fail exit(3)] }, retry: [{ cause: exit, max: 5 }] }
			  - { id: c, uses: act, needs: a }`,
			[]time.Duration{time.Second},
			workflow.RunCancelled, "", "a=succeeded b=failed(exit(3)) c=cancelled", 10 * time.Second,
		},
		{
			"nothing is left to cancel", `
			steps:
			  - { id: a, uses: fenced, with: { do: [attention 10s ok] } }`,
			[]time.Duration{time.Second},
			workflow.RunSucceeded, "", "a=succeeded", 10 * time.Second,
		},
		{
			"during finally: its time begins, the result stays", `
			finally_timeout: 2m
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act, with: { do: [job 1m ok] } }`,
			[]time.Duration{time.Second},
			workflow.RunSucceeded, "", "a=succeeded f=succeeded", time.Minute,
		},
		{
			"twice during finally", `
			steps:
			  - { id: a, uses: act }
			finally:
			  - { id: f, uses: act, with: { do: [job 1m ok] } }
			  - { id: g, uses: act, needs: f }`,
			[]time.Duration{time.Second, 2 * time.Second},
			workflow.RunFailed, "", "a=succeeded f=cancelled g=cancelled", 2 * time.Second,
		},
		{
			"twice while a unit of steps goes on", `
			steps:
			  - { id: a, uses: fenced, with: { do: [attention 10s ok] } }
			  - { id: b, uses: act, needs: a }
			finally:
			  - { id: f, uses: act }`,
			[]time.Duration{time.Second, 2 * time.Second},
			workflow.RunCancelled, "", "a=succeeded b=cancelled f=cancelled", 10 * time.Second,
		},
		{
			"the run's timeout changes nothing after a cancel", `
			timeout: 5s
			steps:
			  - { id: a, uses: fenced, with: { do: [attention 10s ok] } }
			  - { id: b, uses: act, needs: a }`,
			[]time.Duration{time.Second},
			workflow.RunCancelled, "", "a=succeeded b=cancelled", 10 * time.Second,
		},
		{
			"a cancel changes nothing after the run's timeout", `
			timeout: 5s
			steps:
			  - { id: a, uses: fenced, with: { do: [attention 10s ok] } }
			  - { id: b, uses: act, needs: a }`,
			[]time.Duration{6 * time.Second},
			workflow.RunFailed, workflow.CauseTimedOut, "a=succeeded b=cancelled", 10 * time.Second,
		},
		{
			"after a deadline of the step", `
			steps:
			  - { id: a, uses: fenced, timeout: 5s, with: { do: [attention 10s wait 1s ok] }, retry: [{ cause: timed_out, max: 3 }] }`,
			[]time.Duration{6 * time.Second},
			workflow.RunCancelled, "", "a=cancelled", 10 * time.Second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w := load(t, lib, c.text)
			synctest.Test(t, func(t *testing.T) {
				x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for _, at := range c.at {
					time.AfterFunc(at, func() {
						if err := x.Cancel(t.Context(), "test"); err != nil {
							t.Error(err)
						}
					})
				}
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				run := x.Run()
				if got := states(run); run.State != c.run || run.Cause != c.cause || got != c.units {
					t.Errorf("run %s(%s): %s\nwant %s(%s): %s", run.State, run.Cause, got, c.run, c.cause, c.units)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
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

// TestAskWhileStopped: an attempt that is told to stop is still told which submission
// a job belongs to, so that it can end the job.
func TestAskWhileStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, units string }{
		{"cancel", "", "a=cancelled"},
		{"deadline", ", timeout: 10s", "a=failed(timed_out)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			withText(lib, func(ctx context.Context, inv *Invocation) Outcome {
				<-ctx.Done()
				if _, err := inv.SubmissionOf(ctx, "daint", "7"); err != nil {
					return Failure(workflow.CauseInterrupted, err.Error())
				}
				return Ended("the job was cancelled")
			})
			w := load(t, lib, "steps:\n  - { id: a, uses: text"+c.key+" }")
			synctest.Test(t, func(t *testing.T) {
				x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				if c.key == "" {
					time.AfterFunc(10*time.Second, func() {
						if err := x.Cancel(t.Context(), "test"); err != nil {
							t.Error(err)
						}
					})
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
