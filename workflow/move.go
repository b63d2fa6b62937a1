package workflow

import "time"

// move changes the state of a unit, keeps the counters, and passes on what
// follows: a step that is done meets its dependents.
func (r *Run) move(u *Unit, on stimulus, to State, at time.Time) error {
	moves, err := u.moves(on, to)
	if err != nil || !moves {
		return err
	}
	s := u.Step
	from, held := u.State, u.holdsJobPlace()
	r.count(u, -1)
	u.State, u.Since = to, at
	u.gen++
	r.count(u, +1)
	r.countJob(u, held)
	r.changed = append(r.changed, u)
	if from == Ready {
		s.ready.trim(turn.void)
	}
	switch {
	case to == Ready:
		s.ready.push(turn{u, u.gen})
		r.enlist(s)
	case to.Done():
		return r.done(u, at)
	}
	return nil
}

func (r *Run) count(u *Unit, n int) {
	u.Step.counts[u.State] += n
	if u.row() == rowBackoff {
		u.Step.backoff += n
	}
	if u.State == Running {
		r.running += n
	}
}

// countJob keeps the number of places held in the queue of the unit's system.
func (r *Run) countJob(u *Unit, held bool) {
	if holds := u.holdsJobPlace(); holds != held {
		if holds {
			r.jobs[u.system]++
		} else {
			r.jobs[u.system]--
		}
	}
}

// enlist puts a step with ready units at the end of the round robin, if it is not
// in it.
func (r *Run) enlist(s *StepRun) {
	if !s.inRing && s.counts[Ready] > 0 {
		r.ring.push(s)
		s.inRing = true
	}
}

// turn ends the turn of a step, one of whose units has just started.
func (r *Run) turn(s *StepRun) {
	if r.ring.len() > 0 && r.ring.first() == s {
		r.ring.pop()
		s.inRing = false
		r.enlist(s)
	}
}

// done settles whether a unit is good, and what its end means for its step.
func (r *Run) done(u *Unit, at time.Time) error {
	s := u.Step
	u.Good = r.good(u)
	if !u.Good {
		r.bad(u)
	}
	if u.State == Cancelled && !s.Step.Finally {
		r.cancelled = true
	}
	if u.State == Failed && !s.Step.ContinueOnError && !s.failedListed() {
		r.failedSteps = append(r.failedSteps, s.Step.ID)
	}
	if !u.Good && s.Step.FailFast && s.bad == 1 && !r.Cancelling(s.Step) {
		if err := r.failFast(u, at); err != nil {
			return err
		}
	}
	for _, p := range s.pairs {
		if p.unmet == 0 {
			if err := r.metUnit(p.Units[u.place], at); err != nil {
				return err
			}
		}
	}
	s.open--
	if s.open == 0 {
		return r.stepDone(s, at)
	}
	return nil
}

// failFast skips the units of a step that have not begun, once one is bad.
func (r *Run) failFast(first *Unit, at time.Time) error {
	for _, u := range first.Step.Units {
		skip, err := u.moves(onFailFast, Skipped)
		if err != nil {
			return err
		}
		if !skip {
			continue
		}
		u.Cause, u.Message, u.Root = CauseUpstreamFailed, "fail_fast: because "+first.Root.Ref().String()+" "+string(first.Root.State), first.Root
		if err := r.move(u, onFailFast, Skipped, at); err != nil {
			return err
		}
	}
	return nil
}

// good says whether dependents may treat a done unit as if all were well.
func (r *Run) good(u *Unit) bool {
	switch u.State {
	case Succeeded:
		return true
	case Failed:
		return u.Step.Step.ContinueOnError
	case Skipped:
		return u.Cause == CauseConditionFalse || u.Cause == CauseSourceMissing && r.valuesGood(u)
	}
	return false
}

// bad notes a bad unit and its root cause.
func (r *Run) bad(u *Unit) {
	s := u.Step
	if u.Root == nil {
		u.Root = u
	}
	if s.bad == 0 {
		s.badRoot = u.Root
	}
	s.bad++
	if u.Root.State != Cancelled {
		s.badNotStop++
	}
	if s.Step.Finally {
		r.badFinally = true
	} else {
		r.badMain = true
	}
}

// failedListed reports whether a unit of the step failed before.
func (s *StepRun) failedListed() bool { return s.counts[Failed] > 1 }

// stepDone meets the steps that waited for this one.
func (r *Run) stepDone(s *StepRun, at time.Time) error {
	for _, d := range s.dependents {
		d.unmet--
		if d.unmet == 0 {
			if err := r.met(d, at); err != nil {
				return err
			}
		}
	}
	if s.Step.Finally {
		r.openFinally--
		return nil
	}
	r.openMain--
	if r.openMain > 0 {
		return nil
	}
	return r.mainDone(at)
}

// mainDone fixes the result of the run and lets `finally` begin.
func (r *Run) mainDone(at time.Time) error {
	r.Result = r.result()
	if r.CancelRequests > 0 {
		r.armFinally(at)
	}
	for _, s := range r.Steps {
		if !s.Step.Finally {
			continue
		}
		s.unmet--
		if s.unmet == 0 {
			if err := r.met(s, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// result is what the run will end as, once `steps` is done.
func (r *Run) result() RunState {
	switch {
	case r.TimedOut:
		return RunFailed
	case r.CancelRequests > 0 && r.cancelled:
		return RunCancelled
	case r.badMain:
		return RunFailed
	}
	return RunSucceeded
}

// armFinally bounds what `finally` may take once a cancel was asked.
func (r *Run) armFinally(at time.Time) {
	r.timers.add(Timer{At: at.Add(r.Workflow.FinallyTimeout), Kind: TimerFinally, run: r})
}

// met handles the units of a step whose barriers are done. A list can be told
// now.
func (r *Run) met(s *StepRun, at time.Time) error {
	if r.State != RunRunning {
		return nil // it is done when the run starts
	}
	if !s.expanded && s.Step.ForEach != nil && s.Step.Pair == nil {
		r.expand.push(s)
	}
	for _, u := range s.Units {
		if u.source == nil || u.source.State.Done() {
			if err := r.metUnit(u, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// metUnit handles a unit whose dependencies are done. One that needs no
// judgement becomes ready here; the others go to the queue of decide, which
// evaluates conditions.
func (r *Run) metUnit(u *Unit, at time.Time) error {
	switch {
	case u.State != Pending, r.State != RunRunning: // cancelled meanwhile, or too early
	case r.plain(u):
		return r.move(u, onMet, Ready, at)
	default:
		r.judge.push(u)
	}
	return nil
}

// plain reports whether a unit starts without evaluating anything: it has no
// condition, nothing it depends on is bad, and nothing it needs is missing.
func (r *Run) plain(u *Unit) bool {
	s := u.Step.Step
	return s.If == nil && (s.Finally || r.Blocked(u) == nil) && r.MissingValue(u) == nil
}
