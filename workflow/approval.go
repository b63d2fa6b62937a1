package workflow

import (
	"fmt"
	"time"
)

// MaxNote bounds what a person says with an answer, in bytes.
const MaxNote = 1 << 10

// usesApprove is the step type whose attempts ask a person.
const usesApprove = "approve"

// ApprovalGiven is the answer of a person to an attempt that asks for one.
type ApprovalGiven struct {
	By       string `json:"by"` // user@host
	Note     string `json:"note,omitempty"`
	Rejected bool   `json:"rejected,omitempty"`
}

// Approval is the answer that an attempt got, and when.
type Approval struct {
	ApprovalGiven
	At time.Time `json:"at"`
}

// String reads "approved by ada@login1 at …".
func (a *Approval) String() string {
	verb := "approved"
	if a.Rejected {
		verb = "rejected"
	}
	return fmt.Sprintf("%s by %s at %s", verb, a.By, a.At.UTC().Format(time.RFC3339))
}

// Kind names the event.
func (*ApprovalGiven) Kind() EventKind { return "approval.given" }

func (p *ApprovalGiven) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(u *Unit, a *Attempt) error {
		if err := u.asks(); err != nil {
			return err
		}
		a.Approval = &Approval{ApprovalGiven: *p, At: e.At}
		r.wakeApproved(u)
		return nil
	})
}

// wakeApproved has a unit entered again that waits for an answer which is there.
func (r *Run) wakeApproved(u *Unit) {
	if u.State == Waiting && u.Wait.Reason == WaitApproval && u.Attempt().Approval != nil {
		r.wakes.push(wake{u, u.gen, WakeTopic})
	}
}

// ToApprove returns the units that a person can answer now, of those that ref
// names: all of a step, or those whose key has the given part. The error says why
// there is none: [ErrNotFound] if nothing has that name, else [ErrConflict].
func (r *Run) ToApprove(ref UnitRef, now time.Time) ([]*Unit, error) {
	s, ok := r.Step(ref.Step)
	if !ok {
		return nil, fmt.Errorf("the run has no step %q: %w", ref.Step, ErrNotFound)
	}
	named := s.Units
	if ref.Instance != "" {
		named = s.Match(ref.Instance)
	}
	var asking []*Unit
	var refusal error
	for _, u := range named {
		if err := u.Approvable(now); err == nil {
			asking = append(asking, u)
		} else if refusal == nil {
			refusal = err
		}
	}
	switch {
	case len(asking) > 0:
		return asking, nil
	case refusal != nil:
		return nil, refusal
	case ref.Instance != "":
		return nil, fmt.Errorf("the run has no instance %s: %w", ref, ErrNotFound)
	}
	return nil, fmt.Errorf("nothing to approve: %s has no instances yet: %w", ref, ErrConflict)
}

// Approvable returns nil if a person can answer the unit now, and else why not:
// an error that is [ErrConflict].
func (u *Unit) Approvable(now time.Time) error {
	if err := u.asks(); err != nil {
		return err
	}
	if end := u.Attempt().Deadline; !end.IsZero() && now.After(end) {
		return fmt.Errorf("nothing to approve: %s was to be answered until %s: %w", u.Ref(), end.UTC().Format(time.RFC3339), ErrConflict)
	}
	return nil
}

// asks returns nil if the newest attempt of the unit can take an answer, also
// while it is just being entered.
func (u *Unit) asks() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("nothing to approve: %s %s: %w", u.Ref(), fmt.Sprintf(format, args...), ErrConflict)
	}
	a := u.Attempt()
	switch {
	case u.Step.Step.Uses != usesApprove:
		return refuse("is a step that uses %s", u.Step.Step.Uses)
	case a != nil && a.Approval != nil && (u.live() || u.State.Done()):
		return refuse("was %s already", a.Approval)
	case u.State == Waiting && u.Wait.Reason != WaitApproval:
		return refuse("is waiting for its next attempt")
	case !u.live():
		return refuse("is %s", u.State)
	case a.Expired != "":
		return refuse("has run out of time")
	}
	return nil
}
