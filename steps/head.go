package steps

import (
	"context"
	"encoding/json"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// partIn are the inputs of head and tail.
type partIn struct {
	inWorkdir
	Path  string `json:"path" is:"required,remote,source" doc:"Text file to read."`
	Lines int64  `json:"lines" unit:"lines" doc:"How many lines; 10 if neither lines nor bytes is given."`
	Bytes int64  `json:"bytes" unit:"bytes" doc:"How many bytes, instead of lines."`
	Skip  bool   `json:"skip" default:"false" doc:"Turn the number round: head leaves out the last n, tail starts at the n-th."`
}

type partOut struct {
	Path      string `json:"path" doc:"Full path of the file."`
	Content   string `json:"content" doc:"The text, at most 64 KiB of it. Bytes that are no UTF-8 read as U+FFFD."`
	Truncated bool   `json:"truncated" doc:"Whether there was more than 64 KiB of it."`
}

func head() stepType {
	return define[partIn, partOut](workflow.StepSpec{
		Name: "head", Group: groupFiles,
		Summary:    "Reads the beginning of a text file",
		Doc:        "Of a text that is too long the first 64 KiB are delivered.",
		Remote:     true,
		Idempotent: true,
		CheckWith:  checkPart,
		Causes:     operationCauses,
		Example: `- id: title
  uses: head
  with: { path: "${{ steps.send.outputs.path }}", lines: 1 }
`,
	}, operation(readHead))
}

func readHead(ctx context.Context, c *call, in partIn) (partOut, error) {
	return readPart(ctx, c, in, c.files().Head, firstPart)
}

// readPart reads with one function and cuts with another.
func readPart(
	ctx context.Context, c *call, in partIn,
	read func(context.Context, string, string, *firecrest.PartOptions) (*firecrest.Content, error),
	cut func(string) (string, bool),
) (partOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return partOut{}, err
	}
	content, err := read(ctx, c.system(), p, &firecrest.PartOptions{Lines: in.Lines, Bytes: in.Bytes, Skip: in.Skip})
	if err != nil {
		return partOut{}, err
	}
	out := partOut{Path: p}
	out.Content, out.Truncated = cut(content.Content)
	return out, nil
}

func checkPart(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
	in := literal[partIn](with)
	var problems []workflow.FieldProblem
	if in.Lines != 0 && in.Bytes != 0 {
		problems = append(problems, workflow.FieldProblem{
			Path: []string{"bytes"}, Code: codeExclusive, Message: "`lines` and `bytes` exclude each other", Hint: "keep one of them",
		})
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"lines", in.Lines}, {"bytes", in.Bytes}} {
		if n.value < 0 {
			problems = append(problems, workflow.FieldProblem{
				Path: []string{n.name}, Code: codeOutOfRange, Message: "`" + n.name + "` must not be negative",
			})
		}
	}
	return problems
}
