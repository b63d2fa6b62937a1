package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type rmIn struct {
	inWorkdir
	Path      string `json:"path" is:"required,remote" doc:"File or directory to delete, with everything in it."`
	MissingOK bool   `json:"missing_ok" default:"false" doc:"Succeed if there is nothing to delete."`
}

type rmOut struct {
	Path    string `json:"path" doc:"Full path of what is gone."`
	Removed bool   `json:"removed" doc:"False if there was nothing to delete."`
}

func rm() stepType {
	return define[rmIn, rmOut](workflow.StepSpec{
		Name: "rm", Group: groupFiles,
		Summary: "Deletes a file or directory",
		Doc: "Does not ask. The run's remote directory and what it lies in are refused. After a lost answer the step looks whether " +
			"the path is gone before it tries again; a very late repetition could still hit something new of the same name.",
		Remote:     true,
		Idempotent: true,
		Causes:     changeCauses,
		Example: `- id: tidy
  uses: rm
  with: { path: copies, missing_ok: true }
`,
	}, operation(remove))
}

func remove(ctx context.Context, c *call, in rmIn) (rmOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return rmOut{}, err
	}
	if control := controlDir(c.Site); within(control, p) || within(p, control) {
		return rmOut{}, refuse("%s holds what fcflow keeps of this run; it is removed with the run", p)
	}
	gone := func() (bool, error) {
		_, err := c.files().Stat(ctx, c.system(), p, false)
		if isNotFound(err) {
			return true, nil
		}
		return false, err
	}
	err = c.change(func() error { return c.files().Remove(ctx, c.system(), p) }, gone)
	if isNotFound(err) && in.MissingOK {
		return rmOut{Path: p}, nil
	}
	return rmOut{p, true}, slow(err, "delete it with rm in a `job` step")
}
