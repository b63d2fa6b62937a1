package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// sight is what one look for the jobs of a token showed.
type sight struct {
	at    time.Time
	jobs  []firecrest.Job // of the list, whose names begin with the token
	claim claim
	// read says that the claim could be read, gone that its directory is not there.
	read, gone bool
	// listed says that the list was a good one, witness that it showed another job
	// that exists.
	listed, witness bool
	calls           []workflow.CallFact
	err             error // why something could not be seen
}

// freshness is how old a reading may be that an attempt shares with others.
const freshness = time.Second

// look asks the witnesses of a token once: the list of jobs, and the claim where
// there is one. What the poller has told of the list is not asked for again.
func (c *call) look(ctx context.Context, s *workflow.Submission, told *firecrest.Observation, since time.Time, list bool) sight {
	see := sight{at: time.Now()}
	switch {
	case told != nil:
		see.told(*told)
		since = told.At // others that were told of the same list read the claims, too
	case list:
		c.list(ctx, s, since, &see)
	}
	if s.Intent.Fence != workflow.FenceClaim {
		return see
	}
	l := c.readPart(ctx, s.Intent.Control, since)
	switch {
	case isNotFound(l.err):
		see.gone = true
		see.calls = append(see.calls, l.calls...)
	case l.err != nil:
		see.err = l.err
		see.calls = append(see.calls, l.calls...)
	default:
		see.read, see.claim = true, readClaim(l.entries, c.Token)
		see.calls = append(see.calls, l.said(see.claim.words(c.Token))...)
	}
	return see
}

// told takes over what the poller saw.
func (see *sight) told(o firecrest.Observation) {
	see.at = o.At
	switch {
	case o.Job.ID != "":
		see.listed, see.jobs = true, []firecrest.Job{o.Job}
	case o.Absent:
		see.listed, see.witness = true, o.Witness
	case o.Outage != nil:
		see.err = o.Outage
	}
}

// list reads the list of jobs.
func (c *call) list(ctx context.Context, s *workflow.Submission, since time.Time, see *sight) {
	system, window := c.system(), windowSince(s.FirstSentAt)
	l := c.library.jobLists.reading(system+" "+string(window)).get(ctx, since, func(ctx context.Context) *jobList {
		l := &jobList{listing: listing{began: time.Now()}}
		l.jobs, l.err = c.client().Compute.List(firecrest.WithTrace(ctx, l.trace), system, &firecrest.JobListOptions{Window: window})
		return l
	})
	if l.err != nil {
		see.err = l.err
		see.calls = append(see.calls, l.calls...)
		return
	}
	see.at, see.listed = l.began, true
	see.jobs = named(l.jobs, c.Token)
	see.witness = c.library.jobs.witness(system, l.jobs)
	see.calls = append(see.calls, l.said(fmt.Sprintf("%d jobs, of which %d carry the token", len(l.jobs), len(see.jobs)))...)
}

func windowSince(since time.Time) firecrest.Window {
	if since.IsZero() {
		return firecrest.Window7d
	}
	age := time.Since(since) + 10*time.Minute // clocks differ
	for _, w := range []struct {
		span   time.Duration
		window firecrest.Window
	}{
		{time.Hour, firecrest.Window1h},
		{8 * time.Hour, firecrest.Window8h},
		{24 * time.Hour, firecrest.Window24h},
		{72 * time.Hour, firecrest.Window3d},
	} {
		if age <= w.span {
			return w.window
		}
	}
	return firecrest.Window7d
}

// candidates are the jobs that were seen to carry the token, the one accepted
// first first.
func (see *sight) candidates() []string {
	var ids []firecrest.JobID
	for _, j := range see.jobs {
		ids = append(ids, j.ID.Base())
	}
	ids = append(ids, see.claim.outputs...)
	slices.SortFunc(ids, firecrest.JobID.Compare)
	var texts []string
	for _, id := range slices.Compact(ids) {
		texts = append(texts, string(id))
	}
	return texts
}

