package oracle

import (
	"fmt"
	"strings"
)

// law is the semantics, a function for each rule.
type law struct {
	good          func(*world, *unit) bool
	met           func(*world, *unit) bool
	blocked       func(*world, *unit) bool
	sourceMissing func(*world, *unit) bool
	pairValue     func(*unit) bool
	condition     func(*world, *unit) (bool, error)
	status        func(*world, *unit) map[string]bool
	stepState     func(*world, *stepRun) State
	listDue       func(*world, *stepRun) bool
	listStuck     func(*world, *stepRun) bool
	excludes      func(excluded, combination *object) bool
	failFastTakes func(*unit) bool
	cancel        func(*world, *stepRun)
	cancelTakes   func(*world, *unit) bool
	retries       func(*world, *unit, string) bool
	covers        func(named, cause string) bool
	result        func(*world) State
	end           func(*world) (State, string)
}

// semantics are the rules as they are.
func semantics() law {
	return law{
		good: good, met: met, blocked: blocked, sourceMissing: sourceMissing, pairValue: pairValue, condition: condition, status: status,
		listDue: listDue, listStuck: listStuck, stepState: stepState, excludes: excludes, failFastTakes: failFastTakes, cancel: cancel, cancelTakes: cancelTakes,
		retries: retries, covers: covers, result: result, end: end,
	}
}

// good: it succeeded; or failed under continue_on_error; or was skipped because its
// condition was false; or because a value was missing whose producers are all good.
func good(w *world, u *unit) bool {
	switch {
	case u.state == Succeeded:
		return true
	case u.state == Failed:
		return u.of.continueOnError
	case u.state == Skipped && u.cause == "condition_false":
		return true
	case u.state == Skipped && u.cause == "source_missing":
		for _, producer := range w.missing(u) {
			if !w.law.good(w, producer) {
				return false
			}
		}
		return true
	}
	return false
}

// dependencies are the units that a unit waits for.
func (w *world) dependencies(u *unit) []*unit {
	var list []*unit
	for _, id := range u.of.barriers {
		list = append(list, w.step(id).units...)
	}
	if u.source != nil {
		list = append(list, u.source)
	}
	return list
}

// bad reports whether a unit that this one waits for is bad. What finally reads of
// `steps` is no dependency.
func (w *world) bad(u *unit) bool {
	for _, d := range w.dependencies(u) {
		if d.of.finally == u.of.finally && !w.law.good(w, d) {
			return true
		}
	}
	return false
}

// met: a barrier when every unit of the step is done, a pair when the one unit is.
// finally starts when every unit of `steps` is done.
func met(w *world, u *unit) bool {
	if u.of.finally && w.result == "" {
		return false
	}
	return w.allDone(u.of.barriers) && (u.source == nil || u.source.state.done())
}

// blocked: a dependency is bad, and the condition names no status function.
func blocked(w *world, u *unit) bool {
	return !u.of.finally && !u.of.statusIf && w.bad(u)
}

// missing are the units whose values a unit needs, and that have none.
func (w *world) missing(u *unit) []*unit {
	var list []*unit
	for _, id := range u.of.values {
		for _, producer := range w.step(id).units {
			if producer.state != Succeeded {
				list = append(list, producer)
			}
		}
	}
	if u.source != nil && u.source.state != Succeeded && w.law.pairValue(u) {
		list = append(list, u.source)
	}
	return list
}

// pairValue: a pair is a value by itself, unless the condition names a status
// function, as that of finally does if there is none. each.outputs is one anyway.
func pairValue(u *unit) bool {
	always := u.of.finally && u.of.step.condition == nil
	return u.of.eachValue || !u.of.statusIf && !always
}

func sourceMissing(w *world, u *unit) bool { return len(w.missing(u)) > 0 }

// condition: without one success(), in finally always().
func condition(w *world, u *unit) (bool, error) {
	if u.of.step.condition == nil {
		return u.of.finally || !w.bad(u), nil
	}
	v, err := evaluate(u.of.step.condition, w.scope(u))
	if err != nil {
		return false, err
	}
	yes, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("the condition is neither true nor false")
	}
	return yes, nil
}

