package main

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store"
)

const summaryEvery = time.Second

// keepSummary keeps run.json of a run that is driven about a second old, until ctx ends.
// What happens last before a long wait is in it, too. The summary of a run that is over
// is left to whoever drove it.
func (e *session) keepSummary(ctx context.Context, x *engine.Execution) {
	for {
		changed := x.Changed()
		s, err := x.Summary(ctx)
		if err != nil || s.State.Terminal() {
			return
		}
		// Only for lists; the history is the truth, and the last summary is checked.
		_ = e.store.PutSummary(x.ID(), s)
		select {
		case <-time.After(summaryEvery):
		case <-ctx.Done():
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// putSummary writes what lists show of a run that this process owns. What could not
// be stored in its history is told nowhere else: a summary of its end would be
// believed.
func putSummary(st *store.Store, x *engine.Execution) error {
	if !x.Stored() {
		return nil
	}
	return st.PutSummary(x.ID(), x.Run().Summarize())
}