// take records what a look found. done is false if it found nothing.
func (c *call) take(ctx context.Context, see *sight) (id firecrest.JobID, out engine.Outcome, done bool) {
	switch {
	case see.claim.tombstone:
		if err := c.fenced(ctx, workflow.RuleTombstone, see.claim.words(c.Token), see.calls); err != nil {
			return "", lost(err), true
		}
		return "", c.fencedOff(ctx), true
	case see.claim.owner != "":
		owner := &workflow.SubmissionOwner{
			JobID: string(see.claim.owner), Rule: workflow.RuleClaim, Evidence: see.claim.words(c.Token), Calls: see.calls,
		}
		if err := c.Note(ctx, owner); err != nil {
			return "", lost(err), true
		}
		c.library.jobs.forget(c.topic(""))
		return see.claim.owner, engine.Outcome{}, true
	}
	jobs := see.candidates()
	if len(jobs) == 0 {
		return "", engine.Outcome{}, false
	}
	if err := c.Note(ctx, &workflow.SubmissionLooked{Jobs: jobs, Calls: see.calls}); err != nil {
		return "", lost(err), true
	}
	c.library.jobs.forget(c.topic(""))
	c.thin(ctx, see.jobs)
	return firecrest.JobID(c.Submission().JobID), engine.Outcome{}, true
}

// thin cancels what waits in the queue besides the first job of the token. That
// is a courtesy: only one of them can run the payload anyway.
func (c *call) thin(ctx context.Context, jobs []firecrest.Job) {
	if c.Submission().Intent.Fence == workflow.FenceOff {
		return
	}
	for _, j := range jobs {
		if id := j.ID.Base(); string(id) != c.Submission().JobID && j.Status.State.IsPending() {
			if err := c.client().Compute.Cancel(ctx, c.system(), id); err != nil {
				c.Logger.Warn().Err(err).Str("job_id", string(id)).Msg("surplus job not cancelled")
			}
		}
	}
}

// lookBack looks, before the first request of a run that was taken over, for what
// an earlier life of it may have sent that its history does not tell: it may be
// a copy, or a backup. The attempts of a run share the requests.
func (c *call) lookBack(ctx context.Context) (id firecrest.JobID, out engine.Outcome, done bool) {
	see := c.look(ctx, c.Submission(), nil, c.library.since(c.Run.ID, c.Epoch), true)
	switch {
	case see.gone:
		return "", c.goneDirectory(c.Submission()), true
	case see.err != nil:
		return "", c.outageSoon(ctx, see.err), true
	}
	return c.take(ctx, &see)
}

// resolve looks for the job of a submission whose fate is not known. Nothing of
// this gives up by itself: a failed attempt could be followed by another, and by
// a second job. The list of jobs is the poller's, one for all who look; without
// its news only the claim is read, and not even that by who has just taken over.
func (c *call) resolve(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	if s.InFlight() {
		if err := c.unanswered(ctx); err != nil {
			return "", lost(err)
		}
	}
	if ctx.Err() != nil {
		return "", c.searching("")
	}
	var told *firecrest.Observation
	if news, ok := c.library.jobs.take(c.topic("")); ok {
		told = &news
	} else if c.Reason == workflow.WakeReopened {
		return "", c.searching("")
	}
	see := c.look(ctx, s, told, time.Now().Add(-freshness), false)
	if id, out, done := c.take(ctx, &see); done {
		return id, out
	}
	if see.gone && !c.Stopping() {
		return "", c.goneDirectory(c.Submission())
	}
	if see.err != nil {
		return "", c.searching(see.err.Error())
	}
	absent, err := c.vote(ctx, &see)
	switch {
	case err != nil:
		return "", lost(err)
	case !absent:
		return "", c.searching("")
	case c.Stopping(), s.Resolved != nil:
		if err := c.fenced(ctx, workflow.RuleAbsent, fmt.Sprintf("found nowhere in %d looks", s.Votes), see.calls); err != nil {
			return "", lost(err)
		}
		return "", c.fencedOff(ctx)
	case s.Intent.Fence == workflow.FenceOff:
		return "", engine.Suspend(engine.Wait{
			Reason: workflow.WaitAttention, Topic: c.topic(""),
			Message: c.unknownFate() + ", and no such job is listed. Without a fence it is not submitted again: a person must say what became of it, with " + c.resolveCommand(),
		})
	}
	if err := c.Note(ctx, &workflow.SubmissionAbsent{K: s.Sent, Votes: s.Votes}); err != nil {
		return "", lost(err)
	}
	c.library.jobs.forget(c.topic(""))
	return c.send(ctx)
}

