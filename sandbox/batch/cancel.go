package batch

import "fmt"

// Cancel ends a job, or all parts of an array, on behalf of the user with that
// id: a pending one at once, a running one by SIGTERM and, after KillWait,
// SIGKILL. It returns when the wish is on disk. The error for a job that is
// unknown, foreign or over is a *CancelError.
func (t *Table) Cancel(system, id, uid string) error {
	t.life.RLock()
	defer t.life.RUnlock()
	if t.closed {
		return errClosed
	}
	t.turn.Lock()
	defer t.turn.Unlock()
	jobs := t.Find(system, id)
	if len(jobs) == 0 {
		return &CancelError{id, UnknownJob}
	}
	if t.cfg.UID != nil && uid != "0" && uid != t.cfg.UID(jobs[0].Spec.User) {
		return &CancelError{id, ForeignJob}
	}
	var stopped []*record
	for _, job := range jobs {
		if next := t.cancelled(job, uid); next != nil {
			stopped = append(stopped, next)
		}
	}
	if len(stopped) == 0 {
		return &CancelError{id, EndedJob}
	}
	if err := t.replace(stopped...); err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	t.rouse()
	return nil
}

// cancelled is the record of a job once it is cancelled, nil if there is nothing
// left to stop. The caller holds turn.
func (t *Table) cancelled(job Job, uid string) *record {
	rec, _ := t.lookup(job.Spec.System, job.ID)
	if rec.State == Running {
		rec = t.follow(rec)
	}
	if rec.State.Terminal() || rec.Stop.Cause != "" {
		return nil
	}
	next := *rec
	next.CancelledBy = uid
	if rec.State == Pending {
		next.State, next.Ended = Cancelled, t.now()
	} else {
		next.Stop, next.Stopping = stop{Cancelled, t.now()}, true
	}
	return &next
}

// CancelError is why a job was not cancelled.
type CancelError struct {
	ID     string
	Reason CancelReason
}

// CancelReason is in the words of Slurm.
type CancelReason string

// Why a job was not cancelled.
const (
	UnknownJob CancelReason = "Invalid job id specified"
	ForeignJob CancelReason = "Access/permission denied"
	EndedJob   CancelReason = "Job/step already completing or completed"
)

// Error is what scancel prints.
func (e *CancelError) Error() string {
	return fmt.Sprintf("scancel: Terminating job %s\nscancel: error: Kill job error on job id %s: %s", e.ID, e.ID, e.Reason)
}
