package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/workflow"
)

// ReadEvents calls f with the events of a run that nobody owns, from a sequence
// number on. While somebody owns the run it returns [workflow.ErrOwned] after a
// quarter of a second: ask them. The history is not held while f runs.
func (s *Store) ReadEvents(ctx context.Context, id workflow.RunID, from int64, f func(workflow.Event) error) error {
	from = max(from, 1)
	var records [][]byte
	err := s.read(ctx, id, func(tx *bolt.Tx) error {
		var err error
		records, err = copyRecords(tx, from)
		return err
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	return decodeRecords(ctx, id, from, records, f)
}

// Frozen returns the workflow text that a run began with; its events have those
// that it went on with. While somebody owns the run that is the copy beside its
// history.
func (s *Store) Frozen(ctx context.Context, id workflow.RunID) (text []byte, err error) {
	err = s.read(ctx, id, func(tx *bolt.Tx) error {
		text, err = getFrozen(tx)
		return err
	})
	if errors.Is(err, workflow.ErrOwned) {
		text, err = s.firstCopy(id)
	}
	if err != nil {
		return nil, fmt.Errorf("workflow of run %s: %w", id, err)
	}
	return text, nil
}

// ViewBlobs calls f with a reader of the stored values of a run that nobody owns.
// Nobody can take the run over while f runs.
func (s *Store) ViewBlobs(ctx context.Context, id workflow.RunID, f func(workflow.BlobReader) error) error {
	var failed error
	err := s.read(ctx, id, func(tx *bolt.Tx) error {
		failed = f(func(digest string) ([]byte, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return getBlob(tx, digest)
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	return failed
}

// Blobs returns values that a run, which nobody owns, keeps apart from its events,
// by their digests.
func (s *Store) Blobs(ctx context.Context, id workflow.RunID, digests []string) (map[string][]byte, error) {
	blobs := make(map[string][]byte, len(digests))
	return blobs, s.ViewBlobs(ctx, id, func(read workflow.BlobReader) error {
		for _, d := range digests {
			text, err := read(d)
			if err != nil {
				return err
			}
			blobs[d] = text
		}
		return nil
	})
}

// read opens the history of a run that nobody owns, for as long as f takes.
func (s *Store) read(ctx context.Context, id workflow.RunID, f func(*bolt.Tx) error) (err error) {
	if err := s.find(ctx, id); err != nil {
		return err
	}
	db, err := openDatabase(ctx, filepath.Join(s.dir(id), dbName), true, readerPatience)
	switch {
	case errors.Is(err, errHeld):
		return s.owned(id)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing: %w", dbName, workflow.ErrCorrupt)
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		if err := checkDatabase(tx, id); err != nil {
			return err
		}
		return f(tx)
	})
}

// copyRecords takes the records out of a transaction.
func copyRecords(tx *bolt.Tx, from int64) (records [][]byte, err error) {
	_, _, err = eachRecord(tx, from, math.MaxInt64-from, func(_ int64, rec []byte) error {
		records = append(records, append([]byte(nil), rec...))
		return nil
	})
	return records, err
}

func decodeRecords(ctx context.Context, id workflow.RunID, from int64, records [][]byte, f func(workflow.Event) error) error {
	for i, rec := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := record.Decode(from+int64(i), rec)
		if err != nil {
			return fmt.Errorf("run %s: %w", id, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}
