package steps

import (
	"context"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// A job that the scheduler does not show, or shows as running when it cannot be
// any more, has other witnesses: its claim, its exit marker, and its time limit.

// missingKey is the checkpoint of when the scheduler was first heard not to know
// the job; zero when it was seen again.
const missingKey = "missing_since"

// missedSince is since when the job is missing, zero if it is not.
func (c *call) missedSince() (since time.Time, err error) {
	_, err = c.Load(missingKey, &since)
	return since, err
}

// missing looks for a job that the scheduler does not know, or not any more: by
// its claim and its exit marker. It is lost only when no witness is left, and when
// it cannot be running any more.
func (c *call) missing(ctx context.Context, w watched, topic string) (*firecrest.Observation, engine.Outcome) {
	now := time.Now().UTC()
	since, err := c.missedSince()
	if err == nil && since.IsZero() {
		since = now
		err = c.keep(ctx, missingKey, since)
	}
	if err != nil {
		return nil, lost(err)
	}
	s := w.submission
	again := engine.Wait{
		Reason: workflow.WaitJob, Topic: topic, Until: now.Add(c.library.outages.longest),
		Message: fmt.Sprintf("the scheduler does not know job %s, or not yet", w.id),
	}
	if s.Intent.Fence != workflow.FenceClaim {
		if now.After(c.limitOf(s, since)) && c.Submission() != nil {
			again.Reason, again.Message = workflow.WaitAttention, fmt.Sprintf("the scheduler does not know job %s any more, and there is no other witness; say what became of it with %s", w.id, c.resolveCommand())
		}
		return nil, engine.Suspend(again)
	}
	l := c.readPart(ctx, s.Intent.Control, now.Add(-freshness))
	if l.err != nil && !isNotFound(l.err) {
		return nil, c.outageSoon(ctx, l.err)
	}
	k := readClaim(l.entries, s.Intent.Token)
	gone := firecrest.Observation{At: now, Job: firecrest.Job{ID: w.id, Name: s.Intent.JobName}}
	switch {
	case isNotFound(l.err):
		if c.Submission() == nil {
			return nil, engine.Suspend(again)
		}
		return nil, c.goneDirectory(s)
	case k.claimed() && (k.marked || k.owner != w.id):
		return &gone, engine.Outcome{}
	case !k.claimed() && now.Sub(since) >= 2*c.library.lookupEvery():
		return &gone, engine.Outcome{}
	case k.claimed() && now.After(c.silentBy(s, since)):
		return &gone, engine.Outcome{}
	}
	again.Message = fmt.Sprintf("the scheduler does not know job %s; %s", w.id, k.words(s.Intent.Token))
	return nil, engine.Suspend(again)
}

// limitOf is when a job that was last heard of at an instant, or began then,
// cannot be running any more.
func (c *call) limitOf(s *workflow.Submission, since time.Time) time.Time {
	limit := time.Duration(s.Intent.LimitMS) * time.Millisecond
	if limit == 0 {
		limit = c.library.fence.Limit
	}
	return since.Add(limit + c.library.fence.Margin)
}

// silentBy is when the exit marker of such a job must show if there is one: it
// may have been left at the limit, and show late.
func (c *call) silentBy(s *workflow.Submission, since time.Time) time.Time {
	return c.limitOf(s, since).Add(c.library.fence.Visible)
}

// limitOfJob is when a job that is shown as running must be over, zero if that
// cannot be said.
func (c *call) limitOfJob(w watched) time.Time {
	j := c.Job()
	if w.submission == nil || j == nil || !j.Active || j.StartedAt.IsZero() || w.submission.Intent.LimitMS == 0 || j.JobID != string(w.id) {
		return time.Time{}
	}
	limit := c.limitOf(w.submission, j.StartedAt)
	if now := time.Now(); limit.Before(now) { // looked at already
		return now.Add(c.library.outages.longest)
	}
	return limit
}

// overdue reports whether the attempt is entered because its job must be over.
func (c *call) overdue(w watched) bool {
	j := c.Job()
	return c.Reason == workflow.WakeDue && !c.limitOfJob(w).IsZero() && time.Now().After(c.limitOf(w.submission, j.StartedAt))
}

// pastLimit asks once more for a job that is shown as running long after its time
// limit, and if that stays so, its exit marker.
func (c *call) pastLimit(ctx context.Context, w watched, topic string) (*firecrest.Observation, engine.Outcome) {
	seen := c.observe(ctx, topic, w)
	switch {
	case seen.Job.Status.State.IsTerminal():
		return &seen, engine.Outcome{}
	case seen.Unknown:
		return c.missing(ctx, w, topic)
	}
	if w.submission.Intent.Fence == workflow.FenceClaim {
		l := c.readPart(ctx, w.submission.Intent.Control, time.Now().Add(-freshness))
		k := readClaim(l.entries, w.submission.Intent.Token)
		// Of a failure the scheduler may yet say more than the marker: that it was
		// the time limit.
		late := time.Since(c.limitOf(w.submission, c.Job().StartedAt)) > c.library.fence.Margin
		if l.err == nil && k.claimed() && (k.owner != w.id || k.marked && (k.code == 0 || late)) {
			return &firecrest.Observation{At: time.Now(), Job: firecrest.Job{ID: w.id, Name: w.submission.Intent.JobName}}, engine.Outcome{}
		}
	}
	wait := waitFor(seen, w.id, topic)
	wait.Until = time.Now().Add(c.library.outages.longest)
	return nil, engine.Suspend(wait)
}
