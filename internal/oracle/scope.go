package oracle

import "slices"

// scope is what expressions of a unit may name; nil stands for the workflow.
func (w *world) scope(u *unit) scope {
	steps := newObject()
	for _, s := range w.steps {
		if u == nil || slices.Contains(u.of.barriers, s.id) { // others it does not name
			steps.set(s.id, w.facts(s))
		}
	}
	sc := scope{roots: map[string]any{"inputs": w.inputs, "steps": steps}}
	if u == nil {
		return sc
	}
	sc.roots["attempt"] = float64(u.attempts + 1)
	if u.matrix != nil {
		sc.roots["matrix"] = u.matrix
	}
	if u.of.pairWith != "" && u.source != nil {
		sc.roots["each"] = w.eachOf(u.source)
	} else if u.each != nil {
		sc.roots["each"] = u.each
	}
	sc.status = w.law.status(w, u)
	return sc
}

// facts is what expressions see of a step.
func (w *world) facts(s *stepRun) *object {
	o := mapping("state", string(w.law.stepState(w, s)))
	if !s.fansOut() {
		if len(s.units) == 1 && s.units[0].outputs != nil {
			o.set("outputs", s.units[0].outputs)
		}
		return o
	}
	list := []any{}
	for _, u := range s.units {
		one := mapping("key", u.key, "state", string(u.state))
		if u.outputs != nil {
			one.set("outputs", u.outputs)
		}
		if u.matrix != nil {
			one.set("matrix", u.matrix)
		}
		if u.source != nil {
			one.set("each", w.eachOf(u.source))
		} else if u.each != nil {
			one.set("each", u.each)
		}
		list = append(list, one)
	}
	o.set("instances", list)
	return o
}

// eachOf is `each` of a unit that is paired with source. The matrix and the item of
// the first step go down a chain of pairs.
func (w *world) eachOf(source *unit) *object {
	o := mapping("key", source.key, "state", string(source.state))
	if source.outputs != nil {
		o.set("outputs", source.outputs)
	}
	origin := source.each
	if source.source != nil {
		origin = w.eachOf(source.source)
	}
	if source.matrix != nil {
		o.set("matrix", source.matrix)
	}
	if origin != nil {
		o.set("origin", origin)
		for _, name := range []string{"matrix", "item"} {
			if origin.has(name) {
				o.set(name, origin.get(name))
			}
		}
	}
	return o
}
