package steps

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/steps/jobscript"
	"github.com/fcflow/fcflow/workflow"
)

// A payload runs at most once for each attempt, whatever fails. The order is:
// intent on record, sending on record, one request, its outcome on record. A
// request whose fate is unknown is never followed by another before its job has
// been looked for long enough (resolve.go); and were that verdict wrong, the
// second job would find its token claimed and run nothing. Who owns the token is
// read from its claim, never believed of an answer (ending.go).

// sendGrace is how long a submission that is under way may still take when the
// attempt is told to end: an answer that is not waited for is a fate unknown.
const sendGrace = 10 * time.Second

// topic is what the attempt waits for; the id is "" while it is not known.
func (c *call) topic(id firecrest.JobID) string { return jobTopic(c.system(), c.Token, id) }

// submitted returns the id of the job to follow, submitting it if that has not
// happened. Without an id the outcome says how the attempt ends or goes on.
func (c *call) submitted(ctx context.Context, in batchIn) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	if s == nil {
		if c.Stopping() {
			return "", engine.Ended("nothing was submitted")
		}
		if err := c.intend(ctx, in); err != nil {
			return "", c.failed(ctx, err)
		}
		s = c.Submission()
	}
	switch {
	case s.Owner != nil && s.Owner.JobID == "":
		return "", c.fencedOff(ctx)
	case s.Owner == nil && s.Resolved != nil && s.Resolved.As != workflow.ResolvedJob:
		return c.resolvedByPerson(ctx)
	case s.JobID != "":
		return firecrest.JobID(s.JobID), engine.Outcome{}
	case c.Stopping() && !s.Doubtful():
		return "", c.notSent()
	case c.Stopping():
		return c.fenceOff(ctx)
	case s.Unsettled():
		return c.resolve(ctx)
	}
	if out := c.secretsReady(ctx, in); !out.IsZero() {
		return "", out
	}
	return c.send(ctx)
}

// intend puts the job on record, with the text that will be sent.
func (c *call) intend(ctx context.Context, in batchIn) error {
	if s := c.Site.Scheduler; s != "" && !strings.EqualFold(s, string(c.scheduler())) {
		return refuse("%s runs %s; jobs can be submitted to Slurm and PBS", c.system(), s)
	}
	workdir, err := c.path(in.inWorkdir, ".")
	if err != nil {
		return err
	}
	intent := workflow.SubmissionIntent{
		System: c.system(), WorkDir: workdir, Control: c.controlPart(), Fence: c.fenceOf(in),
		Account: in.resources("").Account, LimitMS: time.Duration(in.Resources.Time).Milliseconds(), Requeue: in.Requeue,
		SecretFiles: len(in.SecretFiles) > 0,
	}
	script, err := c.batchScript(in, intent)
	if err != nil {
		return err
	}
	if in.RemoteScript != "" {
		if intent.RemoteScript, err = c.path(in.inWorkdir, in.RemoteScript); err != nil {
			return err
		}
		if _, err := c.files().Mkdir(ctx, c.system(), workdir, true); err != nil {
			return err
		}
	}
	if err := c.makePart(ctx, intent.Control); err != nil {
		return err
	}
	if in.Name != "" {
		c.JobName = workflow.JobName(c.Token, in.Name)
	}
	return c.Intend(ctx, intent, script)
}

// makePart makes the part of the control directory that the attempt's files go
// to, once for a run. One that has vanished since is not made again: claims may
// have vanished with it.
func (c *call) makePart(ctx context.Context, part string) error {
	if c.Place < partSize || c.Site.SubmitDir != "" {
		return nil // made when the run was bound, or by the jobs
	}
	if used, err := c.UsesControl(ctx, part); used || err != nil {
		return err
	}
	made := c.library.parts.reading("made "+c.system()+" "+part).get(ctx, time.Time{}, func(ctx context.Context) *listing {
		_, err := c.files().Mkdir(ctx, c.system(), part, true)
		return &listing{err: err}
	})
	return made.err
}

// spec is the request, from what is on record alone.
func (c *call) spec() (firecrest.JobSpec, error) {
	intent := c.Submission().Intent
	spec := firecrest.JobSpec{Name: intent.JobName, StandardOutput: jobOutput(intent.Control, c.Token, "%j"), WorkingDirectory: c.Site.RemoteDir}
	if c.writesOutput() {
		spec.StandardOutput = "/dev/null"
	}
	if c.Site.SubmitDir != "" {
		spec.WorkingDirectory = c.Site.SubmitDir
	}
	if intent.RemoteScript != "" {
		spec.ScriptPath, spec.WorkingDirectory, spec.Account = intent.RemoteScript, intent.WorkDir, intent.Account
		return spec, nil
	}
	script, err := c.Script()
	spec.Script = string(script)
	return spec, err
}

