package oracle

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// observation is what the engine made of a workflow: how it ended, and in which
// order things happened.
type observation struct {
	final Final
	order []Happening
}

// load reads a workflow as users have it read.
func load(source string, lib library) (*workflow.Workflow, error) {
	w, problems := workflow.Load("random.yaml", []byte(source), lib, workflow.CheckOptions{})
	if len(problems) > 0 {
		var b bytes.Buffer
		problems.Print(&b, "random.yaml", []byte(source))
		return nil, fmt.Errorf("the workflow does not pass the check:\n%s", b.String())
	}
	return w, nil
}

// observe has the engine execute a workflow in virtual time.
func observe(t *testing.T, g Graph) (observation, error) {
	t.Helper()
	lib := library{script: g.Script}
	w, err := load(g.Source, lib)
	if err != nil {
		return observation{}, err
	}
	inputs, problems := w.BindInputs(nil, workflow.BindOptions{})
	if len(problems) > 0 {
		return observation{}, fmt.Errorf("%v", problems)
	}
	var o observation
	synctest.Test(t, func(t *testing.T) {
		o, err = drive(t.Context(), w, lib, workflow.RunCreated{Nonce: "n", Inputs: inputs}, g.Cancels)
	})
	return o, err
}

func drive(ctx context.Context, w *workflow.Workflow, lib library, created workflow.RunCreated, cancels []time.Duration) (observation, error) {
	x, err := engine.New(engine.Config{Library: lib}).Create(ctx, memory.New(), w, created)
	if err != nil {
		return observation{}, err
	}
	asked := make(chan error, len(cancels))
	for _, after := range cancels {
		time.AfterFunc(after, func() { asked <- x.Cancel(ctx, "test") })
	}
	if err := x.Drive(ctx); err != nil {
		return observation{}, err
	}
	for range cancels {
		if err := <-asked; err != nil {
			return observation{}, err
		}
	}
	time.Sleep(time.Hour) // virtual: an attempt that a wrong engine left behind ends
	o := observation{final: finalOf(x.Run())}
	run := workflow.NewRun(w)
	err = x.Events(ctx, 1, func(e workflow.Event) error {
		if h, ok := happening(run, &e); ok {
			o.order = append(o.order, h)
		}
		return workflow.Apply(run, &e)
	})
	return o, err
}

// happening is what an event tells of the order; what came of it is left out.
func happening(run *workflow.Run, e *workflow.Event) (Happening, bool) {
	h := Happening{Unit: unitName(e.Step, e.Instance)}
	switch e.Data.(type) {
	case *workflow.AttemptStarted:
		h.What = Starts
	case *workflow.UnitFailed: // by its inputs, if it was to start
		h.What = Judged
		if u, ok := run.Unit(workflow.UnitRef{Step: e.Step, Instance: e.Instance}); ok && u.State == workflow.Ready {
			h.What = Starts
		}
	case *workflow.UnitReady, *workflow.UnitSkipped:
		h.What = Judged
	case *workflow.AttemptWaiting:
		h.What = Waits
	case *workflow.AttemptWoken, *workflow.BackoffEnded:
		h.What = Wakes
	case *workflow.AttemptFinished:
		h.What = Ends
	case *workflow.CancelRequested:
		h = Happening{What: Cancels}
	default:
		return h, false
	}
	return h, true
}

// finalOf is how a run of the engine ended.
func finalOf(r *workflow.Run) Final {
	f := Final{}
	f.RunLine(string(r.State), string(r.Cause), string(r.Outputs.JSON))
	if r.State == workflow.RunSucceeded && r.Outputs.IsZero() {
		f.RunLine(string(r.State), string(r.Cause), "{}")
	}
	for _, s := range r.Steps {
		f.StepLine(s.Step.ID, string(s.State()))
		for _, u := range s.Units {
			f.UnitLine(u.Ref().String(), string(u.State), string(u.Cause), len(u.Attempts), string(u.Outputs.JSON))
		}
	}
	return f
}

// agree compares what the interpreter makes of a graph with what the engine made of
// it; an empty text means that they agree.
func agree(g Graph, o observation, l law) string {
	w, err := Read(g.Source)
	if err != nil {
		return err.Error()
	}
	world := newWorld(w, g.Script, l)
	var own Final
	if g.Ordered {
		own, err = replay(world, o.order)
	} else {
		own, err = play(world, nil)
	}
	if err != nil {
		return fmt.Sprintf("the interpreter stops: %v\nthe order was: %v", err, o.order)
	}
	if diff := own.Diff(o.final); len(diff) > 0 {
		return "the interpreter says, and the engine says:\n" + strings.Join(diff, "\n")
	}
	return ""
}
