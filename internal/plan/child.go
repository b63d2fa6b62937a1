package plan

import (
	"cmp"
	"encoding/json"
	"path/filepath"

	"github.com/fcflow/fcflow/workflow"
)

// addChild adds the steps of the workflow that a step runs, if its inputs are
// known. They are named as "prep › mesh".
func (p *Plan) addChild(s *Step, r *reader) {
	child := r.step.Child()
	if child == nil {
		return
	}
	o, ok := r.childOptions(child)
	if !ok {
		return
	}
	prefix := s.ID + " › "
	inner := Make(child, o)
	for _, c := range inner.Steps {
		c.ID, c.file = prefix+c.ID, cmp.Or(c.file, child.File)
		for i := range c.Needs {
			c.Needs[i] = prefix + c.Needs[i]
		}
		c.before = append(c.before, s.before...)
		if s.Runs == No || s.Runs == Depends && c.Runs == Yes {
			c.Runs = s.Runs
		}
		p.Steps = append(p.Steps, c)
	}
	if s.Runs == No {
		return
	}
	for _, f := range inner.Findings {
		f.Step, f.File = prefix+f.Step, cmp.Or(f.File, child.File)
		p.Findings = append(p.Findings, f)
	}
}

// childOptions says with what the other workflow would run; false if only the run
// will know.
func (r *reader) childOptions(child *workflow.Workflow) (Options, bool) {
	o := r.options
	if system, err := r.w.EvalDefault("system", r.scope); err != nil {
		return o, false
	} else if system != "" {
		o.System = system
	}
	with, err := r.w.EvalWith(r.step, r.scope)
	if err != nil {
		return o, false
	}
	var in struct {
		File   string                     `json:"file"`
		Inputs map[string]json.RawMessage `json:"inputs"`
	}
	if json.Unmarshal(with, &in) != nil {
		return o, false
	}
	if !filepath.IsAbs(in.File) {
		in.File = filepath.Join(o.Dir, in.File)
	}
	caller := o.Dir
	o.Dir = filepath.Dir(in.File)
	bound, problems := child.BindValues(in.Inputs, workflow.BindOptions{WorkflowDir: o.Dir, CallerDir: caller})
	o.Inputs = bound
	return o, len(problems) == 0
}
