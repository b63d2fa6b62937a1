package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type checksumIn struct {
	inWorkdir
	Path string `json:"path" is:"required,remote,source" doc:"File to read; its path holds no white space."`
}

type checksumOut struct {
	Path   string `json:"path" doc:"Full path of the file."`
	SHA256 string `json:"sha256" doc:"SHA-256 of the content, 64 hexadecimal digits."`
}

func checksum() stepType {
	return define[checksumIn, checksumOut](workflow.StepSpec{
		Name: "checksum", Group: groupFiles,
		Summary:    "Computes the SHA-256 of a remote file",
		Doc:        "The server must be done within its time limit of a few seconds, which is enough for about a gigabyte.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: digest
  uses: checksum
  with: { path: "${{ steps.send.outputs.path }}" }
`,
	}, operation(computeChecksum))
}

func computeChecksum(ctx context.Context, c *call, in checksumIn) (checksumOut, error) {
	p, err := c.path(in.inWorkdir, in.Path)
	if err != nil {
		return checksumOut{}, err
	}
	sum, err := c.files().Checksum(ctx, c.system(), p)
	return checksumOut{p, sum}, slow(err, "run sha256sum in a `job` step")
}
