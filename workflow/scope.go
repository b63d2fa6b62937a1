package workflow

import "time"

// BlobReader fetches a stored value by digest.
type BlobReader func(digest string) ([]byte, error)

// Scope returns the values that expressions of a unit may name; nil is the scope
// of the workflow's own outputs. Secrets read in their recorded form.
// run.remote_dir is that on the unit's system; in `finally` and in outputs, and
// for units of no system, that on the default one.
func (r *Run) Scope(u *Unit, blobs BlobReader) *Scope {
	sc := &Scope{
		Inputs: r.inputs,
		Run: RunFacts{
			ID:          string(r.ID),
			Name:        r.Workflow.Name,
			StartedAt:   r.StartedAt.Format(time.RFC3339),
			ScheduledAt: r.scheduledAt().Format(time.RFC3339),
			FailedSteps: r.failedSteps,
		},
		Step: func(id string) StepFacts { return r.stepFacts(id, blobs) },
	}
	if u == nil || u.Step.Step.Finally {
		sc.Success, sc.Failure, sc.Cancelled = r.Result == RunSucceeded, r.Result == RunFailed, r.Result == RunCancelled
	} else {
		sc.Success, sc.Failure = r.dependencies(u)
		sc.Cancelled = r.CancelRequests > 0
	}
	system := ""
	if u != nil {
		sc.Attempt = len(u.Attempts) + 1
		sc.fanOut(u, blobs)
		if !u.Step.Step.Finally {
			system = u.system
		}
	}
	if system == "" {
		system = r.defaultSystem(sc)
	}
	sc.Run.RemoteDir = r.Sites[system].RemoteDir
	return sc
}

// scheduledAt is the slot of a scheduled run, the start of any other.
func (r *Run) scheduledAt() time.Time {
	if r.Created.ScheduledAt.IsZero() {
		return r.StartedAt
	}
	return r.Created.ScheduledAt
}

// dependencies says what success() and failure() come to for a unit of `steps`.
func (r *Run) dependencies(u *Unit) (success, failure bool) {
	success = true
	if u.source != nil && !u.source.Good {
		success, failure = false, u.source.Root.State != Cancelled
	}
	for _, b := range u.Step.Step.Barriers {
		if dep := r.Steps[b]; dep.bad > 0 {
			success = false
			failure = failure || dep.badNotStop > 0
		}
	}
	return success, failure
}

// stepFacts is what expressions see of a step.
func (r *Run) stepFacts(id string, blobs BlobReader) StepFacts {
	s, ok := r.byID[id]
	if !ok {
		return StepFacts{}
	}
	facts := StepFacts{State: s.State()}
	if s.Step.Matrix != nil || s.Step.ForEach != nil {
		facts.Instances = s.describeInstances(blobs)
		return facts
	}
	if u, ok := s.Unit(""); ok && u.State == Succeeded {
		facts.Outputs = u.decodedOutputs(blobs)
	}
	return facts
}

// decodedOutputs reads the outputs of a succeeded unit once. A value that
// cannot be read makes outputs nil, which every expression reports.
func (u *Unit) decodedOutputs(blobs BlobReader) map[string]any {
	if u.outputs == nil {
		if u.Outputs.IsZero() {
			u.outputs = map[string]any{}
			return u.outputs
		}
		text, err := u.Outputs.Load(blobs)
		if err != nil {
			return nil
		}
		with, err := u.given().Load(blobs)
		if err != nil {
			return nil
		}
		if u.outputs, err = DecodeFields(u.Step.Step.Spec().AllOutputs(with), text); err != nil {
			return nil
		}
	}
	return u.outputs
}

// defaultSystem is where steps run that name no system: the workflow's default,
// or the profile's. The scope lacks run.remote_dir, which follows from it.
func (r *Run) defaultSystem(sc *Scope) string {
	if system, err := r.Workflow.EvalDefault("system", sc); err == nil && system != "" {
		return system
	}
	return r.Created.Profile.System
}

// DefaultSystem is where steps run that name no system; "" if nothing says so.
func (r *Run) DefaultSystem() string { return r.defaultSystem(r.Scope(nil, nil)) }

// MissingSite returns the default system as long as the run must be bound to it
// before anything starts, and is not; "" otherwise.
func (r *Run) MissingSite() string {
	if !r.Workflow.NeedsDefaultSite() {
		return ""
	}
	system := r.defaultSystem(r.Scope(nil, nil))
	if _, bound := r.Sites[system]; bound {
		return ""
	}
	return system
}

// evalSystem evaluates a unit's system: its own input, the workflow's default,
// the profile's.
func (r *Run) evalSystem(u *Unit, blobs BlobReader) (string, error) {
	if !u.Step.Step.Remote() {
		return "", nil
	}
	v, err := r.Workflow.EvalField(u.Step.Step, "system", r.Scope(u, blobs))
	if err != nil {
		return "", err
	}
	if s, ok := v.(string); ok && s != "" {
		return s, nil
	}
	return r.Created.Profile.System, nil
}
