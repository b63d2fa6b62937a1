package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// countFold is a fold that needs no workflow: it counts.
func countFold(frozen []byte, events func(func(workflow.Event) error) error) (workflow.Summary, error) {
	s := workflow.Summary{Message: "folded from " + strings.TrimSpace(string(frozen)), State: workflow.RunRunning}
	return s, events(func(e workflow.Event) error {
		s.Seq, s.Epoch = e.Seq, e.Epoch
		if c, ok := e.Data.(*workflow.RunCreated); ok {
			s.ID, s.Workflow = c.ID, c.Workflow
		}
		return nil
	})
}

func summary(t *testing.T, s *store.Store, id workflow.RunID) store.Listed {
	t.Helper()
	l, err := s.Summary(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSummary(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), storetest.ID(1)
	s := open(t, dir, store.Options{})
	folding := open(t, dir, store.Options{Fold: countFold})
	newRun(t, s, id, 10)

	l := summary(t, s, id)
	if l.Workflow != "test" || l.State != workflow.RunQueued || !l.Interrupted || l.Live || l.Err != nil {
		t.Errorf("as it was created: %+v", l)
	}
	l = summary(t, folding, id)
	if l.Seq != 10 || !l.Interrupted || l.Message != "folded from name: test" || l.Err != nil {
		t.Errorf("folded: %+v", l)
	}
	if l = summary(t, s, id); l.Seq != 10 {
		t.Errorf("the fold was not stored: %+v", l)
	}
	marked := l.Summary
	marked.Message = "mark"
	if err := s.PutSummary(id, marked); err != nil {
		t.Fatal(err)
	}
	if l = summary(t, folding, id); l.Message != "mark" {
		t.Errorf("folded again though nothing happened: %+v", l)
	}

	h, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Append(t.Context(), 10, storetest.Events(2, 10, 12)); err != nil {
		t.Fatal(err)
	}
	if l = summary(t, folding, id); l.Message != "mark" || !l.Live || l.Interrupted || l.Owner.PID != os.Getpid() {
		t.Errorf("owned: %+v", l)
	}
	marked.State = workflow.RunSucceeded
	if err := s.PutSummary(id, marked); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if l = summary(t, folding, id); l.Message != "mark" || l.Live || l.Interrupted {
		t.Errorf("over: %+v", l)
	}

	path := filepath.Join(s.Paths(id).Dir, "run.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l = summary(t, s, id); l.ID != id || l.Err == nil {
		t.Errorf("damaged, no fold: %+v", l)
	}
	if l = summary(t, folding, id); l.Seq != 12 || l.Err != nil {
		t.Errorf("damaged: %+v", l)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l = summary(t, folding, id); l.Seq != 12 || l.Err != nil {
		t.Errorf("missing: %+v", l)
	}
}

func TestRecent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, store.Options{Fold: countFold})
	for n := range 10 {
		newRun(t, s, storetest.ID(n), 2)
	}
	if err := os.WriteFile(filepath.Join(s.Paths(storetest.ID(8)).Dir, "run.db"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, stray := range []string{"notes", "01k00000000000000000000011", ".new-x"} {
		if err := os.Mkdir(filepath.Join(dir, "runs", stray), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	even := func(l store.Listed) bool { return l.ID[len(l.ID)-1]%2 == 0 }
	for _, c := range []struct {
		limit   int
		keep    func(store.Listed) bool
		want    []int
		scanned int
	}{
		{0, nil, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, 10},
		{3, nil, []int{9, 8, 7}, 3},
		{3, even, []int{8, 6, 4}, 6},
		{9, even, []int{8, 6, 4, 2, 0}, 10},
	} {
		runs, scanned, err := s.Recent(t.Context(), c.limit, c.keep)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, l := range runs {
			for n := range 10 {
				if l.ID == storetest.ID(n) {
					got = append(got, n)
				}
			}
			if damaged := l.ID == storetest.ID(8); damaged != (l.Err != nil) || damaged && !errors.Is(l.Err, workflow.ErrCorrupt) {
				t.Errorf("run %s: %v", l.ID, l.Err)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" || scanned != c.scanned {
			t.Errorf("limit %d: scanned %d, want %d; %s", c.limit, scanned, c.scanned, d)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), store.Options{})
	if _, err := s.Resolve(t.Context(), "last"); !errors.Is(err, workflow.ErrNotFound) {
		t.Errorf("without runs: %v", err)
	}
	runs := map[workflow.RunID]string{
		"01K0AAAAAAAAAAAAAAAAABCDEF": "climate",
		"01K0BBBBBBBBBBBBBBBBBBCDEF": "test",
		"01K0CCCCCCCCCCCCCCCCCCTEST": "climate",
		"01K0DDDDDDDDDDDDDDDDDDDDDD": "weather",
		"01J0EEEEEEEEEEEEEEEEEEEEEE": "old",
	}
	for id, name := range runs {
		newRun(t, s, id, 1)
		if err := s.PutSummary(id, workflow.Summary{ID: id, Workflow: name}); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{
		"last":                       "01K0DDDDDDDDDDDDDDDDDDDDDD",
		"01K0BBBBBBBBBBBBBBBBBBCDEF": "01K0BBBBBBBBBBBBBBBBBBCDEF",
		"01k0bbbbbbbbbbbbbbbbbbcdef": "01K0BBBBBBBBBBBBBBBBBBCDEF",
		"ABCDEF":                     "01K0AAAAAAAAAAAAAAAAABCDEF",
		"abcdef":                     "01K0AAAAAAAAAAAAAAAAABCDEF",
		"01K0A":                      "01K0AAAAAAAAAAAAAAAAABCDEF",
		"01J0":                       "01J0EEEEEEEEEEEEEEEEEEEEEE",
		"climate":                    "01K0CCCCCCCCCCCCCCCCCCTEST",
		"old":                        "01J0EEEEEEEEEEEEEEEEEEEEEE",
		"test":                       "01K0BBBBBBBBBBBBBBBBBBCDEF", // the workflow
		"TEST":                       "01K0CCCCCCCCCCCCCCCCCCTEST", // the end of an id
	} {
		if got, err := s.Resolve(t.Context(), ref); err != nil || string(got) != want {
			t.Errorf("%q is %q, %v; want %q", ref, got, err, want)
		}
	}
	for ref, want := range map[string]error{
		"01K0": workflow.ErrConflict, "CDEF": workflow.ErrConflict, "cdef": workflow.ErrConflict,
		"DDD": workflow.ErrNotFound, "climat": workflow.ErrNotFound, "": workflow.ErrNotFound,
		"../runs": workflow.ErrNotFound, "Climate": workflow.ErrNotFound,
	} {
		if got, err := s.Resolve(t.Context(), ref); !errors.Is(err, want) {
			t.Errorf("%q is %q, %v; want %v", ref, got, err, want)
		}
	}
	_, err := s.Resolve(t.Context(), "climat")
	if want := "there are runs of weather, climate, test, old"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want %q", err, want)
	}
	_, err = s.Resolve(t.Context(), "CDEF")
	if want := "2 runs match: 01K0BBBBBBBBBBBBBBBBBBCDEF, 01K0AAAAAAAAAAAAAAAAABCDEF"; !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want %q", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Resolve(ctx, "climate"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// BenchmarkRecent lists the newest 50 of 100,000 runs.
func BenchmarkRecent(b *testing.B) {
	const total, limit, goal = 100_000, 50, 200 * time.Millisecond
	s := benchStore(b)
	for n := range total {
		id := storetest.ID(n)
		if err := os.Mkdir(s.Paths(id).Dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if n < total-2*limit {
			continue
		}
		if err := s.PutSummary(id, workflow.Summary{ID: id, State: workflow.RunSucceeded}); err != nil {
			b.Fatal(err)
		}
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		runs, _, err := s.Recent(b.Context(), limit, nil)
		if err != nil || len(runs) != limit || runs[0].ID != storetest.ID(total-1) || runs[0].Err != nil {
			b.Fatalf("%d runs, %v", len(runs), err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median := took[len(took)/2]
	b.Logf("newest %d of %d runs in %v (median of %d); the goal is %v", limit, total, median, len(took), goal)
	if median > goal {
		b.Errorf("%v is over the goal", median)
	}
}
