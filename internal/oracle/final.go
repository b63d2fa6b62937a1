package oracle

import (
	"fmt"
	"slices"
)

// Final is what must come out the same, whoever executes the workflow: by name, a
// line for the run, for each step and for each unit.
type Final map[string]string

// RunLine, StepLine and UnitLine are the lines of a Final.
func (f Final) RunLine(state, cause, outputs string) {
	f["run"] = fmt.Sprintf("%s %s %s", state, cause, outputs)
}

func (f Final) StepLine(id, state string) { f["step "+id] = state }

func (f Final) UnitLine(name, state, cause string, attempts int, outputs string) {
	f["unit "+name] = fmt.Sprintf("%s %s after %d attempts %s", state, cause, attempts, outputs)
}

// Diff lists the lines that differ; none if there is no difference.
func (f Final) Diff(other Final) []string {
	var names, diff []string
	for name := range f {
		names = append(names, name)
	}
	for name := range other {
		if _, both := f[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if f[name] != other[name] {
			diff = append(diff, fmt.Sprintf("%s: %q, and %q", name, f[name], other[name]))
		}
	}
	return diff
}

// final is how the run ended; an error if it has not.
func (w *world) final() (Final, error) {
	f := Final{}
	for _, s := range w.steps {
		if !s.done() {
			return nil, fmt.Errorf("%s", w.open())
		}
		f.StepLine(s.id, string(w.law.stepState(w, s)))
		for _, u := range s.units {
			outputs := ""
			if u.outputs != nil {
				outputs = text(u.outputs)
			}
			f.UnitLine(u.name(), string(u.state), u.cause, u.attempts, outputs)
		}
	}
	state, cause := w.law.end(w)
	outputs := ""
	if state == Succeeded {
		filled, err := fill(w.workflow.outputs, w.scope(nil))
		if err != nil {
			return nil, fmt.Errorf("the run succeeded without its outputs: %w", err)
		}
		outputs = text(filled)
	}
	f.RunLine(string(state), cause, outputs)
	return f, nil
}

// open says what has not ended.
func (w *world) open() string {
	text := "not done:"
	for _, s := range w.steps {
		if !s.expanded {
			text += " " + s.id + " (not expanded)"
		}
		for _, u := range s.units {
			if !u.state.done() {
				text += fmt.Sprintf(" %s (%s)", u.name(), u.state)
			}
		}
	}
	return text
}

// Replay ends a run by what was observed to happen, in that order.
func Replay(w *Workflow, script Script, order []Happening) (Final, error) {
	return replay(newWorld(w, script, semantics()), order)
}

func replay(w *world, order []Happening) (Final, error) {
	w.observed = true
	w.settle()
	for i, h := range order {
		if err := w.happen(h); err != nil {
			return nil, fmt.Errorf("after %d happenings: %w", i, err)
		}
	}
	return w.final()
}
