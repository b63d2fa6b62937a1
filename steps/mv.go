package steps

import (
	"context"
	"path"
	"slices"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type mvIn struct {
	inWorkdir
	Source  string `json:"source" is:"required,remote,source" doc:"File or directory to move."`
	Target  string `json:"target" is:"required,remote" doc:"Where to; into it, if it is a directory. A file of that name is replaced."`
	Account string `json:"account" is:"defaults" doc:"Account to charge the job to, where the site wants one."`
}

type mvOut struct {
	Source string `json:"source" doc:"Full path of what was moved; nothing is there any more."`
	Target string `json:"target" doc:"Full path of where it is now."`
}

// jobFormCauses are the causes of operations that a batch job of the service
// carries out.
var jobFormCauses = slices.Concat(changeCauses, []workflow.Cause{workflow.CauseTransfer, workflow.CauseKilled})

func mv() stepType {
	return define[mvIn, mvOut](workflow.StepSpec{
		Name: "mv", Group: groupFiles,
		Summary: "Moves or renames a file or directory",
		Doc: "The service does this in a batch job of its own; the step waits for it without taking a slot and believes its log, not its state. " +
			"After a lost answer the step looks whether the source is gone and the target there before it asks again; a very late repetition " +
			"could still hit something new of the source's name. What fcflow keeps of the run is refused.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Causes:     jobFormCauses,
		Example: `- id: rename
  uses: mv
  with: { source: copies/notes.txt, target: copies/readme.txt }
`,
	}, moveFiles)
}

func moveFiles(ctx context.Context, c *call, in mvIn) engine.Outcome {
	source, target, err := c.fromTo(in.inWorkdir, in.Source, in.Target)
	if err == nil {
		err = c.checkOwn(source)
	}
	var p placement
	if err == nil && !c.Stopping() {
		p, err = c.place(ctx, source, target, isDirectory(in.Target))
	}
	if err == nil && p.Directory {
		err = refuse("%s is a directory already", p.Path)
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	out := c.carryOut(ctx, "move", jobForm{
		once: true,
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			if err := c.checkFree(ctx, p.Path); err != nil {
				return nil, err
			}
			return c.client().Transfer.Move(ctx, c.system(), source, p.Path, &firecrest.TransferOptions{Account: c.account(in.Account)})
		},
		done: func(ctx context.Context) (bool, error) {
			if gone, err := c.isGone(ctx, source); !gone || err != nil {
				return false, err
			}
			gone, err := c.isGone(ctx, p.Path)
			return !gone, err
		},
	})
	if out != nil {
		return *out
	}
	return engine.Success(mvOut{source, p.Path})
}

// checkFree refuses a target that has become a directory: a move across file
// systems that was cut short leaves a part on either side, and nobody but the
// user can tell which is whole.
func (c *call) checkFree(ctx context.Context, p string) error {
	at, err := c.stat(ctx, p)
	if err == nil && at != nil && at.IsDir() {
		err = refuse("%s is there, and so is the source: a move may have been cut short; compare them, and remove one", p)
	}
	return err
}

// placement is the checkpoint that says where a moved or copied thing ends up:
// what the target is must be seen before it is changed.
type placement struct {
	Path      string `json:"path"`
	Exists    bool   `json:"exists"`    // something was there before
	Directory bool   `json:"directory"` // and it was a directory
}

const placementKey = "placement"

// place finds out where something ends up that goes to a target, or into it if
// that is a directory.
func (c *call) place(ctx context.Context, source, target string, into bool) (placement, error) {
	p := placement{Path: target}
	for _, load := range []func(string, any) (bool, error){c.Load, c.LoadEarlier} {
		if found, err := load(placementKey, &p); found || err != nil {
			return p, err
		}
	}
	if _, err := c.files().Stat(ctx, c.system(), source, false); err != nil {
		return p, err
	}
	at, err := c.stat(ctx, target)
	if err != nil {
		return p, err
	}
	if at == nil && into {
		if _, err := c.files().Mkdir(ctx, c.system(), target, true); err != nil {
			return p, err
		}
	}
	if into || at != nil && at.IsDir() {
		p.Path = path.Join(target, path.Base(source))
		if at, err = c.stat(ctx, p.Path); err != nil {
			return p, err
		}
	}
	if source == p.Path {
		return p, refuse("source and target are the same: %s", source)
	}
	p.Exists, p.Directory = at != nil, at != nil && at.IsDir()
	return p, c.keep(ctx, placementKey, p)
}

// isDirectory reports whether a path says that it is one.
func isDirectory(p string) bool { return target(p, "") != p }

// fromTo makes the two paths of an operation absolute.
func (c *call) fromTo(in inWorkdir, source, target string) (from, to string, err error) {
	if from, err = c.path(in, source); err != nil {
		return "", "", err
	}
	to, err = c.path(in, target)
	return from, to, err
}

// checkOwn refuses what fcflow itself keeps of the run, and what that lies in.
func (c *call) checkOwn(p string) error {
	if control := controlDir(c.Site); within(control, p) || within(p, control) {
		return refuse("%s holds what fcflow keeps of this run; it is removed with the run", p)
	}
	return nil
}

// isGone reports whether nothing has this name.
func (c *call) isGone(ctx context.Context, p string) (bool, error) {
	_, err := c.files().Stat(ctx, c.system(), p, false)
	if isNotFound(err) {
		return true, nil
	}
	return false, err
}

// account is what jobs of the service are charged to.
func (c *call) account(given string) string {
	if given != "" {
		return given
	}
	return c.library.config.Account
}
