package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type viewIn struct {
	inWorkdir
	Path   string `json:"path" is:"required,remote,source" doc:"Text file to read."`
	Offset int64  `json:"offset" default:"0" unit:"bytes" doc:"Where to begin. Exact for ASCII text only."`
}

type viewOut struct {
	Path      string `json:"path" doc:"Full path of the file."`
	Content   string `json:"content" doc:"The text, at most 64 KiB of it. Bytes that are no UTF-8 read as U+FFFD."`
	Truncated bool   `json:"truncated" doc:"Whether the file goes on."`
}

func view() stepType {
	return define[viewIn, viewOut](workflow.StepSpec{
		Name: "view", Group: groupFiles,
		Summary:    "Reads a text file",
		Doc:        "For small files whose text other steps need; use download for anything else. Servers before 2.3.0 ignore the offset.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: read
  uses: view
  with: { path: "${{ steps.latest.outputs.path }}" }
`,
	}, operation(viewFile))
}

func viewFile(ctx context.Context, c *call, in viewIn) (viewOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return viewOut{}, err
	}
	text, err := c.files().View(ctx, c.system(), p, &firecrest.ViewOptions{Offset: in.Offset, Size: maxText + 1})
	if err != nil {
		return viewOut{}, err
	}
	out := viewOut{Path: p}
	out.Content, out.Truncated = firstPart(text)
	return out, nil
}
