package main

import (
	"encoding/json"

	"github.com/fcflow/fcflow/workflow"
)

// The types here give a run the form in which programs read it: that of package
// workflow, with values in place of the containers that hold them in a history.
// Each hides the members of the type it embeds that have another form. They are a
// contract that only grows.
type (
	runJSON struct {
		workflow.RunView
		Outputs     json.RawMessage `json:"outputs,omitempty"`
		Steps       []stepJSON      `json:"steps"`
		Live        bool            `json:"live"`
		Interrupted bool            `json:"interrupted"`
	}
	stepJSON struct {
		workflow.StepView
		Instances []unitJSON `json:"instances"`
	}
	unitJSON struct {
		workflow.UnitView
		Outputs  json.RawMessage `json:"outputs,omitempty"`
		Attempts []attemptJSON   `json:"attempts,omitempty"`
	}
	attemptJSON struct {
		workflow.AttemptView
		With json.RawMessage `json:"with,omitempty"`
	}
)

// MarshalJSON implements json.Marshaler.
func (r shownRun) MarshalJSON() ([]byte, error) {
	v := runJSON{RunView: r.RunView, Outputs: plainValue(r.Outputs), Steps: []stepJSON{}, Live: r.Live, Interrupted: r.Interrupted}
	for _, s := range r.Steps {
		step := stepJSON{StepView: s, Instances: []unitJSON{}}
		for _, u := range s.Instances {
			unit := unitJSON{UnitView: u, Outputs: plainValue(u.Outputs)}
			for _, a := range u.Attempts {
				unit.Attempts = append(unit.Attempts, attemptJSON{AttemptView: a, With: plainValue(a.With)})
			}
			step.Instances = append(step.Instances, unit)
		}
		v.Steps = append(v.Steps, step)
	}
	return json.Marshal(v)
}

// plainValue is a value as it is, or null for one that is too large to be part
// of the picture of a run.
func plainValue(b workflow.Body) json.RawMessage {
	if b.JSON == nil && b.Blob != "" {
		return json.RawMessage("null")
	}
	return b.JSON
}
