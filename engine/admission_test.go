package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// gate admits runs when it is opened, and notes what it is asked.
type gate struct {
	open  chan error // what Admit returns
	calls []string
}

func (g *gate) Admit(ctx context.Context, run workflow.RunCreated, started bool) error {
	g.calls = append(g.calls, fmt.Sprintf("admit %s %v", run.Concurrency[0].Group, started))
	if started {
		return nil
	}
	select {
	case err := <-g.open:
		return err
	case <-ctx.Done():
		g.calls = append(g.calls, "gone")
		return ctx.Err()
	}
}

func (g *gate) Leave(_ context.Context, run workflow.RunCreated) error {
	g.calls = append(g.calls, "leave "+run.Concurrency[0].Group)
	return nil
}

const grouped = `
	inputs: { model: { type: string, default: icon } }
	concurrency: { group: "g-${{ inputs.model }}" }
	steps:
	  - { id: a, uses: act }
	  - { id: b, uses: act, needs: a }
	finally:
	  - { id: f, uses: act }`

func icon() map[string]json.RawMessage {
	return map[string]json.RawMessage{"model": json.RawMessage(`"icon"`)}
}

// TestAdmission: a run of a group starts when it is admitted, ends without a step
// if it may not wait or is cancelled before, and leaves when it has ended.
func TestAdmission(t *testing.T) {
	t.Parallel()
	full := fmt.Errorf("%w: g", ErrGroupFull)
	for _, c := range []struct {
		name  string
		meets func(g *gate, x *Execution) // a minute later
		state workflow.RunState
		cause workflow.Cause
		units string
		calls []string
	}{
		{
			"admitted", func(g *gate, _ *Execution) { g.open <- nil }, workflow.RunSucceeded, "",
			"a=succeeded b=succeeded f=succeeded", []string{"admit g-icon false", "leave g-icon"},
		},
		{
			"skipped", func(g *gate, _ *Execution) { g.open <- full }, workflow.RunCancelled, workflow.CauseConcurrency,
			"a=cancelled b=cancelled f=cancelled", []string{"admit g-icon false", "leave g-icon"},
		},
		{
			"cancelled", func(_ *gate, x *Execution) { _ = x.Cancel(context.Background(), "test") }, workflow.RunCancelled, "",
			"a=cancelled b=cancelled f=cancelled", []string{"admit g-icon false", "gone", "leave g-icon"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			w := load(t, lib, grouped)
			synctest.Test(t, func(t *testing.T) {
				g := &gate{open: make(chan error)}
				x, err := New(Config{Library: lib, Admission: g}).Create(t.Context(), memory.New(), w, workflow.RunCreated{Inputs: icon()})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				go func() {
					time.Sleep(time.Minute)
					view, err := x.View(t.Context())
					if err != nil || view.State != workflow.RunQueued || view.Concurrency[0].Group != "g-icon" {
						t.Errorf("while it waits it is %+v, %v", view.Summary, err)
					}
					c.meets(g, x)
				}()
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				run := x.Run()
				if run.State != c.state || run.Cause != c.cause || states(run) != c.units || !slices.Equal(g.calls, c.calls) {
					t.Errorf("run %s(%s): %s\n%q", run.State, run.Cause, states(run), g.calls)
				}
				if begun := c.state == workflow.RunSucceeded; run.StartedAt.IsZero() == begun || begun && run.StartedAt.Sub(began) < time.Minute {
					t.Errorf("it started at %s", run.StartedAt)
				}
			})
		})
	}
}

// TestQueuedAcrossOwners: a process that stops leaves a queued run queued; the
// next one waits again, and one that finds the run started keeps its place.
func TestQueuedAcrossOwners(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		concurrency: { group: g }
		steps:
		  - { id: a, uses: act, with: { do: [wait 1h ok] } }`)
	synctest.Test(t, func(t *testing.T) {
		s, stop := memory.New(), errors.New("stop")
		x, err := New(Config{Library: lib, Admission: &gate{}}).Create(t.Context(), s, w, workflow.RunCreated{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stop)
		defer cancel()
		if err := x.Drive(ctx); !errors.Is(err, stop) || x.Run().State != workflow.RunQueued {
			t.Fatalf("%v, run %s", err, x.Run().State)
		}
		for _, want := range []string{"admit g false", "admit g true"} {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			g := &gate{open: make(chan error, 1)}
			g.open <- nil
			h, err := s.Open(t.Context(), x.ID())
			if err != nil {
				t.Fatal(err)
			}
			if x, err = New(Config{Library: lib, Admission: g}).Open(t.Context(), h, w, workflow.Owner{}, "test"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stop)
			defer cancel()
			if err := x.Drive(ctx); !errors.Is(err, stop) || x.Run().State != workflow.RunRunning || g.calls[0] != want || len(g.calls) != 1 {
				t.Errorf("%v, run %s, %q", err, x.Run().State, g.calls)
			}
		}
	})
}

// TestCancelBeforeDrive: a run that never started ends at once, and takes no place
// for that.
func TestCancelBeforeDrive(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, grouped)
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		x, err := New(Config{Library: lib, Admission: g}).Create(t.Context(), memory.New(), w, workflow.RunCreated{Inputs: icon()})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(x.LeaveCancel(t.Context(), "test"), x.Drive(t.Context())); err != nil {
			t.Fatal(err)
		}
		if x.Run().State != workflow.RunCancelled || !slices.Equal(g.calls, []string{"leave g-icon"}) {
			t.Errorf("run %s, %q", x.Run().State, g.calls)
		}
	})
}

// TestChildTakesNoPlace: what a run of a group starts belongs to no group.
func TestChildTakesNoPlace(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, grouped)
	x, err := New(Config{Library: lib}).Create(t.Context(), memory.New(), w, workflow.RunCreated{
		Trigger: workflow.TriggerParent, Inputs: icon(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if groups := x.Run().Created.Concurrency; groups != nil {
		t.Errorf("a child belongs to %v", groups)
	}
}
