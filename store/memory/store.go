// Package memory is a store that lives and dies with its process. It keeps the
// rules of the durable store — ownership, epochs, sizes, the stored form of
// events — so that a run behaves on it as it does on disk. Tests of the engine
// use it.
package memory

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/fcflow/fcflow/store/record"
	"github.com/fcflow/fcflow/workflow"
)

// Store implements [workflow.Store]. It is safe for concurrent use.
type Store struct {
	mu   sync.Mutex
	runs map[workflow.RunID]*run
}

// run is one history; the mutex of the store guards it.
type run struct {
	frozen  []byte
	records [][]byte // event n is at n-1
	blobs   map[string][]byte
	head    record.Head
	owned   bool
}

// New returns an empty store.
func New() *Store { return &Store{runs: map[workflow.RunID]*run{}} }

// Create makes a run and owns it.
func (s *Store) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, fmt.Errorf("create run %s: no first event", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.runs[id]; ok {
		return nil, fmt.Errorf("create run %s: the run exists: %w", id, workflow.ErrConflict)
	}
	r := &run{frozen: slices.Clone(frozen), blobs: map[string][]byte{}, owned: true}
	if err := r.append(1, 0, first, blobs); err != nil {
		return nil, fmt.Errorf("create run %s: %w", id, err)
	}
	s.runs[id] = r
	return &history{store: s, id: id, run: r, epoch: 1}, nil
}

// Open takes ownership of a run.
func (s *Store) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.free(id)
	if err != nil {
		return nil, err
	}
	r.owned = true
	return &history{store: s, id: id, run: r, epoch: r.head.Epoch + 1}, nil
}

// List returns the ids of all runs, the highest first.
func (s *Store) List(ctx context.Context) ([]workflow.RunID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := slices.Sorted(maps.Keys(s.runs))
	slices.Reverse(ids)
	return ids, nil
}

// Delete removes a run that nobody owns.
func (s *Store) Delete(ctx context.Context, id workflow.RunID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.free(id); err != nil {
		return err
	}
	delete(s.runs, id)
	return nil
}

// Prefix returns a new store that holds the run as a crash after its first n
// events would have left it, owned by nobody. Of no events there is no run.
func (s *Store) Prefix(id workflow.RunID, n int) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	cut := New()
	r, ok := s.runs[id]
	if !ok || n < 1 {
		return cut
	}
	p := &run{frozen: r.frozen, records: slices.Clone(r.records[:min(n, len(r.records))]), blobs: maps.Clone(r.blobs)}
	last, err := record.Decode(int64(len(p.records)), p.records[len(p.records)-1])
	if err != nil {
		panic(err) // this store wrote the record
	}
	p.head = record.Head{Seq: last.Seq, Epoch: last.Epoch}
	cut.runs[id] = p
	return cut
}

// free finds a run that nobody owns.
func (s *Store) free(id workflow.RunID) (*run, error) {
	r, ok := s.runs[id]
	switch {
	case !ok:
		return nil, fmt.Errorf("run %s: %w", id, workflow.ErrNotFound)
	case r.owned:
		return nil, fmt.Errorf("run %s: %w", id, workflow.ErrOwned)
	}
	return r, nil
}

func (r *run) append(epoch, after int64, events []workflow.Event, blobs []workflow.Blob) error {
	if err := record.Check(r.head, epoch, after, events, blobs); err != nil {
		return err
	}
	records := make([][]byte, len(events))
	for i := range events {
		var err error
		if records[i], err = record.Append(nil, &events[i]); err != nil {
			return err
		}
	}
	for _, b := range blobs {
		r.blobs[b.Digest] = slices.Clone(b.Bytes)
	}
	if len(events) > 0 {
		r.records = append(r.records, records...)
		r.head = record.Head{Seq: after + int64(len(events)), Epoch: epoch}
	}
	return nil
}

// history implements [workflow.History].
type history struct {
	store  *Store
	id     workflow.RunID
	run    *run
	epoch  int64
	closed bool
}

func (h *history) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	return h.locked(ctx, func() error { return h.run.append(h.epoch, after, events, blobs) })
}

func (h *history) Read(ctx context.Context, from int64, f func(workflow.Event) error) error {
	var records [][]byte
	from = max(from, 1)
	err := h.locked(ctx, func() error {
		if from <= int64(len(h.run.records)) {
			records = h.run.records[from-1:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, rec := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := record.Decode(from+int64(i), rec)
		if err != nil {
			return fmt.Errorf("run %s: %w", h.id, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) Blob(ctx context.Context, digest string) (b []byte, err error) {
	err = h.locked(ctx, func() error {
		stored, ok := h.run.blobs[digest]
		if !ok {
			return fmt.Errorf("blob %q: %w", digest, workflow.ErrNotFound)
		}
		b = slices.Clone(stored)
		return nil
	})
	return b, err
}

func (h *history) Frozen(ctx context.Context) (text []byte, err error) {
	err = h.locked(ctx, func() error {
		text = slices.Clone(h.run.frozen)
		return nil
	})
	return text, err
}

func (h *history) Epoch() int64 { return h.epoch }

func (h *history) Close() error {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if !h.closed {
		h.closed, h.run.owned = true, false
	}
	return nil
}

// locked runs f with the store locked, while the history is open.
func (h *history) locked(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.closed {
		return fmt.Errorf("history of run %s: %w", h.id, fs.ErrClosed)
	}
	if err := f(); err != nil {
		return fmt.Errorf("run %s: %w", h.id, err)
	}
	return nil
}