// writesOutput reports whether jobs open their output file themselves: where the
// scheduler does not put its id into the name, or the directory may not exist yet.
func (c *call) writesOutput() bool { return c.pbs() || c.Site.SubmitDir != "" }

// pbs reports whether the system runs PBS.
func (c *call) pbs() bool { return c.scheduler() == jobscript.PBS }

// send submits the job, once.
func (c *call) send(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	if ctx.Err() != nil {
		return "", c.notSent()
	}
	if c.Epoch > 1 && c.Submission().Sent == 0 {
		// Another life of this run may have sent it, and its history is lost.
		if id, out, done := c.lookBack(ctx); done {
			return id, out
		}
	}
	spec, err := c.spec()
	if err != nil {
		return "", lost(err)
	}
	k, err := c.Sending(ctx)
	if err != nil {
		return "", lost(err)
	}
	lingering, cancel := linger(ctx, sendGrace)
	defer cancel()
	id, err := c.client().Compute.Submit(lingering, c.system(), spec)
	outcome := submissionOutcome(k, id, err)
	if err := c.Note(ctx, &outcome); err != nil {
		return "", lost(err)
	}
	switch outcome.Class {
	case workflow.Accepted:
		return id, engine.Outcome{}
	case workflow.Ambiguous:
		return "", c.searching("")
	}
	return c.refused(ctx, err)
}

// linger is a context that ends some time after its parent.
func linger(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-lingering.Done():
		}
	})
	return lingering, func() { stop(); cancel() }
}

func submissionOutcome(k int, id firecrest.JobID, err error) workflow.SubmissionOutcome {
	o := workflow.SubmissionOutcome{K: k, Class: workflow.Accepted, JobID: string(id)}
	if err == nil {
		return o
	}
	o.Message = err.Error()
	switch firecrest.SubmitClassOf(err) {
	case firecrest.SubmitNotSent:
		o.Class = workflow.NotSent
	case firecrest.SubmitRejected:
		o.Class = workflow.Rejected
	default:
		o.Class = workflow.Ambiguous
	}
	var answer *firecrest.Error
	if errors.As(err, &answer) {
		o.Status, o.RequestID = answer.Status, answer.RequestID
	}
	return o
}

// refused goes on after a request that certainly made no job.
func (c *call) refused(ctx context.Context, err error) (firecrest.JobID, engine.Outcome) {
	var submit *firecrest.SubmitError
	permanent := !errors.As(err, &submit) || submit.Permanent
	switch {
	case ctx.Err() != nil:
		return "", c.notSent()
	case permanent && c.Submission().Doubtful():
		// A request before, or this one, sent on twice, may have made a job after all.
		return c.fenceOff(ctx)
	case permanent:
		return "", engine.Failure(workflow.CauseRejected, err.Error()).WithRule(workflow.RuleAnswer)
	case submit.JobLimit:
		refusals := 0
		for _, o := range c.Submission().Outcomes {
			if o.Class == workflow.Rejected {
				refusals++
			}
		}
		wait := engine.Wait{
			Reason: workflow.WaitTimer, Until: time.Now().Add(c.library.limits.after(refusals)),
			Message: "a limit on jobs is reached: " + err.Error(),
		}
		if c.Submission().Intent.SecretFiles {
			wait.Reason = workflow.WaitOutage // the attempt must be told of a cancel, to remove them
		}
		return "", engine.Suspend(wait)
	case c.Submission().Doubtful():
		return "", c.outageSoon(ctx, err)
	}
	return "", c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
}

// notSent ends an attempt that is to stop and has sent nothing, or nothing that
// could have made a job. Else it is entered again, to fence the token off.
func (c *call) notSent() engine.Outcome {
	if c.Submission().Doubtful() {
		return engine.Suspend(engine.Wait{Reason: workflow.WaitOutage, Topic: c.topic(""), Message: c.unknownFate()})
	}
	return engine.Ended("no request to submit the job was carried out").WithRule(workflow.RuleAnswer)
}

