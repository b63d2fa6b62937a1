package steps

import (
	"context"

	"github.com/fcflow/fcflow/engine"
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
	Account      string `json:"account" is:"defaults" doc:"Account to charge a job to, where the site wants one."`
}

type compressOut struct {
	Source    string `json:"source" doc:"Full path of what was packed."`
	Target    string `json:"target" doc:"Full path of the archive."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Size of the archive."`
}

func compress() stepType {
	return define[compressIn, compressOut](workflow.StepSpec{
		Name: "compress", Group: groupFiles,
		Summary: "Packs a file or directory into a tar archive",
		Doc: "What takes longer than the server lets one request is packed in a batch job of the service, which the step waits for without taking a slot. " +
			"After a lost answer the step packs again from the start: half an archive cannot be told from a whole one.",
		Remote:     true,
		Idempotent: true,
		Resumable:  true,
		Causes:     jobFormCauses,
		Example: `- id: pack
  uses: compress
  with: { source: "${{ steps.simulate.outputs.workdir }}", target: out.tar.gz }
`,
	}, writeArchive)
}

func writeArchive(ctx context.Context, c *call, in compressIn) engine.Outcome {
	source, target, err := c.fromTo(in.inWorkdir, in.Source, in.Target)
	if err != nil {
		return c.failed(ctx, err)
	}
	options := firecrest.CompressOptions{
		Compression: firecrest.Compression(in.Compression), Dereference: in.Dereference, MatchPattern: in.MatchPattern,
	}
	job := options
	if job.MatchPattern != "" { // the job would honour another one
		job.Compression = firecrest.CompressionGzip
	}
	ended := c.carryOut(ctx, "compress", jobForm{
		now: func(ctx context.Context) error {
			return c.files().Compress(ctx, c.system(), source, target, &options)
		},
		submit: func(ctx context.Context) (*firecrest.TransferJob, error) {
			return c.client().Transfer.Compress(ctx, c.system(), source, target, &firecrest.CompressJobOptions{
				CompressOptions: job, Account: c.account(in.Account),
			})
		},
	})
	if ended != nil {
		return *ended
	}
	archive, err := c.files().Stat(ctx, c.system(), target, true)
	if err != nil {
		return c.failed(ctx, err)
	}
	return engine.Success(compressOut{source, target, archive.Size})
}
