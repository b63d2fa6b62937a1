package storetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

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