// claimant looks whose the claim of a token is that has just proved to be there. A
// listing that is older than that may be without it. However often it does not show,
// nobody may conclude that there is none.
func (c *call) claimant(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	see := c.look(ctx, c.Submission(), nil, time.Now(), false)
	switch id, out, done := c.take(ctx, &see); {
	case done:
		return id, out
	case see.gone:
		return "", c.goneDirectory(c.Submission())
	case see.err != nil:
		return "", c.searching(see.err.Error())
	}
	return "", engine.Suspend(engine.Wait{
		Reason: workflow.WaitOutage, Until: time.Now().Add(c.library.outages.first),
		Message: "its token is claimed, and by which job does not show yet",
	})
}

// vote counts a look that found nothing, if it may count, and reports whether
// that makes the verdict.
func (c *call) vote(ctx context.Context, see *sight) (absent bool, err error) {
	s, f := c.Submission(), c.library.fence
	enough := func() bool {
		return (s.Witnessed >= f.Votes || s.Votes >= f.VotesBlind) && see.at.Sub(s.SentAt) >= f.Quiet
	}
	if enough() { // and was not acted on: a person is asked
		return see.listed, nil
	}
	if !see.listed || see.at.Before(s.SentAt) || !s.VotedAt.IsZero() && see.at.Sub(s.VotedAt) < f.Between {
		return false, nil
	}
	if err := c.Note(ctx, &workflow.SubmissionLooked{Vote: true, Witness: see.witness, Calls: see.calls}); err != nil {
		return false, err
	}
	return enough(), nil
}

// searching waits for the next look. The poller calls for it with each list.
func (c *call) searching(trouble string) engine.Outcome {
	s := c.Submission()
	message := c.unknownFate()
	switch {
	case trouble != "":
		message += "; it cannot be looked for now: " + trouble
	case s.Votes > 0:
		message += fmt.Sprintf("; not found so far, looks: %d", s.Votes)
	default:
		message += "; it is being looked for"
	}
	return engine.Suspend(engine.Wait{
		Reason: workflow.WaitOutage, Topic: c.topic(""), Until: time.Now().Add(c.library.outages.longest), Message: message,
	})
}

// goneDirectory waits for a person: the claims have vanished, so nobody can tell
// whether the job ran.
func (c *call) goneDirectory(s *workflow.Submission) engine.Outcome {
	return engine.Suspend(engine.Wait{
		Reason: workflow.WaitAttention, Topic: c.topic(firecrest.JobID(s.JobID)),
		Message: fmt.Sprintf("%s on %s is gone (did the site purge it?), so nobody can tell whether job %q ran. Look at its results, then say so with %s",
			s.Intent.Control, c.system(), s.Intent.JobName, c.resolveCommand()),
	})
}

func (c *call) resolveCommand() string {
	id := string(c.Run.ID)
	return fmt.Sprintf("`fcflow resolve %s %s --job ID | --never-ran | --failed`", id[max(0, len(id)-6):], c.Unit)
}

func (c *call) unknownFate() string {
	s := c.Submission()
	why := "the answer was lost"
	for _, o := range slices.Backward(s.Outcomes) {
		if o.Class == workflow.Ambiguous && o.Message != "" {
			why = o.Message
			break
		}
	}
	return fmt.Sprintf("nobody knows yet whether job %q was submitted to %s (%s)", s.Intent.JobName, c.system(), strings.TrimPrefix(why, "submit: outcome unknown: "))
}

// outageSoon waits for a service that does not answer, however long: giving up
// could be followed by another job.
func (c *call) outageSoon(ctx context.Context, err error) engine.Outcome {
	if ctx.Err() != nil {
		return engine.Suspend(engine.Wait{Reason: workflow.WaitOutage, Message: "fcflow is stopping"})
	}
	c.GiveUpAfter = 0
	return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
}
