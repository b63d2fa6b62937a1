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
	"math/rand/v2"
	"strings"
	"sync"
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

func testCreate(t *testing.T, open func() workflow.Store) {
	first := append([]workflow.Event{Created(ID(1))}, Events(1, 1, 4)...)
	script := workflow.NewBlob([]byte("#!/bin/sh\n"))
	h, err := open().Create(t.Context(), ID(1), frozen, first, []workflow.Blob{script})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, h.Epoch(), int64(1))
	equal(t, Read(t, h, 1), first)
	release(t, h)

	h = reopen(t, open(), ID(1))
	equal(t, Read(t, h, 1), first)
	text, err := h.Frozen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, string(text), string(frozen))
	got, err := h.Blob(t.Context(), script.Digest)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, string(got), string(script.Bytes))
}

func testConflict(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	add(t, h, 1, 3)
	_, err := open().Create(t.Context(), ID(1), []byte("other"), []workflow.Event{Created(ID(1))}, nil)
	wantError(t, "create an owned run", err, workflow.ErrConflict)
	release(t, h)
	_, err = open().Create(t.Context(), ID(1), []byte("other"), []workflow.Event{Created(ID(1))}, nil)
	wantError(t, "create a run that exists", err, workflow.ErrConflict)
	h = reopen(t, open(), ID(1))
	equal(t, len(Read(t, h, 1)), 3)
}

func testCreateRefused(t *testing.T, open func() workflow.Store) {
	s := open()
	wrong := Created(ID(1))
	wrong.Seq = 2
	for what, first := range map[string][]workflow.Event{"no event": nil, "wrong number": {wrong}, "gap": {Created(ID(1)), Events(1, 2, 3)[0]}} {
		if _, err := s.Create(t.Context(), ID(1), frozen, first, nil); err == nil {
			t.Fatalf("%s: created", what)
		}
	}
	ids, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, len(ids), 0)
	create(t, s, ID(1)) // the id is still free
}

func testNotFound(t *testing.T, open func() workflow.Store) {
	s := open()
	_, err := s.Open(t.Context(), ID(1))
	wantError(t, "open", err, workflow.ErrNotFound)
	wantError(t, "delete", s.Delete(t.Context(), ID(1)), workflow.ErrNotFound)
	ids, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, len(ids), 0)
}

func testAppend(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	want := []workflow.Event{Created(ID(1))}
	for _, last := range []int64{2, 3, 10, 11, 300} { // one or many in a commit
		after := int64(len(want))
		add(t, h, after, last)
		want = append(want, Events(1, after, last)...)
		equal(t, Read(t, h, 1), want)
	}
	if err := h.Append(t.Context(), 300, nil); err != nil {
		t.Fatalf("append nothing: %v", err)
	}
	release(t, h)
	equal(t, Read(t, reopen(t, open(), ID(1)), 1), want)
}

func testAppendRefused(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	add(t, h, 1, 5)
	large := Events(1, 5, 6)
	large[0].Data = &workflow.UnitFailed{Message: strings.Repeat("x", workflow.MaxEventBytes)}
	for what, c := range map[string]struct {
		after  int64
		events []workflow.Event
		want   error
	}{
		"behind":        {4, Events(1, 4, 5), workflow.ErrStale},
		"ahead":         {6, Events(1, 6, 7), workflow.ErrStale},
		"nothing":       {4, nil, workflow.ErrStale},
		"older epoch":   {5, Events(0, 5, 6), workflow.ErrStale},
		"newer epoch":   {5, Events(2, 5, 6), workflow.ErrStale},
		"wrong number":  {5, Events(1, 6, 7), nil},
		"gap":           {5, append(Events(1, 5, 6), Events(1, 7, 8)...), nil},
		"too large":     {5, large, nil},
		"second is bad": {5, append(Events(1, 5, 6), large...), nil},
		"no payload":    {5, []workflow.Event{{Seq: 6, Epoch: 1}}, nil},
	} {
		err := h.Append(t.Context(), c.after, c.events)
		if err == nil {
			t.Fatalf("%s: appended", what)
		}
		if c.want != nil {
			wantError(t, what, err, c.want)
		}
		if errors.Is(err, workflow.ErrCorrupt) {
			t.Fatalf("%s: blames the history: %v", what, err)
		}
	}
	equal(t, len(Read(t, h, 1)), 5)
	add(t, h, 5, 6) // nothing was written, so the history goes on
	equal(t, len(Read(t, h, 1)), 6)
}

