package workflow

import (
	"context"
	"errors"
	"time"
)

// Store keeps runs. The bbolt and the memory implementation pass the same
// suite.
type Store interface {
	// Create makes the run of that id durable with its first events and its
	// frozen workflow, and owns it. ErrConflict if the id exists.
	Create(ctx context.Context, id RunID, frozen []byte, first []Event, blobs []Blob) (History, error)
	// Open takes ownership of a run: ErrNotFound, ErrOwned if another process
	// holds it.
	Open(ctx context.Context, id RunID) (History, error)
	// List yields run ids, newest first.
	List(ctx context.Context) ([]RunID, error)
	// Delete removes a run that nobody owns, with everything it left here.
	Delete(ctx context.Context, id RunID) error
}

// History is the event log of one run, held by its owner.
type History interface {
	// Append makes events durable, in one commit, if the last stored sequence
	// number is after; ErrStale otherwise. The events carry their own Seq,
	// after+1 and so on. After an error nothing was written, or nobody knows: the
	// owner must stop.
	Append(ctx context.Context, after int64, events []Event, blobs ...Blob) error
	// Read calls f with each stored event from sequence number from on, in order.
	Read(ctx context.Context, from int64, f func(Event) error) error
	// Blob returns a stored value by digest.
	Blob(ctx context.Context, digest string) ([]byte, error)
	// Frozen returns the workflow text this run executes.
	Frozen(ctx context.Context) ([]byte, error)
	// Epoch is the number of this ownership, 1 for the creator.
	Epoch() int64
	// Close gives the ownership up. The run stays as it is.
	Close() error
}

// Blob is a value too large for an event, stored by its SHA-256 in hex.
type Blob struct {
	Digest string
	Bytes  []byte
}

// Book keeps what must outlive a process and belongs to no run, such as what
// became of the slots of schedules: small values by key. One process has it at a
// time. The bbolt and the memory implementation pass the same suite.
type Book interface {
	// Nonce tells this book from any other. It is made with the book.
	Nonce() string
	// Read calls f with each key and value, in the order of the keys.
	Read(ctx context.Context, f func(key string, value []byte) error) error
	// Write makes changes durable, in one commit; a nil value removes its key.
	// After an error nothing was written, or nobody knows: the caller must stop.
	Write(ctx context.Context, changes map[string][]byte) error
	Close() error
}

// Errors of stores; match with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict")
	ErrOwned    = errors.New("owned by another process")
	ErrStale    = errors.New("history moved on")
	ErrCorrupt  = errors.New("corrupt history")
	ErrNewer    = errors.New("written by a newer fcflow")
)

// Owner describes who holds a run.
type Owner struct {
	Host      string    `json:"host"`
	BootID    string    `json:"boot_id"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Epoch     int64     `json:"epoch"`
	Socket    string    `json:"socket,omitempty"`
}
