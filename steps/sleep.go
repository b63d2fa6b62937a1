package steps

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

type sleepIn struct {
	Duration duration `json:"duration" is:"required" doc:"How long to wait."`
}

type sleepOut struct{}

func sleep() stepType {
	return define[sleepIn, sleepOut](workflow.StepSpec{
		Name: "sleep", Group: groupControl,
		Summary:    "Waits for a while",
		Doc:        "Counted from the start of the attempt: a run that was interrupted meanwhile does not wait again, and takes no slot.",
		Idempotent: true,
		Resumable:  true,
		Causes:     []workflow.Cause{},
		Example: `- id: pause
  uses: sleep
  with: { duration: 200ms }
`,
	}, wait)
}

// wait needs no checkpoint: the start of the attempt is on record.
func wait(_ context.Context, c *call, in sleepIn) engine.Outcome {
	until := c.StartedAt.Add(time.Duration(in.Duration))
	if time.Now().Before(until) {
		return engine.Suspend(engine.Wait{Reason: workflow.WaitTimer, Until: until})
	}
	return engine.Success(sleepOut{})
}
