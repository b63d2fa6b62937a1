package steps

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// Exit codes by which a job says that its payload did not run. They are believed
// only of a job that has left no exit marker: the payload may use them too.
const (
	exitUnusable  = 78 // it could not use its directory
	exitDuplicate = 79 // another job owns the token
)

// ending is what is known of the end of a job that carries a token.
type ending struct {
	submission *workflow.Submission
	job        firecrest.Job
	at         time.Time // when the answer that showed the end was asked for
	requeue    bool
	// record makes the owner durable; nil where that is another attempt's matter.
	record func(*workflow.SubmissionOwner) error
}

// verdict is how a job ended, or what there is to do before that can be said.
// Exactly one of end, follow and wait is set.
type verdict struct {
	end    *jobEnd
	follow firecrest.JobID // the job that owns the token, which is another
	wait   *engine.Outcome
}

// settle decides by the evidence whether a job that has ended was the one to run
// the payload, and how that ended.
func (c *call) settle(ctx context.Context, e ending) verdict {
	confirm := c.library.fence.Confirm
	if e.requeue && comesBack(e.job.Status.State.Name()) {
		if v, early := c.early(ctx, e, confirm, confirm, "the scheduler may run it again"); early {
			c.library.jobs.forget(jobTopic(c.system(), e.submission.Intent.Token, e.job.ID))
			return v
		}
	}
	if e.submission.Intent.Fence != workflow.FenceClaim && maySurvive(e.job) {
		if v, early := c.early(ctx, e, confirm, confirm, "its processes are given time to end"); early {
			return v
		}
	}
	switch e.submission.Intent.Fence {
	case workflow.FenceClaim:
		return c.settleByClaim(ctx, e)
	case workflow.FenceBlind:
		if code := e.job.Status.ExitCode; code != nil && *code == exitDuplicate {
			return c.settleDuplicate(e)
		}
		return c.own(e, workflow.RuleExitCode, "it did not say that another job owns the token", nil, claim{owner: e.job.ID})
	}
	return c.own(e, workflow.RuleName, "no fence: it has the name", nil, claim{owner: e.job.ID})
}

