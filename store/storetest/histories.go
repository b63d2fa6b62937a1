package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

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
		&workflow.JobObserved{JobID: "17", State: "FAILED", ExitCode: &code, EndedAt: instant(7)},
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
