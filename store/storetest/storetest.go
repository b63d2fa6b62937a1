// Package storetest holds what every [workflow.Store] must do, as tests. A
// store's own test hands it a way to open one:
//
//	storetest.Run(t, func(t *testing.T) func() workflow.Store {
//		s := memory.New()
//		return func() workflow.Store { return s }
//	})
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

// Run tests a store. Each call of place makes an empty one; the function it
// returns opens that same store again, as another process would if the store
// outlives its process.
func Run(t *testing.T, place func(t *testing.T) (open func() workflow.Store)) {
	for name, test := range map[string]func(*testing.T, func() workflow.Store){
		"create":             testCreate,
		"create twice":       testConflict,
		"create refused":     testCreateRefused,
		"not found":          testNotFound,
		"append and read":    testAppend,
		"append refused":     testAppendRefused,
		"read from":          testReadFrom,
		"read stops":         testReadStops,
		"append while read":  testAppendWhileRead,
		"ownership":          testOwnership,
		"epoch":              testEpoch,
		"closed":             testClosed,
		"blobs":              testBlobs,
		"blob damaged":       testBlobRefused,
		"every payload":      testPayloads,
		"list":               testList,
		"delete":             testDelete,
		"context cancelled":  testCancelled,
		"big history":        testBig,
		"concurrent readers": testConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place(t))
		})
	}
}

// frozen is the workflow text of every run here.
var frozen = []byte("name: test\nsteps: []\n")

// ID returns the n-th of the ids that sort by n, in the form of a ULID.
func ID(n int) workflow.RunID { return workflow.RunID(fmt.Sprintf("01K%023d", n)) }

// Created is the first event of run id.
func Created(id workflow.RunID) workflow.Event {
	return workflow.Event{Seq: 1, At: instant(1), Epoch: 1, Data: &workflow.RunCreated{
		ID: id, Workflow: "test", Definition: workflow.NewBlob(frozen).Digest, Nonce: "n",
		Trigger: workflow.TriggerManual, Dir: "/d", OutputDir: "/o", Version: "test",
	}}
}

// Events returns the events after sequence number after up to last.
func Events(epoch, after, last int64) []workflow.Event {
	var events []workflow.Event
	for seq := after + 1; seq <= last; seq++ {
		events = append(events, workflow.Event{
			Seq: seq, At: instant(seq), Epoch: epoch, Step: "simulate", Attempt: 1,
			Data: &workflow.AttemptWaiting{Reason: workflow.WaitJob, Topic: fmt.Sprintf("job:alps:%d", seq)},
		})
	}
	return events
}

func instant(seq int64) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(seq) * time.Millisecond)
}

// Read returns the events of a history from a sequence number on.
func Read(t *testing.T, h workflow.History, from int64) []workflow.Event {
	t.Helper()
	var events []workflow.Event
	err := h.Read(t.Context(), from, func(e workflow.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
	return events
}

func create(t *testing.T, s workflow.Store, id workflow.RunID) workflow.History {
	t.Helper()
	h, err := s.Create(t.Context(), id, frozen, []workflow.Event{Created(id)}, nil)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func reopen(t *testing.T, s workflow.Store, id workflow.RunID) workflow.History {
	t.Helper()
	h, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func add(t *testing.T, h workflow.History, after, last int64) {
	t.Helper()
	if err := h.Append(t.Context(), after, Events(h.Epoch(), after, last)); err != nil {
		t.Fatalf("append %d..%d: %v", after+1, last, err)
	}
}

func release(t *testing.T, h workflow.History) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("want -, got +:\n%s", d)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

// brief bounds an attempt to take what somebody else holds.
func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
