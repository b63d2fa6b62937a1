package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

func TestDirectoryRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"writable by the group":       {func(dir string) error { return mkdirMode(dir, 0o770) }, "can be written by others"},
		"writable by all":             {func(dir string) error { return mkdirMode(dir, 0o707) }, "can be written by others"},
		"runs writable":               {func(dir string) error { return mkdirMode(filepath.Join(dir, "runs"), 0o777) }, "can be written by others"},
		"a file":                      {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		"a link that leads nowhere":   {func(dir string) error { return os.Symlink("nowhere", dir) }, "no such file"},
		"not writable by the process": {func(dir string) error { return mkdirMode(dir, 0o500) }, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			_, err := store.Open(dir, store.Options{})
			if err == nil && c.want == "permission denied" && os.Getuid() == 0 {
				t.Skip("root may write anywhere")
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if os.Getuid() != 0 {
		if _, err := store.Open("/", store.Options{}); err == nil || !strings.Contains(err.Error(), "belongs to user id 0") {
			t.Errorf("somebody else's directory: %v", err)
		}
	}
}

func mkdirMode(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// TestDirectoryReadable: others may read names in a directory the person made,
// not what is in it.
func TestDirectoryReadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, store.Options{})
	info, err := os.Stat(filepath.Dir(s.Paths(storetest.ID(1)).Dir))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("runs has %v, %v", info, err)
	}
	if s.Warning() != "" {
		t.Errorf("warning on a local disk: %s", s.Warning())
	}
}

func TestBadID(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), store.Options{})
	for _, id := range []workflow.RunID{
		"", ".", "..", "../../etc", "a/b", ".tmp", ".lock", "01K", "01k00000000000000000000001", "81K00000000000000000000001",
		"01K0000000000000000000000I", "01K000000000000000000000/1", "01K00000000000000000000001\x00",
	} {
		if _, err := s.Create(t.Context(), id, nil, []workflow.Event{storetest.Created(id)}, nil); err == nil {
			t.Errorf("created %q", id)
		}
		if _, err := s.Open(t.Context(), id); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("open %q: %v", id, err)
		}
		if err := s.Delete(t.Context(), id); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("delete %q: %v", id, err)
		}
		if _, err := s.Frozen(t.Context(), id); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("frozen %q: %v", id, err)
		}
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	s, id := open(t, t.TempDir(), store.Options{}), storetest.ID(1)
	h, err := s.Create(t.Context(), id, []byte("name: test\n"), []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"logs", "owner.json", "private", "run.db", "run.json", "workflow.yaml"}
	if d := cmp.Diff(want, names(t, s.Paths(id).Dir)); d != "" {
		t.Error(d)
	}
	if text, err := os.ReadFile(s.Paths(id).Frozen); err != nil || string(text) != "name: test\n" {
		t.Errorf("%q, %v", text, err)
	}
	// The history keeps its own text: the copy may be edited or lost.
	if err := os.Remove(s.Paths(id).Frozen); err != nil {
		t.Fatal(err)
	}
	if text, err := h.Frozen(t.Context()); err != nil || string(text) != "name: test\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Frozen(t.Context(), id); err != nil || string(text) != "name: test\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(s.Paths(id).Dir)
	if d := cmp.Diff([]string{".lock", ".tmp"}, names(t, root)); d != "" {
		t.Error(d)
	}
	if left := names(t, filepath.Join(root, ".tmp")); len(left) > 0 {
		t.Errorf("a delete leaves %v", left)
	}
}

