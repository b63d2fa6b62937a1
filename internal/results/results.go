// Package results makes tables of what the instances of a run came to: their
// parameters, states and outputs, how long they took and what they used. It is
// pure: it reads the definition and the picture of a run, and asks nobody.
package results

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Table is what the instances of one step came to, one row each. Steps that are
// paired with it are folded into the rows of their sources. Its JSON form is a
// contract that only grows.
type Table struct {
	Step string `json:"step"`
	Uses string `json:"uses"`
	// Pairs are the steps that are folded in.
	Pairs []string `json:"pairs,omitempty"`
	// Parameters and Outputs are the names that rows may have values of, in the
	// order of the definition; those that the workflow declares before those of
	// the step type.
	Parameters []string               `json:"parameters,omitempty"`
	Outputs    []string               `json:"outputs,omitempty"`
	Units      map[workflow.State]int `json:"units"`
	NodeHours  *float64               `json:"node_hours,omitempty"` // pairs included
	Rows       []Row                  `json:"rows"`

	sources []*source // the step, then its pairs
}

// Row is what an instance came to.
type Row struct {
	Step       string                     `json:"step"`
	Instance   string                     `json:"instance,omitempty"`
	Parameters map[string]json.RawMessage `json:"parameters,omitempty"`
	State      workflow.State             `json:"state"`
	Cause      workflow.Cause             `json:"cause,omitempty"`
	Message    string                     `json:"message,omitempty"`
	Attempts   int                        `json:"attempts"`
	JobID      string                     `json:"job_id,omitempty"` // of the last attempt
	Outputs    json.RawMessage            `json:"outputs,omitempty"`
	// Imported is the run in which it was done, if not in this one; then it took
	// and used nothing here.
	Imported  workflow.RunID `json:"imported,omitempty"`
	StartedAt time.Time      `json:"started_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	// Seconds that its attempts took together; until now if it is not
	// over and somebody drives the run.
	Seconds   *float64 `json:"seconds,omitempty"`
	NodeHours *float64 `json:"node_hours,omitempty"`
	// Pairs are the instances that are paired with it, and those with them.
	Pairs []Row `json:"pairs,omitempty"`

	outputs map[string]json.RawMessage
}

// source is a step with what its table must know of the definition.
type source struct {
	step    *workflow.Step
	view    *workflow.StepView
	root    *workflow.Step // where the pairs begin; the step itself if it is none
	fanned  bool
	outputs []workflow.Field
	// declared is how many of the outputs the workflow declares; they come first.
	declared int
}

// Tables makes the table of the step of that id, or, for "", those of all steps
// that fan out and are paired with none. Of a workflow that does not fan out they
// are those of the steps that submit jobs or declare outputs. The outputs of the
// views must be complete. now is zero if nobody drives the run.
func Tables(w *workflow.Workflow, steps []workflow.StepView, id string, now time.Time) []Table {
	all := sources(w, steps)
	var tables []Table
	for _, s := range chosen(all, id) {
		tables = append(tables, tableOf(s, all, now))
	}
	return tables
}

// Shown lists the steps that are in the tables, pairs included.
func Shown(w *workflow.Workflow, steps []workflow.StepView, id string) []string {
	all := sources(w, steps)
	var ids []string
	for _, s := range chosen(all, id) {
		t := Table{sources: []*source{s}}
		t.fold(s, all)
		for _, shown := range t.sources {
			ids = append(ids, shown.step.ID)
		}
	}
	return ids
}

func sources(w *workflow.Workflow, views []workflow.StepView) []*source {
	var all []*source
	for _, step := range w.AllSteps() {
		i := slices.IndexFunc(views, func(v workflow.StepView) bool { return v.ID == step.ID })
		if i < 0 {
			continue
		}
		s := &source{step: step, view: &views[i], root: step}
		for s.root.Pair != nil {
			s.root = s.root.Pair
		}
		s.fanned = s.root.Matrix != nil || s.root.ForEach != nil
		s.outputs, s.declared = outputsOf(step)
		all = append(all, s)
	}
	return all
}

// outputsOf lists the outputs of a step, those first that the workflow declares.
func outputsOf(s *workflow.Step) (outputs []workflow.Field, declared int) {
	spec := s.Spec()
	if spec == nil {
		return nil, 0
	}
	all, fixed := s.Outputs(), len(spec.Outputs)
	return append(slices.Clone(all[fixed:]), all[:fixed]...), len(all) - fixed
}

func chosen(all []*source, id string) []*source {
	pick := func(want func(*source) bool) []*source {
		var some []*source
		for _, s := range all {
			if want(s) {
				some = append(some, s)
			}
		}
		return some
	}
	if id != "" {
		return pick(func(s *source) bool { return s.step.ID == id })
	}
	some := pick(func(s *source) bool { return s.fanned && s.root == s.step && (s.job() || len(s.outputs) > 0) })
	if len(some) == 0 {
		some = pick(func(s *source) bool { return s.root == s.step && (s.job() || s.declared > 0) })
	}
	return some
}

func (s *source) job() bool { return s.step.Spec() != nil && s.step.Spec().Job }

func tableOf(s *source, all []*source, now time.Time) Table {
	t := Table{Step: s.step.ID, Uses: s.step.Uses, Units: map[workflow.State]int{}, Rows: []Row{}, sources: []*source{s}}
	t.fold(s, all)
	rows := make([]map[string]*workflow.UnitView, len(t.sources))
	for i, pair := range t.sources[1:] {
		t.Pairs = append(t.Pairs, pair.step.ID)
		rows[i+1] = byKey(pair.view)
	}
	for i := range s.view.Instances {
		u := &s.view.Instances[i]
		row := rowOf(u, now)
		for j := range t.sources[1:] {
			if p, ok := rows[j+1][u.Instance]; ok {
				row.Pairs = append(row.Pairs, rowOf(p, now))
			}
		}
		t.Units[u.State]++
		t.Rows = append(t.Rows, row)
		t.NodeHours = Sum(t.NodeHours, row.NodeHours)
		for _, p := range row.Pairs {
			t.NodeHours = Sum(t.NodeHours, p.NodeHours)
		}
	}
	t.Parameters = parameterNames(s)
	for _, f := range s.outputs {
		t.Outputs = append(t.Outputs, f.Name)
	}
	return t
}

// fold adds the steps that are paired with one, each followed by its own.
func (t *Table) fold(s *source, all []*source) {
	for _, next := range all {
		if next.step.Pair == s.step && !slices.Contains(t.sources, next) {
			t.sources = append(t.sources, next)
			t.fold(next, all)
		}
	}
}

func byKey(v *workflow.StepView) map[string]*workflow.UnitView {
	units := make(map[string]*workflow.UnitView, len(v.Instances))
	for i := range v.Instances {
		units[v.Instances[i].Instance] = &v.Instances[i]
	}
	return units
}

func rowOf(u *workflow.UnitView, now time.Time) Row {
	row := Row{
		Step: u.Step, Instance: u.Instance, Parameters: parameters(u), State: u.State, Cause: u.Cause, Message: u.Message,
		Attempts: len(u.Attempts), Outputs: u.Outputs, Imported: u.Imported,
	}
	if n := len(u.Attempts); n > 0 && u.Imported == "" {
		row.StartedAt, row.JobID = u.Attempts[0].StartedAt, u.Attempts[n-1].JobID
		if u.State.Done() {
			row.EndedAt = u.Attempts[n-1].EndedAt
		}
	}
	if took, ok := Took(u, now); ok {
		seconds := took.Seconds()
		row.Seconds = &seconds
	}
	if hours, ok := NodeHours(u); ok {
		row.NodeHours = &hours
	}
	// Outputs that are no mapping have no columns, and are still in JSON.
	_ = json.Unmarshal(u.Outputs, &row.outputs)
	return row
}

// Sum adds what is known.
func Sum(a, b *float64) *float64 {
	switch {
	case b == nil:
		return a
	case a == nil:
		total := *b
		return &total
	}
	total := *a + *b
	return &total
}

// Failed reports whether the instance, or one that is paired with it, failed.
func (r *Row) Failed() bool {
	return r.State == workflow.Failed || slices.ContainsFunc(r.Pairs, func(p Row) bool { return p.State == workflow.Failed })
}

// KeepFailed leaves only the rows that failed.
func (t *Table) KeepFailed() {
	t.Rows = slices.DeleteFunc(t.Rows, func(r Row) bool { return !r.Failed() })
}
