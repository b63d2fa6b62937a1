package steps

import (
	"context"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

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
		Summary: "Waits for a person to say yes",
		Doc: "`fcflow approve RUN STEP` answers, from any terminal, also while nobody drives the run. " +
			"With `--reject` the step fails with rejected. It takes no slot while it waits; `timeout` bounds how long it does.",
		Idempotent: true,
		Resumable:  true,
		Causes:     []workflow.Cause{workflow.CauseRejected},
		Example: `- id: sure
  uses: approve
  with: { message: "Publish the results?" }
`,
	}, ask)
}

// ask needs no checkpoint: the answer is on record.
func ask(_ context.Context, c *call, in approveIn) engine.Outcome {
	said := c.Approval()
	switch {
	case said == nil && c.Stopping():
		return engine.Ended("nobody had answered")
	case said == nil:
		return engine.Suspend(engine.Wait{Reason: workflow.WaitApproval, Message: in.Message})
	case said.Rejected:
		return engine.Failure(workflow.CauseRejected, strings.TrimSuffix(said.String()+": "+said.Note, ": "))
	}
	return engine.Success(approveOut{By: said.By, At: said.At.UTC().Format(time.RFC3339), Note: said.Note})
}
