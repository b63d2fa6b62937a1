package workflow

import "fmt"

// lookup follows a plain name such as inputs.mesh without calculating; nil if
// there is no value. Numbers keep their source text on this way.
func (sc *Scope) lookup(path []string) any {
	var v any
	rest := path[1:]
	switch path[0] {
	case "inputs":
		v = mapAny(sc.Inputs)
	case "matrix":
		v = mapAny(sc.Matrix)
	case "each":
		v = mapAny(sc.Each)
	case "attempt":
		return sc.Attempt
	case "run":
		v = sc.Run.members()
	case "steps":
		facts := sc.facts(path[1])
		rest = path[2:]
		v = facts.members()
	}
	for _, name := range rest {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// mapAny keeps a nil map nothing.
func mapAny(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func (sc *Scope) facts(id string) StepFacts {
	if sc.Step == nil {
		return StepFacts{}
	}
	return sc.Step(id)
}

func (f StepFacts) members() map[string]any {
	m := map[string]any{"state": string(f.State)}
	if f.Outputs != nil {
		m["outputs"] = f.Outputs
	}
	if f.Instances != nil {
		m["instances"] = f.Instances
	}
	return m
}

// members leaves out what is not known, so that naming it is an error and never
// an empty text.
func (r RunFacts) members() map[string]any {
	failed := make([]any, len(r.FailedSteps))
	for i, id := range r.FailedSteps {
		failed[i] = id
	}
	m := map[string]any{"failed_steps": failed}
	for name, text := range map[string]string{
		"id": r.ID, "name": r.Name, "started_at": r.StartedAt,
		"scheduled_at": r.ScheduledAt, "remote_dir": r.RemoteDir,
	} {
		if text != "" {
			m[name] = text
		}
	}
	return m
}

// environment makes the values of a program, no more than it names.
func (sc *Scope) environment(c *compiled) (map[string]any, error) {
	env := make(map[string]any, 4)
	for _, root := range c.roots {
		switch root.name {
		case "inputs":
			env["inputs"] = exprValue(mapAny(sc.Inputs), root.t)
		case "matrix":
			env["matrix"] = exprValue(mapAny(sc.Matrix), root.t)
		case "each":
			env["each"] = exprValue(mapAny(sc.Each), root.t)
		case "run":
			env["run"] = sc.Run.members()
		case "attempt":
			env["attempt"] = sc.Attempt
		case "steps":
			steps := make(map[string]any, len(root.t.Fields))
			for _, f := range root.t.Fields {
				steps[f.Name] = exprValue(sc.facts(f.Name).members(), f.Type)
			}
			env["steps"] = steps
		case "secrets":
			secrets, err := sc.secrets(c.refs.secrets)
			if err != nil {
				return nil, err
			}
			env["secrets"] = secrets
		}
	}
	for _, name := range c.refs.status {
		env[name] = sc.status(name)
	}
	return env, nil
}

func (sc *Scope) secrets(names []string) (map[string]any, error) {
	out := make(map[string]any, len(names))
	for _, name := range names {
		v, err := sc.Secrets(name)
		if err != nil {
			return nil, fmt.Errorf("%w %s: %w", errSecret, name, err)
		}
		out[name] = v
	}
	return out, nil
}

func (sc *Scope) status(name string) func() bool {
	answer := map[string]bool{"success": sc.Success, "failure": sc.Failure, "cancelled": sc.Cancelled, "always": true}[name]
	return func() bool { return answer }
}
