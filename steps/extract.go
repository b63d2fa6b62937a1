package steps

import (
	"context"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type extractIn struct {
	inWorkdir
	Source      string `json:"source" is:"required,remote,source" doc:"Tar archive to unpack."`
	Target      string `json:"target" is:"remote" default:"." doc:"Directory to unpack into; it must exist. Files of the same name are replaced."`
	Compression string `json:"compression" enum:"auto gzip bzip2 xz none" default:"auto" doc:"Of the archive; auto goes by its name and takes gzip for others."`
	Account     string `json:"account" is:"defaults" doc:"Account to charge a job to, where the site wants one."`
}

type extractOut struct {
	Source string `json:"source" doc:"Full path of the archive."`
	Target string `json:"target" doc:"Full path of the directory."`
}

func extract() stepType {
	return define[extractIn, extractOut](workflow.StepSpec{
		Name: "extract", Group: groupFiles,
		Summary: "Unpacks a tar archive",
		Doc: "What takes longer than the server lets one request is unpacked in a batch job of the service, which the step waits for without taking a slot. " +
			"After a lost answer the step unpacks again from the start.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Causes:     jobFormCauses,
		Example: `- id: unpack
  uses: extract
  with: { source: "${{ steps.pack.outputs.target }}", target: copies }
`,
	}, unpack)
}

func unpack(ctx context.Context, c *call, in extractIn) engine.Outcome {
	source, target, err := c.fromTo(in.inWorkdir, in.Source, in.Target)
	if err != nil {
		return c.failed(ctx, err)
	}
	compression := firecrest.Compression(in.Compression)
	if in.Compression == "auto" {
		compression = compressionOf(source)
	}
	ended := c.carryOut(ctx, "extract", jobForm{
		now: func(ctx context.Context) error {
			return c.files().Extract(ctx, c.system(), source, target, compression)
		},
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			return c.client().Transfer.Extract(ctx, c.system(), source, target, &firecrest.ExtractJobOptions{
				Compression: compression, Account: c.account(in.Account),
			})
		},
	})
	if ended != nil {
		return *ended
	}
	return engine.Success(extractOut{source, target})
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
