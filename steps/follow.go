package steps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// watched is a job that a step waits for.
type watched struct {
	id firecrest.JobID
	// token begins the job's name; "" if the id is all that is known.
	token string
	// ours tells whether to cancel the job when the step is to end. Nil: yes.
	ours func(firecrest.Job) bool
}

// follow looks at a job. It returns the job when it has ended, and else nil and
// what the attempt does until then.
func (c *call) follow(ctx context.Context, w watched) (*firecrest.Job, engine.Outcome) {
	topic := jobTopic(c.system(), w.token, w.id)
	seen := c.observe(ctx, topic, w)
	if seen.Job.ID != "" {
		if err := c.Observed(ctx, c.observation(seen.Job)); err != nil {
			return nil, lost(err)
		}
		if seen.Job.Status.State.IsTerminal() {
			c.library.jobs.forget(topic)
			return &seen.Job, engine.Outcome{}
		}
	}
	if c.Stopping() {
		return c.cancel(ctx, topic, w, seen)
	}
	if w.token == "" && seen.Outage != nil {
		if cause, outage := causeOf(seen.Outage); !outage { // the id is none, or not ours to see
			return nil, engine.Failure(cause, seen.Outage.Error())
		}
	}
	wait := engine.Wait{Reason: workflow.WaitJob, Topic: topic}
	switch status := seen.Job.Status; {
	case seen.Outage != nil:
		wait.Reason, wait.Message = workflow.WaitOutage, fmt.Sprintf("job %s goes on, but nothing is heard of it: %v", w.id, seen.Outage)
	case seen.Unknown:
		wait.Message = fmt.Sprintf("job %s is not known to the scheduler, or not yet", w.id)
	case status.Reason != "" && status.Reason != "None":
		wait.Message = fmt.Sprintf("job %s is %s (%s)", w.id, status.State, status.Reason)
	default:
		wait.Message = fmt.Sprintf("job %s is %s", w.id, status.State)
	}
	return nil, engine.Suspend(wait)
}

// observe is what the poller told, or else what the server says now. A job that
// is not found is never over.
func (c *call) observe(ctx context.Context, topic string, w watched) firecrest.Observation {
	if seen, ok := c.library.jobs.take(topic); ok {
		return seen
	}
	seen := firecrest.Observation{}
	rows, err := c.client().Compute.Get(ctx, c.system(), w.id)
	job, found := firecrest.Aggregate(named(rows, w.token))
	switch {
	case err != nil && !isNotFound(err):
		seen.Outage = err
	case err != nil || !found:
		seen.Unknown = true
	default:
		seen.Job = job
	}
	c.library.jobs.learn(topic, seen)
	return seen
}

// named keeps the rows whose name begins with a token: ids are used again.
func named(rows []firecrest.Job, token string) []firecrest.Job {
	var kept []firecrest.Job
	for _, row := range rows {
		if strings.HasPrefix(row.Name, token) {
			kept = append(kept, row)
		}
	}
	return kept
}

// observation is what is recorded of a job.
func (c *call) observation(j firecrest.Job) workflow.JobObserved {
	state := j.Status.State
	o := workflow.JobObserved{
		JobID: string(j.ID), State: string(state), Active: state.IsActive(), Terminal: state.IsTerminal(), Reason: j.Status.Reason,
		Nodes: int(j.AllocationNodes), ElapsedMS: j.Time.Elapsed.Milliseconds(),
		StartedAt: j.Time.Start, EndedAt: j.Time.End,
	}
	if j.Status.ExitCode != nil && o.Terminal {
		code := int(*j.Status.ExitCode)
		o.ExitCode = &code
	}
	if j.Status.Signal != nil {
		o.Signal = int(*j.Status.Signal)
	}
	if c.Submission() != nil {
		o.Stdout = c.jobOutput(string(j.ID))
	}
	return o
}

const (
	cancelKey   = "cancel"
	cancelAgain = 30 * time.Second
)

