package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/workflow"
)

// Listed is a run as lists show it.
type Listed struct {
	workflow.Summary
	// Live: somebody owns the run, and Owner says who as far as it is known. The
	// summary is then as old as they let it be, about a second.
	Live  bool
	Owner workflow.Owner
	// Interrupted: the run is not over and nobody owns it; `resume` continues it.
	Interrupted bool
	// Err says why the summary shows only the id, or less than happened.
	Err error
}

// Recent lists runs, newest first, until there are limit of those keep wants;
// nil keeps all and a limit of 0 is none. It says how many it looked at. A run
// that cannot be read is listed with its Err.
func (s *Store) Recent(ctx context.Context, limit int, keep func(Listed) bool) (runs []Listed, scanned int, err error) {
	ids, err := s.List(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range ids {
		if limit > 0 && len(runs) == limit {
			break
		}
		l, err := s.Summary(ctx, id)
		if errors.Is(err, workflow.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return runs, scanned, err
		}
		scanned++
		if keep == nil || keep(l) {
			runs = append(runs, l)
		}
	}
	return runs, scanned, nil
}

// Summary returns a run as lists show it. Its run.json is believed when the run
// is over or its owner lives. Otherwise the history may know more: then the
// summary is made from it, if there is a Fold, and stored.
func (s *Store) Summary(ctx context.Context, id workflow.RunID) (Listed, error) {
	if err := s.find(ctx, id); err != nil {
		return Listed{}, fmt.Errorf("run %s: %w", id, err)
	}
	l := Listed{}
	l.Summary, l.Err = s.summary(id)
	if l.Err == nil && l.State.Terminal() {
		return l, nil
	}
	var err error
	if l.Owner, l.Live, err = s.owner(id); err != nil {
		l.Err = errors.Join(l.Err, err)
	}
	if !l.Live && s.options.Fold != nil {
		l.Summary, l.Err = s.refresh(ctx, l.Summary)
		if err := ctx.Err(); err != nil {
			return l, err
		}
		l.Live = errors.Is(l.Err, workflow.ErrOwned) // just now
	}
	l.Interrupted = !l.Live && !l.State.Terminal()
	return l, nil
}

// PutSummary replaces the summary of a run. Its owner calls it.
func (s *Store) PutSummary(id workflow.RunID, summary workflow.Summary) error {
	if err := writeJSON(s.dir(id), summaryName, summary); err != nil {
		return fmt.Errorf("summary of run %s: %w", id, err)
	}
	return nil
}

// summary reads run.json; of one that is missing or damaged only the id is left.
func (s *Store) summary(id workflow.RunID) (workflow.Summary, error) {
	text, err := os.ReadFile(filepath.Join(s.dir(id), summaryName))
	var stored workflow.Summary
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err == nil && stored.ID != id {
		err = fmt.Errorf("%s is that of run %q", summaryName, stored.ID)
	}
	if err != nil {
		return workflow.Summary{ID: id}, err
	}
	return stored, nil
}

// refresh folds the history of a run that nobody owns if it knows more than the
// summary.
func (s *Store) refresh(ctx context.Context, old workflow.Summary) (workflow.Summary, error) {
	var frozen []byte
	var records [][]byte
	err := s.read(ctx, old.ID, func(tx *bolt.Tx) error {
		head, err := getHead(tx)
		if err != nil || head == (record.Head{Seq: old.Seq, Epoch: old.Epoch}) {
			return err
		}
		if frozen, err = getFrozen(tx); err != nil {
			return err
		}
		records, err = copyRecords(tx, 1)
		return err
	})
	if err != nil || records == nil {
		return old, err
	}
	fresh, err := s.options.Fold(frozen, func(yield func(workflow.Event) error) error {
		return decodeRecords(ctx, old.ID, 1, records, yield)
	})
	if err != nil {
		return old, err
	}
	if err := s.PutSummary(old.ID, fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fresh, err
	}
	return fresh, nil
}
