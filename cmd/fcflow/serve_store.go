package main

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// timedStore is a store whose commits are measured.
type timedStore struct {
	workflow.Store
	meter *meter
}

// Create implements [workflow.Store].
func (s timedStore) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	h, err := s.Store.Create(ctx, id, frozen, first, blobs)
	if err != nil {
		return nil, err
	}
	return timedHistory{h, s.meter}, nil
}

// Open implements [workflow.Store].
func (s timedStore) Open(ctx context.Context, id workflow.RunID) (workflow.History, error) {
	h, err := s.Store.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return timedHistory{h, s.meter}, nil
}

// timedHistory is a history whose commits are measured.
type timedHistory struct {
	workflow.History
	meter *meter
}

// Append implements [workflow.History].
func (h timedHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	began := time.Now()
	err := h.History.Append(ctx, after, events, blobs...)
	h.meter.committed(time.Since(began))
	return err
}

// Compact makes the history small once its run has ended, if it can be.
func (h timedHistory) Compact(ctx context.Context) error {
	if c, ok := h.History.(interface{ Compact(context.Context) error }); ok {
		return c.Compact(ctx)
	}
	return nil
}
