package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// foldedRun is a run whose steps with many instances have counts in their stead.
type foldedRun struct {
	ShownRun
	Steps []foldedStep `json:"steps"`
}

type foldedStep struct {
	ID      string                 `json:"id"`
	Name    string                 `json:"name,omitempty"`
	Uses    string                 `json:"uses"`
	Finally bool                   `json:"finally,omitempty"`
	Needs   []string               `json:"needs,omitempty"`
	State   workflow.State         `json:"state"`
	Units   map[workflow.State]int `json:"units"`
	// Waits is what those that wait do wait for, by [workflow.WaitReason.Word].
	Waits map[string]int `json:"waits,omitempty"`
	// Folded: the step fans out, and its instances are asked for by themselves.
	Folded    bool                `json:"folded,omitempty"`
	Instances []workflow.UnitView `json:"instances"`
}

func folded(run ShownRun) foldedRun {
	f := foldedRun{ShownRun: run, Steps: []foldedStep{}}
	for _, s := range run.RunView.Steps {
		step := foldedStep{
			ID: s.ID, Name: s.Name, Uses: s.Uses, Finally: s.Finally, Needs: s.Needs, State: s.State,
			Units: map[workflow.State]int{}, Waits: map[string]int{}, Instances: []workflow.UnitView{},
		}
		for i := range s.Instances {
			u := &s.Instances[i]
			step.Units[u.State]++
			if what := waitsFor(u); what != "" {
				step.Waits[what]++
			}
			step.Folded = step.Folded || u.Instance != ""
		}
		if !step.Folded && s.Instances != nil {
			step.Instances = s.Instances
		}
		f.Steps = append(f.Steps, step)
	}
	f.RunView.Steps, f.RunView.Dropped = nil, nil
	return f
}

// waitsFor is what an instance waits for; "" if for nothing.
func waitsFor(u *workflow.UnitView) string {
	if u.Wait == nil {
		return ""
	}
	var job *workflow.JobObserved
	if n := len(u.Attempts); n > 0 {
		job = u.Attempts[n-1].Job
	}
	return u.Wait.Reason.Word(job)
}

// window is a part of the instances of a step.
type window struct {
	Total     int                 `json:"total"`
	Instances []workflow.UnitView `json:"instances"`
}

const (
	defaultWindow = 200
	maxWindow     = 1000
)

func (s *Server) instances(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	offset, limit := number(query, "offset", 0, maxNumber), number(query, "limit", defaultWindow, maxWindow)
	run, err := s.shown.show(r.Context(), runID(r))
	if err != nil {
		return err
	}
	step, err := stepOf(run, r.PathValue("step"))
	if err != nil {
		return err
	}
	fits := func(have, parameter string) bool { return query.Get(parameter) == "" || query.Get(parameter) == have }
	chosen := make([]*workflow.UnitView, 0, len(step.Instances))
	for i := range step.Instances {
		u := &step.Instances[i]
		if fits(string(u.State), "state") && fits(waitsFor(u), "waits") && strings.Contains(u.Instance, query.Get("q")) {
			chosen = append(chosen, u)
		}
	}
	sortUnits(chosen, query.Get("sort"))
	answer := window{Total: len(chosen), Instances: []workflow.UnitView{}}
	for _, u := range chosen[min(offset, len(chosen)):min(offset+limit, len(chosen))] {
		answer.Instances = append(answer.Instances, slim(u))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// slim is an instance as a row of a table: values are asked for one by one.
func slim(u *workflow.UnitView) workflow.UnitView {
	row := *u
	row.Outputs, row.With = nil, nil
	row.Attempts = slices.Clone(u.Attempts)
	for i := range row.Attempts {
		t := &row.Attempts[i]
		t.With, t.Tail, t.Evidence, t.Submission = nil, "", "", nil
	}
	return row
}

func stepOf(run ShownRun, id string) (*workflow.StepView, error) {
	for i := range run.RunView.Steps {
		if run.RunView.Steps[i].ID == id {
			return &run.RunView.Steps[i], nil
		}
	}
	return nil, fmt.Errorf("run %s has no step %q: %w", run.ID, id, workflow.ErrNotFound)
}

// unitNamed finds an instance by its full name; nil if there is none.
func unitNamed(run ShownRun, name string) *workflow.UnitView {
	id, key, _ := strings.Cut(name, "/")
	step, err := stepOf(run, id)
	if err != nil {
		return nil
	}
	for i := range step.Instances {
		if step.Instances[i].Instance == key {
			return &step.Instances[i]
		}
	}
	return nil
}

// whole reports whether no value of an instance is kept apart, which a picture has
// null for.
func whole(u *workflow.UnitView) bool {
	values := []json.RawMessage{u.Outputs, u.With}
	for i := range u.Attempts {
		values = append(values, u.Attempts[i].With)
	}
	return !slices.ContainsFunc(values, func(v json.RawMessage) bool { return string(v) == "null" })
}

// columns are what instances can be sorted by.
func columns() map[string]func(a, b *workflow.UnitView) int {
	return map[string]func(a, b *workflow.UnitView) int{
		"state":    func(a, b *workflow.UnitView) int { return cmp.Compare(a.State, b.State) },
		"since":    func(a, b *workflow.UnitView) int { return a.Since.Compare(b.Since) },
		"key":      func(a, b *workflow.UnitView) int { return cmp.Compare(a.Instance, b.Instance) },
		"attempts": func(a, b *workflow.UnitView) int { return cmp.Compare(len(a.Attempts), len(b.Attempts)) },
	}
}

// orders are the columns, each also with - before it.
func orders() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(columns())) {
		all = append(all, name, "-"+name)
	}
	return all
}

