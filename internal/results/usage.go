package results

import (
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// NodeHours is what the jobs of an instance have used, over all its attempts, as
// the scheduler last told: nodes times elapsed time. known is false if it told of
// none.
func NodeHours(u *workflow.UnitView) (hours float64, known bool) {
	for i := range u.Attempts {
		if h, ok := jobHours(u.Attempts[i].Job); ok {
			hours, known = hours+h, true
		}
	}
	return hours, known
}

// RunNodeHours is what the jobs of a run have used, those of instances included that
// it has no more.
func RunNodeHours(v *workflow.RunView) (hours float64, known bool) {
	add := func(units []workflow.UnitView) {
		for i := range units {
			if h, ok := NodeHours(&units[i]); ok {
				hours, known = hours+h, true
			}
		}
	}
	for i := range v.Steps {
		add(v.Steps[i].Instances)
	}
	add(v.Dropped)
	return hours, known
}

// jobHours is what one job has used. A scheduler that tells no elapsed time may
// tell when the job began and ended.
func jobHours(j *workflow.JobObserved) (float64, bool) {
	if j == nil || j.Nodes == 0 {
		return 0, false
	}
	elapsed := time.Duration(j.ElapsedMS) * time.Millisecond
	if elapsed == 0 && j.Terminal && !j.StartedAt.IsZero() && j.EndedAt.After(j.StartedAt) {
		elapsed = j.EndedAt.Sub(j.StartedAt)
	}
	if elapsed == 0 && !j.Terminal {
		return 0, false // it is in the queue
	}
	return float64(j.Nodes) * elapsed.Hours(), true
}

// Took is how long an instance took, all its attempts together, as [NodeHours]
// counts them. Pauses in between do not count: they may be days in which nobody
// looked. Of an attempt that is not over it is the time until now; the zero now
// knows of none.
func Took(u *workflow.UnitView, now time.Time) (took time.Duration, known bool) {
	for i := range u.Attempts {
		end := u.Attempts[i].EndedAt
		if end.IsZero() {
			end = now
		}
		if end.IsZero() {
			return 0, false
		}
		took += max(end.Sub(u.Attempts[i].StartedAt), 0)
	}
	return took, len(u.Attempts) > 0
}
