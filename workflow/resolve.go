package workflow

import "fmt"

// Unknown reports whether nobody knows what became of the newest submission of
// the unit, so that a person may say so.
func (u *Unit) Unknown() bool {
	return u.live() && u.Attempt().Submission != nil && u.Resolvable() == nil
}

// Resolvable returns nil if a person may say what became of the submission of a
// unit, and else why there is nothing to say: an error that is [ErrConflict].
func (u *Unit) Resolvable() error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("nothing to resolve: %s: %w", fmt.Sprintf(format, args...), ErrConflict)
	}
	if !u.live() {
		where := string(u.State)
		if u.State == Waiting {
			where = "waiting for its next attempt"
		}
		return refuse("%s is %s", u.Ref(), where)
	}
	switch s := u.Attempt().Submission; {
	case s == nil:
		return refuse("%s is %s and has submitted nothing", u.Ref(), u.State)
	case s.Owner != nil && s.Owner.JobID != "":
		return refuse("job %s is known to be that of %s, and it is followed to its end", s.Owner.JobID, u.Ref())
	case s.Owner != nil:
		return refuse("no job of attempt %d of %s can run any more", len(u.Attempts), u.Ref())
	case s.Unsettled(), u.State == Waiting && u.Wait.Reason == WaitAttention:
		return nil
	case s.JobID != "":
		return refuse("job %s of %s is known, and it is followed to its end", s.JobID, u.Ref())
	default:
		return refuse("it is known that no request of %s has made a job so far", u.Ref())
	}
}
