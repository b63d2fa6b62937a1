package crate

import (
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// imported describes what an instance came to that was done in another run: what
// it was given and delivered. When, where and by whom it was done is in the crate
// of that run.
func (w *writer) imported(unit *workflow.Unit) error {
	p := unit.Imported
	if p == nil || p.State == workflow.Skipped {
		return nil
	}
	step := unit.Step.Step
	name := fmt.Sprintf("%s, imported from run %s", unit.Ref(), p.Run)
	id := local(fmt.Sprintf("%s/%s/imported", w.Run.ID, unit.Ref()))
	a := &workflow.Attempt{
		With: p.With, End: &workflow.AttemptFinished{State: p.State, Cause: p.Cause, Message: p.Message, Outputs: p.Outputs},
	}
	w.tools[step.Uses] = true
	e := entity{
		"@id": id, "name": name, "instrument": ref{toolID(step.Uses)},
		"description": fmt.Sprintf("%s: it was done there, not in this run, and ended %s", name, p.State),
	}
	ending(e, a)
	if err := w.given(e, unit, a); err != nil {
		return err
	}
	if err := w.delivered(e, unit, a); err != nil {
		return err
	}
	w.graph.add(e)
	w.control(step, id, "control of "+name, a)
	return nil
}
