package steps

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// A job is submitted at most once for each attempt, whatever fails. The order
// is: intent on record, sending on record, one request, its outcome on record. A
// request whose fate is unknown is never repeated: the job is looked for by the
// token that its name begins with, and if it cannot be found, a person is
// asked.

// sendGrace is how long a submission that is under way may still take when the
// attempt is told to end: an answer that is not waited for is a fate unknown.
const sendGrace = 10 * time.Second

// defaultGrace is how long a job is looked for after its submission got no
// usable answer; servers may take that long to accept one.
const defaultGrace = 2 * time.Minute

// controlPart is the directory for scripts and outputs of jobs.
func (c *call) controlPart() string { return path.Join(controlDir(c.Site), controlPart) }

// jobOutput is where a job's output goes, with the id of the job or %j.
func (c *call) jobOutput(id string) string { return path.Join(c.controlPart(), c.Token+".out."+id) }

// topic is what the attempt waits for; the id is "" while it is not known.
func (c *call) topic(id firecrest.JobID) string { return jobTopic(c.system(), c.Token, id) }

// submitted returns the id of the attempt's job, submitting it if that has not
// happened. Without an id the outcome says how the attempt ends or goes on.
func (c *call) submitted(ctx context.Context, in batchIn) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	switch {
	case s == nil && c.Stopping():
		return "", engine.Ended("nothing was submitted")
	case s == nil:
		if err := c.intend(ctx, in); err != nil {
			return "", c.failed(ctx, err)
		}
	case s.JobID != "":
		return firecrest.JobID(s.JobID), engine.Outcome{}
	case unresolved(s):
		return c.find(ctx)
	case c.Stopping():
		return "", engine.Ended("no request to submit the job was carried out")
	}
	return c.send(ctx)
}

// unresolved reports whether a request was sent whose fate is unknown.
func unresolved(s *workflow.Submission) bool {
	for _, o := range s.Outcomes {
		if o.Class == workflow.Ambiguous {
			return true
		}
	}
	return s.InFlight()
}

// intend puts the job on record, with the text that will be sent.
func (c *call) intend(ctx context.Context, in batchIn) error {
	if scheduler := c.Site.Scheduler; scheduler != "" && !strings.EqualFold(scheduler, "slurm") {
		return refuse("%s runs %s; jobs can be submitted to Slurm only", c.system(), scheduler)
	}
	workdir, err := c.path(in.inWorkdir, ".")
	if err != nil {
		return err
	}
	script, err := c.batchScript(in, workdir)
	if err != nil {
		return err
	}
	intent := workflow.SubmissionIntent{System: c.system(), WorkDir: workdir, Account: in.resources("").Account}
	if in.RemoteScript != "" {
		if intent.RemoteScript, err = c.path(in.inWorkdir, in.RemoteScript); err != nil {
			return err
		}
		if _, err := c.files().Mkdir(ctx, c.system(), workdir, true); err != nil {
			return err
		}
	}
	if in.Name != "" {
		c.JobName = workflow.JobName(c.Token, in.Name)
	}
	return c.Intend(ctx, intent, script)
}

// spec is the request, from what is on record alone.
func (c *call) spec() (firecrest.JobSpec, error) {
	intent := c.Submission().Intent
	spec := firecrest.JobSpec{Name: intent.JobName, StandardOutput: c.jobOutput("%j")}
	if intent.RemoteScript != "" {
		spec.ScriptPath, spec.WorkingDirectory, spec.Account = intent.RemoteScript, intent.WorkDir, intent.Account
		return spec, nil
	}
	script, err := c.Script()
	spec.Script, spec.WorkingDirectory = string(script), c.Site.RemoteDir
	return spec, err
}

