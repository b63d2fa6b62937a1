package steps

import (
	"context"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type rmIn struct {
	inWorkdir
	Path      string `json:"path" is:"required,remote" doc:"File or directory to delete, with everything in it."`
	MissingOK bool   `json:"missing_ok" default:"false" doc:"Succeed if there is nothing to delete."`
	Account   string `json:"account" is:"defaults" doc:"Account to charge a job to, where the site wants one."`
}

type rmOut struct {
	Path    string `json:"path" doc:"Full path of what is gone."`
	Removed bool   `json:"removed" doc:"False if there was nothing to delete."`
}

func rm() stepType {
	return define[rmIn, rmOut](workflow.StepSpec{
		Name: "rm", Group: groupFiles,
		Summary: "Deletes a file or directory",
		Doc: "Does not ask. What takes longer than the server lets one request is done in a batch job of the service, which the step waits for " +
			"without taking a slot. The run's remote directory and what it lies in are refused. After a lost answer the step looks whether " +
			"the path is gone before it tries again; a very late repetition could still hit something new of the same name.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Causes:     jobFormCauses,
		Example: `- id: tidy
  uses: rm
  with: { path: copies, missing_ok: true }
`,
	}, remove)
}

func remove(ctx context.Context, c *call, in rmIn) engine.Outcome {
	p, err := c.path(in.inWorkdir, in.Path)
	if err == nil {
		err = c.checkOwn(p)
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	missing := false
	out := c.carryOut(ctx, "remove", jobForm{
		now: func(ctx context.Context) error {
			err := c.files().Remove(ctx, c.system(), p)
			if missing = isNotFound(err) && in.MissingOK; missing {
				return nil
			}
			return err
		},
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			return c.client().Transfer.Remove(ctx, c.system(), p, &firecrest.TransferOptions{Account: c.account(in.Account)})
		},
		done: func(ctx context.Context) (bool, error) { return c.isGone(ctx, p) },
	})
	if out != nil {
		return *out
	}
	return engine.Success(rmOut{p, !missing})
}
