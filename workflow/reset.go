package workflow

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// RunReopened begins a new round of a run that has ended.
type RunReopened struct {
	Round int `json:"round"`
}

// UnitsReset has units done again. It records what was chosen; which units that
// are, and which of those that depend on them go with them, follows from the
// history before it.
type UnitsReset struct {
	// Units are those that were named, one by one or many by their step or a part
	// of their key; without any it is every bad unit that failed or was cancelled.
	Units []UnitRef `json:"units,omitempty"`
	// Force takes units too that have succeeded.
	Force bool `json:"force,omitempty"`
	// Exact names instances one by one, and means these and no more, done or in
	// backoff: a new workflow does them again.
	Exact bool   `json:"exact,omitempty"`
	By    string `json:"by"`
}

// Kind names the event.
func (*RunReopened) Kind() EventKind { return "run.reopened" }
func (*UnitsReset) Kind() EventKind  { return "units.reset" }

func (p *RunReopened) apply(r *Run, e *Event) error {
	switch {
	case !r.State.Terminal():
		return fmt.Errorf("the run is %s", r.State)
	case p.Round != r.Round+1:
		return fmt.Errorf("round %d after round %d", p.Round, r.Round)
	}
	r.Round, r.State, r.QueuedAt = p.Round, RunQueued, e.At
	r.Cause, r.Message, r.Outputs, r.EndedAt = "", "", Body{}, time.Time{}
	r.CancelRequests, r.CancelledBy = 0, ""
	return nil
}

func (p *UnitsReset) apply(r *Run, e *Event) error {
	if r.State.Terminal() {
		return fmt.Errorf("the run is %s", r.State)
	}
	set, err := r.resetSet(p)
	if err != nil {
		return err
	}
	return r.reset(set, e.At)
}

// maxResetNames bounds the names of a reset, in bytes, so that its event can be
// stored.
const maxResetNames = 32 << 10

// ResetSet lists the units that a reset has done again, in the order of the
// workflow: those that were chosen and, of what depends on them, what has not
// succeeded; everything if one that was chosen had succeeded; and `finally` if a
// unit of `steps` is among them. It fails with [ErrNotFound] if a name is
// unknown, and with [ErrConflict] if the reset cannot be now.
func (r *Run) ResetSet(p *UnitsReset) ([]*Unit, error) {
	set, err := r.resetSet(p)
	if err == nil && len(set.units) == 0 {
		return nil, fmt.Errorf("nothing to do again: no instance is named: %w", ErrConflict)
	}
	if err == nil && !slices.ContainsFunc(set.units, func(u *Unit) bool { return u.State.Done() }) {
		err = fmt.Errorf("nothing to do again: %s is %s: %w", set.units[0].Ref(), set.units[0].State, ErrConflict)
	}
	return set.units, err
}

func (r *Run) resetSet(p *UnitsReset) (resetSet, error) {
	if r.State == RunRunning && (r.CancelRequests > 0 || r.TimedOut) {
		return resetSet{}, fmt.Errorf("the run is being cancelled: wait for its end: %w", ErrConflict)
	}
	if p.Exact {
		return r.exactly(p.Units)
	}
	chosen, err := r.chosen(p)
	if err != nil {
		return resetSet{}, err
	}
	set := r.closure(chosen)
	return set, r.mayReset(set.units)
}

// exactly finds instances by their names.
func (r *Run) exactly(names []UnitRef) (resetSet, error) {
	var set resetSet
	for _, ref := range names {
		u, ok := r.Unit(ref)
		switch {
		case !ok:
			return set, fmt.Errorf("the run has no instance %s: %w", ref, ErrNotFound)
		case u.row() == rowBackoff:
			set.units = append(set.units, u)
		default:
			set.units = append(set.units, u)
			if err := r.mayReset(set.units[len(set.units)-1:]); err != nil {
				return set, err
			}
		}
	}
	return set, nil
}

// chosen lists the units that a reset names.
func (r *Run) chosen(p *UnitsReset) ([]*Unit, error) {
	if len(p.Units) == 0 {
		var bad []*Unit
		for _, s := range r.Steps {
			for _, u := range s.Units {
				if !u.Good && (u.State == Failed || u.State == Cancelled) {
					bad = append(bad, u)
				}
			}
		}
		if len(bad) == 0 {
			return nil, fmt.Errorf("nothing to do again: nothing that counts has failed or was cancelled: %w", ErrConflict)
		}
		return bad, nil
	}
	var all []*Unit
	size := 0
	for _, ref := range p.Units {
		if size += len(ref.String()) + len(`{"step":"","instance":""},`); size > maxResetNames {
			return nil, fmt.Errorf("%d names are too many to be kept: name steps, or parts of keys: %w", len(p.Units), ErrConflict)
		}
		units, err := r.named(ref, p.Force)
		if err != nil {
			return nil, err
		}
		all = append(all, units...)
	}
	return all, nil
}