// comesBack reports whether a job that may be requeued can leave a state.
func comesBack(state string) bool {
	return slices.Contains([]string{"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "FAILED", "REQUEUED"}, state)
}

// maySurvive reports whether processes of a job may be alive that is shown as
// ended. Slurm's accounting shows the end of a job that it stops at once, and its
// processes have half a minute or so after TERM. With a claim, the time in which a
// marker may show covers that.
func maySurvive(j firecrest.Job) bool {
	return !j.Time.Start.IsZero() &&
		slices.Contains([]string{"TIMEOUT", "DEADLINE", "CANCELLED", "PREEMPTED", "REVOKED"}, j.Status.State.Name())
}

func pause(w engine.Wait) verdict {
	out := engine.Suspend(w)
	return verdict{wait: &out}
}

// settleByClaim reads who owns the token, and the owner's exit marker. One kind of
// end needs no reading: of the only request there was, the job that the answer
// named, ended well. A job that had lost could only end with 79.
func (c *call) settleByClaim(ctx context.Context, e ending) verdict {
	s := e.submission
	if s.Owner == nil && c.shortCut(e) {
		return c.own(e, workflow.RuleShortCut, "one request, accepted as this job, which ended COMPLETED 0:0", nil, claim{owner: e.job.ID})
	}
	l := c.readPart(ctx, s.Intent.Control, e.at)
	switch {
	case isNotFound(l.err) && e.record == nil:
		return c.own(e, workflow.RuleName, "its claim is gone: it has the name", nil, claim{owner: e.job.ID})
	case isNotFound(l.err) && s.Resolved != nil && s.Resolved.JobID == string(e.job.ID):
		return c.own(e, workflow.RulePerson, s.Resolved.By+" said that this is the job; its claim is gone", l.calls, claim{owner: e.job.ID})
	case isNotFound(l.err):
		out := c.goneDirectory(e.submission)
		return verdict{wait: &out}
	case l.err != nil:
		out := c.outageSoon(ctx, l.err)
		return verdict{wait: &out}
	}
	k := readClaim(l.entries, s.Intent.Token)
	calls := l.said(k.words(s.Intent.Token))
	switch {
	case k.tombstone:
		return c.settleTombstone(ctx, e, k, calls)
	case k.owner == "":
		return c.settleUnclaimed(ctx, e)
	case k.owner != e.job.ID:
		return c.settleOther(e, k, calls)
	}
	if !k.marked && e.job.Status.State == "" {
		// Nobody knows the job, and it has claimed its token: it may be running.
		since, err := c.missedSince()
		if err != nil {
			out := lost(err)
			return verdict{wait: &out}
		}
		if !time.Now().After(c.silentBy(s, since)) {
			return pause(engine.Wait{
				Reason: workflow.WaitJob, Topic: jobTopic(c.system(), s.Intent.Token, e.job.ID), Until: time.Now().Add(c.library.outages.longest),
				Message: fmt.Sprintf("the scheduler does not know job %s; %s", e.job.ID, k.words(s.Intent.Token)),
			})
		}
	}
	if visible := c.library.fence.Visible; !k.marked && mayBeMarked(e.job) {
		if v, early := c.early(ctx, e, visible, visible/10, fmt.Sprintf("its exit marker may take up to %s to show", visible)); early {
			return v
		}
	}
	if !k.marked && comesBack(e.job.Status.State.Name()) && c.runsAgain(ctx, e) {
		return pause(engine.Wait{
			Reason: workflow.WaitJob, Topic: jobTopic(c.system(), s.Intent.Token, e.job.ID),
			Message: fmt.Sprintf("job %s was shown as %s, and is not", e.job.ID, e.job.Status.State),
		})
	}
	return c.own(e, workflow.RuleClaim, k.words(s.Intent.Token), calls, k)
}

// runsAgain asks once more, for the job itself, whether an end is true that
// another attempt may follow. Schedulers show a job as failed that they are
// about to run again.
func (c *call) runsAgain(ctx context.Context, e ending) bool {
	topic := jobTopic(c.system(), e.submission.Intent.Token, e.job.ID)
	seen := c.observe(ctx, topic, watched{id: e.job.ID, token: e.submission.Intent.Token})
	state := seen.Job.Status.State
	return seen.Outage != nil || seen.Job.ID != "" && !state.IsTerminal()
}

// early is what there is to do while the end of a job is younger than an age, looking
// again now and then; false if it is not.
func (c *call) early(ctx context.Context, e ending, age, again time.Duration, why string) (verdict, bool) {
	since, err := c.endedSince(ctx, e)
	if err != nil {
		out := lost(err)
		return verdict{wait: &out}, true
	}
	left := age - time.Since(since)
	if left <= 0 {
		return verdict{}, false
	}
	return pause(engine.Wait{
		Reason: workflow.WaitJob, Until: time.Now().Add(min(left, again)),
		Message: fmt.Sprintf("job %s is %s; %s", e.job.ID, e.job.Status.State, why),
	}), true
}

// endsKey is the checkpoint of the ends that were seen, by job.
const endsKey = "ended_since"

// seenEnd is an end of a job: that of one that ran again is another.
type seenEnd struct {
	Since time.Time `json:"since"`        // when it was first seen
	End   time.Time `json:"end,omitzero"` // when it was, as the scheduler says
}

// endedSince is when the end of a job was first seen. Ages count from then: the clock
// of the scheduler may be another one, and PBS does not say when a job ended.
func (c *call) endedSince(ctx context.Context, e ending) (time.Time, error) {
	ends := map[firecrest.JobID]seenEnd{}
	if _, err := c.Load(endsKey, &ends); err != nil {
		return time.Time{}, err
	}
	end := e.job.Time.End
	if seen, ok := ends[e.job.ID]; ok && seen.End.Equal(end) {
		return seen.Since, nil
	}
	ends[e.job.ID] = seenEnd{Since: e.at.UTC(), End: end}
	return e.at, c.keep(ctx, endsKey, ends)
}

// mayBeMarked reports whether a job that claimed its token may have left a marker
// that does not show yet. A payload may end well while its job is being ended, or
// right before its node dies; only a job that says that it ran nothing has none.
func mayBeMarked(j firecrest.Job) bool {
	return j.Status.State != "" && (j.Status.ExitCode == nil || *j.Status.ExitCode != exitUnusable)
}

// shortCut reports whether the job must be the owner of its token without
// anybody looking.
func (c *call) shortCut(e ending) bool {
	s := e.submission
	return c.Epoch == 1 && s.Sent == 1 && len(s.Outcomes) == 1 && s.Outcomes[0].Class == workflow.Accepted &&
		s.Outcomes[0].JobID == string(e.job.ID) && e.job.Succeeded()
}

// own is the end of the job that owns the token.
func (c *call) own(e ending, rule workflow.Rule, evidence string, calls []workflow.CallFact, k claim) verdict {
	if err := e.keep(&workflow.SubmissionOwner{JobID: string(e.job.ID), Rule: rule, Evidence: evidence, Calls: calls}); err != nil {
		out := lost(err)
		return verdict{wait: &out}
	}
	// A job that may be run again leaves no marker if it was told to end, not even
	// for a warning that it asked for itself.
	unmarked := e.requeue && !c.pbs()
	end := c.judge(&e.job, k, rule != workflow.RuleClaim || unmarked)
	if rule == workflow.RuleShortCut {
		end.rule = rule
	}
	return verdict{end: &end}
}

// keep makes the owner durable, once.
func (e ending) keep(owner *workflow.SubmissionOwner) error {
	if e.record == nil || e.submission.Owner != nil {
		return nil
	}
	return e.record(owner)
}

// settleTombstone is the end of a job whose token had been fenced off: it ran
// nothing.
func (c *call) settleTombstone(ctx context.Context, e ending, k claim, calls []workflow.CallFact) verdict {
	if e.record == nil {
		return verdict{end: &jobEnd{
			cause: workflow.CauseKilled, rule: workflow.RuleTombstone, evidence: k.words(e.submission.Intent.Token),
			message: fmt.Sprintf("job %s ran nothing: its token had been fenced off", e.job.ID),
		}}
	}
	if err := e.keep(&workflow.SubmissionOwner{Rule: workflow.RuleTombstone, Evidence: k.words(e.submission.Intent.Token), Calls: calls}); err != nil {
		out := lost(err)
		return verdict{wait: &out}
	}
	out := c.fencedOff(ctx)
	return verdict{wait: &out}
}

// settleOther follows the job that was faster.
func (c *call) settleOther(e ending, k claim, calls []workflow.CallFact) verdict {
	owner := &workflow.SubmissionOwner{JobID: string(k.owner), Rule: workflow.RuleClaim, Evidence: k.words(e.submission.Intent.Token), Calls: calls}
	if err := e.keep(owner); err != nil {
		out := lost(err)
		return verdict{wait: &out}
	}
	return verdict{follow: k.owner}
}

// settleUnclaimed ends the attempt of a job that ended without a claim, once no
// other job can claim the token: it was cancelled in the queue, or could not use
// its directory.
func (c *call) settleUnclaimed(ctx context.Context, e ending) verdict {
	if e.record == nil { // another attempt's token: that it ended says enough
		end := c.judge(&e.job, claim{}, false)
		return verdict{end: &end}
	}
	what, calls, err := c.plant(ctx, e.submission)
	switch what {
	case plantWon:
		owner := &workflow.SubmissionOwner{
			Rule: workflow.RuleTombstone, Evidence: fmt.Sprintf("job %s ended without a claim, and the token was fenced off", e.job.ID), Calls: calls,
		}
		if err := e.keep(owner); err != nil {
			out := lost(err)
			return verdict{wait: &out}
		}
		end := c.judge(&e.job, claim{}, false)
		return verdict{end: &end}
	case plantLost:
		// The claim was there all the time, or came just now: read it anew.
		return pause(engine.Wait{
			Reason: workflow.WaitJob, Until: time.Now().Add(c.library.outages.first),
			Message: fmt.Sprintf("job %s has ended; the claim of its token does not show yet", e.job.ID),
		})
	case plantGone:
		out := c.goneDirectory(e.submission)
		return verdict{wait: &out}
	}
	out := c.outageSoon(ctx, err)
	return verdict{wait: &out}
}

// settleDuplicate looks for the job that owns the token, which is not this one.
func (c *call) settleDuplicate(e ending) verdict {
	for _, id := range e.submission.Candidates {
		if id != string(e.job.ID) {
			return verdict{follow: firecrest.JobID(id)}
		}
	}
	return pause(engine.Wait{
		Reason: workflow.WaitAttention, Topic: c.topic(""),
		Message: fmt.Sprintf("job %s found its token claimed by another job, which is not listed; say which it is with %s", e.job.ID, c.resolveCommand()),
	})
}
