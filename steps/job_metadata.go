package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type jobMetadataIn struct {
	onSystem
	JobID string `json:"job_id" is:"required" doc:"Id of the job."`
}

type jobMetadataOut struct {
	JobID           string `json:"job_id" doc:"Id of the job."`
	Script          string `json:"script" doc:"Text of the batch script, at most 64 KiB of it; empty if the scheduler does not keep it."`
	ScriptTruncated bool   `json:"script_truncated" doc:"Whether there was more of it."`
	Stdin           string `json:"stdin" doc:"Path of its standard input; may be empty."`
	Stdout          string `json:"stdout" doc:"Path of what it prints; may be empty."`
	Stderr          string `json:"stderr" doc:"Path of its error messages; may be empty."`
}

func jobMetadata() stepType {
	return define[jobMetadataIn, jobMetadataOut](workflow.StepSpec{
		Name: "job_metadata", Group: groupJobs,
		Summary:    "Reads the script and the file names of a job",
		Doc:        "Schedulers keep them for jobs that wait or run, and for finished ones only where accounting is set up for it.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: metadata
  uses: job_metadata
  with: { job_id: "${{ steps.start.outputs.job_id }}" }
`,
	}, operation(readMetadata))
}

func readMetadata(ctx context.Context, c *call, in jobMetadataIn) (jobMetadataOut, error) {
	list, err := c.client().Compute.Metadata(ctx, c.system(), firecrest.JobID(in.JobID))
	if err != nil {
		return jobMetadataOut{}, err
	}
	if len(list) == 0 {
		return jobMetadataOut{}, refuse("the scheduler keeps nothing of job %s", in.JobID)
	}
	m := list[0]
	out := jobMetadataOut{JobID: in.JobID, Stdin: m.StandardInput, Stdout: m.StandardOutput, Stderr: m.StandardError}
	out.Script, out.ScriptTruncated = firstPart(m.Script)
	return out, nil
}