// status functions speak of the dependencies, in finally of the whole run. Once a
// cancel was asked for, nothing of `steps` is judged any more, so that no root cause
// of a bad dependency is a cancellation.
func status(w *world, u *unit) map[string]bool {
	if u.of.finally {
		return map[string]bool{
			"always": true, "success": w.result == Succeeded, "failure": w.result == Failed, "cancelled": w.result == Cancelled,
		}
	}
	bad := w.bad(u)
	return map[string]bool{"always": true, "success": !bad, "failure": bad, "cancelled": w.cancels > 0}
}

// listDue: a list is expanded when everything that its step waits for is done.
func listDue(w *world, s *stepRun) bool {
	return w.allDone(s.barriers) && (!s.finally || w.result != "")
}

// listStuck: a list cannot be told when a value is missing that it is made of.
func listStuck(w *world, s *stepRun) bool {
	for _, id := range s.listValues {
		if w.step(id).units[0].state != Succeeded {
			return true
		}
	}
	return false
}

// stepState: that of its only unit, or what its instances come to.
func stepState(w *world, s *stepRun) State {
	if len(s.units) == 1 && s.units[0].key == "" {
		return s.units[0].state
	}
	if !s.done() {
		return Running
	}
	bad, cancelled, skipped := 0, 0, 0
	for _, u := range s.units {
		switch {
		case w.law.good(w, u):
		case u.state == Cancelled:
			bad, cancelled = bad+1, cancelled+1
		default:
			bad++
		}
		if u.state == Skipped {
			skipped++
		}
	}
	switch {
	case bad > 0 && cancelled == bad:
		return Cancelled
	case len(s.units) > 0 && skipped == len(s.units):
		return Skipped
	case bad > 0:
		return Failed
	}
	return Succeeded
}

// failFastTakes: what has not started is skipped at the first bad unit of its step.
func failFastTakes(u *unit) bool { return u.state == Pending || u.state == Ready }

// cancel ends all that has nothing under way, at once.
func cancel(w *world, s *stepRun) {
	for _, u := range s.units {
		if w.law.cancelTakes(w, u) {
			u.end(Cancelled, "")
		}
	}
}

// cancelTakes: what has nothing under way waits for its dependencies, for room, for
// an instant, or for its next attempt.
func cancelTakes(w *world, u *unit) bool {
	switch u.state {
	case Pending, Ready:
		return true
	case Waiting:
		return u.backoff || w.act(u).Hold == Timer
	}
	return false
}

// ownTries is how many attempts an idempotent step has after failures of the API and
// of transfers that no rule names.
const ownTries = 4

// retries decides whether another attempt follows a failure, and counts it.
func retries(w *world, u *unit, cause string) bool {
	if w.stopped(u.of.step) || u.attempts >= u.of.maxAttempts {
		return false
	}
	for i, rule := range u.of.retry {
		for _, named := range rule.causes {
			if !w.law.covers(named, cause) {
				continue
			}
			u.used[i]++
			return u.used[i] <= rule.max
		}
	}
	return (cause == "api" || cause == "transfer") && idempotent[u.of.uses] && u.attempts < ownTries
}

// idempotent are the step types that may run again after anything.
var idempotent = map[string]bool{"act": true}

// covers: exit stands for every exit code.
func covers(named, cause string) bool {
	return named == cause || named == "exit" && strings.HasPrefix(cause, "exit(")
}

// result of the run, fixed before finally.
func result(w *world) State {
	anyCancelled, anyBad := false, false
	for _, s := range w.steps {
		for _, u := range s.units {
			if s.finally {
				continue
			}
			anyCancelled = anyCancelled || u.state == Cancelled
			anyBad = anyBad || !w.law.good(w, u)
		}
	}
	switch {
	case w.cancels > 0 && anyCancelled:
		return Cancelled
	case anyBad:
		return Failed
	}
	return Succeeded
}

// end of the run: a bad unit of finally, or an output that cannot be evaluated,
// turns succeeded into failed.
func end(w *world) (State, string) {
	if w.result != Succeeded {
		return w.result, ""
	}
	for _, s := range w.steps {
		for _, u := range s.units {
			if s.finally && !w.law.good(w, u) {
				return Failed, ""
			}
		}
	}
	if _, err := fill(w.workflow.outputs, w.scope(nil)); err != nil {
		return Failed, "expression"
	}
	return Succeeded, ""
}
