package engine

import (
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// reopenGrace is how long an attempt may look around after a reopen.
const reopenGrace = 30 * time.Second

// scan is decide written the slow way: it looks at every unit and at every event
// so far, and uses neither the queues nor the counters of the fold. It returns
// commands as printed does.
func scan(w *world) []string {
	switch {
	case w.run.State.Terminal():
		return []string{}
	case w.run.State == workflow.RunQueued && w.run.CancelRequests > 0:
		return printed(w.run, []command{{payload: &workflow.RunFinished{State: workflow.RunCancelled}}})
	case w.run.State == workflow.RunQueued:
		return []string{"run.started"}
	}
	var commands []command
	done, mainDone := true, true
	for _, step := range w.run.Steps {
		done = done && step.Expanded()
		mainDone = mainDone && (step.Expanded() || step.Step.Finally)
		for _, u := range step.Units {
			done = done && u.State.Done()
			mainDone = mainDone && (u.State.Done() || step.Step.Finally)
		}
	}
	if t := w.run.Workflow.Timeout; t > 0 && !mainDone && !w.timedOut() && w.run.CancelRequests == 0 && !w.now.Before(w.run.StartedAt.Add(t)) {
		return []string{"run.timed_out"}
	}
	if at, ok := w.finallyDeadline(mainDone); ok && !w.now.Before(at) {
		return []string{"run.cancel_requested"}
	}
	for _, step := range w.run.Steps {
		commands = append(commands, w.expansion(step, mainDone)...)
		for _, u := range step.Units {
			commands = append(commands, w.unit(u, mainDone)...)
		}
	}
	if done {
		commands = append(commands, command{payload: &workflow.RunFinished{State: w.end()}})
	}
	return printed(w.run, commands)
}

// about reports whether an event is about a unit.
func about(e workflow.Event, u *workflow.Unit) bool {
	return e.Step == u.Step.Step.ID && e.Instance == u.Instance
}

// expansion tells the instances of a step: of a matrix at once, of a list when
// all that it waits for is done.
func (w *world) expansion(step *workflow.StepRun, mainDone bool) []command {
	s := step.Step
	expanded := command{step: step, payload: &workflow.StepExpanded{}}
	switch {
	case step.Expanded(), s.Pair != nil:
		return nil
	case s.Matrix != nil:
		return []command{expanded}
	case s.Finally && !mainDone:
		return nil
	}
	if _, _, done := w.dependencies(step); !done {
		return nil
	}
	for _, v := range s.ListValues {
		if w.run.Steps[v].Units[0].State != workflow.Succeeded {
			return []command{expanded}
		}
	}
	return []command{{step: step, payload: &workflow.StepItems{}}, expanded}
}

// dependencies looks at all units that a step waits for as a whole: the root of a
// bad one, one whose value is missing, and whether all are done.
func (w *world) dependencies(step *workflow.StepRun) (bad, missing *workflow.Unit, done bool) {
	for _, b := range step.Step.Barriers {
		if !w.run.Steps[b].Expanded() {
			return nil, nil, false
		}
		for _, dep := range w.run.Steps[b].Units {
			if !dep.State.Done() {
				return nil, nil, false
			}
			if bad == nil && !w.good(dep) {
				bad = root(dep)
			}
		}
	}
	for _, v := range step.Step.Values {
		for _, dep := range w.run.Steps[v].Units {
			if missing == nil && dep.State != workflow.Succeeded {
				missing = root(dep)
			}
		}
	}
	return bad, missing, true
}

func (w *world) unit(u *workflow.Unit, mainDone bool) []command {
	switch u.State {
	case workflow.Pending:
		return w.pending(u, mainDone)
	case workflow.Ready:
		return []command{{unit: u, payload: &workflow.AttemptStarted{}}}
	case workflow.Waiting:
		if u.Wait.Reason == workflow.WaitBackoff {
			if w.now.Before(u.Wait.Until) {
				return nil
			}
			return []command{{unit: u, payload: &workflow.BackoffEnded{}}}
		}
		return w.waiting(u)
	case workflow.Running:
		if cause := w.deadline(u); cause != "" {
			return []command{{unit: u, payload: &workflow.AttemptExpired{Cause: cause}}}
		}
	}
	return nil
}

// pending judges a unit from the states of what it depends on.
func (w *world) pending(u *workflow.Unit, mainDone bool) []command {
	step := u.Step.Step
	if step.Finally && !mainDone {
		return nil
	}
	bad, missing, done := w.dependencies(u.Step)
	source := u.Source()
	if !done || source != nil && !source.State.Done() {
		return nil
	}
	if bad == nil && source != nil && !w.good(source) {
		bad = root(source)
	}
	if missing == nil && source != nil && source.State != workflow.Succeeded && step.PairValue {
		missing = root(source)
	}
	var p workflow.Payload = &workflow.UnitReady{}
	switch {
	case bad != nil && !step.StatusIf && !step.Finally:
		p = skipped(workflow.CauseUpstreamFailed, bad)
	case missing != nil:
		p = skipped(workflow.CauseSourceMissing, missing)
	default:
		yes, err := w.run.Workflow.EvalIf(step, w.run.Scope(u, nil))
		if err != nil {
			p = &workflow.UnitFailed{Cause: workflow.CauseExpression}
		} else if !yes {
			p = &workflow.UnitSkipped{Cause: workflow.CauseConditionFalse}
		}
	}
	return []command{{unit: u, payload: p}}
}

func root(u *workflow.Unit) *workflow.Unit {
	if u.Root != nil {
		return u.Root
	}
	return u
}

// good applies the definition of a good unit.
func (w *world) good(u *workflow.Unit) bool {
	switch u.State {
	case workflow.Succeeded:
		return true
	case workflow.Failed:
		return u.Step.Step.ContinueOnError
	case workflow.Skipped:
		if u.Cause == workflow.CauseConditionFalse {
			return true
		}
		if u.Cause != workflow.CauseSourceMissing {
			return false
		}
		for _, v := range u.Step.Step.Values {
			for _, dep := range w.run.Steps[v].Units {
				if dep.State != workflow.Succeeded && !w.good(dep) {
					return false
				}
			}
		}
		source := u.Source()
		return source == nil || !u.Step.Step.PairValue || w.good(source)
	}
	return false
}

// waiting wakes a unit that must be told something since it began to wait, or
// whose topic fired or whose instant passed; else its deadline may have come.
func (w *world) waiting(u *workflow.Unit) []command {
	since := w.last(u, "attempt.waiting")
	var commands []command
	why := workflow.WakeReason("")
	observed := true
	for i, e := range w.events {
		if i < since {
			continue
		}
		switch e.Data.(type) {
		case *workflow.RunOpened:
			if u.Wait.Reason.Remote() {
				why, observed = workflow.WakeReopened, false
			}
		case *workflow.CancelRequested, *workflow.RunTimedOut:
			if u.Wait.Reason.Remote() && w.cancelling(u, i) && why == "" {
				why = workflow.WakeCancelled
			}
		case *workflow.AttemptExpired:
			if about(e, u) && why == "" {
				why = workflow.WakeExpired
			}
		}
	}
	if observed {
		if cause := w.deadline(u); cause != "" {
			commands = append(commands, command{unit: u, payload: &workflow.AttemptExpired{Cause: cause}})
			return commands
		}
	}
	switch {
	case !u.Wait.Until.IsZero() && !w.now.Before(u.Wait.Until):
		why = workflow.WakeDue
	case why == "" && slices.Contains(w.fired, u):
		why = workflow.WakeTopic
	}
	if why != "" {
		commands = append(commands, command{unit: u, payload: &workflow.AttemptWoken{Why: why}})
	}
	return commands
}

// cancelling reports whether the unit's part of the workflow was to be cancelled
// once event i had happened.
func (w *world) cancelling(u *workflow.Unit, i int) bool {
	requests := 0
	for _, e := range w.events[:i+1] {
		switch e.Data.(type) {
		case *workflow.CancelRequested:
			requests++
		case *workflow.RunTimedOut:
			if !u.Step.Step.Finally {
				return true
			}
		}
	}
	if u.Step.Step.Finally {
		return requests > 1
	}
	return requests > 0
}

// deadline returns the cause when the time of a live attempt is up, that of the
// earlier deadline if there are two.
func (w *world) deadline(u *workflow.Unit) workflow.Cause {
	a := u.Attempt()
	if a.Expired != "" {
		return ""
	}
	timeout, inTime := w.armed(u, a.Deadline)
	queue, inQueue := w.armed(u, w.queueDeadline(u))
	switch {
	case inTime && (!inQueue || !queue.Before(timeout)):
		return workflow.CauseTimedOut
	case inQueue:
		return workflow.CauseQueueTimeout
	}
	return ""
}

// queueDeadline is when queue_timeout ends the newest attempt; zero if its job
// has left the queue, or is not known.
func (w *world) queueDeadline(u *workflow.Unit) time.Time {
	var since time.Time
	for _, e := range w.events[w.last(u, "attempt.started"):] {
		if !about(e, u) {
			continue
		}
		switch p := e.Data.(type) {
		case *workflow.SubmissionOutcome:
			since = e.At
		case *workflow.JobObserved:
			if p.Active {
				return time.Time{}
			}
		}
	}
	if q := u.Step.Step.QueueTimeout; q > 0 && !since.IsZero() {
		return since.Add(q)
	}
	return time.Time{}
}

// armed says when a deadline of a live attempt fires, and whether it has come.
// An attempt that is entered again after a reopen has at least the grace.
func (w *world) armed(u *workflow.Unit, deadline time.Time) (at time.Time, due bool) {
	if deadline.IsZero() {
		return at, false
	}
	at = deadline
	for i := w.last(u, "attempt.started"); i < len(w.events); i++ {
		if _, ok := w.events[i].Data.(*workflow.RunOpened); !ok {
			continue
		}
		at = deadline
		entered := i
		if reason := w.waitedFor(u, i); reason != "" {
			if !reason.Remote() {
				continue
			}
			if entered = w.next(u, "attempt.woken", i); entered < 0 {
				return at, false
			}
		}
		if grace := w.events[entered].At.Add(reopenGrace); at.Before(grace) {
			at = grace
		}
	}
	return at, !w.now.Before(at)
}

// waitedFor is what the unit's newest attempt waited for when event i happened;
// "" if it was running.
func (w *world) waitedFor(u *workflow.Unit, i int) workflow.WaitReason {
	reason := workflow.WaitReason("")
	for _, e := range w.events[:i] {
		if !about(e, u) {
			continue
		}
		switch p := e.Data.(type) {
		case *workflow.AttemptStarted, *workflow.AttemptWoken:
			reason = ""
		case *workflow.AttemptWaiting:
			reason = p.Reason
		}
	}
	return reason
}

// next is the index of the first event of a kind about the unit after event i;
// -1 if there is none.
func (w *world) next(u *workflow.Unit, kind workflow.EventKind, i int) int {
	for j := i + 1; j < len(w.events); j++ {
		if e := w.events[j]; e.Data.Kind() == kind && about(e, u) {
			return j
		}
	}
	return -1
}

// last is the index of the newest event of a kind about the unit, or 0.
func (w *world) last(u *workflow.Unit, kind workflow.EventKind) int {
	for i := len(w.events) - 1; i >= 0; i-- {
		if e := w.events[i]; e.Data.Kind() == kind && about(e, u) {
			return i
		}
	}
	return 0
}

func (w *world) timedOut() bool {
	return slices.ContainsFunc(w.events, func(e workflow.Event) bool {
		_, ok := e.Data.(*workflow.RunTimedOut)
		return ok
	})
}

// finallyDeadline is when `finally` is cut short: some time after both the first
// cancel and the end of `steps`.
func (w *world) finallyDeadline(mainDone bool) (time.Time, bool) {
	requests, at := 0, time.Time{}
	for _, e := range w.events {
		if _, ok := e.Data.(*workflow.CancelRequested); ok {
			if requests++; requests == 1 {
				at = e.At
			}
		}
	}
	if requests != 1 || !mainDone {
		return time.Time{}, false
	}
	if end := w.mainEnd(); end.After(at) {
		at = end
	}
	return at.Add(w.run.Workflow.FinallyTimeout), true
}

// mainEnd is when the last unit of `steps` was done.
func (w *world) mainEnd() time.Time {
	var end time.Time
	for _, step := range w.run.Steps {
		if step.Step.Finally {
			continue
		}
		for _, u := range step.Units {
			if u.Since.After(end) {
				end = u.Since
			}
		}
	}
	return end
}

// end applies the definition of a run's result.
func (w *world) end() workflow.RunState {
	bad, cancelled, badFinally := false, false, false
	for _, step := range w.run.Steps {
		for _, u := range step.Units {
			switch {
			case step.Step.Finally:
				badFinally = badFinally || !w.good(u)
			default:
				bad = bad || !w.good(u)
				cancelled = cancelled || u.State == workflow.Cancelled
			}
		}
	}
	asked := slices.ContainsFunc(w.events, func(e workflow.Event) bool {
		_, ok := e.Data.(*workflow.CancelRequested)
		return ok && !e.At.After(w.mainEnd())
	})
	switch {
	case w.timedOut():
		return workflow.RunFailed
	case asked && cancelled:
		return workflow.RunCancelled
	case bad || badFinally:
		return workflow.RunFailed
	}
	return workflow.RunSucceeded
}
