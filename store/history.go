package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/workflow"
)

// history implements [workflow.History] on the run.db of a run. One goroutine
// appends; others may read meanwhile.
type history struct {
	id     workflow.RunID
	dir    string
	epoch  int64
	signed bool // owner.json is ours

	mu sync.RWMutex // guards db: nil when closed
	db *bolt.DB

	write   sync.Mutex // guards what follows
	head    record.Head
	failed  error  // of a commit; from then on nobody knows what is stored
	buf     []byte // the records of one commit
	offsets []int
}

// open takes the lock of an existing history.
func (h *history) open(ctx context.Context) error {
	db, err := openDatabase(ctx, filepath.Join(h.dir, dbName), false, ownerPatience)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is missing: %w", dbName, workflow.ErrCorrupt)
		}
		return err
	}
	h.db = db
	return db.View(func(tx *bolt.Tx) error {
		if err := checkDatabase(tx, h.id); err != nil {
			return err
		}
		h.head, err = getHead(tx)
		// The epoch counts once the first event of this owner is stored.
		h.epoch = h.head.Epoch + 1
		return err
	})
}

// initialize makes a new history with its first events.
func (h *history) initialize(ctx context.Context, frozen []byte, first []workflow.Event, blobs []workflow.Blob) error {
	db, err := createDatabase(filepath.Join(h.dir, dbName))
	if err != nil {
		return err
	}
	h.db = db
	return h.append(0, first, blobs, func(tx *bolt.Tx) error {
		return initDatabase(tx, h.id, workflow.NewBlob(frozen))
	})
}

// Append stores events in one commit.
func (h *history) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if err := h.append(after, events, blobs, nil); err != nil {
		return fmt.Errorf("run %s: %w", h.id, err)
	}
	return nil
}

func (h *history) append(after int64, events []workflow.Event, blobs []workflow.Blob, before func(*bolt.Tx) error) error {
	h.write.Lock()
	defer h.write.Unlock()
	if h.db == nil {
		return fs.ErrClosed
	}
	if h.failed != nil {
		return h.failed
	}
	if err := record.Check(h.head, h.epoch, after, events, blobs); err != nil {
		return err
	}
	if len(events) == 0 && len(blobs) == 0 {
		return nil
	}
	if err := h.encode(events); err != nil {
		return err
	}
	head := h.head
	if n := int64(len(events)); n > 0 {
		head = record.Head{Seq: after + n, Epoch: h.epoch}
	}
	if err := h.commit(head, blobs, before); err != nil {
		h.failed = fmt.Errorf("the history could not be written and takes nothing more: %w", err)
		return h.failed
	}
	h.head = head
	return nil
}

// encode fills buf and offsets; record i lies between offsets i and i+1.
func (h *history) encode(events []workflow.Event) (err error) {
	const keep = 1 << 20
	if cap(h.buf) > keep {
		h.buf = nil
	}
	h.buf, h.offsets = h.buf[:0], append(h.offsets[:0], 0)
	for i := range events {
		if h.buf, err = record.Append(h.buf, &events[i]); err != nil {
			return err
		}
		h.offsets = append(h.offsets, len(h.buf))
	}
	return nil
}

// commit stores what encode prepared, if the file stands where this owner left
// it. That it does not can only be when a lock failed to keep another owner out.
func (h *history) commit(head record.Head, blobs []workflow.Blob, before func(*bolt.Tx) error) error {
	return h.db.Update(func(tx *bolt.Tx) error {
		if before != nil {
			if err := before(tx); err != nil {
				return err
			}
		}
		stored, err := getHead(tx)
		if err != nil {
			return err
		}
		if stored != h.head {
			return fmt.Errorf("the last event is %d of epoch %d, not %d of epoch %d: %w",
				stored.Seq, stored.Epoch, h.head.Seq, h.head.Epoch, workflow.ErrStale)
		}
		for _, b := range blobs {
			if err := putBlob(tx, b); err != nil {
				return err
			}
		}
		events := tx.Bucket(eventsBucket)
		events.FillPercent = fill
		for i, from := range h.offsets[:len(h.offsets)-1] {
			if err := events.Put(key(h.head.Seq+1+int64(i)), h.buf[from:h.offsets[i+1]]); err != nil {
				return err
			}
		}
		return putHead(tx, head)
	})
}

// Read calls f outside of any transaction, so that f may append.
func (h *history) Read(ctx context.Context, from int64, f func(workflow.Event) error) error {
	const chunk = 256
	events := make([]workflow.Event, 0, chunk)
	for next, end := max(from, 1), false; !end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		events = events[:0]
		err := h.view(func(tx *bolt.Tx) (err error) {
			next, end, err = eachRecord(tx, next, chunk, func(seq int64, rec []byte) error {
				e, err := record.Decode(seq, rec)
				events = append(events, e)
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		for i := range events {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(events[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Blob returns a stored value.
func (h *history) Blob(ctx context.Context, digest string) (b []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = h.view(func(tx *bolt.Tx) error {
		b, err = getBlob(tx, digest)
		return err
	})
	return b, err
}

// Frozen returns the workflow text as it was when the run was created, whatever
// became of the copy beside the history.
func (h *history) Frozen(ctx context.Context) (text []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = h.view(func(tx *bolt.Tx) error {
		text, err = getFrozen(tx)
		return err
	})
	return text, err
}

// Epoch is the number of this ownership.
func (h *history) Epoch() int64 { return h.epoch }

// Compact rewrites the history without the room that its growth left. A crash
// leaves the old file or the new one; ownership is never given up.
func (h *history) Compact(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.db == nil:
		return fmt.Errorf("history of run %s: %w", h.id, fs.ErrClosed)
	case h.failed != nil:
		return fmt.Errorf("run %s: %w", h.id, h.failed)
	}
	if err := h.compact(); err != nil {
		return fmt.Errorf("compact run %s: %w", h.id, err)
	}
	return nil
}

func (h *history) compact() error {
	const transactionBytes = 1 << 20
	temp := filepath.Join(h.dir, temporaryPrefix+dbName)
	small, err := createDatabase(temp)
	if err != nil {
		return err
	}
	// Nobody relies on the copy before it has the name, so one sync at the end
	// is enough, and the file need not grow ahead of its content.
	small.NoSync, small.NoGrowSync = true, true
	err = bolt.Compact(small, h.db, transactionBytes)
	small.NoSync, small.NoGrowSync = false, false
	if err = errors.Join(err, small.Sync()); err != nil {
		return errors.Join(err, small.Close(), os.Remove(temp))
	}
	if err := os.Rename(temp, filepath.Join(h.dir, dbName)); err != nil {
		return errors.Join(err, small.Close(), os.Remove(temp))
	}
	large := h.db
	h.db = small
	if err := SyncDir(h.dir); err != nil {
		h.failed = fmt.Errorf("the compacted history may not survive a power failure: %w", err)
		return errors.Join(h.failed, large.Close())
	}
	return large.Close()
}

// Close gives the run up; a second time it does nothing.
func (h *history) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.db == nil {
		return nil
	}
	var err error
	if h.signed { // before the lock is gone: the next owner signs too
		if err = os.Remove(filepath.Join(h.dir, ownerName)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	db := h.db
	h.db = nil
	return errors.Join(err, db.Close())
}

func (h *history) view(f func(*bolt.Tx) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.db == nil {
		return fmt.Errorf("history of run %s: %w", h.id, fs.ErrClosed)
	}
	if err := h.db.View(f); err != nil {
		return fmt.Errorf("run %s: %w", h.id, err)
	}
	return nil
}
