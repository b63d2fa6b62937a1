package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type mkdirIn struct {
	inWorkdir
	Path    string `json:"path" is:"required,remote" doc:"Directory to make."`
	Parents bool   `json:"parents" default:"true" doc:"Make missing parents too, and accept a directory that exists. Without it exactly one of several that try succeeds."`
}

type mkdirOut struct {
	Path string `json:"path" doc:"Full path of the directory."`
}

func mkdir() stepType {
	return define[mkdirIn, mkdirOut](workflow.StepSpec{
		Name: "mkdir", Group: groupFiles,
		Summary:    "Makes a directory",
		Doc:        "After a lost answer the step looks whether the directory is there before it tries again.",
		Remote:     true,
		Idempotent: true,
		Causes:     changeCauses,
		Example: `- id: prepare
  uses: mkdir
  with: { path: in }
`,
	}, operation(makeDirectory))
}

func makeDirectory(ctx context.Context, c *call, in mkdirIn) (mkdirOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return mkdirOut{}, err
	}
	done := func() (bool, error) {
		found, err := c.stat(ctx, p)
		return found != nil && found.IsDir(), err
	}
	make := func() error {
		_, err := c.files().Mkdir(ctx, c.system(), p, in.Parents)
		return err
	}
	return mkdirOut{p}, c.change(make, done)
}
