package steps

import (
	"context"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

type submitOut struct {
	JobID   string `json:"job_id" doc:"Id of the job."`
	JobName string `json:"job_name" doc:"Its name, which begins with the token by which it is found again."`
	Workdir string `json:"workdir" doc:"Full path of the directory it runs in."`
	Stdout  string `json:"stdout" doc:"Full path of what it prints, on the system."`
}

func submit() stepType {
	return define[batchIn, submitOut](workflow.StepSpec{
		Name: "submit", Group: groupJobs,
		Summary: "Submits a batch job and goes on",
		Doc: "The submission is that of `job`; use `wait_for_job` to wait for the end. `job` is both in one, and the one to use with " +
			"`retry`: it submits again.",
		Remote:    true,
		Fenced:    true,
		CheckWith: checkBatch,
		Causes:    submitCauses,
		RetryOnly: []workflow.Cause{workflow.CauseAPI, workflow.CauseQueueTimeout},
		Example: `- id: start
  uses: submit
  with:
    name: hello
    resources: { nodes: 1, time: 5m }
    script: |
      #!/bin/bash
      echo hello
`,
	}, submitOnly)
}

func submitOnly(ctx context.Context, c *call, in batchIn) engine.Outcome {
	out := c.beginJob(ctx, in)
	if out.Succeeded() {
		return out // the job goes on, and its secrets with it
	}
	return c.clear(ctx, c.Submission(), out)
}

func (c *call) beginJob(ctx context.Context, in batchIn) engine.Outcome {
	if c.Stopping() && c.Submission() != nil {
		return c.endJob(ctx, in)
	}
	id, out := c.submitted(ctx, in)
	if id == "" {
		return out
	}
	intent := c.Submission().Intent
	return engine.Success(submitOut{
		JobID: string(id), JobName: intent.JobName, Workdir: intent.WorkDir, Stdout: jobOutput(intent.Control, c.Token, string(id)),
	})
}

// endJob ends the job of an attempt that is to stop.
func (c *call) endJob(ctx context.Context, in batchIn) engine.Outcome {
	_, end, out := c.runJob(ctx, in)
	if out != nil {
		return *out
	}
	return engine.Ended(end.evidence).WithRule(end.rule)
}