// named lists the units that one name of a reset stands for. A name of one unit
// means that unit, whatever has become of it; one of many means those that
// failed or were cancelled, with force all that are done.
func (r *Run) named(ref UnitRef, force bool) ([]*Unit, error) {
	s, ok := r.Step(ref.Step)
	if !ok {
		return nil, fmt.Errorf("the run has no step %q: %w", ref.Step, ErrNotFound)
	}
	if u, ok := s.Unit(ref.Instance); ok {
		if u.State == Succeeded && !force {
			return nil, fmt.Errorf("%s has succeeded: do it again all the same with --force: %w", u.Ref(), ErrConflict)
		}
		return []*Unit{u}, nil
	}
	units := s.Units
	if ref.Instance != "" {
		units = s.Match(ref.Instance)
	}
	if !s.expanded {
		return nil, fmt.Errorf("nothing to do again: the instances of %s are not known yet: %w", ref.Step, ErrConflict)
	}
	if len(units) == 0 {
		return nil, fmt.Errorf("the run has no instance %s: %w", ref, ErrNotFound)
	}
	var some []*Unit
	for _, u := range units {
		if u.State == Failed || u.State == Cancelled || force && u.State.Done() {
			some = append(some, u)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("no instance of %s has failed or was cancelled: do those that succeeded again with --force: %w", ref, ErrConflict)
	}
	return some, nil
}

// mayReset refuses a reset of what is under way, and of what may be without
// anybody knowing.
func (r *Run) mayReset(set []*Unit) error {
	var busy, doubtful []string
	for _, u := range set {
		switch {
		case u.State == Running || u.State == Waiting:
			busy = append(busy, fmt.Sprintf("%s is %s", u.Ref(), u.State))
		case u.Attempt() != nil && !u.Attempt().Submission.Over():
			doubtful = append(doubtful, u.Ref().String())
		}
	}
	switch {
	case len(busy) > 0:
		return fmt.Errorf("cannot be done again before its end: %s: %w", few(busy), ErrConflict)
	case len(doubtful) > 0:
		return fmt.Errorf("cannot be done again while nobody knows what became of its job: %s: %w", few(doubtful), ErrConflict)
	}
	return nil
}

// few joins the first of many texts.
func few(texts []string) string {
	const most = 5
	if more := len(texts) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), more)
	}
	return strings.Join(texts, ", ")
}

// reset makes units pending and counts anew. Attempts stay, and the next one has
// the next number.
func (r *Run) reset(set resetSet, at time.Time) error {
	for _, u := range set.units {
		moves, err := u.moves(onReset, Pending)
		if err != nil {
			return err
		}
		if !moves {
			continue // it is pending
		}
		u.State, u.Since = Pending, at
		u.Cause, u.Message, u.Good, u.Root = "", "", false, nil
		u.Outputs, u.outputs, u.Imported = Body{}, nil, nil
		u.Wait, u.unobserved = AttemptWaiting{}, false
		u.system, u.systemErr = "", nil
		u.before = len(u.Attempts)
		u.gen++
		r.changed = append(r.changed, u)
	}
	r.collapse(set)
	return r.settle(at)
}

// rearm sets the timers of the run again: those that became void by what a reset
// took back may be gone.
func (r *Run) rearm() {
	r.timers[TimersOfRun] = nil
	if r.State == RunRunning {
		r.armRun()
	}
}

// armRun bounds what the round may take.
func (r *Run) armRun() {
	if t := r.Workflow.Timeout; t > 0 {
		r.timers.add(Timer{At: r.roundAt.Add(t), Kind: TimerRun, run: r})
	}
}

// meet lets the pending units go on whose dependencies are done. None of them is
// in the queue of those to be judged.
func (r *Run) meet(at time.Time) error {
	for _, s := range r.Steps {
		if s.unmet > 0 {
			continue
		}
		if err := r.met(s, at); err != nil {
			return err
		}
	}
	return nil
}

// Tries are the attempts since the unit was last reset: retry rules count them.
func (u *Unit) Tries() []*Attempt { return u.Attempts[u.before:] }
