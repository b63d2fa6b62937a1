package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/workflow"
)

// Invocation is what an attempt knows of itself, and its way to make facts
// durable. It is used by the one goroutine that runs the attempt.
type Invocation struct {
	Run workflow.RunCreated
	// Site is where a Remote step works; zero for others.
	Site    workflow.RunBound
	Unit    workflow.UnitRef
	Attempt int
	Reason  workflow.WakeReason
	// Token is the attempt's deterministic name on a system; JobName begins with
	// it.
	Token   string
	JobName string

	// Epoch counts the owners of the run: 1 = the process that created it.
	Epoch int64
	// Place is that of the instance among all that its run can have; it follows
	// from the workflow file and the place of the instance in its step.
	Place int

	StartedAt   time.Time
	GiveUpAfter time.Duration // 0 = unlimited patience with an API that is down
	// Cancelling says that the run is being cancelled, Expired which deadline of
	// the step has passed. In both cases the attempt only ends what it began and
	// looks for evidence of how that ended.
	Cancelling bool
	Expired    workflow.Cause
	// Secrets are the values of secrets among the inputs of this attempt. They
	// must not be written anywhere.
	Secrets []string
	Logger  zerolog.Logger

	submission  *workflow.Submission
	approval    *workflow.Approval
	child       child
	job         *workflow.JobObserved
	checkpoints map[string]workflow.Body
	earlier     []*workflow.Attempt
	unflushed   []workflow.Payload
	blobs       []workflow.Blob
	requests    requests
	owner       *attemptRecorder
}

// Stopping reports whether the attempt is to end what it began.
func (inv *Invocation) Stopping() bool { return inv.Cancelling || inv.Expired != "" }

// Load reads a checkpoint of this attempt into v. It reports false when there
// is none.
func (inv *Invocation) Load(key string, v any) (bool, error) {
	body, ok := inv.checkpoints[key]
	if !ok {
		return false, nil
	}
	text, err := body.Load(inv.blob)
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(text, v)
}

// LoadEarlier reads into v what the newest of the attempts before this one kept
// under a key. It reports false when none of them did.
func (inv *Invocation) LoadEarlier(key string, v any) (bool, error) {
	for _, a := range slices.Backward(inv.earlier) {
		body, ok := a.Checkpoints[key]
		if !ok {
			continue
		}
		text, err := body.Load(inv.blob)
		if err != nil {
			return false, err
		}
		return true, json.Unmarshal(text, v)
	}
	return false, nil
}

// blob finds a value that was Put, flushed or not.
func (inv *Invocation) blob(digest string) ([]byte, error) {
	for _, b := range inv.blobs {
		if b.Digest == digest {
			return b.Bytes, nil
		}
	}
	return inv.owner.blob(digest)
}

// Put keeps a value for the same attempt after a restart, once Flush returned.
func (inv *Invocation) Put(key string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("checkpoint %q: %w", key, err)
	}
	body, blobs := workflow.NewBody(text)
	if inv.checkpoints == nil {
		inv.checkpoints = map[string]workflow.Body{}
	}
	inv.checkpoints[key] = body
	inv.unflushed = append(inv.unflushed, &workflow.Checkpoint{Key: key, Value: body})
	inv.blobs = append(inv.blobs, blobs...)
	return nil
}

// Flush makes what was Put durable before it returns.
func (inv *Invocation) Flush(ctx context.Context) error {
	if len(inv.unflushed) == 0 {
		return nil
	}
	payloads, blobs := inv.unflushed, inv.blobs
	inv.unflushed, inv.blobs = nil, nil
	return inv.owner.record(ctx, payloads, blobs)
}

// Submission is what is durable of this attempt's submission; nil before
// Intend.
func (inv *Invocation) Submission() *workflow.Submission { return inv.submission }

// Job is the job as it was last observed; nil before.
func (inv *Invocation) Job() *workflow.JobObserved { return inv.job }

