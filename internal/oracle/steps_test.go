package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// library has the step types that follow a script: act, which is idempotent, and
// once, which is not.
type library struct{ script Script }

// stepInput is what a scripted step takes; see outputsOf.
type stepInput struct {
	N     int   `json:"n"`
	From  []int `json:"from"`
	Items []any `json:"items"`
}

func (l library) spec(name string) workflow.StepSpec {
	numbers := workflow.Type{Kind: workflow.List, Elem: &workflow.Type{Kind: workflow.Int}}
	anything := workflow.Type{Kind: workflow.List, Elem: &workflow.Type{Kind: workflow.Any}}
	return workflow.StepSpec{
		Name: name, Group: "test", Summary: "follows a script", Version: 1, Idempotent: name == "act",
		Inputs: []workflow.Field{
			{Name: "n", Type: workflow.Type{Kind: workflow.Int}, Default: json.RawMessage(`1`), Doc: "added to from"},
			{Name: "from", Type: numbers, Default: json.RawMessage(`[]`), Doc: "summed up"},
			{Name: "items", Type: anything, Default: json.RawMessage(`[]`), Doc: "given back"},
		},
		Outputs: []workflow.Field{
			{Name: "n", Type: workflow.Type{Kind: workflow.Int}, Required: true, Doc: "n plus the sum of from"},
			{Name: "items", Type: anything, Required: true, Doc: "the items"},
		},
		Causes: []workflow.Cause{
			workflow.CauseExit, workflow.CauseAPI, workflow.CauseTransfer, workflow.CauseNodeFail, workflow.CauseWalltime,
		},
		Example: "- id: x\n  uses: " + name + "\n",
		Decode: func(text json.RawMessage) (any, error) {
			in := &stepInput{}
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			return in, d.Decode(in)
		},
	}
}

// Names lists the step types.
func (l library) Names() []string { return []string{"act", "once"} }

// Step finds the specification of a step type.
func (l library) Step(uses string) (workflow.StepSpec, bool) {
	if uses != "act" && uses != "once" {
		return workflow.StepSpec{}, false
	}
	return l.spec(uses), true
}

// Lookup finds a step type to execute.
func (l library) Lookup(uses string) (*engine.Step, bool) {
	spec, ok := l.Step(uses)
	return &engine.Step{StepSpec: spec, Run: l.run}, ok
}

func (l library) run(ctx context.Context, inv *engine.Invocation, with any) engine.Outcome {
	act := l.script(inv.Unit.Step, inv.Unit.Instance, inv.Attempt)
	until := inv.StartedAt.Add(act.For)
	switch act.Hold {
	case Busy:
		select {
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
			return engine.Ended("told to stop")
		}
	case Deaf:
		<-time.After(time.Until(until))
	case Timer, Job, Stubborn:
		if !time.Now().Before(until) {
			break
		}
		if inv.Stopping() && act.Hold != Stubborn {
			return engine.Ended("told to stop")
		}
		reason := map[Hold]workflow.WaitReason{Timer: workflow.WaitTimer, Job: workflow.WaitJob, Stubborn: workflow.WaitAttention}[act.Hold]
		return engine.Suspend(engine.Wait{Reason: reason, Until: until})
	}
	return outcome(act, with.(*stepInput))
}

func outcome(act Act, in *stepInput) engine.Outcome {
	switch act.Then {
	case "ok":
		n := in.N
		for _, m := range in.From {
			n += m
		}
		return engine.Success(map[string]any{"n": n, "items": in.Items})
	case "mute":
		return engine.Success(map[string]any{"items": in.Items})
	case "panic":
		panic("as the script says")
	}
	cause, ok := strings.CutPrefix(act.Then, "fail ")
	if !ok {
		return engine.Failure(workflow.CausePanic, fmt.Sprintf("the script says %q", act.Then))
	}
	return engine.Failure(workflow.Cause(cause), "as the script says")
}
