package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type chmodIn struct {
	inWorkdir
	Path string `json:"path" is:"required,remote,source" doc:"File or directory; not what lies in it."`
	Mode string `json:"mode" is:"required" doc:"Mode, octal as in \"640\" (in quotes) or symbolic as in u+x,go-w."`
}

type chmodOut struct {
	Path        string `json:"path" doc:"Full path."`
	Permissions string `json:"permissions" doc:"What it is then, such as rw-r-----."`
}

func chmod() stepType {
	return define[chmodIn, chmodOut](workflow.StepSpec{
		Name: "chmod", Group: groupFiles,
		Summary:    "Changes the mode of a file or directory",
		Doc:        "After a lost answer the mode is set again.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: protect
  uses: chmod
  with: { path: "${{ steps.send.outputs.path }}", mode: "640" }
`,
	}, operation(changeMode))
}

func changeMode(ctx context.Context, c *call, in chmodIn) (chmodOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return chmodOut{}, err
	}
	entry, err := c.files().Chmod(ctx, c.system(), p, in.Mode)
	if err != nil {
		return chmodOut{}, err
	}
	return chmodOut{p, entry.Permissions}, nil
}