// cancel asks the scheduler to end the job, again now and then, until it shows
// that it has ended.
func (c *call) cancel(ctx context.Context, topic string, w watched, seen firecrest.Observation) (*firecrest.Job, engine.Outcome) {
	again := engine.Wait{
		Reason: workflow.WaitJob, Topic: topic, Until: time.Now().Add(cancelAgain), Message: fmt.Sprintf("cancelling job %s", w.id),
	}
	if w.ours != nil {
		switch {
		case seen.Outage != nil:
			again.Reason, again.Until = workflow.WaitOutage, time.Now().Add(c.library.outages.first)
			return nil, engine.Suspend(again)
		case seen.Unknown:
			c.library.jobs.forget(topic)
			return nil, engine.Ended(fmt.Sprintf("the scheduler does not know job %s", w.id))
		case !w.ours(seen.Job):
			c.library.jobs.forget(topic)
			return nil, engine.Ended(fmt.Sprintf("job %s is not of this run and goes on", w.id))
		}
	}
	if err := c.keep(ctx, cancelKey, true); err != nil {
		return nil, lost(err)
	}
	if err := c.client().Compute.Cancel(ctx, c.system(), w.id); err != nil {
		again.Reason, again.Until = workflow.WaitOutage, time.Now().Add(c.library.outages.first)
		again.Message += ": " + err.Error()
		return nil, engine.Suspend(again)
	}
	after := c.observe(ctx, topic, w)
	switch {
	case after.Job.ID != "" && after.Job.Status.State.IsTerminal():
		c.library.jobs.forget(topic)
		if err := c.Observed(ctx, c.observation(after.Job)); err != nil {
			return nil, lost(err)
		}
		return &after.Job, engine.Outcome{}
	case after.Unknown && c.acceptedLongAgo():
		c.library.jobs.forget(topic)
		return nil, engine.Ended(fmt.Sprintf("the scheduler does not know job %s any more", w.id))
	}
	return nil, engine.Suspend(again)
}

// acceptedLongAgo reports whether the scheduler had the time to show a job that
// it accepted.
func (c *call) acceptedLongAgo() bool {
	s := c.Submission()
	return s == nil || time.Since(s.AcceptedAt) > c.library.grace()
}

// cancelled reports whether this attempt asked for the end of its job.
func (c *call) cancelled() bool {
	var asked bool
	_, err := c.Load(cancelKey, &asked)
	return err == nil && asked
}

// jobEnd is how a job ended, for the step.
type jobEnd struct {
	cause    workflow.Cause // "" = success
	message  string
	evidence string
	code     int64
}

// judge says how a job ended. Success is COMPLETED, with exit code 0 and no
// signal wherever the scheduler tells them.
func (c *call) judge(j *firecrest.Job) jobEnd {
	status := j.Status
	var code, signal int64
	if status.ExitCode != nil {
		code = *status.ExitCode
	}
	if status.Signal != nil {
		signal = *status.Signal
	}
	end := jobEnd{code: code, evidence: fmt.Sprintf("job %s: %s, exit code %d, signal %d", j.ID, status.State, code, signal)}
	if status.ExitCode == nil {
		end.evidence = fmt.Sprintf("job %s: %s", j.ID, status.State)
	}
	if status.State.Name() == "COMPLETED" && code == 0 && signal == 0 {
		return end
	}
	end.cause = jobCause(status.State.Name(), code, signal)
	end.message = fmt.Sprintf("job %s on %s ended %s", j.ID, c.system(), status.State)
	switch {
	case code != 0:
		end.message += fmt.Sprintf(" with exit code %d", code)
	case signal != 0:
		end.message += fmt.Sprintf(" by signal %d", signal)
	}
	if reason := status.Reason; reason != "" && reason != "None" && reason != "NonZeroExitCode" {
		end.message += " (" + reason + ")"
	}
	return end
}

// jobCause is the cause of a job's end, by the scheduler's word for it.
func jobCause(state string, code, signal int64) workflow.Cause {
	switch state {
	case "TIMEOUT", "DEADLINE":
		return workflow.CauseWalltime
	case "OUT_OF_MEMORY":
		return workflow.CauseOutOfMemory
	case "NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL":
		return workflow.CauseNodeFail
	case "PREEMPTED":
		return workflow.CausePreempted
	case "CANCELLED", "REVOKED":
		return workflow.CauseKilled
	}
	switch {
	case code != 0:
		return workflow.ExitCause(int(code))
	case signal != 0:
		return workflow.ExitCause(int(128 + signal)) // as shells count
	}
	return workflow.CauseExit
}

// Limits of what is fetched of a job's output, in bytes and lines.
const (
	maxJobLog = 256 << 10
	tailLines = 20
)

// fetchLog fetches the end of a file of a job into a log of the attempt, and
// returns its last lines. It is a help for people: whatever fails only costs
// them a look at the system.
func (c *call) fetchLog(ctx context.Context, remote, name string) string {
	content, err := c.files().Tail(ctx, c.system(), remote, &firecrest.PartOptions{Bytes: maxJobLog})
	switch {
	case errors.Is(err, firecrest.ErrNotFound): // of a job that never started
		c.Logger.Debug().Err(err).Str("path", remote).Msg("the job left no output")
		return ""
	case err != nil:
		c.Logger.Warn().Err(err).Str("path", remote).Msg("output of the job not fetched")
		return ""
	}
	text := content.Content
	if len(text) >= maxJobLog {
		text = fmt.Sprintf("[the last %d KiB; all of it is in %s on %s]\n%s", maxJobLog>>10, remote, c.system(), text)
	}
	file, err := c.LogPath(name)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		c.Logger.Warn().Err(err).Msg("output of the job not kept")
	}
	return lastLines(content.Content, tailLines)
}
