package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// reopenGrace is how long an attempt that is entered again after a restart may
// look around before a deadline that has passed meanwhile ends it.
const reopenGrace = 30 * time.Second

// Apply folds one event into the run. It is the only place where state
// changes. An error means the event does not fit the history before it: the
// run must not be driven any further.
func Apply(r *Run, e *Event) error {
	if e.Seq != r.Seq+1 {
		return fmt.Errorf("event %d follows event %d: %w", e.Seq, r.Seq, ErrCorrupt)
	}
	if e.Epoch < r.Epoch {
		return fmt.Errorf("event %d of epoch %d follows epoch %d: %w", e.Seq, e.Epoch, r.Epoch, ErrStale)
	}
	if err := e.Data.apply(r, e); err != nil {
		return fmt.Errorf("event %d %s: %w", e.Seq, e.Data.Kind(), err)
	}
	r.Seq, r.Epoch = e.Seq, e.Epoch
	r.trim()
	return nil
}

// trim drops what is void from the heads of the queues, so that readers meet
// live entries first.
func (r *Run) trim() {
	r.expand.trim((*StepRun).Expanded)
	r.judge.trim(func(u *Unit) bool { return u.State != Pending })
	r.wakes.trim(wake.void)
	r.ring.trim(func(s *StepRun) bool {
		if s.counts[Ready] > 0 {
			return false
		}
		s.inRing = false
		return true
	})
	r.timers.trim()
}

func (p *RunCreated) apply(r *Run, e *Event) error {
	if r.ID != "" {
		return errors.New("the run exists already")
	}
	r.ID, r.Created, r.CreatedAt, r.QueuedAt = p.ID, *p, e.At, e.At
	if err := r.decodeInputs(p.Inputs); err != nil {
		return err
	}
	for _, s := range r.Steps {
		if s.Step.Matrix == nil && s.Step.ForEach == nil {
			s.addUnit("", e.At)
			s.expanded = true
		}
	}
	return nil
}

// decodeInputs turns the recorded inputs into what expressions see.
func (r *Run) decodeInputs(given map[string]json.RawMessage) error {
	r.inputs = make(map[string]any, len(given))
	for _, in := range r.Workflow.Inputs {
		text, ok := given[in.Name]
		if !ok {
			continue
		}
		v, err := in.Type.Decode(text)
		if err != nil {
			return fmt.Errorf("input %q: %w", in.Name, err)
		}
		r.inputs[in.Name] = v
	}
	return nil
}

func (s *StepRun) addUnit(instance string, at time.Time) *Unit {
	u := s.former[instance]
	if u != nil && u.kept {
		s.take(u)
	} else {
		u = &Unit{Step: s, Instance: instance, State: Pending, Since: at}
		s.inherit(u)
	}
	u.place = len(s.Units)
	s.Units = append(s.Units, u)
	s.byKey[instance] = u
	s.counts[u.State]++
	if !u.State.Done() {
		s.open++
	}
	return u
}

