package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type cancelJobIn struct {
	onSystem
	JobID string `json:"job_id" is:"required" doc:"Id of the job."`
}

type cancelJobOut struct {
	JobID string `json:"job_id" doc:"Id of the job."`
}

func cancelJob() stepType {
	return define[cancelJobIn, cancelJobOut](workflow.StepSpec{
		Name: "cancel_job", Group: groupJobs,
		Summary:    "Cancels a job",
		Doc:        "Succeeds when the scheduler has taken the request, and when the job has ended already or is not known. The job may run on for a moment.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: stop
  uses: cancel_job
  with: { job_id: "${{ steps.endless.outputs.job_id }}" }
`,
	}, operation(askToCancel))
}

func askToCancel(ctx context.Context, c *call, in cancelJobIn) (cancelJobOut, error) {
	return cancelJobOut{in.JobID}, c.client().Compute.Cancel(ctx, c.system(), firecrest.JobID(in.JobID))
}
