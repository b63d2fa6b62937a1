package steps

import (
	"context"
	"encoding/json"

	"github.com/fcflow/fcflow/workflow"
)

type chownIn struct {
	inWorkdir
	Path  string `json:"path" is:"required,remote,source" doc:"File or directory; not what lies in it."`
	Owner string `json:"owner" doc:"New owner. Without a group it stands for the owner's login group, too."`
	Group string `json:"group" doc:"New group."`
}

type chownOut struct {
	Path  string `json:"path" doc:"Full path."`
	Owner string `json:"owner" doc:"Whose it is then."`
	Group string `json:"group" doc:"Its group then."`
}

func chown() stepType {
	return define[chownIn, chownOut](workflow.StepSpec{
		Name: "chown", Group: groupFiles,
		Summary:    "Changes the owner and the group of a file or directory",
		Doc:        "Most systems let you give a file of yours to another of your groups, and nothing else.",
		Remote:     true,
		Idempotent: true,
		CheckWith:  checkChown,
		Causes:     operationCauses,
		Example: `- id: share
  uses: chown
  with: { path: "${{ steps.send.outputs.path }}", group: "${{ steps.me.outputs.group }}" }
`,
	}, operation(changeOwner))
}

func checkChown(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	in := literal[chownIn](with)
	if in.Owner != "" || in.Group != "" || dynamic("owner") || dynamic("group") {
		return nil
	}
	return []workflow.FieldProblem{{Code: codeExclusive, Message: "a `chown` step needs `owner` or `group`"}}
}

func changeOwner(ctx context.Context, c *call, in chownIn) (chownOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return chownOut{}, err
	}
	entry, err := c.files().Chown(ctx, c.system(), p, in.Owner, in.Group)
	if err != nil {
		return chownOut{}, err
	}
	return chownOut{p, entry.User, entry.Group}, nil
}
