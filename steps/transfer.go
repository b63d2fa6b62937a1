package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// What on_exists may say.
const (
	skipSame   = "skip_same"
	failExists = "fail"
	replace    = "replace"
)

// verifiedDigest: a transfer was verified by more than the size.
const verifiedDigest = datatransfer.VerifiedDigest

// verifyJob, for verify, has a batch job compute the digest.
const verifyJob = "job"

// transferIn are the inputs of upload and download that say how.
type transferIn struct {
	Method  string `json:"method" enum:"auto direct s3 streamer wormhole" default:"auto" doc:"The way the bytes go. auto sends what one request of the service takes in one request, and the rest by the way that the system has for large files; any other is refused where the system does not have it. An empty file always goes in one request."`
	Verify  string `json:"verify" enum:"auto job" default:"auto" doc:"job computes the SHA-256 in a batch job where one request is not enough for that, so above 1 GiB or on a slow system."`
	Account string `json:"account" is:"defaults" doc:"Account to charge jobs to, where the site wants one."`
}

// transferOut are the outputs of upload and download.
type transferOut struct {
	Path      string `json:"path" doc:"Full path of the copy; of a directory or pattern, the directory that holds it."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Its size; of a directory or pattern, of all its files together."`
	SHA256    string `json:"sha256" doc:"Its SHA-256, 64 hexadecimal digits; of a directory or pattern, that of the archive that was moved."`
	Verified  string `json:"verified" enum:"sha256 size" doc:"sha256 if the digests of both sides agree; size if only the sizes could be compared."`
	Skipped   bool   `json:"skipped" doc:"Whether the same was there already."`
	Method    string `json:"method" enum:"direct s3 streamer wormhole none" doc:"The way it went; none if it was skipped."`
	Files     int64  `json:"files" doc:"How many files it is."`
}

// fill takes over what a transfer came to.
func (out *transferOut) fill(r *datatransfer.Result) {
	out.SizeBytes, out.SHA256, out.Verified, out.Method = r.Size, r.SHA256, r.Verified, string(r.Method)
}

// methodNone is the method of what was there already.
const methodNone = "none"

// checkTransfer finds what no transfer can mean, by the text of its two paths.
func checkTransfer(local, remote string) func(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
	return func(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
		paths := literal[map[string]json.RawMessage](with)
		text := func(key string) string {
			var s string
			_ = json.Unmarshal(paths[key], &s) // an expression, or none
			return s
		}
		var problems []workflow.FieldProblem
		add := func(key, message, hint string) {
			problems = append(problems, workflow.FieldProblem{Path: []string{key}, Code: codeStoreAddress, Message: message, Hint: hint})
		}
		if here := text(local); strings.Contains(here, "://") && !datatransfer.IsStoreAddress(here) {
			add(local, fmt.Sprintf("`%s: %s` is an address that fcflow cannot read or write", local, here), "of addresses, only s3://bucket/key can be used")
		}
		if there := text(remote); strings.Contains(there, "://") {
			add(remote, fmt.Sprintf("`%s: %s` is an address, not a path on the system", remote, there), "")
		}
		return problems
	}
}

// target is the path of a copy: to ends in a slash, or is a dot, if it names
// the directory only.
func target(to, name string) string {
	last := to[strings.LastIndexAny(to, "/"+string(filepath.Separator))+1:]
	if last == "" || last == "." || last == ".." {
		return to + "/" + name
	}
	return to
}

// beganKey is the checkpoint that says that something may lie at the target.
const beganKey = "began"

// begun reports whether this attempt has begun to write to its target.
func (c *call) begun() (begun bool, err error) {
	_, err = c.Load(beganKey, &begun)
	return begun, err
}

// beganEarlier reports whether an earlier attempt has, so that what is there may
// be a part of it.
func (c *call) beganEarlier() (began bool, err error) {
	if _, err = c.LoadEarlier(beganKey, &began); err != nil {
		err = &datatransfer.JournalError{Err: err}
	}
	return began, err
}

// began reports whether this attempt or an earlier one has begun.
func (c *call) began() (bool, error) {
	begun, err := c.begun()
	if begun || err != nil {
		return begun, err
	}
	return c.beganEarlier()
}

// begin notes that something is about to be written to the target.
func (c *call) begin(ctx context.Context) error {
	if begun, err := c.begun(); begun || err != nil {
		return err
	}
	return c.keep(ctx, beganKey, true)
}

// transfer is an upload or download of one file, as an attempt drives it.
type transfer interface {
	// Continue does what can be done now.
	Continue(ctx context.Context, seen *datatransfer.Seen) (*datatransfer.Result, *datatransfer.Pending, error)
	Close() error
}

