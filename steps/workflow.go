package steps

import (
	"encoding/json"

	"github.com/fcflow/fcflow/workflow"
)

type subWorkflowIn struct {
	File   string                     `json:"file" is:"required,local,literal,source" doc:"Workflow file; relative to the directory of this one."`
	Inputs map[string]json.RawMessage `json:"inputs" doc:"Its inputs, by name."`
}

type subWorkflowOut struct {
	RunID string `json:"run_id" doc:"Id of the run."`
}

func subWorkflow() stepType {
	return define[subWorkflowIn, subWorkflowOut](workflow.StepSpec{
		Name: "workflow", Group: groupControl,
		Summary:    "Runs another workflow as a step",
		Doc:        "The other workflow has a run of its own, which is cancelled with this one.",
		Idempotent: true,
		Resumable:  true,
		Causes:     []workflow.Cause{workflow.CauseChild},
		Example: `- id: preprocess
  uses: workflow
  with: { file: preprocess.yaml, inputs: { levels: 40 } }
`,
	}, nil)
}
