package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// jobForm is an operation on files that the service carries out in a batch job:
// always, or when it takes longer than one request may.
type jobForm struct {
	// now does it in one request; nil: there is no such form.
	now func(ctx context.Context) error
	// submit has the job submitted that does it.
	submit func(ctx context.Context) (*firecrest.TransferJob, error)
	// done reads whether it is done already, after an answer that tells nothing;
	// nil: that cannot be seen, and it is done again.
	done func(ctx context.Context) (bool, error)
	// more says that something of the attempt follows, so that it is noted when
	// this is done.
	more bool
	// once says that doing it twice is not the same as doing it once. After a
	// request of unknown fate its job is given time to do it.
	once bool
}

// jobFormState is the checkpoint of such an operation.
type jobFormState struct {
	AsJob bool                   `json:"as_job,omitempty"`
	Asked int                    `json:"asked,omitempty"` // requests for a job that may have been taken
	Job   *firecrest.TransferJob `json:"job,omitempty"`
	Since time.Time              `json:"since,omitzero"`
	Done  bool                   `json:"done,omitempty"`
}

// carryOut does an operation, or goes on with it. It returns nil when it is done,
// else how the attempt ends or goes on. The name tells several operations of one
// attempt apart.
func (c *call) carryOut(ctx context.Context, name string, f jobForm) *engine.Outcome {
	var state jobFormState
	if _, err := c.Load(name, &state); err != nil {
		return outcome(lost(err))
	}
	if c.Stopping() {
		return outcome(c.stopTransfer(ctx, state.Job))
	}
	if state.Done {
		return nil
	}
	done := false
	if state.Job == nil {
		var out *engine.Outcome
		if out, done = c.request(ctx, name, f, &state); out != nil {
			return out
		}
	}
	if !done {
		if out := c.settleJob(ctx, f, &state); out != nil {
			return out
		}
	}
	if f.more {
		state.Done = true
		if err := c.keep(ctx, name, state); err != nil {
			return outcome(lost(err))
		}
	}
	return nil
}

func outcome(o engine.Outcome) *engine.Outcome { return &o }

// request carries the operation out in one request, or has its job submitted.
func (c *call) request(ctx context.Context, name string, f jobForm, state *jobFormState) (out *engine.Outcome, done bool) {
	if c.again() || state.Asked > 0 {
		if done, err := f.isDone(ctx); done || err != nil {
			return c.failedOr(ctx, err), done
		}
	}
	if f.now != nil && !state.AsJob {
		err := f.now(ctx)
		var answer *firecrest.Error
		switch {
		case err == nil:
			return nil, true
		case !errors.As(err, &answer) || !answer.Retryable():
			return c.failedOr(ctx, err), false
		}
		if done, readErr := f.isDone(ctx); done && readErr == nil {
			return nil, true
		}
		if !errors.Is(err, firecrest.ErrTimeout) {
			return c.failedOr(ctx, err), false
		}
		state.AsJob = true
	}
	if ctx.Err() != nil {
		return c.failedOr(ctx, context.Cause(ctx)), false
	}
	state.Asked++
	if err := c.keep(ctx, name, state); err != nil {
		return outcome(lost(err)), false
	}
	job, err := f.submit(ctx)
	if firecrest.SubmitClassOf(err) == firecrest.SubmitAmbiguous {
		if done, readErr := f.isDone(ctx); done && readErr == nil {
			return nil, true
		}
		if f.once && ctx.Err() == nil {
			return outcome(engine.Suspend(engine.Wait{
				Reason: workflow.WaitOutage, Until: time.Now().Add(c.library.fence.Quiet),
				Message: "nobody knows whether the service took the request; looking at what it does: " + err.Error(),
			})), false
		}
	}
	if err != nil {
		return outcome(c.notSubmitted(ctx, err, state.Asked)), false
	}
	state.Job, state.Since = job, time.Now().UTC()
	if err := c.keep(ctx, name, state); err != nil {
		return outcome(lost(err)), false
	}
	return nil, false
}

func (f jobForm) isDone(ctx context.Context) (bool, error) {
	if f.done == nil {
		return false, nil
	}
	return f.done(ctx)
}

// failedOr is how an error ends the entry; nil without one.
func (c *call) failedOr(ctx context.Context, err error) *engine.Outcome {
	if err == nil {
		return nil
	}
	return outcome(c.failed(ctx, err))
}

// notSubmitted goes on after a request for a job that gave none.
func (c *call) notSubmitted(ctx context.Context, err error, asked int) engine.Outcome {
	var submit *firecrest.SubmitError
	switch {
	case ctx.Err() != nil || !errors.As(err, &submit):
		return c.failed(ctx, err)
	case submit.JobLimit:
		return engine.Suspend(engine.Wait{
			Reason: workflow.WaitTimer, Until: time.Now().Add(c.library.limits.after(asked)),
			Message: "a limit on jobs is reached: " + err.Error(),
		})
	case submit.Permanent, submit.Class == firecrest.SubmitRejected:
		return engine.Failure(workflow.CauseRejected, err.Error())
	}
	if cause, outage := causeOf(submit.Err); !outage {
		return engine.Failure(cause, err.Error())
	}
	return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
}

