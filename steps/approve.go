package steps

import "github.com/fcflow/fcflow/workflow"

type approveIn struct {
	Message string `json:"message" is:"required" doc:"What the person is asked."`
}

type approveOut struct {
	By   string `json:"by" doc:"Who approved, as user@host."`
	At   string `json:"at" doc:"When, RFC 3339 in UTC."`
	Note string `json:"note" doc:"What they said; may be empty."`
}

func approve() stepType {
	return define[approveIn, approveOut](workflow.StepSpec{
		Name: "approve", Group: groupControl,
		Summary:    "Waits for a person to say yes",
		Doc:        "A rejection fails the step with rejected.",
		Idempotent: true,
		Resumable:  true,
		Causes:     []workflow.Cause{workflow.CauseRejected},
		Example: `- id: sure
  uses: approve
  with: { message: "Publish the results?" }
`,
	}, nil)
}
