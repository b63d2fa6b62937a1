package steps

import (
	"context"
	"errors"
	"strings"

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
	return cancelJobOut{in.JobID}, c.requestEnd(ctx, firecrest.JobID(in.JobID))
}

// requestEnd asks the scheduler to cancel a job. One that is on its way to its
// end already cannot be cancelled any more, and need not be.
func (c *call) requestEnd(ctx context.Context, id firecrest.JobID) error {
	err := c.client().Compute.Cancel(ctx, c.system(), id)
	var answer *firecrest.Error
	if errors.As(err, &answer) && answer.FromServer() && strings.Contains(answer.Message, "already completing or completed") {
		return nil
	}
	return err
}
