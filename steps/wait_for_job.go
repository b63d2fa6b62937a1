package steps

import (
	"context"
	"slices"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type waitForJobIn struct {
	onSystem
	JobID string `json:"job_id" is:"required" doc:"Id of the job."`
}

type waitForJobOut struct {
	JobID    string   `json:"job_id" doc:"Id of the job."`
	State    string   `json:"state" doc:"State it ended in, in the scheduler's words."`
	ExitCode int64    `json:"exit_code" doc:"Always 0: any other fails the step."`
	Elapsed  duration `json:"elapsed" doc:"How long it ran."`
	Nodes    int64    `json:"nodes" unit:"nodes" doc:"How many nodes it had."`
}

func waitForJob() stepType {
	return define[waitForJobIn, waitForJobOut](workflow.StepSpec{
		Name: "wait_for_job", Group: groupJobs,
		Summary: "Waits for the end of a job",
		Doc: "An id that the scheduler does not know is waited for: it may not know it yet. While it waits the step takes no slot. " +
			"When the run is cancelled, a job of this run is cancelled with it; any other job goes on.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Job:        true,
		Causes:     slices.Concat([]workflow.Cause{workflow.CauseRejected}, endCauses),
		RetryOnly:  []workflow.Cause{workflow.CauseAPI, workflow.CauseQueueTimeout},
		Example: `- id: finish
  uses: wait_for_job
  with: { job_id: "${{ steps.start.outputs.job_id }}" }
`,
	}, waitOnly)
}

func waitOnly(ctx context.Context, c *call, in waitForJobIn) engine.Outcome {
	submission, err := c.SubmissionOf(ctx, c.system(), in.JobID)
	if err != nil {
		return lost(err)
	}
	// Jobs of this run work in its remote directory.
	w := watched{
		id: firecrest.JobID(in.JobID), submission: submission,
		ours: func(j firecrest.Job) bool { return submission != nil || within(j.WorkingDirectory, c.Site.RemoteDir) },
	}
	if submission != nil {
		w.token = submission.Intent.Token
		if owner := submission.Owner; owner != nil && owner.JobID != "" {
			w.id = firecrest.JobID(owner.JobID)
		}
	}
	for {
		seen, out := c.follow(ctx, w)
		if seen == nil {
			return out
		}
		v := verdict{}
		if submission != nil {
			v = c.settle(ctx, ending{submission: submission, job: seen.Job, at: seen.At, requeue: submission.Intent.Requeue})
		} else {
			end := c.judge(&seen.Job, claim{}, true)
			v.end = &end
		}
		switch {
		case v.wait != nil:
			return *v.wait
		case v.follow != "":
			w.id = v.follow
			continue
		}
		c.library.jobs.forget(jobTopic(c.system(), w.token, w.id))
		return c.clear(ctx, submission, c.waited(seen.Job, v.end))
	}
}

// waited is the end of the step for a job that has ended.
func (c *call) waited(job firecrest.Job, end *jobEnd) engine.Outcome {
	switch {
	case end.cause == workflow.CauseKilled && c.cancelled():
		return engine.Ended(end.evidence).WithRule(end.rule)
	case end.cause != "":
		return engine.Failure(end.cause, end.message).WithEvidence(end.evidence).WithRule(end.rule)
	}
	return engine.Success(waitForJobOut{
		JobID: string(job.ID), State: string(job.Status.State), ExitCode: end.code,
		Elapsed: duration(job.Time.Elapsed), Nodes: job.AllocationNodes,
	}).WithEvidence(end.evidence).WithRule(end.rule)
}
