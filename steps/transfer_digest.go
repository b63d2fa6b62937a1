package steps

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// digestKey is the checkpoint of the job that computes a digest.
const digestKey = "digest"

// digestState is what it holds. Once it is done, the job is of no more interest.
type digestState struct {
	jobFormState
	SHA256 string `json:"sha256,omitempty"`
}

// digestBefore is the SHA-256 of a remote file, asked for before it is fetched;
// "" if it cannot be had. A digest that verify insists on is noted: what begins to
// fetch the file may be another entry.
func (c *call) digestBefore(ctx context.Context, in transferIn, remote string, size int64) (string, *engine.Outcome) {
	digest, err := c.remoteDigest(ctx, remote, size)
	switch {
	case err != nil:
		return "", outcome(c.failed(ctx, err))
	case in.Verify != verifyJob:
		return digest, nil
	case digest == "":
		return c.digestJob(ctx, in, remote)
	}
	if err := c.Put(digestKey, digestState{jobFormState{Done: true}, digest}); err != nil {
		return "", outcome(lost(err))
	}
	return digest, nil
}

// notedDigest is the digest that verify insists on; "" if none was noted.
func (c *call) notedDigest() (string, error) {
	var state digestState
	_, err := c.Load(digestKey, &state)
	return state.SHA256, err
}

// confirm has a job compute the digest of the remote file, if that is asked for
// and was not to be had otherwise. It returns nil when the result is verified as
// well as it can be, else how the attempt ends or goes on.
func (c *call) confirm(ctx context.Context, in transferIn, remote string, r *datatransfer.Result) *engine.Outcome {
	if in.Verify != verifyJob || r.Verified == verifiedDigest {
		return nil
	}
	digest, ended := c.digestJob(ctx, in, remote)
	if ended != nil {
		return ended
	}
	if digest != r.SHA256 {
		return outcome(engine.Failure(workflow.CauseTransfer, fmt.Sprintf("%s has the SHA-256 %s there, and %s here", remote, digest, r.SHA256)))
	}
	r.Verified = verifiedDigest
	return nil
}

// digestJob computes the SHA-256 of a remote file in a batch job. A job that was
// submitted twice only reads twice.
func (c *call) digestJob(ctx context.Context, in transferIn, remote string) (string, *engine.Outcome) {
	var state digestState
	if _, err := c.Load(digestKey, &state); err != nil {
		return "", outcome(lost(err))
	}
	if state.Done {
		return state.SHA256, nil
	}
	result := path.Join(c.controlPart(), c.Token+".sha256")
	if state.Job == nil {
		id, err := c.client().Compute.Submit(ctx, c.system(), firecrest.JobSpec{
			Name: c.JobName, WorkingDirectory: c.Site.RemoteDir, Script: digestScript(c.account(in.Account), remote, result),
			StandardOutput: result + ".out", StandardError: result + ".out",
		})
		if err != nil {
			return "", outcome(c.notSubmitted(ctx, err, 1))
		}
		state.Job, state.Since = &firecrest.TransferJob{ID: id, System: c.system()}, time.Now().UTC()
		if err := c.keep(ctx, digestKey, state); err != nil {
			return "", outcome(lost(err))
		}
	}
	seen, out := c.awaitJob(ctx, awaited{job: *state.Job, since: state.Since, what: "checksum"})
	if seen == nil {
		return "", &out
	}
	content, err := c.files().Head(ctx, c.system(), result, &firecrest.PartOptions{Lines: 1})
	if err != nil && !errors.Is(err, firecrest.ErrNotFound) {
		return "", outcome(c.failed(ctx, err))
	}
	if err == nil {
		if digest := sumLine.FindString(content.Content); digest != "" {
			state.SHA256, state.Done = digest, true
			if err := c.keep(ctx, digestKey, state); err != nil {
				return "", outcome(lost(err))
			}
			return digest, nil
		}
	}
	return "", outcome(engine.Failure(workflow.CauseTransfer, fmt.Sprintf(
		"job %s ended %s without the SHA-256 of %s; its output is in %s", state.Job.ID, seen.State, remote, result+".out")))
}

var sumLine = regexp.MustCompile(`^[0-9a-f]{64}\b`)

// digestScript reads the file from standard input, so that its name is never part
// of the answer. The paths hold no single quote: such are refused everywhere.
func digestScript(account, file, result string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	if account != "" {
		fmt.Fprintf(&b, "#SBATCH --account=%s\n#PBS -A %s\n", account, account)
	}
	fmt.Fprintf(&b, "sha256sum < '%s' > '%s.new' && mv -f -- '%s.new' '%s'\n", file, result, result, result)
	return b.String()
}