func testReadFrom(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	add(t, h, 1, 10)
	all := Read(t, h, 1)
	for from := int64(-1); from <= 12; from++ {
		want := all[min(max(from-1, 0), 10):]
		if got := Read(t, h, from); len(got) != len(want) || len(want) > 0 && !cmp.Equal(got, want) {
			t.Fatalf("from %d: %s", from, cmp.Diff(want, got))
		}
	}
}

func testReadStops(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	add(t, h, 1, 10)
	enough, seen := errors.New("enough"), 0
	err := h.Read(t.Context(), 1, func(workflow.Event) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	wantError(t, "read", err, enough)
	equal(t, seen, 3)
}

func testAppendWhileRead(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	add(t, h, 1, 20)
	last := int64(20)
	err := h.Read(t.Context(), 1, func(workflow.Event) error {
		if last < 40 {
			add(t, h, last, last+1)
			last++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, int64(len(Read(t, h, 1))), last)
}

func testOwnership(t *testing.T, open func() workflow.Store) {
	first, second := open(), open()
	h := create(t, first, ID(1))
	for _, s := range []workflow.Store{first, second} {
		_, err := s.Open(brief(t), ID(1))
		wantError(t, "open an owned run", err, workflow.ErrOwned)
		wantError(t, "delete an owned run", s.Delete(brief(t), ID(1)), workflow.ErrOwned)
	}
	create(t, second, ID(2)) // one run does not block another
	release(t, h)
	h = reopen(t, second, ID(1))
	_, err := first.Open(brief(t), ID(1))
	wantError(t, "open a run that was taken over", err, workflow.ErrOwned)
	add(t, h, 1, 2)
}

func testEpoch(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	equal(t, h.Epoch(), int64(1))
	last := int64(1)
	for range 3 {
		before := h.Epoch()
		release(t, h)
		h = reopen(t, open(), ID(1)) // an owner that appends nothing leaves no trace
		release(t, h)
		h = reopen(t, open(), ID(1))
		if h.Epoch() <= before {
			t.Fatalf("epoch %d after %d", h.Epoch(), before)
		}
		err := h.Append(t.Context(), last, Events(before, last, last+1))
		wantError(t, "append with the epoch before", err, workflow.ErrStale)
		add(t, h, last, last+2)
		last += 2
	}
	equal(t, int64(len(Read(t, h, 1))), last)
}

func testClosed(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	release(t, h)
	release(t, h) // a second time does nothing
	other := reopen(t, open(), ID(1))
	if err := h.Append(t.Context(), 1, Events(1, 1, 2)); err == nil {
		t.Error("appended to a closed history")
	}
	if err := h.Read(t.Context(), 1, func(workflow.Event) error { return nil }); err == nil {
		t.Error("read a closed history")
	}
	if _, err := h.Frozen(t.Context()); err == nil {
		t.Error("read the workflow of a closed history")
	}
	release(t, h) // nor does it take the run from its new owner
	_, err := open().Open(brief(t), ID(1))
	wantError(t, "open", err, workflow.ErrOwned)
	add(t, other, 1, 2)
}

func testBlobs(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	last := int64(1)
	var blobs []workflow.Blob
	for _, size := range []int{0, 1, 100, 4096, 70_000, 3 << 20} {
		b := workflow.NewBlob([]byte(strings.Repeat("b", size)))
		blobs = append(blobs, b)
		for range 2 { // the second time it is there already
			if err := h.Append(t.Context(), last, Events(1, last, last+1), b); err != nil {
				t.Fatal(err)
			}
			last++
		}
	}
	_, err := h.Blob(t.Context(), workflow.NewBlob([]byte("absent")).Digest)
	wantError(t, "absent blob", err, workflow.ErrNotFound)
	_, err = h.Blob(t.Context(), "not a digest")
	wantError(t, "malformed digest", err, workflow.ErrNotFound)
	release(t, h)
	h = reopen(t, open(), ID(1))
	for _, b := range blobs {
		got, err := h.Blob(t.Context(), b.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(b.Bytes) {
			t.Errorf("blob of %d bytes: got %d others", len(b.Bytes), len(got))
		}
	}
}

func testBlobRefused(t *testing.T, open func() workflow.Store) {
	h := create(t, open(), ID(1))
	bad := workflow.Blob{Digest: workflow.NewBlob([]byte("a")).Digest, Bytes: []byte("b")}
	if err := h.Append(t.Context(), 1, Events(1, 1, 2), bad); err == nil {
		t.Fatal("appended")
	}
	_, err := h.Blob(t.Context(), bad.Digest)
	wantError(t, "blob", err, workflow.ErrNotFound)
	equal(t, len(Read(t, h, 1)), 1)
}

func testPayloads(t *testing.T, open func() workflow.Store) {
	code := 3
	payloads := []workflow.Payload{
		&workflow.RunStarted{},
		&workflow.RunBound{System: "alps", User: "ada", RemoteDir: "/scratch/ada"},
		&workflow.AttemptStarted{With: workflow.Body{JSON: []byte(`{"n":1}`)}, Deadline: instant(99)},
		&workflow.Checkpoint{Key: "k", Value: workflow.Body{Blob: workflow.NewBlob(nil).Digest}},
		&workflow.JobObserved{JobID: "17", State: "FAILED", ExitCode: &code, End: instant(7)},
		&workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseExit, Message: "é \u2028 <&>", Retry: &workflow.Retry{Rule: -1}},
		workflow.Unknown{Name: "from.the.future", V: 9, Data: []byte(`{"a":[1,2]}`)},
	}
	h := create(t, open(), ID(1))
	var want []workflow.Event
	for i, p := range payloads {
		e := workflow.Event{Seq: int64(i) + 2, At: instant(int64(i)), Epoch: 1, Step: "s", Instance: "dt=30,levels=40/x", Attempt: i, Data: p}
		want = append(want, e)
	}
	if err := h.Append(t.Context(), 1, want); err != nil {
		t.Fatal(err)
	}
	got := Read(t, h, 2)
	equal(t, got[:6], want[:6])
	equal(t, got[6].Data.Kind(), want[6].Data.Kind()) // of a newer program: kept, not understood
}

func testList(t *testing.T, open func() workflow.Store) {
	s := open()
	random := rand.Perm(20)
	for _, n := range random {
		release(t, create(t, s, ID(n)))
	}
	ids, err := open().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []workflow.RunID
	for n := 19; n >= 0; n-- {
		want = append(want, ID(n))
	}
	equal(t, ids, want)
}

func testDelete(t *testing.T, open func() workflow.Store) {
	s := open()
	for n := range 3 {
		release(t, create(t, s, ID(n)))
	}
	if err := s.Delete(t.Context(), ID(1)); err != nil {
		t.Fatal(err)
	}
	_, err := open().Open(t.Context(), ID(1))
	wantError(t, "open", err, workflow.ErrNotFound)
	ids, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, ids, []workflow.RunID{ID(2), ID(0)})
	equal(t, create(t, s, ID(1)).Epoch(), int64(1))
}

func testCancelled(t *testing.T, open func() workflow.Store) {
	s := open()
	h := create(t, s, ID(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Create(ctx, ID(2), frozen, []workflow.Event{Created(ID(2))}, nil)
	wantError(t, "create", err, context.Canceled)
	wantError(t, "append", h.Append(ctx, 1, Events(1, 1, 2)), context.Canceled)
	wantError(t, "read", h.Read(ctx, 1, func(workflow.Event) error { return nil }), context.Canceled)
	_, err = h.Frozen(ctx)
	wantError(t, "frozen", err, context.Canceled)
	_, err = s.List(ctx)
	wantError(t, "list", err, context.Canceled)
	release(t, h)
	_, err = s.Open(ctx, ID(1))
	wantError(t, "open", err, context.Canceled)
	wantError(t, "delete", s.Delete(ctx, ID(1)), context.Canceled)

	h = reopen(t, s, ID(1))
	equal(t, len(Read(t, h, 1)), 1)
	add(t, h, 1, 10)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	err = h.Read(ctx, 1, func(workflow.Event) error {
		if seen++; seen == 2 {
			cancel()
		}
		return nil
	})
	wantError(t, "read on", err, context.Canceled)
	equal(t, seen, 2)
}

func testBig(t *testing.T, open func() workflow.Store) {
	const last, step = 10_000, 500
	h := create(t, open(), ID(1))
	for after := int64(1); after < last; after += step {
		add(t, h, after, min(after+step, last))
	}
	release(t, h)
	h = reopen(t, open(), ID(1))
	next := int64(1)
	err := h.Read(t.Context(), 1, func(e workflow.Event) error {
		if e.Seq != next {
			return fmt.Errorf("event %d in the place of %d", e.Seq, next)
		}
		next++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, next, int64(last+1))
	equal(t, len(Read(t, h, last-10)), 11)
}

func testConcurrent(t *testing.T, open func() workflow.Store) {
	const last = 200
	h := create(t, open(), ID(1))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				next := int64(1)
				err := h.Read(context.Background(), 1, func(e workflow.Event) error {
					if e.Seq != next {
						return fmt.Errorf("event %d in the place of %d", e.Seq, next)
					}
					next++
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					if next <= last {
						continue // this pass began before the last append
					}
					return
				default:
				}
			}
		})
	}
	for after := int64(1); after < last; after++ {
		if err := h.Append(t.Context(), after, Events(1, after, after+1)); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}
