// Package plan says what a workflow would do before it does it: which steps
// would run where and in which order, what they ask for, which files they need,
// and what of it cannot work.
//
// It asks nobody. [Make] reads the workflow; [Plan.SeeLocal] and [Plan.SeeSites]
// are told what is on this machine and what the service says, and add findings.
// What only a run can know is said to be so and never guessed.
package plan

import (
	"cmp"
	"encoding/json"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Options say with what the workflow would run.
type Options struct {
	// Inputs are the bound inputs of the run.
	Inputs map[string]json.RawMessage
	// System and Account are those of steps and jobs that name none.
	System  string
	Account string
	// Dir is the directory of the workflow file, absolute.
	Dir string
}

// Plan is what a workflow would do. Its JSON form is a contract that only grows.
type Plan struct {
	Workflow string    `json:"workflow"`
	Steps    []*Step   `json:"steps"` // in an order in which they can run
	Findings []Finding `json:"findings"`
}

// Step is one step of a plan.
type Step struct {
	ID      string   `json:"id"`
	Uses    string   `json:"uses"`
	Group   string   `json:"group"`
	Finally bool     `json:"finally"`
	Needs   []string `json:"needs"` // the steps it waits for
	If      string   `json:"if,omitempty"`
	// Runs says what comes of its condition and of those of the steps before it.
	Runs Runs `json:"runs"`
	// Instances are those of a step that fans out.
	Instances *Instances `json:"instances,omitempty"`
	// System is where it runs; empty for steps of no system, and if only the run
	// will know.
	System string `json:"system,omitempty"`
	// Job is what it asks a scheduler for.
	Job *Job `json:"job,omitempty"`
	// Reads are the files that must be there when it starts.
	Reads []*Source `json:"reads,omitempty"`
	// Transfer says how its file moves.
	Transfer *Transfer `json:"transfer,omitempty"`
	// AtRunTime names the inputs whose values only the run will know, of those
	// that matter here.
	AtRunTime []string `json:"at_run_time,omitempty"`

	step    *workflow.Step
	file    string   // where it stands, if another workflow runs it
	before  []*Step  // what has ended when it starts
	account account  // of transfers
	asked   []*asked // what the jobs of instances ask for, if that differs
}

// Runs says whether a step runs if all goes well.
type Runs string

const (
	Yes     Runs = "yes"
	No      Runs = "no"      // its condition is false whatever the run does: nothing of it is checked
	Depends Runs = "depends" // only the run will know
)

// account is what a step is charged to.
type account struct {
	text  string
	known bool
}

// Make reads a checked workflow without problems.
func Make(w *workflow.Workflow, o Options) *Plan {
	p := &Plan{Workflow: w.Name, Steps: []*Step{}, Findings: []Finding{}}
	scope := workflow.Scope{Inputs: map[string]any{}, Attempt: 1, Run: workflow.RunFacts{Name: w.Name}}
	for _, in := range w.Inputs {
		if v, err := in.Type.Decode(o.Inputs[in.Name]); err == nil {
			scope.Inputs[in.Name] = v
		}
	}
	all := w.AllSteps()
	made := make([]*Step, len(all))
	for _, level := range w.Levels() {
		for _, i := range level {
			r := reader{w: w, scope: &scope, options: o, step: all[i], failed: map[string]error{}}
			made[i] = r.read()
			made[i].Instances = r.instances(made)
			made[i].after(made)
			p.Steps = append(p.Steps, made[i])
			r.perInstance()
			p.sayFanOut(made[i])
			p.sayOpen(made[i], &r)
			p.addChild(made[i], &r)
		}
	}
	return p
}

// after fills in what a step waits for, directly and at all.
func (s *Step) after(made []*Step) {
	seen := map[*Step]bool{}
	for _, b := range s.step.WaitsFor() {
		dep := made[b]
		s.Needs = append(s.Needs, dep.ID)
		if dep.Runs != Yes && s.Runs == Yes {
			s.Runs = Depends
		}
		for _, earlier := range append([]*Step{dep}, dep.before...) {
			if !seen[earlier] {
				seen[earlier] = true
				s.before = append(s.before, earlier)
			}
		}
	}
	if s.Finally { // which starts when everything else has ended
		for _, other := range made {
			if other != nil && !other.Finally && !seen[other] {
				s.before = append(s.before, other)
			}
		}
	}
}

// Systems lists the systems that steps name, in the order of the plan.
func (p *Plan) Systems() []string {
	var names []string
	for _, s := range p.Steps {
		if s.System != "" && !slices.Contains(names, s.System) {
			names = append(names, s.System)
		}
	}
	return names
}

// HasJobs reports whether a step of a system submits jobs.
func (p *Plan) HasJobs(system string) bool {
	return slices.ContainsFunc(p.Steps, func(s *Step) bool { return s.Job != nil && s.System == system })
}

// reader reads one step.
type reader struct {
	w       *workflow.Workflow
	scope   *workflow.Scope
	options Options
	step    *workflow.Step
	out     *Step
	failed  map[string]error    // values that do not depend on the run, and have none
	broken  map[string]*example // those that have none in some instances
}

func (r *reader) read() *Step {
	spec := r.step.Spec()
	r.out = &Step{
		ID: r.step.ID, Uses: r.step.Uses, Group: spec.Group, Finally: r.step.Finally,
		Needs: []string{}, If: condition(r.step), Runs: r.runs(), step: r.step,
	}
	if r.step.Remote() {
		r.out.System = r.options.System
		if text, known := r.text("system"); !known {
			r.out.System = ""
		} else if text != "" {
			r.out.System = text
		}
	}
	if submits(spec) {
		r.out.Job = r.job()
	}
	for _, f := range spec.Inputs {
		if f.Source {
			r.source(f)
		}
	}
	if r.out.Transfer = transferOf(r); r.out.Transfer != nil {
		text, known := r.text("account")
		r.out.account = account{cmp.Or(text, r.options.Account), known}
	}
	return r.out
}

// runs judges the condition as far as inputs alone decide it.
func (r *reader) runs() Runs {
	switch {
	case r.step.If == nil:
		return Yes
	case r.step.StatusIf || namesRun(r.step.If):
		return Depends
	}
	scope := *r.scope
	scope.Success = true
	verdict, err := r.w.EvalIf(r.step, &scope)
	switch {
	case err != nil:
		return Depends
	case verdict:
		return Yes
	}
	return No
}

func condition(s *workflow.Step) string {
	switch {
	case s.If == nil:
		return ""
	case s.If.Template != nil && s.If.Template.Whole() != nil:
		return strings.TrimSpace(s.If.Template.Whole().Source)
	}
	return s.If.Text
}

// value evaluates an input; false if only the run will know it. An input that is
// not given, and has no default, is nil.
func (r *reader) value(name string) (any, bool) {
	if _, has := r.step.Spec().Input(name); !has {
		return nil, true
	}
	v, err := r.w.EvalField(r.step, name, r.scope)
	switch m, given := r.step.With.Member(name); {
	case err == nil:
		return v, true
	case given && !namesRun(m.Value):
		r.failed[name] = err
	case !slices.Contains(r.out.AtRunTime, name):
		r.out.AtRunTime = append(r.out.AtRunTime, name)
	}
	return nil, false
}

// namesRun reports whether an expression in a value names what only a run has.
func namesRun(v *workflow.Value) bool { return names(v, "steps.", "run.", "matrix.", "each.") }

// names reports whether an expression in a value holds one of some names.
func names(v *workflow.Value, some ...string) bool {
	if v.Template != nil {
		return slices.ContainsFunc(v.Template.Parts, func(part workflow.Part) bool {
			return part.Expr != nil && slices.ContainsFunc(some, func(name string) bool {
				return strings.Contains(part.Expr.Source, name)
			})
		})
	}
	return slices.ContainsFunc(v.Items, func(item *workflow.Value) bool { return names(item, some...) }) ||
		slices.ContainsFunc(v.Members, func(m *workflow.NamedValue) bool { return names(m.Value, some...) })
}

// sayOpen adds a finding for each value that there is not, or not yet.
func (p *Plan) sayOpen(s *Step, r *reader) {
	for _, f := range s.step.Spec().Inputs {
		if err, ok := r.failed[f.Name]; ok {
			p.add(s, f.Name, Finding{Severity: Error, Code: NoValue, Message: err.Error()})
		}
		if e, ok := r.broken[f.Name]; ok {
			p.add(s, f.Name, Finding{Severity: Error, Code: NoValue, Message: e.words() + ": " + e.err.Error()})
		}
		if slices.Contains(s.AtRunTime, f.Name) && f.Name != "system" {
			p.add(s, f.Name, Finding{Severity: Unknown, Code: AtRunTime, Message: "only the run will know " + f.Name})
		}
	}
}

func (r *reader) text(name string) (string, bool) {
	v, known := r.value(name)
	text, _ := v.(string)
	return text, known
}

// source notes a path that the step reads.
func (r *reader) source(f workflow.Field) {
	given, known := r.text(f.Name)
	if !known || given == "" {
		return
	}
	s := &Source{Input: f.Name, Side: f.Path, Given: given}
	switch {
	case isAddress(given):
		s.Side = Elsewhere
	case f.Path == workflow.LocalPath:
		s.Path = given
		if !filepath.IsAbs(given) {
			s.Path = filepath.Join(r.options.Dir, given)
		}
	default:
		s.Path, s.Fresh, known = r.remotePath(given)
		if !known {
			return
		}
	}
	r.out.Reads = append(r.out.Reads, s)
}

// remotePath makes a remote path absolute as the step will; fresh says that it
// lies in the directory of the run, which is empty when the run begins, and then
// the path is relative to that.
func (r *reader) remotePath(p string) (absolute string, fresh, known bool) {
	if path.IsAbs(p) {
		return path.Clean(p), false, true
	}
	workdir, known := r.text("workdir")
	if !known {
		return "", false, false
	}
	p = path.Join(workdir, p)
	return p, !path.IsAbs(p), true
}

// isAddress reports whether a source is in an object store or the like.
func isAddress(p string) bool { return strings.Contains(p, "://") }