// fenceOff makes sure that no job of the token can run any more, where it is not
// known whether there is one, and ends the attempt then. If a job was faster, it
// is followed.
func (c *call) fenceOff(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	if s.InFlight() {
		if err := c.unanswered(ctx); err != nil {
			return "", lost(err)
		}
	}
	if s.Intent.Fence != workflow.FenceClaim {
		return c.resolve(ctx) // nothing can be planted: look until one can tell
	}
	what, calls, err := c.plant(ctx, s)
	switch what {
	case plantWon:
		if err := c.fenced(ctx, workflow.RuleTombstone, "the token was fenced off before any job claimed it", calls); err != nil {
			return "", lost(err)
		}
		return "", c.fencedOff(ctx)
	case plantLost:
		return c.claimant(ctx)
	case plantGone:
		// No job can claim the token there any more: they never make that directory.
		return c.resolve(ctx)
	}
	return "", c.outageSoon(ctx, err)
}

// fenced records that nobody owns the token, for good.
func (c *call) fenced(ctx context.Context, rule workflow.Rule, evidence string, calls []workflow.CallFact) error {
	return c.Note(ctx, &workflow.SubmissionOwner{Rule: rule, Evidence: evidence, Calls: calls})
}

// fencedOff ends an attempt whose token nobody can claim any more. Jobs that are
// known would run nothing; they are cancelled first, so that none is left.
func (c *call) fencedOff(ctx context.Context) engine.Outcome {
	s := c.Submission()
	for _, id := range s.Candidates {
		if !c.carries(id) {
			continue
		}
		if err := c.client().Compute.Cancel(ctx, c.system(), firecrest.JobID(id)); err != nil {
			return c.outageSoon(ctx, err)
		}
	}
	evidence := s.Owner.Evidence
	switch {
	case c.Stopping():
		return engine.Ended(evidence).WithRule(s.Owner.Rule)
	case s.Resolved != nil && s.Resolved.As == workflow.ResolvedNeverRan:
		return engine.Failure(workflow.CauseLost, s.Resolved.By+" said that the job never ran; it is submitted again").
			WithEvidence(evidence).WithRule(workflow.RulePerson).Again()
	case s.Resolved != nil && s.Resolved.As == workflow.ResolvedFailed:
		return engine.Failure(workflow.CauseLost, s.Resolved.By+" said that the attempt has failed").WithEvidence(evidence).WithRule(workflow.RulePerson)
	}
	last := slices.IndexFunc(s.Outcomes, func(o workflow.SubmissionOutcome) bool { return o.Class == workflow.Rejected })
	if last >= 0 {
		return engine.Failure(workflow.CauseRejected, s.Outcomes[last].Message).WithEvidence(evidence).WithRule(s.Owner.Rule)
	}
	return engine.Failure(workflow.CauseLost, "the token of the job is fenced off, and nobody here asked for that").WithEvidence(evidence).WithRule(s.Owner.Rule)
}

// carries reports whether a job was seen to carry the token. What a person says
// may be wrong, and somebody else's job must not be cancelled over that.
func (c *call) carries(id string) bool {
	s, j := c.Submission(), c.Job()
	return s.Resolved == nil || s.Resolved.JobID != id || j != nil && j.JobID == id
}

// resolvedByPerson does what somebody said: it fences the token off, so that the
// word cannot be wrong at the cost of a second execution, and ends the attempt. A
// job that has claimed the token is followed all the same.
func (c *call) resolvedByPerson(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	if s.InFlight() {
		if err := c.unanswered(ctx); err != nil {
			return "", lost(err)
		}
	}
	evidence := s.Resolved.By + " said so"
	var calls []workflow.CallFact
	if s.Intent.Fence == workflow.FenceClaim {
		what, made, err := c.plant(ctx, s)
		switch calls = made; what {
		case plantWon:
			evidence += ", and the token was fenced off"
		case plantGone:
			evidence += "; the control directory is gone"
		case plantLost:
			return c.claimant(ctx)
		default:
			return "", c.outageSoon(ctx, err)
		}
	}
	if err := c.fenced(ctx, workflow.RulePerson, evidence, calls); err != nil {
		return "", lost(err)
	}
	return "", c.fencedOff(ctx)
}

// unanswered records that the answer to the last request will not come any more.
func (c *call) unanswered(ctx context.Context) error {
	return c.Note(ctx, &workflow.SubmissionOutcome{
		K: c.Submission().Sent, Class: workflow.Ambiguous, Message: "fcflow ended before the answer came",
	})
}
