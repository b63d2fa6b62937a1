package oracle

// settle holds every rule against every unit until none changes anything.
func (w *world) settle() {
	for w.changeSomething() {
	}
}

// changeSomething applies one rule to one step or unit. fail_fast comes before
// anything else is judged.
func (w *world) changeSomething() bool {
	for _, s := range w.steps {
		if w.failFast(s) {
			return true
		}
	}
	for _, s := range w.steps {
		if w.expand(s) {
			return true
		}
	}
	for _, s := range w.steps {
		for _, u := range s.units {
			if u.state == Pending && w.law.met(w, u) && w.maySettle(u) {
				w.judge(u)
				return true
			}
		}
	}
	if w.result == "" && w.partDone(false) {
		w.result = w.law.result(w)
		return true
	}
	return false
}

// partDone reports whether every unit of `steps`, or of finally, is done.
func (w *world) partDone(finally bool) bool {
	for _, s := range w.steps {
		if s.finally == finally && !s.done() {
			return false
		}
	}
	return true
}

// failFast skips what has not started of a step at its first bad unit.
func (w *world) failFast(s *stepRun) bool {
	if !s.failFast || s.failing {
		return false
	}
	for _, u := range s.units {
		s.failing = s.failing || u.state.done() && !w.law.good(w, u)
	}
	if !s.failing {
		return false
	}
	for _, u := range s.units {
		if w.law.failFastTakes(u) {
			u.end(Skipped, "upstream_failed")
		}
	}
	return true
}

// maySettle reports whether a unit is judged as soon as it can be. That of a step
// with fail_fast waits for being observed, unless it gets ready: of several that are
// judged at a time the first may be bad, and then the others are not judged, and
// nothing says which is the first.
func (w *world) maySettle(u *unit) bool {
	if !w.observed || !u.of.failFast {
		return true
	}
	state, _ := w.verdict(u)
	return state == Ready
}

func (w *world) judge(u *unit) {
	state, cause := w.verdict(u)
	u.end(state, cause)
}

// verdict on a unit whose dependencies are met.
func (w *world) verdict(u *unit) (State, string) {
	switch {
	case w.law.blocked(w, u):
		return Skipped, "upstream_failed"
	case w.law.sourceMissing(w, u):
		return Skipped, "source_missing"
	}
	switch yes, err := w.law.condition(w, u); {
	case err != nil:
		return Failed, "expression"
	case !yes:
		return Skipped, "condition_false"
	}
	return Ready, ""
}
