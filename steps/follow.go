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
	// submission is that of the job, nil if it is not known to be of this run.
	submission *workflow.Submission
	// ours tells whether to cancel the job when the step is to end. Nil: yes.
	ours func(firecrest.Job) bool
}

// own reports whether it is a job of the run, which must end with the step.
func (w watched) own() bool { return w.ours == nil }

// follow looks at a job. It returns what was seen once the job has ended, and
// else nil and what the attempt does until then. It asks for nothing that the
// poller will tell anyway.
func (c *call) follow(ctx context.Context, w watched) (*firecrest.Observation, engine.Outcome) {
	topic := jobTopic(c.system(), w.token, w.id)
	seen, told := c.library.jobs.take(topic)
	if !told {
		seen, told = c.library.jobs.ended(topic)
	}
	switch {
	case told:
	case c.Stopping() && w.own():
		seen, told = c.observeIfFew(ctx, topic, w, seen), true
	case c.Stopping(), w.token == "" && c.Reason == workflow.WakeStart, c.endsAgain(w.id):
		seen, told = c.observe(ctx, topic, w), true
	}
	since, err := c.missedSince()
	switch {
	case err != nil:
		return nil, lost(err)
	case !told && !since.IsZero() && c.Reason == workflow.WakeDue:
		return c.missing(ctx, w, topic)
	case !told && c.overdue(w):
		return c.pastLimit(ctx, w, topic)
	case !told:
		wait := engine.Wait{Reason: workflow.WaitJob, Topic: topic, Message: c.lastSeen(w.id), Until: c.limitOfJob(w)}
		if !since.IsZero() {
			wait.Until = time.Now().Add(c.library.outages.longest)
		}
		return nil, engine.Suspend(wait)
	case seen.Job.ID != "" && !seen.Unknown && !since.IsZero():
		if err := c.keep(ctx, missingKey, time.Time{}); err != nil { // it is back
			return nil, lost(err)
		}
	}
	if seen.Job.ID != "" {
		if err := c.Observed(ctx, c.observation(seen, w)); err != nil {
			return nil, lost(err)
		}
		if seen.Job.Status.State.IsTerminal() {
			return &seen, engine.Outcome{}
		}
	}
	switch {
	case c.Stopping():
		return c.cancel(ctx, topic, w, seen)
	case w.token == "" && seen.Outage != nil:
		if cause, outage := causeOf(seen.Outage); !outage { // the id is none, or not ours to see
			return nil, engine.Failure(cause, seen.Outage.Error())
		}
	case seen.Unknown && w.submission != nil:
		return c.missing(ctx, w, topic)
	}
	wait := waitFor(seen, w.id, topic)
	wait.Until = c.limitOfJob(w)
	return nil, engine.Suspend(wait)
}

// waitFor is what an attempt waits for whose job goes on, and what people see.
func waitFor(seen firecrest.Observation, id firecrest.JobID, topic string) engine.Wait {
	wait := engine.Wait{Reason: workflow.WaitJob, Topic: topic}
	switch status := seen.Job.Status; {
	case seen.Outage != nil:
		wait.Reason, wait.Message = workflow.WaitOutage, fmt.Sprintf("job %s goes on, but nothing is heard of it: %v", id, seen.Outage)
	case seen.Unknown || seen.Job.ID == "":
		wait.Message = fmt.Sprintf("job %s is not known to the scheduler, or not yet", id)
	case status.State.IsPending() && neverStarts(status.Reason):
		wait.Reason, wait.Message = workflow.WaitAttention, fmt.Sprintf(
			"job %s is %s (%s): it will not start by itself. Change it on the system, or cancel it there and the step fails", id, status.State, status.Reason)
	case status.Reason != "" && status.Reason != "None":
		wait.Message = fmt.Sprintf("job %s is %s (%s)", id, status.State, status.Reason)
	default:
		wait.Message = fmt.Sprintf("job %s is %s", id, status.State)
	}
	return wait
}

// neverStarts reports whether a pending job will not start before somebody does
// something about its reason.
func neverStarts(reason string) bool {
	reason, _, _ = strings.Cut(strings.Trim(reason, "()"), ",")
	return lastingReasons[strings.TrimSpace(reason)]
}

// lastingReasons are those of Slurm that do not clear as other jobs end.
var lastingReasons = map[string]bool{
	"PartitionTimeLimit": true, "PartitionNodeLimit": true, "DependencyNeverSatisfied": true, "BadConstraints": true,
	"AccountNotAllowed": true, "QOSNotAllowed": true, "InvalidAccount": true, "InvalidQOS": true, "ReservationDeleted": true,
	"JobHeldUser": true, "JobHeldAdmin": true, "launch failed requeued held": true, "JobLaunchFailure": true,
	"AssocMaxWallDurationPerJobLimit": true, "QOSMaxWallDurationPerJobLimit": true,
	"AssocMaxCpuPerJobLimit": true, "QOSMaxCpuPerJobLimit": true, "AssocMaxNodePerJobLimit": true, "QOSMaxNodePerJobLimit": true,
	"AssocMaxMemPerJob": true, "QOSMaxMemoryPerJob": true, "QOSMinGRES": true, "QOSMinCpuNotSatisfied": true, "QOSMinMemory": true,
	"AssocMaxGRESPerJob": true, "QOSMaxGRESPerJob": true,
}

