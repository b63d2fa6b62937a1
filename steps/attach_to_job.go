package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type attachIn struct {
	onSystem
	JobID      string `json:"job_id" is:"required" doc:"Id of the job."`
	Command    string `json:"command" is:"required" doc:"One line. What follows a ; or a | runs on the login node, not in the job."`
	Idempotent bool   `json:"idempotent" is:"literal" default:"false" doc:"Whether it may run again when it is not known whether it ran. Otherwise the step then fails."`
}

type attachOut struct {
	JobID string `json:"job_id" doc:"Id of the job."`
}

func attachToJob() stepType {
	return define[attachIn, attachOut](workflow.StepSpec{
		Name: "attach_to_job", Group: groupJobs,
		Summary: "Runs a command inside a running job",
		Doc: "Waits for the start of the job, and then for the command, which must take no longer than the service lets a command run: a few seconds. " +
			"Its output is lost; have it write to a file. A command that fails, and a job that has ended, fail with rejected. " +
			"Only Slurm has this; where the service reaches it over REST, the step succeeds and nothing happens.",
		Remote:         true,
		IdempotentWith: func(with json.RawMessage) bool { return literal[attachIn](with).Idempotent },
		Causes:         []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseInterrupted},
		Example: `- id: mark
  uses: attach_to_job
  with: { job_id: "${{ steps.endless.outputs.job_id }}", command: touch attached }
`,
	}, runInJob)
}

func runInJob(ctx context.Context, c *call, in attachIn) engine.Outcome {
	if c.Stopping() {
		return engine.Ended("nothing of the step was under way")
	}
	id := firecrest.JobID(in.JobID)
	topic := jobTopic(c.system(), "", id)
	seen := c.observe(ctx, topic, watched{id: id})
	state := seen.Job.Status.State
	switch {
	case seen.Outage != nil:
		return c.failed(ctx, seen.Outage)
	case seen.Unknown:
		return engine.Failure(workflow.CauseRejected, fmt.Sprintf("the scheduler does not know job %s", id))
	case state.IsTerminal():
		c.library.jobs.forget(topic)
		return engine.Failure(workflow.CauseRejected, fmt.Sprintf("job %s has ended: it is %s", id, state))
	case !state.IsActive():
		return engine.Suspend(engine.Wait{Reason: workflow.WaitJob, Topic: topic, Message: fmt.Sprintf("job %s is %s", id, state)})
	}
	c.library.jobs.forget(topic)
	err := slow(c.client().Compute.Attach(ctx, c.system(), id, in.Command), "let it go on in the background")
	var answer *firecrest.Error
	if errors.As(err, &answer) && answer.Retryable() && !answer.NotExecuted() && !in.Idempotent {
		return engine.Failure(workflow.CauseAPI, fmt.Sprintf("the command may have run, and `idempotent: true` is not set: %v", err))
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	return engine.Success(attachOut{in.JobID})
}
