package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type compressIn struct {
	inWorkdir
	Source       string `json:"source" is:"required,remote,source" doc:"File or directory to pack; members of the archive begin with its last part."`
	Target       string `json:"target" is:"required,remote" doc:"Archive to write; an existing one is replaced."`
	Compression  string `json:"compression" enum:"gzip bzip2 xz none" default:"gzip" doc:"Servers before 2.4.0 always write gzip."`
	Dereference  bool   `json:"dereference" default:"false" doc:"Store what links point to, instead of the links."`
	MatchPattern string `json:"match_pattern" doc:"Regular expression of find(1) that must match a whole path. The search then covers the directory that source lies in, and the archive is always gzip."`
}

type compressOut struct {
	Source    string `json:"source" doc:"Full path of what was packed."`
	Target    string `json:"target" doc:"Full path of the archive."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Size of the archive."`
}

const packInJob = "pack it with tar in a `job` step"

func compress() stepType {
	return define[compressIn, compressOut](workflow.StepSpec{
		Name: "compress", Group: groupFiles,
		Summary: "Packs a file or directory into a tar archive",
		Doc: "The server must be done within its time limit of a few seconds. After a lost answer the step packs again from the start: " +
			"half an archive cannot be told from a whole one.",
		Remote:     true,
		Idempotent: true,
		Causes:     changeCauses,
		Example: `- id: pack
  uses: compress
  with: { source: "${{ steps.simulate.outputs.workdir }}", target: out.tar.gz }
`,
	}, operation(writeArchive))
}

func writeArchive(ctx context.Context, c *call, in compressIn) (compressOut, error) {
	source, err := c.path(in.inWorkdir, in.Source)
	if err != nil {
		return compressOut{}, err
	}
	target, err := c.path(in.inWorkdir, in.Target)
	if err != nil {
		return compressOut{}, err
	}
	err = c.files().Compress(ctx, c.system(), source, target, &firecrest.CompressOptions{
		Compression: firecrest.Compression(in.Compression), Dereference: in.Dereference, MatchPattern: in.MatchPattern,
	})
	if err != nil {
		return compressOut{}, slow(err, packInJob)
	}
	archive, err := c.files().Stat(ctx, c.system(), target, true)
	if err != nil {
		return compressOut{}, err
	}
	return compressOut{source, target, archive.Size}, nil
}
