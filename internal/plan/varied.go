package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Varied is a value that differs between the instances of a step.
type Varied struct {
	Input  string `json:"input"`
	Values []any  `json:"values"` // the first of them
	Count  int    `json:"count"`  // of all different ones
}

// maxEvaluated bounds how many instances of a step are looked at.
const maxEvaluated = 10_000

// perInstance evaluates, for each instance, the inputs that depend on it.
func (r *reader) perInstance() {
	in := r.out.Instances
	if in == nil || len(in.all) == 0 || r.out.Runs == No || r.step.With == nil {
		return
	}
	looked := in.all
	if len(looked) > maxEvaluated {
		looked, in.Evaluated = looked[:maxEvaluated], maxEvaluated
	}
	looked = slices.DeleteFunc(slices.Clone(looked), func(one workflow.Instance) bool { return r.skips(one) })
	asks := false // its job differs
	for _, m := range r.step.With.Members {
		if !namesInstance(m.Value) || !r.vary(m, looked) {
			continue
		}
		asks = asks || slices.Contains([]string{"resources", "directives", "account"}, m.Name)
		r.out.AtRunTime = slices.DeleteFunc(r.out.AtRunTime, func(name string) bool { return name == m.Name })
	}
	if asks && r.out.Job != nil {
		r.jobs(looked)
	}
}

// skips reports whether the condition of an instance is false whatever the run does.
func (r *reader) skips(one workflow.Instance) bool {
	if r.step.If == nil || r.step.StatusIf || !namesInstance(r.step.If) {
		return false
	}
	scope := one.Of(r.scope)
	scope.Success = true
	verdict, err := r.w.EvalIf(r.step, scope)
	return err == nil && !verdict
}

// vary evaluates one input; false if only the run will know it.
func (r *reader) vary(m *workflow.NamedValue, looked []workflow.Instance) bool {
	values := differences{map[string]*Varied{}, map[string]map[string]bool{}}
	for _, one := range looked {
		v, err := r.w.EvalField(r.step, m.Name, one.Of(r.scope))
		switch {
		case err != nil && needsRun(m.Value):
			return false
		case err != nil:
			r.fails(m.Name, one.Key, err)
		default:
			values.add(m.Name, v)
		}
	}
	r.out.Instances.Varies = append(r.out.Instances.Varies, values.list()...)
	return true
}

// fails notes that an input has no value in an instance.
func (r *reader) fails(input, key string, err error) {
	if r.broken == nil {
		r.broken = map[string]*example{}
	}
	if r.broken[input] == nil {
		r.broken[input] = &example{key: key, err: err}
	}
	r.broken[input].count++
}

// example is an instance that stands for others in which the same is wrong.
type example struct {
	key   string
	err   error
	count int
}

// words reads "instance dt=3 and 56 more".
func (e *example) words() string {
	text := "instance " + e.key
	if e.count > 1 {
		text += fmt.Sprintf(" and %d more", e.count-1)
	}
	return text
}

// differences collects the different values of inputs and of members of them.
type differences struct {
	told map[string]*Varied
	seen map[string]map[string]bool // by name, then by the value as JSON
}

func (d *differences) add(name string, v any) {
	if m, ok := v.(map[string]any); ok && !strings.Contains(name, ".") {
		for member, value := range m {
			d.add(name+"."+member, value)
		}
		return
	}
	text, err := json.Marshal(v)
	if err != nil || d.seen[name][string(text)] {
		return
	}
	if d.told[name] == nil {
		d.told[name], d.seen[name] = &Varied{Input: name}, map[string]bool{}
	}
	d.seen[name][string(text)] = true
	told := d.told[name]
	if told.Count++; told.Count <= firstFew {
		told.Values = append(told.Values, v)
	}
}

// list are those that differ at all.
func (d *differences) list() []Varied {
	var list []Varied
	for _, name := range slices.Sorted(maps.Keys(d.told)) {
		if d.told[name].Count > 1 {
			list = append(list, *d.told[name])
		}
	}
	return list
}

// asked is what the jobs of some instances ask for.
type asked struct {
	job *Job
	example
}

// jobs notes what the instances ask for, where that differs.
func (r *reader) jobs(looked []workflow.Instance) {
	known := map[string]*asked{}
	for _, one := range looked {
		own := reader{w: r.w, scope: one.Of(r.scope), options: r.options, step: r.step, out: &Step{}, failed: map[string]error{}}
		job := own.job()
		text := fmt.Sprint(job.Partition, "\n", job.Account, "\n", job.Reservation, "\n", job.QOS, "\n", job.Nodes, job.Time)
		if known[text] == nil {
			known[text] = &asked{job: job, example: example{key: one.Key}}
			r.out.asked = append(r.out.asked, known[text])
		}
		known[text].count++
	}
}

// seeJobs judges what all instances ask for: each kind of finding once, with an
// instance that it is about.
func (p *Plan) seeJobs(s *Step, site *Site, now time.Time) {
	if len(s.asked) == 0 {
		p.seeJob(s, s.Job, site, now)
		return
	}
	type kind struct {
		code  Code
		input string
	}
	first := map[kind]int{}
	var found []Finding
	var about []example
	for _, a := range s.asked {
		one := Plan{}
		one.seeJob(s, a.job, site, now)
		for _, f := range one.Findings {
			k := kind{f.Code, f.Input}
			i, known := first[k]
			if !known {
				i, first[k] = len(found), len(found)
				found, about = append(found, f), append(about, example{key: a.key})
			}
			about[i].count += a.count
		}
	}
	for i, f := range found {
		f.Message += " (" + about[i].words() + ")"
		p.Findings = append(p.Findings, f)
	}
}

// namesInstance reports whether a value depends on the instance.
func namesInstance(v *workflow.Value) bool { return names(v, "matrix.", "each.") }

// needsRun reports whether a value names what only a run has, whatever the instance.
func needsRun(v *workflow.Value) bool {
	return names(v, "steps.", "run.", "each.outputs", "each.state", "origin.outputs", "origin.state")
}