// sortUnits sorts by a column; with - before it the largest come first.
func sortUnits(units []*workflow.UnitView, by string) {
	name, descending := strings.CutPrefix(by, "-")
	compare, chosen := columns()[name]
	if !chosen {
		return
	}
	slices.SortStableFunc(units, func(a, b *workflow.UnitView) int {
		if descending {
			return compare(b, a)
		}
		return compare(a, b)
	})
}

// timeline says when the attempts of a run were.
type timeline struct {
	Steps []timelineStep `json:"steps"`
}

type timelineStep struct {
	ID    string         `json:"id"`
	State workflow.State `json:"state"`
	First time.Time      `json:"first,omitzero"`
	Last  time.Time      `json:"last,omitzero"` // missing while an attempt goes on
	Count int            `json:"count"`
	// Attempts are missing where there are too many to be drawn.
	Attempts []bar `json:"attempts,omitempty"`
}

// bar is an attempt: from its start, with its job from running on, to its end.
type bar struct {
	Instance string         `json:"instance,omitempty"`
	Attempt  int            `json:"attempt"`
	Start    time.Time      `json:"start"`
	Running  *time.Time     `json:"running"`
	End      time.Time      `json:"end,omitzero"`
	State    workflow.State `json:"state,omitempty"`
}

// maxBars is how many attempts are told one by one.
const maxBars = 2000

func (s *Server) timeline(w http.ResponseWriter, r *http.Request) error {
	run, err := s.shown.show(r.Context(), runID(r))
	if err != nil {
		return err
	}
	answer := timeline{Steps: []timelineStep{}}
	for i := range run.RunView.Steps {
		answer.Steps = append(answer.Steps, barsOf(&run.RunView.Steps[i]))
	}
	// The largest steps are told as a whole until the rest fits.
	for {
		total, largest := 0, -1
		for i := range answer.Steps {
			n := len(answer.Steps[i].Attempts)
			total += n
			if n > 0 && (largest < 0 || n > len(answer.Steps[largest].Attempts)) {
				largest = i
			}
		}
		if total <= maxBars {
			return writeJSON(w, http.StatusOK, answer)
		}
		answer.Steps[largest].Attempts = nil
	}
}

func barsOf(step *workflow.StepView) timelineStep {
	t := timelineStep{ID: step.ID, State: step.State}
	going := false
	for i := range step.Instances {
		u := &step.Instances[i]
		for j := range u.Attempts {
			a := &u.Attempts[j]
			b := bar{Instance: u.Instance, Attempt: a.Attempt, Start: a.StartedAt, End: a.EndedAt, State: a.State}
			if b.State == "" {
				b.State = u.State
			}
			switch {
			case a.Submission == nil && a.Job == nil:
				b.Running = &b.Start
			case a.Job != nil && !a.Job.StartedAt.IsZero():
				b.Running = &a.Job.StartedAt
			}
			if t.First.IsZero() || b.Start.Before(t.First) {
				t.First = b.Start
			}
			if b.End.IsZero() {
				going = true
			} else if b.End.After(t.Last) {
				t.Last = b.End
			}
			t.Attempts = append(t.Attempts, b)
		}
	}
	if going {
		t.Last = time.Time{}
	}
	t.Count = len(t.Attempts)
	return t
}
