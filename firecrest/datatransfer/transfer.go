package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Methods that are not the service's: Auto sends what one request of the API
// takes by Direct, and the rest by the way the system has.
const (
	Auto   firecrest.TransferMethod = "auto"
	Direct firecrest.TransferMethod = "direct"
)

// How a transfer was verified.
const (
	VerifiedDigest = "sha256" // the SHA-256 of both sides agree
	VerifiedSize   = "size"   // only the sizes could be compared
)

// Result is a transfer that is done.
type Result struct {
	Method   firecrest.TransferMethod // the way it went
	Size     int64                    // in bytes
	SHA256   string                   // of the local file, in hexadecimal digits
	Verified string                   // VerifiedDigest or VerifiedSize
}

// Pending is a batch job of the service that a transfer waits for.
type Pending struct {
	Job   firecrest.TransferJob
	Since time.Time // when it was submitted
	// Running says that it is enough if the job has started.
	Running bool
	// Stale says that the job is of no use any more and was asked to end.
	Stale bool
	// Again, if not zero, is how long to wait at most before calling Continue
	// all the same.
	Again time.Duration
}

// Seen is what is known of the job that a transfer waits for.
type Seen struct {
	ID    firecrest.JobID
	State firecrest.JobState
	// Gone says that the scheduler does not know the job, although it had the
	// time to show it.
	Gone bool
}

// Over reports whether the job will not do anything any more.
func (s Seen) Over() bool { return s.Gone || s.State.IsTerminal() }

// JobError is a transfer whose job did not do what it should.
type JobError struct {
	Seen Seen
	// Err is a [*firecrest.TransferError] with the reason that the job gave, or
	// what was wrong with what it left.
	Err error
}

// Error returns the reason, with the job's state if that says something.
func (e *JobError) Error() string {
	if name := e.Seen.State.Name(); name != "" && name != "COMPLETED" {
		return fmt.Sprintf("%v; the job ended %s", e.Err, e.Seen.State)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *JobError) Unwrap() error { return e.Err }

// MismatchError is a copy that is not what it should be.
type MismatchError struct {
	What string // which copy: a path
	Why  string
}

// Error returns one line.
func (e *MismatchError) Error() string { return e.What + " " + e.Why }

// maxRounds is how many transfers are begun for one file when the addresses of
// one after the other expire or turn out to be of no use.
const maxRounds = 3

// method decides how a file of a size goes. limit is the largest file, in
// bytes, that one request takes.
func method(facts *firecrest.System, want firecrest.TransferMethod, size, limit int64) (firecrest.TransferMethod, error) {
	has := firecrest.TransferMethod("")
	if facts.Transfer != nil {
		has = firecrest.TransferMethod(facts.Transfer.Method)
	}
	switch {
	case size == 0: // nothing else can move it
		return Direct, nil
	case (want == Auto || want == "" || want == Direct) && size <= limit:
		return Direct, nil
	case want == Direct:
		return "", fmt.Errorf("the file has %d bytes; %s moves at most %d in one request", size, facts.Name, limit)
	case want != Auto && want != "" && has != "" && want != has:
		return "", fmt.Errorf("%s moves large files by %s, not by %s", facts.Name, has, want)
	case facts.MovesNoLarge():
		return "", fmt.Errorf("%s moves no file of %d bytes: at most %d, and it has no method for larger ones", facts.Name, size, limit)
	case want != Auto && want != "":
		return want, nil
	case has != "":
		return has, nil
	}
	return firecrest.MethodS3, nil // servers before 2.5.0 do not tell; it is what they have
}

// maxChecksum is the largest file, in bytes, whose digest a server is asked
// for: it must be done within its time limit.
const maxChecksum = 1 << 30

// RemoteDigest is the SHA-256 of a remote file of a size; "" where it cannot be
// had: the file is too large, the server too slow, or its path unfit.
func (m *Mover) RemoteDigest(ctx context.Context, system, path string, size int64) (string, error) {
	if size > maxChecksum {
		return "", nil
	}
	sum, err := m.client.Filesystem.Checksum(ctx, system, path)
	var answer *firecrest.Error
	switch {
	case errors.Is(err, firecrest.ErrPath), errors.Is(err, firecrest.ErrTimeout), errors.Is(err, firecrest.ErrUnsupported):
		return "", nil
	case errors.As(err, &answer) && answer.FromServer() && strings.HasPrefix(answer.Message, "Invalid output"):
		return "", nil // the server cannot read its own answer for some names
	}
	return sum, err
}

// facts is what the service says of a system.
func (m *Mover) facts(ctx context.Context, known *firecrest.System, name string) (*firecrest.System, error) {
	if known != nil {
		m.note(known)
		return known, nil
	}
	systems, err := m.client.Status.Systems(ctx)
	if err != nil {
		return nil, err
	}
	for i := range systems {
		if strings.EqualFold(systems[i].Name, name) {
			m.note(&systems[i])
			return &systems[i], nil
		}
	}
	return nil, fmt.Errorf("system %q: %w", name, firecrest.ErrNotFound)
}

// judge reads what a job that has ended says of itself. Whatever is nil must
// still be verified. told is why there is doubt, for when that fails.
func (m *Mover) judge(ctx context.Context, job firecrest.TransferJob, seen Seen) (told, err error) {
	err = m.client.Transfer.Result(ctx, job)
	var failed *firecrest.TransferError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &failed):
		return nil, err // nothing is known at the moment
	case job.Kind == firecrest.TransferPeer, failed.Err != nil:
		return &JobError{seen, err}, nil
	}
	return nil, &JobError{seen, err}
}
