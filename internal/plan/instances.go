package plan

import (
	"github.com/fcflow/fcflow/workflow"
	"slices"
)

// Instances says how many instances a step that fans out has.
type Instances struct {
	// Known is false if only the run will know the instances.
	Known bool `json:"known"`
	Count int  `json:"count,omitempty"`
	// Keys name the first of them.
	Keys []string `json:"keys,omitempty"`
	// Of is the step whose instances it goes through.
	Of string `json:"of,omitempty"`
	// Varies are the values of inputs that differ between them, as far as they are
	// known; a member of a mapping stands by itself, as resources.nodes.
	Varies []Varied `json:"varies,omitempty"`
	// Evaluated says how many of them were looked at, if not all.
	Evaluated int `json:"evaluated,omitempty"`

	all   []workflow.Instance
	wrong error // why they cannot be made
}

// firstFew is how many instances are named, and values shown.
const firstFew = 3

// instances tells what a step fans out to; nil if it does not. The step that it
// goes through is made already.
func (r *reader) instances(made []*Step) *Instances {
	switch s := r.step; {
	case s.Pair != nil:
		in := &Instances{Of: s.Pair.ID}
		if source := made[s.Pair.Index]; source != nil && source.Instances != nil {
			in.Known, in.Count, in.Keys = source.Instances.Known, source.Instances.Count, source.Instances.Keys
			for _, one := range source.Instances.all {
				in.all = append(in.all, one.Pair())
			}
		}
		return in
	case s.Matrix == nil && s.ForEach == nil:
		return nil
	}
	all, err := r.w.Instances(r.step, r.scope)
	if err != nil {
		in := &Instances{}
		if !r.fansByRun() {
			in.wrong = err
		}
		return in
	}
	in := &Instances{Known: true, Count: len(all), all: all}
	for _, one := range all[:min(len(all), firstFew)] {
		in.Keys = append(in.Keys, one.Key)
	}
	return in
}

// fansByRun reports whether only a run can tell the instances of the step.
func (r *reader) fansByRun() bool {
	if r.step.Matrix == nil {
		return namesRun(r.step.ForEach.List)
	}
	parts := []*workflow.Value{r.step.Matrix.Include, r.step.Matrix.Exclude}
	for _, d := range r.step.Matrix.Dimensions {
		parts = append(parts, d.Value)
	}
	return slices.ContainsFunc(parts, func(v *workflow.Value) bool { return v != nil && namesRun(v) })
}

// sayFanOut adds that the instances of a step cannot be made.
func (p *Plan) sayFanOut(s *Step) {
	if s.Instances == nil || s.Instances.wrong == nil || s.Runs == No {
		return
	}
	at := s.step.Pos
	if m := s.step.Matrix; m != nil {
		at = m.Pos
	} else if f := s.step.ForEach; f != nil {
		at = f.Pos
	}
	p.Findings = append(p.Findings, Finding{
		Severity: Error, Code: NoValue, Step: s.ID, File: s.file, Pos: &at, Message: s.Instances.wrong.Error(),
	})
}

// Totals counts the jobs and the transfers of all instances. known is false if
// only the run will know, or if steps run other workflows.
func (p *Plan) Totals() (jobs, transfers int, known bool) {
	for _, s := range p.Steps {
		n := 1
		if s.Instances != nil {
			n = s.Instances.Count
		}
		switch {
		case s.step.Child() != nil || s.Instances != nil && !s.Instances.Known:
			return 0, 0, false
		case s.Runs == No:
		case s.Job != nil:
			jobs += n
		case s.Transfer != nil:
			transfers += n
		}
	}
	return jobs, transfers, true
}
