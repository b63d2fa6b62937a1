package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/fcflow/fcflow/internal/why"
	"github.com/fcflow/fcflow/workflow"
)

const (
	// maxFolds bounds how many runs are kept folded; one of 10,000 instances takes
	// some ten megabytes.
	maxFolds = 4
	// foldIdle is how long one is kept that nobody asks for.
	foldIdle = time.Minute
)

// folds keep the state of runs that somebody asks about: to fold a long history
// takes a second. What has happened since is added when somebody asks again.
type folds struct {
	mu   sync.Mutex
	kept map[workflow.RunID]*folded
}

// folded is the state of a run up to its last event that was read.
type folded struct {
	turn chan struct{} // full while somebody uses what follows

	run    *workflow.Run // nil: nothing was read yet
	index  why.Index
	last   workflow.Event
	driven bool // by a process, when it was asked for

	used time.Time   // guarded by the mutex of folds
	idle *time.Timer // forgets it
}

// get returns the state of a run, which may be older than its history, or empty.
func (k *folds) get(id workflow.RunID) *folded {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, known := k.kept[id]
	if !known {
		if k.kept == nil {
			k.kept = map[workflow.RunID]*folded{}
		}
		f = &folded{turn: make(chan struct{}, 1)}
		f.idle = time.AfterFunc(foldIdle, func() { k.forget(id, f) })
		k.kept[id] = f
	}
	f.used = time.Now()
	f.idle.Reset(foldIdle)
	if len(k.kept) > maxFolds {
		delete(k.kept, k.oldest())
	}
	return f
}

// oldest is the one that nobody has asked for the longest.
func (k *folds) oldest() (oldest workflow.RunID) {
	for id, f := range k.kept {
		if oldest == "" || f.used.Before(k.kept[oldest].used) {
			oldest = id
		}
	}
	return oldest
}

func (k *folds) forget(id workflow.RunID, f *folded) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept[id] == f {
		delete(k.kept, id)
	}
}

// folded calls use with the state of a run as it is now. It must not be kept.
func (h *host) folded(ctx context.Context, id workflow.RunID, use func(*folded) error) error {
	f := h.folds.get(id)
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-f.turn }()
	err := h.goOn(ctx, id, f)
	if errors.Is(err, errOtherHistory) {
		f.run = nil
		err = h.goOn(ctx, id, f)
	}
	if err != nil {
		f.run = nil
		h.folds.forget(id, f)
		return err
	}
	return use(f)
}

// errOtherHistory: what was folded is not the beginning of what is stored now.
var errOtherHistory = errors.New("the history is another one")

// goOn folds what is not folded yet.
func (h *host) goOn(ctx context.Context, id workflow.RunID, f *folded) error {
	events := reading(func(ctx context.Context, from int64, note func(workflow.Event) error) (err error) {
		f.driven, err = h.events(ctx, id, from, func(e workflow.Event) error {
			f.index.Note(&e)
			f.last = e
			return note(e)
		})
		return err
	})
	if f.run == nil {
		f.index = why.Index{}
		source, err := h.session.store.Frozen(ctx, id)
		if err == nil {
			f.run, err = h.session.app.fold(ctx, source, events)
		}
		return err
	}
	// The last event comes once more: a run that was removed may be there again.
	before, same := f.last, false
	err := events.Read(ctx, before.Seq, func(e workflow.Event) error {
		if e.Seq > before.Seq {
			return workflow.Apply(f.run, &e)
		}
		if same = e.At.Equal(before.At) && e.Epoch == before.Epoch; !same {
			return errOtherHistory
		}
		return nil
	})
	if err == nil && !same {
		err = errOtherHistory
	}
	f.run.TakeChanged() // nobody asks what has changed
	return err
}

// events calls f with the events of a run from a sequence number on. It reports
// whether a process drives the run.
func (h *host) events(ctx context.Context, id workflow.RunID, from int64, f func(workflow.Event) error) (driven bool, err error) {
	next := from
	if mine, err := h.session.owned.Find(ctx, id); err == nil {
		err = mine.Events(ctx, next, func(e workflow.Event) error {
			next = e.Seq + 1
			return f(e)
		})
		if !errors.Is(err, fs.ErrClosed) { // else it was let go just now
			return true, err
		}
	}
	return h.session.app.readEvents(ctx, h.session.store, id, next, f)
}

// eventGap is how many events in a row are read rather than passed over.
const eventGap = 256

// pick calls f with the events of a run that have these numbers, in their order.
func (h *host) pick(ctx context.Context, id workflow.RunID, seqs []int64, f func(workflow.Event)) error {
	for left := len(seqs); left > 0; left = len(seqs) {
		_, err := h.events(ctx, id, seqs[0], func(e workflow.Event) error {
			if e.Seq == seqs[0] {
				f(e)
				seqs = seqs[1:]
			}
			if len(seqs) == 0 || seqs[0]-e.Seq > eventGap {
				return errEnough
			}
			return nil
		})
		switch {
		case err != nil && !errors.Is(err, errEnough):
			return err
		case len(seqs) == left:
			return fmt.Errorf("run %s: event %d is missing: %w", id, seqs[0], workflow.ErrCorrupt)
		}
	}
	return nil
}
