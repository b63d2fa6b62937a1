package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

func tail() stepType {
	return define[partIn, partOut](workflow.StepSpec{
		Name: "tail", Group: groupFiles,
		Summary:    "Reads the end of a text file",
		Doc:        "Of a text that is too long the last 64 KiB are delivered.",
		Remote:     true,
		Idempotent: true,
		CheckWith:  checkPart,
		Causes:     operationCauses,
		Example: `- id: last
  uses: tail
  with: { path: "${{ steps.send.outputs.path }}", lines: 1 }
`,
	}, operation(readTail))
}

func readTail(ctx context.Context, c *call, in partIn) (partOut, error) {
	return readPart(ctx, c, in, c.files().Tail, lastPart)
}
