package compare

import (
	"encoding/json"

	"github.com/fcflow/fcflow/internal/results"
	"github.com/fcflow/fcflow/workflow"
)

// instances compares the instances of all steps: those of a step in the order of
// the first run, and then those that only the second has.
func (d *Difference) instances(a, b *Side, na, nb *normal) {
	inB := map[string]*workflow.StepView{}
	for i := range b.View.Steps {
		inB[b.View.Steps[i].ID] = &b.View.Steps[i]
	}
	inA := map[string]bool{}
	for i := range a.View.Steps {
		s := &a.View.Steps[i]
		inA[s.ID] = true
		d.step(s, inB[s.ID], a, b, na, nb)
	}
	for i := range b.View.Steps {
		if s := &b.View.Steps[i]; !inA[s.ID] {
			d.step(nil, s, a, b, na, nb)
		}
	}
}

// step compares the instances of a step; one that a run does not have is nil.
func (d *Difference) step(x, y *workflow.StepView, a, b *Side, na, nb *normal) {
	total := Step{A: stepTotal(x, a), B: stepTotal(y, b)}
	others := map[string]*workflow.UnitView{}
	if y != nil {
		total.Step = y.ID
		for i := range y.Instances {
			others[y.Instances[i].Instance] = &y.Instances[i]
		}
	}
	if x != nil {
		total.Step = x.ID
		for i := range x.Instances {
			u := &x.Instances[i]
			other, both := others[u.Instance]
			if !both {
				d.Instances = append(d.Instances, Instance{Step: u.Step, Instance: u.Instance, Only: "a", A: costOf(u, a)})
				continue
			}
			delete(others, u.Instance)
			changes := unitChanges(u, other, timeOutput[x.Uses], timeOutput[y.Uses], na, nb)
			if len(changes) > 0 {
				d.Instances = append(d.Instances, Instance{
					Step: u.Step, Instance: u.Instance, Changes: changes, A: costOf(u, a), B: costOf(other, b),
				})
			}
		}
	}
	if y != nil {
		for i := range y.Instances {
			if u := &y.Instances[i]; others[u.Instance] != nil {
				d.Instances = append(d.Instances, Instance{Step: u.Step, Instance: u.Instance, Only: "b", B: costOf(u, b)})
			}
		}
	}
	d.Steps = append(d.Steps, total)
}

// timeOutput names the output that is another one in each run, by step type: how
// long a job ran, and when a person answered.
var timeOutput = map[string]string{"job": "elapsed", "wait_for_job": "elapsed", "approve": "at"}

// unitChanges is in what an instance differs: what became of it, what its last
// attempt was given, and its outputs but for those of its time.
func unitChanges(x, y *workflow.UnitView, timeX, timeY string, na, nb *normal) []Change {
	changes := append(changed("state", x.State, y.State), changed("cause", x.Cause, y.Cause)...)
	changes = append(changes, differences("with", lastWith(x), lastWith(y), na, nb)...)
	return append(changes, differences("outputs", without(timeX, x.Outputs), without(timeY, y.Outputs), na, nb)...)
}

func lastWith(u *workflow.UnitView) json.RawMessage {
	if n := len(u.Attempts); n > 0 && u.Imported == "" {
		return u.Attempts[n-1].With
	}
	return u.With
}

// without leaves an output out of those of a unit.
func without(name string, outputs json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(outputs, &members) != nil {
		return outputs
	}
	if _, ok := members[name]; !ok {
		return outputs
	}
	delete(members, name)
	text, err := json.Marshal(members)
	if err != nil {
		return outputs
	}
	return text
}

func costOf(u *workflow.UnitView, s *Side) *Cost {
	c := &Cost{Attempts: len(u.Attempts)}
	if took, ok := results.Took(u, s.Now); ok {
		seconds := took.Seconds()
		c.Seconds = &seconds
	}
	if hours, ok := results.NodeHours(u); ok {
		c.NodeHours = &hours
	}
	return c
}

func stepTotal(v *workflow.StepView, s *Side) *StepTotal {
	if v == nil {
		return nil
	}
	t := &StepTotal{Units: map[workflow.State]int{}}
	for i := range v.Instances {
		u := &v.Instances[i]
		t.Units[u.State]++
		c := costOf(u, s)
		t.Attempts += c.Attempts
		t.Seconds = results.Sum(t.Seconds, c.Seconds)
		t.NodeHours = results.Sum(t.NodeHours, c.NodeHours)
	}
	return t
}
