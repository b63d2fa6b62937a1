package steps

import (
	"cmp"
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type assertIn struct {
	That    bool   `json:"that" is:"required" doc:"What must be true: an expression, such as ${{ steps.solve.outputs.error < 0.001 }}."`
	Message string `json:"message" doc:"What it means if it is not, with the values that matter."`
}

type assertOut struct{}

func assert() stepType {
	return define[assertIn, assertOut](workflow.StepSpec{
		Name: "assert", Group: groupControl,
		Summary: "Fails unless something is true",
		Doc: "What depends on this step starts only if the condition holds. A false one fails the step with assertion and the message; " +
			"one that cannot be evaluated fails it with expression. Conditions that belong together are joined with and, others get a step each.",
		Idempotent: true,
		Causes:     []workflow.Cause{workflow.CauseAssertion},
		Example: `- id: enough
  uses: assert
  with:
    that: ${{ steps.words.outputs.size_bytes > 0 }}
    message: "${{ steps.words.outputs.path }} is empty"
`,
	}, operation(check))
}

func check(_ context.Context, _ *call, in assertIn) (assertOut, error) {
	if !in.That {
		return assertOut{}, fail(workflow.CauseAssertion, "%s", cmp.Or(in.Message, "the condition is false"))
	}
	return assertOut{}, nil
}