func (p *RunStarted) apply(r *Run, e *Event) error {
	if r.State != RunQueued {
		return fmt.Errorf("the run is %s", r.State)
	}
	r.startRound(e.At)
	r.armRun()
	r.begin()
	for _, s := range r.Steps {
		if s.unmet == 0 {
			if err := r.met(s, e.At); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin has the matrices expanded: they follow from the inputs alone.
func (r *Run) begin() {
	for _, s := range r.Steps {
		if s.Step.Matrix != nil {
			r.expand.push(s)
		}
	}
}

// startRound sets out; when the run was started first stays as it is.
func (r *Run) startRound(at time.Time) {
	r.State, r.roundAt = RunRunning, at
	if r.StartedAt.IsZero() {
		r.StartedAt = at
	}
}

func (p *RunOpened) apply(r *Run, e *Event) error {
	if e.Epoch <= r.Epoch {
		return fmt.Errorf("epoch %d after %d: %w", e.Epoch, r.Epoch, ErrStale)
	}
	if r.State.Terminal() {
		return nil
	}
	r.wakes = queue[wake]{}
	r.timers[TimersOfUnits].keep(TimerBackoff)
	for _, s := range r.Steps {
		for _, u := range s.Units {
			if _, err := u.moves(onReopened, u.State); err != nil {
				return err
			}
			r.reopenUnit(u, e.At)
		}
	}
	return nil
}

// reopenUnit arms a live unit again under a new owner. Evidence comes before
// timers: a unit that waits for something outside is entered, and may look
// around, before a deadline may fire.
func (r *Run) reopenUnit(u *Unit, at time.Time) {
	switch u.row() {
	case rowRunning:
		r.armDeadlines(u, at.Add(reopenGrace))
	case rowRemote:
		u.unobserved = true
		r.wakes.push(wake{u, u.gen, WakeReopened})
	case rowLocal:
		if u.Attempt().Expired != "" { // and was not told yet
			r.wakes.push(wake{u, u.gen, WakeExpired})
		}
		r.wakeApproved(u)
		r.armDeadlines(u, time.Time{})
	}
}

// armDeadlines sets the timers of the newest attempt, none before earliest.
func (r *Run) armDeadlines(u *Unit, earliest time.Time) {
	a := u.Attempt()
	add := func(kind TimerKind, at time.Time) {
		if at.Before(earliest) {
			at = earliest
		}
		r.timers.add(Timer{At: at, Kind: kind, Unit: u, attempt: len(u.Attempts)})
	}
	if a.Expired != "" {
		return
	}
	if !a.Deadline.IsZero() {
		add(TimerDeadline, a.Deadline)
	}
	if q := u.Step.Step.QueueTimeout; q > 0 && !a.QueuedAt.IsZero() {
		add(TimerQueue, a.QueuedAt.Add(q))
	}
}

func (p *RunBound) apply(r *Run, _ *Event) error {
	if _, bound := r.Sites[p.System]; bound {
		return fmt.Errorf("system %q is bound already", p.System)
	}
	r.Sites[p.System] = *p
	return nil
}

func (p *CancelRequested) apply(r *Run, e *Event) error {
	r.CancelRequests++
	if r.CancelledBy == "" {
		r.CancelledBy = p.By
	}
	if r.openMain == 0 && r.CancelRequests == 1 {
		r.armFinally(e.At)
	}
	return r.stopUnits(e)
}

func (p *RunTimedOut) apply(r *Run, e *Event) error {
	r.TimedOut = true
	return r.stopUnits(e)
}

// stopUnits does to the units what a cancel does: those that have nothing under
// way are cancelled at once; the others are told, and end by evidence.
func (r *Run) stopUnits(e *Event) error {
	for _, s := range r.Steps {
		if r.Cancelling(s.Step) && !s.expanded && s.Step.Pair == nil {
			r.standAlone(s, e.At)
		}
	}
	for _, s := range r.Steps {
		if !r.Cancelling(s.Step) {
			continue
		}
		for _, u := range s.Units {
			if u.State.Done() {
				continue
			}
			stop, err := u.moves(onCancel, Cancelled)
			if err != nil {
				return err
			}
			if u.row() == rowRemote {
				r.wakes.push(wake{u, u.gen, WakeCancelled})
			}
			if !stop {
				continue
			}
			u.Cause, u.Message = "", "" // of an attempt before
			if err := r.move(u, onCancel, Cancelled, e.At); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *RunFinished) apply(r *Run, e *Event) error {
	if !r.Finishable() {
		return fmt.Errorf("the run is %s with units that are not done", r.State)
	}
	if !p.State.Terminal() {
		return fmt.Errorf("%q is no end", p.State)
	}
	r.State, r.Cause, r.Message, r.Outputs, r.EndedAt = p.State, p.Cause, p.Message, p.Outputs, e.At
	return nil
}

func (p *UnitReady) apply(r *Run, e *Event) error {
	return r.onUnit(e, func(u *Unit) error { return r.move(u, onMet, Ready, e.At) })
}

func (p *UnitSkipped) apply(r *Run, e *Event) error {
	return r.onUnit(e, func(u *Unit) error {
		u.Cause, u.Message = p.Cause, p.Message
		if p.Root != nil {
			root, ok := r.Unit(*p.Root)
			if !ok {
				return fmt.Errorf("unknown root cause %s", p.Root)
			}
			u.Root = root
		}
		return r.move(u, onMet, Skipped, e.At)
	})
}

func (p *UnitFailed) apply(r *Run, e *Event) error {
	return r.onUnit(e, func(u *Unit) error {
		u.Cause, u.Message = p.Cause, p.Message
		on := onMet
		if u.State == Ready {
			on = onStart
		}
		return r.move(u, on, Failed, e.At)
	})
}

func (p *AttemptStarted) apply(r *Run, e *Event) error {
	return r.onUnit(e, func(u *Unit) error {
		if e.Attempt != len(u.Attempts)+1 {
			return fmt.Errorf("attempt %d after %d attempts", e.Attempt, len(u.Attempts))
		}
		if last := u.Attempt(); last != nil && !last.Submission.Over() {
			return fmt.Errorf("unit %s: another attempt while nobody knows what becomes of job %s", u.Ref(), last.Submission.Intent.JobName)
		}
		u.Attempts = append(u.Attempts, &Attempt{
			Number: e.Attempt, StartedAt: e.At, With: p.With, System: p.System, Deadline: p.Deadline,
			SpecVersion: p.SpecVersion,
		})
		u.system = p.System
		u.Cause, u.Message = "", "" // of the attempt before
		if err := r.move(u, onStart, Running, e.At); err != nil {
			return err
		}
		r.turn(u.Step)
		r.armDeadlines(u, time.Time{})
		return nil
	})
}

func (p *AttemptWaiting) apply(r *Run, e *Event) error {
	err := r.onAttempt(e, func(u *Unit, a *Attempt) error {
		if p.Reason == WaitBackoff {
			return errors.New("only a failure leads to a backoff")
		}
		if err := r.wait(u, onWait, *p, e.At); err != nil {
			return err
		}
		if !p.Until.IsZero() {
			r.timers.add(Timer{At: p.Until, Kind: TimerWait, Unit: u, gen: u.gen})
		}
		if a.unheard {
			a.unheard = false
			r.wakes.push(wake{u, u.gen, WakeResolved})
		}
		r.wakeApproved(u)
		return nil
	})
	if err == nil {
		r.countRequests(p.Requests)
	}
	return err
}

func (p *AttemptWoken) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(u *Unit, _ *Attempt) error {
		if err := r.move(u, onWake, Running, e.At); err != nil {
			return err
		}
		if u.unobserved {
			u.unobserved = false
			r.armDeadlines(u, e.At.Add(reopenGrace))
		}
		return nil
	})
}

func (p *AttemptExpired) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(u *Unit, a *Attempt) error {
		if !u.live() {
			return fmt.Errorf("unit %s is %s", u.Ref(), u.State)
		}
		a.Expired = p.Cause
		if u.State == Waiting {
			r.wakes.push(wake{u, u.gen, WakeExpired})
		}
		return nil
	})
}

func (p *Checkpoint) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(_ *Unit, a *Attempt) error {
		if a.Checkpoints == nil {
			a.Checkpoints = map[string]Body{}
		}
		a.Checkpoints[p.Key] = p.Value
		return nil
	})
}

