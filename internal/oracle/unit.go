package oracle

import "fmt"

// State is that of a unit, a step or a run.
type State string

const (
	Pending   State = "pending"
	Ready     State = "ready"
	Running   State = "running"
	Waiting   State = "waiting"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
)

func (s State) done() bool {
	return s == Succeeded || s == Failed || s == Skipped || s == Cancelled
}

// unit is an instance of a step.
type unit struct {
	of     *stepRun
	key    string
	source *unit // the unit it is paired with

	matrix, each *object // what the fan-out gave it

	state    State
	cause    string
	backoff  bool // why it is waiting, if not for what the script says
	attempts int
	used     map[int]int // how often each retry rule was used
	outputs  *object     // of a success
	pending  *object     // what the attempt under way has for outputs
}

func (u *unit) name() string { return unitName(u.of.id, u.key) }

func unitName(step, key string) string {
	if key == "" {
		return step
	}
	return step + "/" + key
}

// end moves a unit to a state that it stays in, or has no attempt in.
func (u *unit) end(s State, cause string) {
	u.state, u.cause, u.backoff = s, cause, false
}

// stepRun is a step within a run.
type stepRun struct {
	*step
	expanded bool
	units    []*unit
	failing  bool // fail_fast has struck
}

func (s *stepRun) done() bool {
	for _, u := range s.units {
		if !u.state.done() {
			return false
		}
	}
	return s.expanded
}

// world is a run of a workflow.
type world struct {
	workflow *Workflow
	script   Script
	law      law
	inputs   *object

	steps   []*stepRun
	cancels int
	result  State // "" until every unit of `steps` is done

	observed bool // what happens is observed, also when a unit is judged
}

// newWorld returns a run before anything has happened.
func newWorld(w *Workflow, script Script, l law) *world {
	r := &world{workflow: w, script: script, law: l, inputs: w.inputs}
	for _, s := range w.steps {
		r.steps = append(r.steps, &stepRun{step: s})
	}
	return r
}

func (w *world) step(id string) *stepRun {
	for _, s := range w.steps {
		if s.id == id {
			return s
		}
	}
	panic(fmt.Sprintf("there is no step %s", id))
}

func (w *world) unit(name string) *unit {
	for _, s := range w.steps {
		for _, u := range s.units {
			if u.name() == name {
				return u
			}
		}
	}
	return nil
}

// stopped reports whether units of that part of the workflow are being cancelled:
// those of `steps` by the first request, those of finally by the second.
func (w *world) stopped(s *step) bool {
	if s.finally {
		return w.cancels > 1
	}
	return w.cancels > 0
}

// act is what the attempt under way does.
func (w *world) act(u *unit) Act { return w.script(u.of.id, u.key, u.attempts) }