// settleJob waits for the job, and looks at what it says of itself: how a job of
// this kind ends tells nothing.
func (c *call) settleJob(ctx context.Context, f jobForm, state *jobFormState) *engine.Outcome {
	seen, out := c.awaitJob(ctx, awaited{job: *state.Job, since: state.Since})
	if seen == nil {
		return &out
	}
	err := c.client().Transfer.Result(ctx, *state.Job)
	if err == nil {
		return nil
	}
	var told *firecrest.TransferError
	if !errors.As(err, &told) {
		return outcome(c.failed(ctx, err))
	}
	// An earlier job of ours that nobody knew of may have done it, and left this
	// one nothing to do; or the log is gone.
	if state.Asked > 1 || c.again() || told.Err != nil {
		if done, readErr := f.isDone(ctx); done || readErr != nil {
			return c.failedOr(ctx, readErr)
		}
	}
	cause := toldCause(told.Reason)
	if seen.State.Name() == "CANCELLED" {
		cause = workflow.CauseKilled
	}
	return outcome(engine.Failure(cause, jobMessage(err, seen.State)).WithEvidence(fmt.Sprintf("job %s: %s", state.Job.ID, seen.State)))
}

func jobMessage(err error, state firecrest.JobState) string {
	if name := state.Name(); name != "" && name != "COMPLETED" {
		return fmt.Sprintf("%v; the job ended %s", err, state)
	}
	return err.Error()
}

// finalReasons are words of tools that mean that trying again would not help.
var finalReasons = []string{
	"No such file or directory", "Permission denied", "Operation not permitted", "Is a directory", "Not a directory",
	"are the same file", "to a subdirectory of itself", "into itself", "Directory not empty", "File exists", "does not look like a tar archive",
	"not in gzip format", "is not a regular file",
}

// toldCause is what the reason that a job gave means for the step.
func toldCause(reason string) workflow.Cause {
	if strings.Contains(reason, "Disk quota exceeded") || strings.Contains(reason, "No space left on device") {
		return workflow.CauseDiskQuota
	}
	for _, words := range finalReasons {
		if strings.Contains(reason, words) {
			return workflow.CauseRejected
		}
	}
	return workflow.CauseTransfer
}

// awaited is a job of the service that an attempt waits for.
type awaited struct {
	job   firecrest.TransferJob
	since time.Time // when it was submitted
	// running says that it is enough if the job has started.
	running bool
	// again, if not zero, is how long to wait at most.
	again time.Duration
	what  string // it does, for people
}

// seenJob is what became of an awaited job.
type seenJob struct {
	State firecrest.JobState
	Gone  bool // the scheduler does not know it any more
}

// awaitJob looks at a job. It returns what was seen when that is what the attempt
// waits for, and else nil and what the attempt does until then. Thousands may be
// submitted at once: of most of them it is the poller that tells.
func (c *call) awaitJob(ctx context.Context, w awaited) (*seenJob, engine.Outcome) {
	topic := jobTopic(c.system(), "", w.job.ID)
	seen, told := c.library.jobs.take(topic)
	if !told {
		seen = c.observeIfFew(ctx, topic, watched{id: w.job.ID}, seen)
	}
	state := seen.Job.Status.State
	grace := w.since.Add(c.library.grace())
	if seen.Job.ID != "" {
		if err := c.Observed(ctx, c.observation(seen, watched{})); err != nil {
			return nil, lost(err)
		}
	}
	switch {
	case state.IsTerminal(), w.running && state.IsActive():
		c.library.jobs.forget(topic)
		return &seenJob{State: state}, engine.Outcome{}
	case seen.Unknown && time.Now().After(grace):
		c.library.jobs.forget(topic)
		return &seenJob{State: state, Gone: true}, engine.Outcome{}
	}
	wait := engine.Wait{Reason: workflow.WaitJob, Topic: topic}
	name := strings.TrimSpace(fmt.Sprintf("%s job %s", w.what, w.job.ID))
	switch {
	case seen.Outage != nil:
		wait.Reason, wait.Message = workflow.WaitOutage, fmt.Sprintf("%s goes on, but nothing is heard of it: %v", name, seen.Outage)
	case seen.Unknown:
		wait.Message, wait.Until = name+" is not known to the scheduler yet", grace
	case seen.Job.ID == "":
		wait.Message = strings.TrimSpace(w.what + " " + c.lastSeen(w.job.ID))
		if c.Reason == workflow.WakeDue { // too many are asked for just now
			wait.Until = time.Now().Add(c.library.lookupEvery())
		}
	default:
		wait.Message = fmt.Sprintf("%s is %s", name, state)
	}
	if again := time.Now().Add(w.again); w.again > 0 && (wait.Until.IsZero() || again.Before(wait.Until)) {
		wait.Until = again
	}
	return nil, engine.Suspend(wait)
}

// stopTransfer ends the job that an attempt has left, if there is one, and then
// the attempt.
func (c *call) stopTransfer(ctx context.Context, job *firecrest.TransferJob) engine.Outcome {
	if job == nil {
		return engine.Ended("nothing of the step was under way")
	}
	ended, out := c.follow(ctx, watched{id: job.ID})
	if ended == nil {
		return out
	}
	return engine.Ended(c.judge(&ended.Job, claim{}, true).evidence)
}