func (p *AttemptFinished) apply(r *Run, e *Event) error {
	err := r.onAttempt(e, func(u *Unit, a *Attempt) error {
		if u.State.Done() {
			return nil // late
		}
		a.End, a.EndedAt = p, e.At
		u.Cause, u.Message = p.Cause, p.Message
		switch {
		case p.State == Succeeded:
			u.Cause, u.Message, u.Outputs = "", "", p.Outputs
			return r.move(u, onSuccess, Succeeded, e.At)
		case p.Retry != nil:
			if err := r.wait(u, onFailure, AttemptWaiting{Reason: WaitBackoff, Until: p.Retry.At}, e.At); err != nil {
				return err
			}
			r.timers.add(Timer{At: p.Retry.At, Kind: TimerBackoff, Unit: u, gen: u.gen})
			return nil
		}
		return r.move(u, onFailure, p.State, e.At)
	})
	if err == nil {
		r.countRequests(p.Requests)
	}
	return err
}

func (p *BackoffEnded) apply(r *Run, e *Event) error {
	return r.onUnit(e, func(u *Unit) error {
		if u.row() != rowBackoff {
			return fmt.Errorf("unit %s is not in backoff", u.Ref())
		}
		u.system = "" // may depend on the attempt
		return r.move(u, onWake, Ready, e.At)
	})
}

// queued starts the time that a job may wait in its queue.
func (r *Run) queued(u *Unit, at time.Time) {
	a := u.Attempt()
	if !a.QueuedAt.IsZero() {
		return
	}
	a.QueuedAt = at
	if q := u.Step.Step.QueueTimeout; q > 0 {
		r.timers.add(Timer{At: at.Add(q), Kind: TimerQueue, Unit: u, attempt: len(u.Attempts)})
	}
}

func (p *JobObserved) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(u *Unit, a *Attempt) error {
		a.Job = p
		a.LeftQueue = a.LeftQueue || p.Active || p.Terminal
		r.queued(u, e.At)
		r.changed = append(r.changed, u)
		return nil
	})
}

// onUnit finds the unit an event is about.
func (r *Run) onUnit(e *Event, f func(*Unit) error) error {
	if r.State != RunRunning {
		return fmt.Errorf("the run is %s", r.State)
	}
	ref := UnitRef{Step: e.Step, Instance: e.Instance}
	u, ok := r.Unit(ref)
	if !ok {
		return fmt.Errorf("unknown unit %s", ref)
	}
	return f(u)
}

// onAttempt also checks that the event is about the newest attempt.
func (r *Run) onAttempt(e *Event, f func(*Unit, *Attempt) error) error {
	return r.onUnit(e, func(u *Unit) error {
		if e.Attempt == 0 || e.Attempt != len(u.Attempts) {
			return fmt.Errorf("unit %s: event of attempt %d, the newest is %d", u.Ref(), e.Attempt, len(u.Attempts))
		}
		return f(u, u.Attempt())
	})
}

// wait is a move to waiting for a reason.
func (r *Run) wait(u *Unit, on stimulus, w AttemptWaiting, at time.Time) error {
	u.Wait = w
	return r.move(u, on, Waiting, at)
}
