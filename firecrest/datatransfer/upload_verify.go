package datatransfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// settle looks at what the job made of it.
func (u *Upload) settle(ctx context.Context, seen *Seen) (*Result, *Pending, error) {
	var told error
	if u.state.Job != nil {
		if seen == nil || !seen.Over() {
			pending, err := u.patience(ctx, seen)
			return nil, pending, err
		}
		var err error
		if told, err = u.Mover.judge(ctx, *u.state.Job, *seen); err != nil {
			return nil, nil, err
		}
	}
	result, err := u.verify(ctx)
	if err == nil && told != nil && u.state.Method == firecrest.MethodS3 && !u.certain(result) {
		err = &MismatchError{u.To, "is as large as the file, and may be what was there before"}
	}
	var mismatch *MismatchError
	switch {
	case errors.As(err, &mismatch) && u.state.Unsure && u.state.Method == firecrest.MethodStreamer:
		u.state.Job = nil // it was cut short here, and that is all that is wrong
		return nil, nil, u.stale(ctx)
	case errors.As(err, &mismatch) && told != nil:
		return nil, nil, fmt.Errorf("%w: %w", told, err)
	case err != nil:
		return nil, nil, err
	}
	u.state.Job = nil
	if err := u.keep(ctx); err != nil {
		return nil, nil, err
	}
	if !u.state.Lost.IsZero() {
		u.Mover.reap(ctx, u.System, u.To, u.state.Lost)
	}
	return result, nil, nil
}

// How long a job may run that perhaps has nothing to fetch: the time in which it
// looks a few times, and that in which it fetches, at bytes per second.
const (
	unsurePatience = 5 * time.Minute
	unsureRate     = 4 << 20
)

// patience waits for the job. If nobody knows whether the object is there, it
// does so for some time only: the job itself would for a day.
func (u *Upload) patience(ctx context.Context, seen *Seen) (*Pending, error) {
	pending := &Pending{Job: *u.state.Job, Since: u.state.Begun}
	if !u.state.Unsure {
		return pending, nil
	}
	limit := unsurePatience + time.Duration(u.state.Size/unsureRate)*time.Second
	switch {
	case seen == nil || !seen.State.IsActive():
	case u.state.Active.IsZero():
		u.state.Active = time.Now().UTC()
		if err := u.keep(ctx); err != nil {
			return nil, err
		}
	case time.Since(u.state.Active) > limit:
		return nil, u.stale(ctx)
	}
	pending.Again = limit / 4
	return pending, nil
}

// verify compares the copy with the file.
func (u *Upload) verify(ctx context.Context) (*Result, error) {
	if err := u.digest(ctx)(); err != nil {
		return nil, err
	}
	if err := u.unchanged(); err != nil {
		return nil, err
	}
	result := &Result{Method: u.state.Method, Size: u.state.Size, SHA256: u.state.SHA256, Verified: VerifiedSize}
	found, err := u.Mover.client.Filesystem.Stat(ctx, u.System, u.To, true)
	switch {
	case errors.Is(err, firecrest.ErrNotFound):
		return nil, &MismatchError{u.To, "is not there after its upload"}
	case err != nil:
		return nil, err
	case found.Size != u.state.Size:
		return nil, &MismatchError{u.To, fmt.Sprintf("has %d bytes after the upload of %d", found.Size, u.state.Size)}
	}
	digest, err := u.Mover.RemoteDigest(ctx, u.System, u.To, found.Size)
	switch {
	case err != nil:
		return nil, err
	case digest != "" && digest != u.state.SHA256:
		return nil, &MismatchError{u.To, fmt.Sprintf("has another SHA-256 (%s) than what was uploaded (%s)", digest, u.state.SHA256)}
	case digest != "":
		result.Verified = VerifiedDigest
	}
	return result, nil
}

// certain reports whether what lies at the target is known to be the file, even
// if nothing said that it was written: another one of that size may have been
// there before.
func (u *Upload) certain(r *Result) bool { return r.Verified == VerifiedDigest || u.state.Size == 0 }

// digest begins to hash the file, and returns what waits for the end of that.
func (u *Upload) digest(ctx context.Context) (wait func() error) {
	if u.state.SHA256 != "" {
		return func() error { return nil }
	}
	type sum struct {
		text string
		err  error
	}
	done := make(chan sum, 1)
	go func() {
		text, err := hashOf(ctx, io.NewSectionReader(u.file, 0, u.state.Size))
		done <- sum{text, err}
	}()
	return func() error {
		s := <-done
		u.state.SHA256 = s.text
		return s.err
	}
}

// hashOf is the SHA-256 of what r gives.
func hashOf(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, untilDone{ctx, r}); err != nil {
		return "", localError(err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