// move drives a transfer until it is done, or says how the attempt ends or goes
// on.
func (c *call) move(ctx context.Context, t transfer) (*datatransfer.Result, *engine.Outcome) {
	defer t.Close()
	var seen *datatransfer.Seen
	for {
		result, pending, err := t.Continue(ctx, seen)
		switch {
		case err != nil:
			return nil, outcome(c.transferFailed(ctx, err))
		case result != nil:
			return result, nil
		}
		awaited := awaited{job: pending.Job, since: pending.Since, running: pending.Running, again: pending.Again, what: "transfer"}
		if pending.Stale {
			awaited.again, awaited.what = cancelAgain, "cancelled transfer"
		}
		found, out := c.awaitJob(ctx, awaited)
		if found == nil {
			return nil, &out
		}
		seen = &datatransfer.Seen{ID: pending.Job.ID, State: found.State, Gone: found.Gone}
	}
}

// movedKey is the checkpoint of what a transfer came to, where more follows.
const movedKey = "moved"

// moveOnce is move for a transfer that something follows: it is noted when it is
// done, and not driven again.
func (c *call) moveOnce(ctx context.Context, t transfer) (*datatransfer.Result, *engine.Outcome) {
	var moved datatransfer.Result
	if found, err := c.Load(movedKey, &moved); err != nil {
		return nil, outcome(lost(err))
	} else if found {
		return &moved, nil
	}
	result, ended := c.move(ctx, t)
	if ended != nil {
		return nil, ended
	}
	if err := c.keep(ctx, movedKey, result); err != nil {
		return nil, outcome(lost(err))
	}
	return result, nil
}

// transferFailed is what an error means for the attempt.
func (c *call) transferFailed(ctx context.Context, err error) engine.Outcome {
	var journal *datatransfer.JournalError
	var submit *firecrest.SubmitError
	var name *firecrest.PathError
	switch {
	case errors.As(err, &journal):
		return lost(err)
	case errors.As(err, &name):
		return engine.Failure(workflow.CauseRejected, fmt.Sprintf(
			"%v; give it another name, or move the directory that it lies in, which goes as an archive", name))
	case errors.As(err, &submit):
		return c.notSubmitted(ctx, err, 1)
	case ctx.Err() != nil:
		return c.failed(ctx, err)
	}
	cause, outage := transferCause(err)
	if outage {
		return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
	}
	return engine.Failure(cause, plainly(err))
}

// transferCause says what an error of a transfer means: a cause, or true if
// trying the same again later may well succeed.
func transferCause(err error) (cause workflow.Cause, outage bool) {
	var known *failure
	var local *datatransfer.LocalError
	var job *datatransfer.JobError
	var told *firecrest.TransferError
	var mismatch *datatransfer.MismatchError
	var connection *datatransfer.ConnectionError
	var store *datatransfer.StoreError
	var temporary interface{ Retryable() bool }
	switch {
	case errors.As(err, &known):
		return known.cause, false
	case isQuota(err):
		return workflow.CauseDiskQuota, false
	case errors.As(err, &local):
		return workflow.CauseRejected, false
	case errors.As(err, &job) && job.Seen.State.Name() == "CANCELLED":
		return workflow.CauseKilled, false
	case errors.As(err, &job) && errors.As(err, &told):
		return toldCause(told.Reason), false
	case errors.Is(err, datatransfer.ErrChanged) && !errors.As(err, &store): // our own file
		return workflow.CauseInputChanged, false
	case errors.As(err, &mismatch), errors.As(err, &job), errors.As(err, &connection), errors.Is(err, datatransfer.ErrExpired):
		return workflow.CauseTransfer, false
	}
	var answer *firecrest.Error
	switch {
	case errors.As(err, &answer):
		return causeOf(err)
	case errors.As(err, &temporary):
		return workflow.CauseTransfer, temporary.Retryable()
	}
	return workflow.CauseRejected, false
}

// remoteDigest is the SHA-256 of a remote file; "" where it cannot be had.
func (c *call) remoteDigest(ctx context.Context, p string, size int64) (string, error) {
	return c.library.mover.RemoteDigest(ctx, c.system(), p, size)
}

func digestOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// advance tells watchers how many bytes have moved.
func (c *call) advance(done, total int64) { c.Progress(engine.Progress{Done: done, Total: total}) }

// transferCauses are the causes of upload and download.
var allTransferCauses = slices.Concat(transferCauses, []workflow.Cause{workflow.CauseKilled})
