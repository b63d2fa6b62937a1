package steps

import (
	"context"
	"strings"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type extractIn struct {
	inWorkdir
	Source      string `json:"source" is:"required,remote,source" doc:"Tar archive to unpack."`
	Target      string `json:"target" is:"remote" default:"." doc:"Directory to unpack into; it must exist. Files of the same name are replaced."`
	Compression string `json:"compression" enum:"auto gzip bzip2 xz none" default:"auto" doc:"Of the archive; auto goes by its name and takes gzip for others."`
}

type extractOut struct {
	Source string `json:"source" doc:"Full path of the archive."`
	Target string `json:"target" doc:"Full path of the directory."`
}

func extract() stepType {
	return define[extractIn, extractOut](workflow.StepSpec{
		Name: "extract", Group: groupFiles,
		Summary:    "Unpacks a tar archive",
		Doc:        "The server must be done within its time limit of a few seconds. After a lost answer the step unpacks again from the start.",
		Remote:     true,
		Idempotent: true,
		Causes:     changeCauses,
		Example: `- id: unpack
  uses: extract
  with: { source: "${{ steps.pack.outputs.target }}", target: copies }
`,
	}, operation(unpack))
}

func unpack(ctx context.Context, c *call, in extractIn) (extractOut, error) {
	source, err := c.path(in.inWorkdir, in.Source)
	if err != nil {
		return extractOut{}, err
	}
	target, err := c.path(in.inWorkdir, in.Target)
	if err != nil {
		return extractOut{}, err
	}
	compression := firecrest.Compression(in.Compression)
	if in.Compression == "auto" {
		compression = compressionOf(source)
	}
	err = c.files().Extract(ctx, c.system(), source, target, compression)
	return extractOut{source, target}, slow(err, "unpack it with tar in a `job` step")
}

func compressionOf(name string) firecrest.Compression {
	for suffix, compression := range map[string]firecrest.Compression{
		".tar": firecrest.CompressionNone, ".bz2": firecrest.CompressionBzip2, ".tbz2": firecrest.CompressionBzip2,
		".xz": firecrest.CompressionXz, ".txz": firecrest.CompressionXz,
	} {
		if strings.HasSuffix(name, suffix) {
			return compression
		}
	}
	return firecrest.CompressionGzip
}
