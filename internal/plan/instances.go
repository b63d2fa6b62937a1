package plan

// Instances says how many instances a step that fans out has.
type Instances struct {
	// Known is false if only the run will know the instances.
	Known bool `json:"known"`
	Count int  `json:"count,omitempty"`
	// Keys name the first of them.
	Keys []string `json:"keys,omitempty"`
	// Of is the step whose instances it goes through.
	Of string `json:"of,omitempty"`
}

// firstKeys is how many instances are named.
const firstKeys = 3

// instances tells what a step fans out to; nil if it does not. The step that it
// goes through is made already.
func (r *reader) instances(made []*Step) *Instances {
	switch s := r.step; {
	case s.Pair != nil:
		in := &Instances{Of: s.Pair.ID}
		if source := made[s.Pair.Index]; source != nil && source.Instances != nil {
			in.Known, in.Count, in.Keys = source.Instances.Known, source.Instances.Count, source.Instances.Keys
		}
		return in
	case s.Matrix == nil && s.ForEach == nil:
		return nil
	case s.ForEach != nil && namesRun(s.ForEach.List):
		return &Instances{}
	}
	keys, err := r.w.InstanceKeys(r.step, r.scope)
	if err != nil {
		return &Instances{}
	}
	return &Instances{Known: true, Count: len(keys), Keys: keys[:min(len(keys), firstKeys)]}
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
