package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type symlinkIn struct {
	inWorkdir
	Target string `json:"target" is:"required,remote" doc:"What the link points to; need not exist."`
	Path   string `json:"path" is:"required,remote" doc:"The link to make. Something that has this name already is an error; in an existing directory the link is made under the target's name."`
}

type symlinkOut struct {
	Path   string `json:"path" doc:"Full path of the link."`
	Target string `json:"target" doc:"Full path it points to."`
}

func symlink() stepType {
	return define[symlinkIn, symlinkOut](workflow.StepSpec{
		Name: "symlink", Group: groupFiles,
		Summary:    "Makes a symbolic link",
		Doc:        "After a lost answer the step reads the link back before it tries again.",
		Remote:     true,
		Idempotent: true,
		Causes:     changeCauses,
		Example: `- id: latest
  uses: symlink
  with: { target: "${{ steps.send.outputs.path }}", path: latest.txt }
`,
	}, operation(makeLink))
}

func makeLink(ctx context.Context, c *call, in symlinkIn) (symlinkOut, error) {
	target, err := c.path(in.inWorkdir, in.Target)
	if err != nil {
		return symlinkOut{}, err
	}
	link, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return symlinkOut{}, err
	}
	out := symlinkOut{link, target}
	done := func() (bool, error) {
		entries, err := c.files().List(ctx, c.system(), link, nil)
		if isNotFound(err) {
			return false, nil
		}
		return len(entries) == 1 && entries[0].Name == link && entries[0].LinkTarget == target, err
	}
	make := func() error {
		_, err := c.files().Symlink(ctx, c.system(), target, link)
		if isNotFound(err) { // servers before 2.5.0 say so after making a link to nothing
			if ok, readErr := done(); readErr == nil && ok {
				return nil
			}
		}
		return err
	}
	return out, c.change(make, done)
}
