package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type fileTypeIn struct {
	inWorkdir
	Path string `json:"path" is:"required,remote,source" doc:"File or directory."`
}

type fileTypeOut struct {
	Path string `json:"path" doc:"Full path."`
	Type string `json:"type" doc:"What it is, in the words of file(1) on the system, such as ASCII text or directory."`
}

func typeOfFile() stepType {
	return define[fileTypeIn, fileTypeOut](workflow.StepSpec{
		Name: "file_type", Group: groupFiles,
		Summary:    "Tells what kind of data a file holds",
		Doc:        "A path that does not exist fails with rejected.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: kind
  uses: file_type
  with: { path: "${{ steps.send.outputs.path }}" }
`,
	}, operation(readFileType))
}

func readFileType(ctx context.Context, c *call, in fileTypeIn) (fileTypeOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return fileTypeOut{}, err
	}
	kind, err := c.files().FileType(ctx, c.system(), p)
	return fileTypeOut{p, kind}, err
}
