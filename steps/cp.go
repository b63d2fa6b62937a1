package steps

import (
	"context"
	"path"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type cpIn struct {
	inWorkdir
	Source      string `json:"source" is:"required,remote,source" doc:"File or directory to copy."`
	Target      string `json:"target" is:"required,remote" doc:"Where to; into it, if it is a directory. Files of the same names are replaced."`
	Dereference bool   `json:"dereference" default:"false" doc:"Copy what links point to, instead of the links; servers before 2.2.8 never do."`
	Account     string `json:"account" is:"defaults" doc:"Account to charge the job to, where the site wants one."`
}

type cpOut struct {
	Source string `json:"source" doc:"Full path of what was copied."`
	Target string `json:"target" doc:"Full path of the copy."`
}

func cp() stepType {
	return define[cpIn, cpOut](workflow.StepSpec{
		Name: "cp", Group: groupFiles,
		Summary: "Copies a file or directory on a system",
		Doc: "The service does this in a batch job of its own; the step waits for it without taking a slot and believes its log, not its state. " +
			"After a lost answer the step copies again, over what is there; of a directory that did not exist before, it first removes what the lost " +
			"job may have made.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Causes:     jobFormCauses,
		Example: `- id: keep
  uses: cp
  with: { source: copies/readme.txt, target: copies/kept.txt }
`,
	}, copyFiles)
}

func copyFiles(ctx context.Context, c *call, in cpIn) engine.Outcome {
	source, target, err := c.fromTo(in.inWorkdir, in.Source, in.Target)
	var p placement
	if err == nil && !c.Stopping() {
		p, err = c.place(ctx, source, target, isDirectory(in.Target))
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	out := c.carryOut(ctx, "copy", jobForm{
		once: true,
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			if err := c.clearCopy(ctx, p); err != nil {
				return nil, err
			}
			to := p.Path
			if p.Directory {
				to = path.Dir(to) // the two are merged
			}
			return c.client().Transfer.Copy(ctx, c.system(), source, to, &firecrest.CopyOptions{
				Account: c.account(in.Account), Dereference: in.Dereference,
			})
		},
	})
	if out != nil {
		return *out
	}
	return engine.Success(cpOut{source, p.Path})
}

// clearCopy removes a directory that this step has begun: the next copy would go
// into it, not over it.
func (c *call) clearCopy(ctx context.Context, p placement) error {
	if p.Exists {
		return nil
	}
	at, err := c.stat(ctx, p.Path)
	if err != nil || at == nil || !at.IsDir() {
		return err
	}
	return c.files().Remove(ctx, c.system(), p.Path)
}
