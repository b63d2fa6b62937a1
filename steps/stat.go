package steps

import (
	"context"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type statIn struct {
	inWorkdir
	Path        string `json:"path" is:"required,remote,source" doc:"File or directory."`
	Dereference bool   `json:"dereference" default:"false" doc:"Describe what a link points to, instead of the link."`
}

type statOut struct {
	Path       string `json:"path" doc:"Full path."`
	Type       string `json:"type" doc:"file, directory, link, pipe, socket or device."`
	SizeBytes  int64  `json:"size_bytes" unit:"bytes" doc:"Size."`
	Mode       string `json:"mode" doc:"Permission bits in octal, such as 0644."`
	UID        int64  `json:"uid" doc:"Number of the owner."`
	GID        int64  `json:"gid" doc:"Number of the group."`
	Links      int64  `json:"links" doc:"How many names the file has."`
	ModifiedAt string `json:"modified_at" doc:"Last change of the content, RFC 3339 in UTC, to the second."`
}

func stat() stepType {
	return define[statIn, statOut](workflow.StepSpec{
		Name: "stat", Group: groupFiles,
		Summary:    "Describes a file or directory",
		Doc:        "A path that does not exist fails with rejected.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: look
  uses: stat
  with: { path: "${{ steps.send.outputs.path }}" }
`,
	}, operation(describe))
}

func describe(ctx context.Context, c *call, in statIn) (statOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return statOut{}, err
	}
	s, err := c.files().Stat(ctx, c.system(), p, in.Dereference)
	if err != nil {
		return statOut{}, err
	}
	return statOut{
		Path: p, Type: statType(s), SizeBytes: s.Size, Mode: fmt.Sprintf("%04o", s.Mode&0o7777), UID: s.UID, GID: s.GID,
		Links: s.Nlink, ModifiedAt: time.Unix(s.Mtime, 0).UTC().Format(time.RFC3339),
	}, nil
}

func statType(s *firecrest.FileStat) string {
	switch s.Mode & 0o170000 {
	case 0o100000:
		return "file"
	case 0o040000:
		return "directory"
	case 0o120000:
		return "link"
	case 0o010000:
		return "pipe"
	case 0o140000:
		return "socket"
	}
	return "device"
}
