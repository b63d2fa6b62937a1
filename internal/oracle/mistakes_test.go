package oracle

import (
	"slices"
	"testing"
)

// mistakes are rules as somebody might have them wrong. Each makes the interpreter
// differ from the engine; had the engine the mistake, the difference were the same.
var mistakes = []struct {
	name string
	make func(*law)
}{
	{"source_missing is always good", func(l *law) {
		l.good = func(w *world, u *unit) bool { return u.cause == "source_missing" || good(w, u) }
	}},
	{"source_missing is always bad", func(l *law) {
		l.good = func(w *world, u *unit) bool { return u.cause != "source_missing" && good(w, u) }
	}},
	{"a false condition is bad", func(l *law) {
		l.good = func(w *world, u *unit) bool { return u.cause != "condition_false" && good(w, u) }
	}},
	{"continue_on_error is not looked at", func(l *law) {
		l.good = func(w *world, u *unit) bool { return u.state != Failed && good(w, u) }
	}},
	{"continue_on_error spares what is skipped", func(l *law) {
		l.good = func(w *world, u *unit) bool { return u.state == Skipped && u.of.continueOnError || good(w, u) }
	}},
	{"a barrier is met by the first unit that is done", func(l *law) {
		l.met = func(w *world, u *unit) bool {
			for _, id := range u.of.barriers {
				s := w.step(id)
				if !s.done() && !slices.ContainsFunc(s.units, func(u *unit) bool { return u.state.done() }) {
					return false
				}
			}
			return (!u.of.finally || w.result != "") && (u.source == nil || u.source.state.done())
		}
	}},
	{"a pair waits for the whole step", func(l *law) {
		l.met = func(w *world, u *unit) bool { return met(w, u) && (u.source == nil || u.source.of.done()) }
	}},
	{"finally does not wait", func(l *law) {
		l.met = func(w *world, u *unit) bool {
			return w.allDone(u.of.barriers) && (u.source == nil || u.source.state.done())
		}
	}},
	{"a bad dependency blocks whatever the condition", func(l *law) {
		l.blocked = func(w *world, u *unit) bool { return !u.of.finally && w.bad(u) }
	}},
	{"a bad dependency blocks in finally", func(l *law) {
		l.blocked = func(w *world, u *unit) bool { return !u.of.statusIf && w.bad(u) }
	}},
	{"a missing value is not looked at", func(l *law) {
		l.sourceMissing = func(*world, *unit) bool { return false }
	}},
	{"a pair is always a value", func(l *law) {
		l.sourceMissing = func(w *world, u *unit) bool {
			return sourceMissing(w, u) || u.source != nil && u.source.state != Succeeded
		}
	}},
	{"a condition that cannot be evaluated is false", func(l *law) {
		l.condition = func(w *world, u *unit) (bool, error) {
			yes, err := condition(w, u)
			return yes && err == nil, nil
		}
	}},
	{"finally has success() for a condition", func(l *law) {
		l.condition = func(w *world, u *unit) (bool, error) {
			if u.of.step.condition == nil {
				return w.law.status(w, u)["success"], nil
			}
			return condition(w, u)
		}
	}},
	{"failure() speaks of the dependencies in finally too", func(l *law) {
		l.status = func(w *world, u *unit) map[string]bool {
			answers := status(w, u)
			answers["failure"] = w.bad(u)
			return answers
		}
	}},
	{"failure() speaks of all units so far", func(l *law) {
		l.status = func(w *world, u *unit) map[string]bool {
			answers := status(w, u)
			for _, s := range w.steps {
				for _, u := range s.units {
					answers["failure"] = answers["failure"] || u.state.done() && !good(w, u)
				}
			}
			return answers
		}
	}},
	{"a failure under continue_on_error fails the step", func(l *law) {
		l.stepState = func(w *world, s *stepRun) State {
			if slices.ContainsFunc(s.units, func(u *unit) bool { return u.state == Failed }) {
				return Failed
			}
			return stepState(w, s)
		}
	}},
	{"a step without instances is skipped", func(l *law) {
		l.stepState = func(w *world, s *stepRun) State {
			if s.expanded && len(s.units) == 0 {
				return Skipped
			}
			return stepState(w, s)
		}
	}},
	{"exclude leaves out only what it names in whole", func(l *law) {
		l.excludes = func(excluded, combination *object) bool { return same(excluded, combination) }
	}},
	{"fail_fast skips units that are running", func(l *law) {
		l.failFastTakes = func(u *unit) bool { return !u.state.done() }
	}},
	{"fail_fast leaves units that are ready", func(l *law) {
		l.failFastTakes = func(u *unit) bool { return u.state == Pending }
	}},
	{"fail_fast leaves units that are pending", func(l *law) {
		l.failFastTakes = func(u *unit) bool { return u.state == Ready }
	}},
	{"fail_fast is not looked at", func(l *law) {
		l.failFastTakes = func(*unit) bool { return false }
	}},
	{"a cancel takes a job without evidence", func(l *law) {
		l.cancelTakes = func(w *world, u *unit) bool { return cancelTakes(w, u) || u.state == Waiting }
	}},
	{"a cancel lets the next attempt start", func(l *law) {
		l.cancelTakes = func(w *world, u *unit) bool { return !u.backoff && cancelTakes(w, u) }
	}},
	{"a cancel leaves units that are ready", func(l *law) {
		l.cancelTakes = func(w *world, u *unit) bool { return u.state != Ready && cancelTakes(w, u) }
	}},
	{"a failure after a cancel is retried", func(l *law) {
		l.retries = func(w *world, u *unit, cause string) bool {
			cancels := w.cancels
			w.cancels = 0
			defer func() { w.cancels = cancels }()
			return retries(w, u, cause)
		}
	}},
	{"max_attempts is not looked at", func(l *law) {
		l.retries = func(w *world, u *unit, cause string) bool {
			most := u.of.maxAttempts
			u.of.maxAttempts = defaultAttempts
			defer func() { u.of.maxAttempts = most }()
			return retries(w, u, cause)
		}
	}},
	{"max_attempts counts what comes after the first", func(l *law) {
		l.retries = func(w *world, u *unit, cause string) bool {
			u.attempts--
			defer func() { u.attempts++ }()
			return retries(w, u, cause)
		}
	}},
	{"exit stands for no exit code", func(l *law) {
		l.covers = func(named, cause string) bool { return named == cause }
	}},
	{"exit(75) stands for every exit code", func(l *law) {
		l.covers = func(named, cause string) bool { return named[:3] == cause[:3] }
	}},
	{"a run is cancelled when a cancel was asked for", func(l *law) {
		l.result = func(w *world) State {
			if w.cancels > 0 {
				return Cancelled
			}
			return result(w)
		}
	}},
	{"a failure comes before a cancel", func(l *law) {
		l.result = func(w *world) State {
			for _, s := range w.steps {
				if slices.ContainsFunc(s.units, func(u *unit) bool { return u.state == Failed && !good(w, u) }) {
					return Failed
				}
			}
			return result(w)
		}
	}},
	{"a bad unit of finally is not looked at", func(l *law) {
		l.end = func(w *world) (State, string) {
			state, cause := end(w)
			if state == Failed && cause == "" {
				return w.result, ""
			}
			return state, cause
		}
	}},
	{"an output that cannot be evaluated is not looked at", func(l *law) {
		l.end = func(w *world) (State, string) {
			state, cause := end(w)
			if cause != "" {
				return w.result, ""
			}
			return state, cause
		}
	}},
}

// enough is how many random workflows may be needed to see a mistake.
const enough = 400

// TestMistakesAreSeen plants each mistake in the interpreter, and the engine must
// contradict it.
func TestMistakesAreSeen(t *testing.T) {
	t.Parallel()
	var tried []Graph
	var seen []observation
	needed := func(l law) int { // workflows until one is contradicted
		for n := range enough {
			if n == len(tried) {
				g := Generate(uint64(n), familyOf(uint64(n)))
				o, err := observe(t, g)
				if err != nil {
					t.Fatalf("seed %d: %v", n, err)
				}
				tried, seen = append(tried, g), append(seen, o)
			}
			if agree(tried[n], seen[n], l) != "" {
				return n + 1
			}
		}
		return 0
	}
	for _, m := range mistakes {
		wrong := semantics()
		m.make(&wrong)
		if n := needed(wrong); n > 0 {
			t.Logf("%s: contradicted by workflow %d", m.name, n)
		} else {
			t.Errorf("%s: nobody contradicts, in %d workflows", m.name, enough)
		}
	}
}
