package engine

import (
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// maxCommands bounds one decision, so that a wide fan-out neither blocks the
// owner nor grows a commit without limit.
const maxCommands = 256

// finallyTimeoutBy is who asks for the second cancel when `finally` took too
// long after the first.
const finallyTimeoutBy = "finally_timeout"

// input is what a decision depends on besides the folded run.
type input struct {
	now   time.Time
	slots int // attempt slots granted to this run now
	// waiting: the run has no place in its concurrency groups yet.
	waiting bool
	// hold: nothing that is not under way begins or ends, and neither does the run.
	hold bool
	// jobs is how many more units may enter the queue of a system.
	jobs func(system string) int
	// fired are waiting units whose topic has news, oldest first.
	fired []*workflow.Unit
	// binding are systems being bound, unbindable those that never will be.
	binding    map[string]bool
	unbindable map[string]error
	blobs      workflow.BlobReader
}

// command is one thing to do: an event to append, and what to act on once it is
// durable.
type command struct {
	unit    *workflow.Unit    // nil for commands about a step or the run
	step    *workflow.StepRun // of commands about a step
	attempt int
	payload workflow.Payload // nil when nothing is appended
	blobs   []workflow.Blob
	enter   workflow.WakeReason // enter the unit's attempt, for this reason
	bind    string              // bind the run to this system
}

// decide says what to do next. It is a pure function: it reads the queues and
// counters that the fold maintains, never every unit, and changes nothing.
// Events it returns are valid in the order given. No command means that only
// time or news from outside can change anything.
func decide(run *workflow.Run, in input) []command {
	d := decision{run: run, in: in, slots: in.slots, woken: map[*workflow.Unit]bool{}}
	switch {
	case run.State.Terminal():
		return nil
	case run.State == workflow.RunQueued && run.CancelRequests > 0:
		d.finish()
		return d.commands
	case run.State == workflow.RunQueued && in.waiting:
		return nil
	case run.State == workflow.RunQueued:
		d.add(command{payload: &workflow.RunStarted{}})
		return d.commands
	}
	if d.stop() { // what else there is to do is decided by what this leaves
		return d.commands
	}
	d.due()
	d.wake()
	if in.hold {
		return d.commands
	}
	d.expand()
	if d.siteKnown() {
		d.judge()
		d.start()
	}
	if run.Finishable() {
		d.finish()
	}
	return d.commands
}

type decision struct {
	run      *workflow.Run
	in       input
	slots    int
	woken    map[*workflow.Unit]bool
	asked    map[string]bool            // systems this decision binds
	failing  map[*workflow.StepRun]bool // steps whose other units this decision may skip
	commands []command
}

func (d *decision) add(c command) { d.commands = append(d.commands, c) }

func (d *decision) full() bool { return len(d.commands) >= maxCommands }

// siteKnown reports whether expressions may be evaluated that name the remote
// directory on the default system, and has the run bound to it if not.
func (d *decision) siteKnown() bool {
	system := d.run.MissingSite()
	if system == "" || d.in.unbindable[system] != nil {
		return true
	}
	d.bind(system)
	return false
}

// stop ends what has run out of time: the run, or `finally` after a cancel.
func (d *decision) stop() bool {
	for t := range d.run.Due(workflow.TimersOfRun, d.in.now) {
		switch t.Kind {
		case workflow.TimerRun:
			d.add(command{payload: &workflow.RunTimedOut{}})
			return true
		case workflow.TimerFinally:
			d.add(command{payload: &workflow.CancelRequested{By: finallyTimeoutBy}})
			return true
		}
	}
	return false
}

// due turns timers of units whose instant has come into events, as many as there
// is room for.
func (d *decision) due() {
	for t := range d.run.Due(workflow.TimersOfUnits, d.in.now) {
		if d.full() {
			return
		}
		switch t.Kind {
		case workflow.TimerBackoff:
			d.add(command{unit: t.Unit, payload: &workflow.BackoffEnded{}})
		case workflow.TimerDeadline:
			d.expire(t.Unit, workflow.CauseTimedOut)
		case workflow.TimerQueue:
			d.expire(t.Unit, workflow.CauseQueueTimeout)
		}
	}
	if d.slots == 0 {
		return
	}
	for t := range d.run.Due(workflow.TimersOfWaits, d.in.now) { // a deadline comes before them
		d.enter(t.Unit, workflow.WakeDue)
		if d.full() || d.slots == 0 {
			return
		}
	}
}

// expire ends an attempt's time, once even if two deadlines are due together.
func (d *decision) expire(u *workflow.Unit, cause workflow.Cause) {
	if d.woken[u] {
		return
	}
	d.woken[u] = true
	d.add(command{unit: u, attempt: len(u.Attempts), payload: &workflow.AttemptExpired{Cause: cause}})
}

// wake enters waiting attempts again: those that must be told something, and
// those whose topic fired.
func (d *decision) wake() {
	d.run.ToWake(func(u *workflow.Unit, why workflow.WakeReason) bool {
		d.enter(u, why)
		return !d.full() && d.slots > 0
	})
	for _, u := range d.in.fired {
		if d.full() || d.slots == 0 {
			return
		}
		if u.State == workflow.Waiting && u.Wait.Reason != workflow.WaitBackoff {
			d.enter(u, workflow.WakeTopic)
		}
	}
}

// enter wakes a unit if there is a slot.
func (d *decision) enter(u *workflow.Unit, why workflow.WakeReason) {
	if d.woken[u] || d.slots == 0 {
		return
	}
	d.woken[u] = true
	d.slots--
	d.add(command{unit: u, attempt: len(u.Attempts), payload: &workflow.AttemptWoken{Why: why}, enter: why})
}

// expand says which instances steps have. Those of one count when the next is
// expanded: the bound is that of the run.
func (d *decision) expand() {
	planned := 0
	d.run.ToExpand(func(s *workflow.StepRun) bool {
		payloads, units := d.run.Expand(s, planned, d.in.blobs)
		for _, p := range payloads {
			d.add(command{step: s, payload: p})
		}
		planned += units
		return !d.full()
	})
}

// judge settles units whose dependencies are met, in the order of
// docs/semantics.md: a bad dependency, a missing value, the condition.
func (d *decision) judge() {
	d.run.ToJudge(func(u *workflow.Unit) bool {
		if !d.failing[u.Step] {
			d.settle(u, d.verdict(u))
		}
		return !d.full()
	})
}

// settle adds what becomes of a unit that is not started. With fail_fast one that
// is bad ends the others of its step, so nothing more is decided about these now.
func (d *decision) settle(u *workflow.Unit, p workflow.Payload) {
	d.add(command{unit: u, payload: p})
	if skipped, ok := p.(*workflow.UnitSkipped); ok && skipped.Cause == workflow.CauseConditionFalse {
		return
	}
	if _, ready := p.(*workflow.UnitReady); ready || !u.Step.Step.FailFast {
		return
	}
	if d.failing == nil {
		d.failing = map[*workflow.StepRun]bool{}
	}
	d.failing[u.Step] = true
}

func (d *decision) verdict(u *workflow.Unit) workflow.Payload {
	step := u.Step.Step
	if root := d.run.Blocked(u); root != nil && !step.StatusIf && !step.Finally {
		return skipped(workflow.CauseUpstreamFailed, root)
	}
	if source := d.run.MissingValue(u); source != nil {
		root := source
		if source.Root != nil {
			root = source.Root
		}
		return skipped(workflow.CauseSourceMissing, root)
	}
	yes, err := d.run.Workflow.EvalIf(step, d.run.Scope(u, d.in.blobs))
	switch {
	case err != nil:
		return failed(workflow.CauseExpression, err)
	case !yes:
		return &workflow.UnitSkipped{Cause: workflow.CauseConditionFalse}
	}
	return &workflow.UnitReady{}
}

func skipped(cause workflow.Cause, root *workflow.Unit) workflow.Payload {
	ref := root.Ref()
	return &workflow.UnitSkipped{Cause: cause, Root: &ref, Message: fmt.Sprintf("because %s %s", ref, root.State)}
}

// start begins attempts of ready units: round robin between steps, first come
// first served within one, within the slots, max_parallel and the jobs a system
// may have.
func (d *decision) start() {
	jobs := map[string]int{}
	queues := d.startable(jobs)
	for len(queues) > 0 && d.slots > 0 && !d.full() {
		left := queues[:0]
		for _, q := range queues {
			if d.slots == 0 || d.full() {
				return
			}
			if d.failing[q[0].Step] {
				continue
			}
			d.startUnit(q[0])
			if len(q) > 1 {
				left = append(left, q[1:])
			}
		}
		queues = left
	}
}

// startable lists per step, in round-robin order, the units that may start.
func (d *decision) startable(jobs map[string]int) [][]*workflow.Unit {
	var queues [][]*workflow.Unit
	if d.slots == 0 || d.full() {
		return nil
	}
	d.run.ReadySteps(func(s *workflow.StepRun) bool {
		room := d.slots
		if limit := s.Step.MaxParallel; limit > 0 {
			room = min(room, limit-s.InQueue())
		}
		var q []*workflow.Unit
		s.ReadyUnits(func(u *workflow.Unit) bool {
			if len(q) >= room {
				return false
			}
			may := d.mayStart(u, jobs)
			if may {
				q = append(q, u)
			}
			return may || !s.Step.OneSystem() // where one finds no room, none does
		})
		if len(q) > 0 {
			queues = append(queues, q)
		}
		return len(queues) < d.slots
	})
	return queues
}

// mayStart reports whether a ready unit's system is bound and has room in its
// queue. A unit that can never start passes: startUnit fails it.
func (d *decision) mayStart(u *workflow.Unit, jobs map[string]int) bool {
	system, err := d.run.SystemOf(u, d.in.blobs)
	if err != nil || system == "" {
		return true
	}
	if d.in.unbindable[system] != nil {
		return true
	}
	if _, bound := d.run.Sites[system]; !bound {
		d.bind(system)
		return false
	}
	if !u.Step.Step.Spec().Job {
		return true
	}
	if _, known := jobs[system]; !known {
		jobs[system] = d.in.jobs(system)
	}
	if jobs[system] <= 0 {
		return false
	}
	jobs[system]--
	return true
}

func (d *decision) bind(system string) {
	if d.in.binding[system] || d.asked[system] {
		return
	}
	if d.asked == nil {
		d.asked = map[string]bool{}
	}
	d.asked[system] = true
	d.add(command{bind: system})
}

// startUnit starts the next attempt of a unit, or fails it when its inputs
// cannot be evaluated.
func (d *decision) startUnit(u *workflow.Unit) {
	step := u.Step.Step
	system, err := d.run.SystemOf(u, d.in.blobs)
	if err != nil {
		d.settle(u, failed(workflow.CauseExpression, err))
		return
	}
	if err := d.in.unbindable[system]; err != nil {
		d.settle(u, failed(workflow.CauseRejected, err))
		return
	}
	with, err := evalWith(d.run, u, d.run.Scope(u, d.in.blobs))
	if err != nil {
		d.settle(u, failed(workflow.CauseExpression, err))
		return
	}
	started := &workflow.AttemptStarted{System: system}
	if version := step.Spec().Version; version > 1 {
		started.SpecVersion = version
	}
	var blobs []workflow.Blob
	started.With, blobs = workflow.NewBody(with)
	if step.Timeout > 0 {
		started.Deadline = d.in.now.Add(step.Timeout)
	}
	d.slots--
	d.add(command{unit: u, attempt: len(u.Attempts) + 1, payload: started, blobs: blobs, enter: workflow.WakeStart})
}

func failed(cause workflow.Cause, err error) workflow.Payload {
	return &workflow.UnitFailed{Cause: cause, Message: err.Error()}
}

// finish ends the run. Outputs belong to a run that succeeded; one that cannot
// be evaluated makes the run fail.
func (d *decision) finish() {
	end := &workflow.RunFinished{}
	end.State, end.Cause = d.run.End()
	var blobs []workflow.Blob
	if end.State == workflow.RunSucceeded {
		outputs, err := d.run.Workflow.EvalOutputs(d.run.Scope(nil, d.in.blobs))
		if err != nil {
			end.State, end.Cause, end.Message = workflow.RunFailed, workflow.CauseExpression, err.Error()
		} else {
			end.Outputs, blobs = workflow.NewBody(outputs)
		}
	}
	d.add(command{payload: end, blobs: blobs})
}