// TestCreateAtOnce: of those who make the same run only one gets it, and the
// others leave it alone.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n := range 10 {
		id := storetest.ID(n)
		var racers sync.WaitGroup
		won := make(chan workflow.History, 8)
		for range cap(won) {
			s := open(t, dir, store.Options{})
			racers.Go(func() {
				h, err := s.Create(t.Context(), id, nil, []workflow.Event{storetest.Created(id)}, nil)
				if err == nil {
					won <- h
				} else if !errors.Is(err, workflow.ErrConflict) {
					t.Error(err)
				}
			})
		}
		racers.Wait()
		if len(won) != 1 {
			t.Fatalf("%d made run %s", len(won), id)
		}
		s := open(t, dir, store.Options{})
		if owner, alive, err := s.Owner(t.Context(), id); err != nil || !alive || owner.PID != os.Getpid() {
			t.Errorf("owner %+v, alive %v, %v", owner, alive, err)
		}
		if err := (<-won).Close(); err != nil {
			t.Error(err)
		}
		if left := names(t, filepath.Join(dir, "runs", ".tmp")); len(left) > 0 {
			t.Errorf("the losers leave %v", left)
		}
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestOtherHost: a run whose owner vanished on another host is taken by hand
// only, because locks may not reach from there.
func TestOtherHost(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), storetest.ID(1)
	s := open(t, dir, store.Options{})
	newRun(t, s, id, 3)
	gone := workflow.Owner{Host: "login7.example", PID: 77, Epoch: 1}
	text, err := json.Marshal(gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Paths(id).Dir, "owner.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if owner, alive, err := s.Owner(t.Context(), id); err != nil || !alive || owner != gone {
		t.Errorf("owner %+v, alive %v, %v", owner, alive, err)
	}
	_, err = s.Open(t.Context(), id)
	if !errors.Is(err, workflow.ErrOwned) || !strings.Contains(err.Error(), "process 77 on login7.example") || !strings.Contains(err.Error(), "--take-over") {
		t.Errorf("open: %v", err)
	}
	if err := s.Delete(t.Context(), id); !errors.Is(err, workflow.ErrOwned) {
		t.Errorf("delete: %v", err)
	}
	if l := summary(t, s, id); !l.Live || l.Interrupted || l.Owner != gone {
		t.Errorf("listed as %+v", l)
	}
	var events []workflow.Event
	if err := s.ReadEvents(t.Context(), id, 1, collect(&events)); err != nil || len(events) != 3 {
		t.Errorf("read: %d events, %v", len(events), err)
	}
	taking := open(t, dir, store.Options{}).TakingOver()
	if owner, alive, err := taking.Owner(t.Context(), id); err != nil || alive || owner != gone {
		t.Errorf("taking over: owner %+v, alive %v, %v", owner, alive, err)
	}
	h, err := taking.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, alive, err := taking.Owner(t.Context(), id); err != nil || !alive {
		t.Errorf("taking over what is held: alive %v, %v", alive, err)
	}
	if _, err := taking.Open(t.Context(), id); !errors.Is(err, workflow.ErrOwned) {
		t.Errorf("taking over what is held: %v", err)
	}
	if owner, _, err := s.Owner(t.Context(), id); err != nil || owner.PID != os.Getpid() {
		t.Errorf("owner %+v, %v", owner, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err = s.Open(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), storetest.ID(1)
	d := newSample(t, dir, 500)
	before := len(d.intact)
	h, err := d.store.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	compact := h.(interface{ Compact(context.Context) error }).Compact
	for range 2 {
		if err := compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if owner, alive, err := d.store.Owner(t.Context(), id); err != nil || !alive || owner.PID != os.Getpid() {
		t.Errorf("compacting gave the run to %+v, alive %v, %v", owner, alive, err)
	}
	if d := cmp.Diff(d.events, storetest.Read(t, h, 1)); d != "" {
		t.Error(d)
	}
	if err := h.Append(t.Context(), 500, storetest.Events(h.Epoch(), 500, 600)); err != nil {
		t.Error(err)
	}
	if err := compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compact(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("compact a closed history: %v", err)
	}
	info, err := os.Stat(d.db)
	if err != nil || info.Size() >= int64(before) {
		t.Errorf("%d bytes after %d, %v", info.Size(), before, err)
	}
	if h, err = d.store.Open(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n := len(storetest.Read(t, h, 1)); n != 600 {
		t.Errorf("%d events", n)
	}
	if err := d.readBlobs(t, h); err != nil {
		t.Error(err)
	}
}

// TestOwnerThatWasReplaced: on some network file systems a lock keeps nobody out.
// Then another owner may have gone on with a run, and the one before must not
// write over that. The bytes of a copy stand for what the other one wrote.
func TestOwnerThatWasReplaced(t *testing.T) {
	t.Parallel()
	here, there := open(t, t.TempDir(), store.Options{}), open(t, t.TempDir(), store.Options{})
	id := storetest.ID(1)
	db := func(s *store.Store) string { return filepath.Join(s.Paths(id).Dir, "run.db") }
	before, err := here.Create(t.Context(), id, []byte("name: test\n"), []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Append(t.Context(), 1, storetest.Events(1, 1, 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(there.Paths(id).Dir, os.DirFS(here.Paths(id).Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(there.Paths(id).Dir, "owner.json")); err != nil {
		t.Fatal(err)
	}
	next, err := there.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Append(t.Context(), 5, storetest.Events(next.Epoch(), 5, 8)); err != nil {
		t.Fatal(err)
	}
	want := storetest.Read(t, next, 1)
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, db(here), db(there))

	if err := before.Append(t.Context(), 5, storetest.Events(1, 5, 6)); !errors.Is(err, workflow.ErrStale) {
		t.Errorf("the owner before appended: %v", err)
	}
	if err := before.Append(t.Context(), 5, storetest.Events(1, 5, 6)); !errors.Is(err, workflow.ErrStale) {
		t.Errorf("and again: %v", err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	var got []workflow.Event
	if err := here.ReadEvents(t.Context(), id, 1, collect(&got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// overwrite puts the bytes of one file into another, which stays the same file.
func overwrite(t *testing.T, file, by string) {
	t.Helper()
	text, err := os.ReadFile(by)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
