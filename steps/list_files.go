package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type listFilesIn struct {
	inWorkdir
	Path        string `json:"path" is:"remote,source" default:"." doc:"Directory to list; a file gives its own entry."`
	ShowHidden  bool   `json:"show_hidden" default:"false" doc:"Also names that start with a dot."`
	Recursive   bool   `json:"recursive" default:"false" doc:"Everything below; names are then relative to the directory."`
	Dereference bool   `json:"dereference" default:"false" doc:"Describe what links point to. One dangling link fails the step."`
}

type listFilesOut struct {
	Path  string      `json:"path" doc:"Full path of the directory."`
	Files []fileFacts `json:"files" doc:"The entries, in the order of the server."`
	Names []string    `json:"names" doc:"Their names."`
}

type fileFacts struct {
	Name         string `json:"name" doc:"Name within the directory; the full path if path: is a file."`
	Type         string `json:"type" doc:"file, directory, link, pipe or socket."`
	SizeBytes    int64  `json:"size_bytes" unit:"bytes" doc:"Size; of a link the length of its text."`
	Permissions  string `json:"permissions" doc:"Such as rwxr-xr-x."`
	User         string `json:"user" doc:"Owner."`
	Group        string `json:"group" doc:"Group."`
	LastModified string `json:"last_modified" doc:"In the system's local time, to the second."`
	LinkTarget   string `json:"link_target" doc:"Text of a link, else empty."`
}

func listFiles() stepType {
	return define[listFilesIn, listFilesOut](workflow.StepSpec{
		Name: "list_files", Group: groupFiles,
		Summary:    "Lists a directory",
		Doc:        "The server prints a whole listing at once: with its usual limit some 40,000 entries. A larger directory fails with rejected.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: results
  uses: list_files
  with: { path: "${{ steps.unpack.outputs.target }}" }
`,
	}, operation(readDirectory))
}

func readDirectory(ctx context.Context, c *call, in listFilesIn) (listFilesOut, error) {
	dir, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return listFilesOut{}, err
	}
	entries, err := c.files().List(ctx, c.system(), dir, &firecrest.ListOptions{
		ShowHidden: in.ShowHidden, Recursive: in.Recursive, Dereference: in.Dereference,
	})
	if err != nil {
		return listFilesOut{}, err
	}
	out := listFilesOut{Path: dir, Files: []fileFacts{}, Names: []string{}}
	for _, e := range entries {
		out.Names = append(out.Names, e.Name)
		out.Files = append(out.Files, fileFacts{
			e.Name, fileType(e.Type), e.Size, e.Permissions, e.User, e.Group, e.LastModified, e.LinkTarget,
		})
	}
	return out, nil
}

// fileType is the word for the first letter of a mode.
func fileType(letter string) string {
	switch letter {
	case "-":
		return "file"
	case "d":
		return "directory"
	case "l":
		return "link"
	case "p":
		return "pipe"
	case "s":
		return "socket"
	}
	return letter
}