// Approval is the answer of a person to this attempt; nil as long as there is none.
func (inv *Invocation) Approval() *workflow.Approval { return inv.approval }

// Intend makes the intention to submit durable, with the text of the script
// (nil for a remote one). Token and JobName are filled in.
func (inv *Invocation) Intend(ctx context.Context, intent workflow.SubmissionIntent, script []byte) error {
	n := escapedLen(intent.WorkDir) + escapedLen(intent.RemoteScript) + escapedLen(intent.Account) + escapedLen(intent.Control)
	if n > maxIntentText {
		return fmt.Errorf("the paths and the account of a submission take %d bytes; at most %d are recorded", n, maxIntentText)
	}
	intent.Token, intent.JobName = inv.Token, inv.JobName
	var blobs []workflow.Blob
	if script != nil {
		b := workflow.NewBlob(script)
		intent.Script = b.Digest
		blobs = append(blobs, b)
	}
	if err := inv.owner.record(ctx, []workflow.Payload{&intent}, blobs); err != nil {
		return err
	}
	inv.submission = &workflow.Submission{Intent: intent}
	return nil
}

// Script returns the text of an intended script.
func (inv *Invocation) Script() ([]byte, error) { return inv.owner.blob(inv.submission.Intent.Script) }

// Sending must return before the first byte of a submission leaves. It returns
// the number of the request.
func (inv *Invocation) Sending(ctx context.Context) (int, error) {
	k := inv.submission.Sent + 1
	return k, inv.Note(ctx, &workflow.SubmissionSending{K: k})
}

// Note makes a fact about the attempt's submission durable.
func (inv *Invocation) Note(ctx context.Context, f workflow.SubmissionFact) error {
	if err := inv.owner.record(ctx, []workflow.Payload{f}, nil); err != nil {
		return err
	}
	return inv.submission.Note(f, time.Now().UTC())
}

// SubmissionOf finds the submission, of any attempt of the run, that a job
// belongs to; nil if there is none.
func (inv *Invocation) SubmissionOf(ctx context.Context, system, jobID string) (found *workflow.Submission, err error) {
	err = inv.owner.inspect(ctx, func(r *workflow.Run) { found = r.SubmissionOf(system, jobID) })
	return found, err
}

// UsesControl reports whether a token of the run was to be claimed in a
// directory before.
func (inv *Invocation) UsesControl(ctx context.Context, dir string) (used bool, err error) {
	err = inv.owner.inspect(ctx, func(r *workflow.Run) { used = r.UsesControl(dir) })
	return used, err
}

// Observed records a job as the scheduler showed it, if that is news.
func (inv *Invocation) Observed(ctx context.Context, job workflow.JobObserved) error {
	if inv.job != nil && sameJob(*inv.job, job) {
		return nil
	}
	if err := inv.owner.record(ctx, []workflow.Payload{&job}, nil); err != nil {
		return err
	}
	inv.job = &job
	return nil
}

// sameJob compares what matters of two observations; the elapsed time alone is
// no news.
func sameJob(a, b workflow.JobObserved) bool {
	return a.JobID == b.JobID && a.State == b.State && a.Reason == b.Reason && a.Terminal == b.Terminal
}

// LogPath names a file under the run's logs for this attempt, such as the
// output of a local command. The caller creates it with mode 0600.
func (inv *Invocation) LogPath(name string) (string, error) { return inv.owner.logPath(name) }

// PrivatePath names a file for what the attempt needs after a restart and the
// history must not hold, such as addresses that open a file to whoever has them.
// The caller creates it with mode 0600. It is deleted when the attempt is over.
func (inv *Invocation) PrivatePath(name string) (string, error) {
	return inv.owner.privatePath(inv.Token, name)
}

// Progress tells watchers how far the attempt is. It is not durable.
func (inv *Invocation) Progress(p Progress) { inv.owner.progress(p) }
