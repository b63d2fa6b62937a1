package memory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) func() workflow.Store {
		s := memory.New()
		return func() workflow.Store { return s }
	})
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	s, id := memory.New(), storetest.ID(1)
	h, err := s.Create(t.Context(), id, []byte("text"), []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Append(t.Context(), 1, storetest.Events(1, 1, 3)); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err = s.Open(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.Append(t.Context(), 3, storetest.Events(2, 3, 5)); err != nil {
		t.Fatal(err)
	}
	all := storetest.Read(t, h, 1)

	if ids, err := s.Prefix(id, 0).List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("the empty prefix has runs %v, %v", ids, err)
	}
	for n := 1; n <= len(all); n++ {
		cut, err := s.Prefix(id, n).Open(t.Context(), id)
		if err != nil {
			t.Fatalf("prefix %d: %v", n, err)
		}
		if d := cmp.Diff(all[:n], storetest.Read(t, cut, 1)); d != "" {
			t.Errorf("prefix %d: %s", n, d)
		}
		if want := all[n-1].Epoch + 1; cut.Epoch() != want {
			t.Errorf("prefix %d: epoch %d, want %d", n, cut.Epoch(), want)
		}
		if err := cut.Append(t.Context(), int64(n), storetest.Events(cut.Epoch(), int64(n), int64(n)+1)); err != nil {
			t.Errorf("prefix %d: %v", n, err)
		}
	}
	if d := cmp.Diff(all, storetest.Read(t, h, 1)); d != "" {
		t.Errorf("a prefix changed its origin: %s", d)
	}
}