// send submits the job, once.
func (c *call) send(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	if ctx.Err() != nil {
		return "", engine.Ended("no request to submit the job was carried out")
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
	if err := c.Outcome(ctx, outcome); err != nil {
		return "", lost(err)
	}
	switch outcome.Class {
	case workflow.Accepted:
		return id, engine.Outcome{}
	case workflow.Ambiguous:
		return c.find(ctx)
	}
	return "", c.refused(ctx, err)
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

// refused goes on after a submission that certainly made no job.
func (c *call) refused(ctx context.Context, err error) engine.Outcome {
	var submit *firecrest.SubmitError
	if !errors.As(err, &submit) {
		return engine.Failure(workflow.CauseRejected, err.Error())
	}
	switch {
	case ctx.Err() != nil:
		return engine.Ended("no request to submit the job was carried out")
	case submit.Permanent:
		return engine.Failure(workflow.CauseRejected, err.Error())
	case submit.JobLimit:
		refusals := 0
		for _, o := range c.Submission().Outcomes {
			if o.Class == workflow.Rejected {
				refusals++
			}
		}
		return engine.Suspend(engine.Wait{
			Reason: workflow.WaitTimer, Until: time.Now().Add(c.library.limits.after(refusals)),
			Message: "a limit on jobs is reached: " + err.Error(),
		})
	}
	return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
}

// find looks for the job of a submission whose fate is unknown. Nothing of this
// gives up by itself: a failed attempt could be followed by another, and by a
// second job.
func (c *call) find(ctx context.Context) (firecrest.JobID, engine.Outcome) {
	s := c.Submission()
	topic := c.topic("")
	if s.InFlight() {
		err := c.Outcome(ctx, workflow.SubmissionOutcome{
			K: s.Sent, Class: workflow.Ambiguous, Message: "fcflow ended before the answer came",
		})
		if err != nil {
			return "", lost(err)
		}
	}
	if ctx.Err() != nil {
		return "", engine.Suspend(engine.Wait{Reason: workflow.WaitOutage, Topic: topic, Message: c.unknownFate()})
	}
	if o, ok := c.library.jobs.take(topic); ok && o.Job.ID != "" {
		return c.adopt(ctx, o.Job.ID)
	}
	id, err := c.listedJob(ctx)
	switch {
	case err != nil:
		return "", engine.Suspend(engine.Wait{
			Reason: workflow.WaitOutage, Topic: topic, Until: time.Now().Add(c.library.outages.longest),
			Message: c.unknownFate() + ": " + err.Error(),
		})
	case id != "":
		return c.adopt(ctx, id)
	}
	return "", c.search(ctx, topic)
}

// listedJob returns the id of the attempt's job, the first if there are
// several; "" if none is listed.
func (c *call) listedJob(ctx context.Context) (firecrest.JobID, error) {
	jobs, err := c.client().Compute.List(ctx, c.system(), &firecrest.JobListOptions{Window: windowSince(c.StartedAt)})
	if err != nil {
		return "", err
	}
	for _, j := range jobs {
		if strings.HasPrefix(j.Name, c.Token) {
			return j.ID.Base(), nil
		}
	}
	return "", nil
}

func windowSince(since time.Time) firecrest.Window {
	age := time.Since(since) + 10*time.Minute // clocks differ
	for _, w := range []struct {
		span   time.Duration
		window firecrest.Window
	}{
		{time.Hour, firecrest.Window1h}, {8 * time.Hour, firecrest.Window8h},
		{24 * time.Hour, firecrest.Window24h}, {72 * time.Hour, firecrest.Window3d},
	} {
		if age <= w.span {
			return w.window
		}
	}
	return firecrest.Window7d
}

func (c *call) adopt(ctx context.Context, id firecrest.JobID) (firecrest.JobID, engine.Outcome) {
	c.library.jobs.forget(c.topic(""))
	err := c.Outcome(ctx, workflow.SubmissionOutcome{
		K: c.Submission().Sent, Class: workflow.Adopted, JobID: string(id), Message: "found by its name",
	})
	if err != nil {
		return "", lost(err)
	}
	return id, engine.Outcome{}
}

// grace is how long a job that should be there may be missing.
func (l *Library) grace() time.Duration {
	if g := l.config.Poll.Grace; g > 0 {
		return g
	}
	return defaultGrace
}

const searchKey = "search"

// search waits for the job to show up in the list, and after a while says that
// somebody should have a look.
func (c *call) search(ctx context.Context, topic string) engine.Outcome {
	began := time.Now()
	found, err := c.Load(searchKey, &began)
	if err == nil && !found {
		err = c.keep(ctx, searchKey, began)
	}
	if err != nil {
		return lost(err)
	}
	if end := began.Add(c.library.grace()); time.Now().Before(end) {
		return engine.Suspend(engine.Wait{Reason: workflow.WaitOutage, Topic: topic, Until: end, Message: c.unknownFate() + "; looking for it"})
	}
	return engine.Suspend(engine.Wait{
		Reason: workflow.WaitAttention, Topic: topic,
		Message: c.unknownFate() + ", and no such job is listed. If it turns up it is followed; `fcflow resume` looks again",
	})
}

func (c *call) unknownFate() string {
	return fmt.Sprintf("nobody knows whether job %q was submitted to %s: the answer was lost", c.Submission().Intent.JobName, c.system())
}