// lastSeen is what is known of a job before there is news, for people.
func (c *call) lastSeen(id firecrest.JobID) string {
	if j := c.Job(); j != nil && j.JobID == string(id) {
		return fmt.Sprintf("job %s was %s", id, j.State)
	}
	return fmt.Sprintf("job %s is submitted", id)
}

// endsAgain reports whether the attempt waited to see whether its job, which was
// over, comes back.
func (c *call) endsAgain(id firecrest.JobID) bool {
	j := c.Job()
	return c.Reason == workflow.WakeDue && j != nil && j.JobID == string(id) && j.Terminal
}

// observeIfFew asks the server now, unless many do. Thousands of jobs may be
// cancelled at once: of most of them it is the poller that tells, soon.
func (c *call) observeIfFew(ctx context.Context, topic string, w watched, seen firecrest.Observation) firecrest.Observation {
	poller := c.library.jobs.poller(c.system())
	if poller == nil {
		return seen
	}
	end, ok := poller.BeginLookup()
	if !ok {
		return seen
	}
	defer end()
	return c.observe(ctx, topic, w)
}

// observe asks the server now.
func (c *call) observe(ctx context.Context, topic string, w watched) firecrest.Observation {
	seen := firecrest.Observation{At: time.Now()}
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
func (c *call) observation(seen firecrest.Observation, w watched) workflow.JobObserved {
	j := seen.Job
	state := j.Status.State
	o := workflow.JobObserved{
		JobID: string(j.ID), State: string(state), Active: state.IsActive(), Terminal: state.IsTerminal(), Reason: j.Status.Reason,
		Nodes: int(j.AllocationNodes), ElapsedMS: j.Time.Elapsed.Milliseconds(),
		StartedAt: j.Time.Start, EndedAt: j.Time.End, AskedAt: seen.At.UTC().Truncate(time.Millisecond),
	}
	if j.Status.ExitCode != nil && o.Terminal {
		code := int(*j.Status.ExitCode)
		o.ExitCode = &code
	}
	if j.Status.Signal != nil {
		o.Signal = int(*j.Status.Signal)
	}
	if s := w.submission; s != nil {
		o.Stdout = jobOutput(s.Intent.Control, s.Intent.Token, string(j.ID))
	}
	return o
}

const (
	cancelKey   = "cancel"
	cancelAgain = 30 * time.Second
)

// cancel asks the scheduler to end the job, again now and then, until it shows
// that it has ended. A job that may not have started is fenced off before: then
// nothing of it can start any more, whatever becomes of the request.
func (c *call) cancel(ctx context.Context, topic string, w watched, seen firecrest.Observation) (*firecrest.Observation, engine.Outcome) {
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
	} else if s := c.Submission(); s != nil && s.Owner == nil && s.Intent.Fence == workflow.FenceClaim {
		if id, out := c.fenceOff(ctx); id == "" || id != w.id {
			return nil, out
		}
	}
	if s := c.Submission(); s != nil && !c.carries(string(w.id)) {
		again.Message = fmt.Sprintf("job %s was not seen to be that of this step; it is not cancelled before", w.id)
		return nil, engine.Suspend(again)
	}
	if err := c.keep(ctx, cancelKey, true); err != nil {
		return nil, lost(err)
	}
	if err := c.client().Compute.Cancel(ctx, c.system(), w.id); err != nil {
		again.Reason, again.Until = workflow.WaitOutage, time.Now().Add(c.library.outages.first)
		again.Message += ": " + err.Error()
		return nil, engine.Suspend(again)
	}
	var after firecrest.Observation
	if w.own() {
		after = c.observeIfFew(ctx, topic, w, seen)
	} else {
		after = c.observe(ctx, topic, w)
	}
	switch {
	case after.Job.ID != "" && after.Job.Status.State.IsTerminal():
		if err := c.Observed(ctx, c.observation(after, w)); err != nil {
			return nil, lost(err)
		}
		return &after, engine.Outcome{}
	case after.Unknown && w.submission != nil:
		return c.missing(ctx, w, topic)
	case after.Unknown:
		c.library.jobs.forget(topic)
		return nil, engine.Ended(fmt.Sprintf("the scheduler does not know job %s any more", w.id))
	}
	return nil, engine.Suspend(again)
}

// cancelled reports whether this attempt asked for the end of its job.
func (c *call) cancelled() bool {
	var asked bool
	_, err := c.Load(cancelKey, &asked)
	return err == nil && asked
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
	if len(c.Secrets) > 0 {
		text = c.secrets().Redact(text)
	}
	if len(content.Content) >= maxJobLog {
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
