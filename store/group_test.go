package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// stateFold folds what concurrency groups have to know of a run.
func stateFold(_ []byte, events func(func(workflow.Event) error) error) (workflow.Summary, error) {
	s := workflow.Summary{State: workflow.RunQueued}
	return s, events(func(e workflow.Event) error {
		s.Seq, s.Epoch = e.Seq, e.Epoch
		switch p := e.Data.(type) {
		case *workflow.RunCreated:
			s.ID = p.ID
		case *workflow.RunStarted:
			s.State = workflow.RunRunning
		case *workflow.RunFinished:
			s.State = p.State
		}
		return nil
	})
}

// members are runs of one group, driven by the test.
type members struct {
	t     *testing.T
	dir   string
	store *store.Store
	group *store.Group
	owned map[int]workflow.History
	seq   map[int]int64
}

func newMembers(t *testing.T) *members {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Fold: stateFold})
	return &members{t: t, dir: dir, store: s, group: s.Group("icon"), owned: map[int]workflow.History{}, seq: map[int]int64{}}
}

func (m *members) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// own creates runs, or opens those that nobody owns.
func (m *members) own(runs ...int) {
	m.t.Helper()
	for _, n := range runs {
		var err error
		if m.seq[n] > 0 {
			m.owned[n], err = m.store.Open(m.t.Context(), storetest.ID(n))
		} else {
			m.owned[n], err = m.store.Create(m.t.Context(), storetest.ID(n), []byte("name: test"), []workflow.Event{storetest.Created(storetest.ID(n))}, nil)
			m.seq[n] = 1
		}
		m.check(err)
	}
}

func (m *members) note(n int, p workflow.Payload) {
	m.t.Helper()
	e := workflow.Event{Seq: m.seq[n] + 1, At: time.Now().UTC().Truncate(time.Millisecond), Epoch: m.owned[n].Epoch(), Data: p}
	m.check(m.owned[n].Append(m.t.Context(), m.seq[n], []workflow.Event{e}))
	m.seq[n]++
}

func (m *members) begin(n int) { m.t.Helper(); m.note(n, &workflow.RunStarted{}) }

func (m *members) end(n int) {
	m.t.Helper()
	m.note(n, &workflow.RunFinished{State: workflow.RunSucceeded})
}

// lose ends the ownership of runs as a crash does.
func (m *members) lose(runs ...int) {
	m.t.Helper()
	for _, n := range runs {
		m.check(m.owned[n].Close())
	}
}

func (m *members) join(n int) store.Place {
	m.t.Helper()
	p, err := m.group.Join(m.t.Context(), storetest.ID(n), 2, true)
	m.check(err)
	return p
}

// want joins runs, which hold a place after that or do not.
func (m *members) want(held bool, runs ...int) {
	m.t.Helper()
	for _, n := range runs {
		if p := m.join(n); p.Held != held {
			m.t.Errorf("run %d holds a place: %v, with %v", n, p.Held, p.Holders)
		}
	}
}

func (m *members) leave(n int) {
	m.t.Helper()
	m.check(m.group.Leave(m.t.Context(), storetest.ID(n)))
}

// entry is the file of a run.
func (m *members) entry(n int) string {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, "groups", "*", string(storetest.ID(n))))
	m.check(err)
	if len(files) != 1 {
		m.t.Fatalf("run %d has the files %s", n, files)
	}
	return files[0]
}

// TestGroupOrder: a place that becomes free goes to the smallest run id that
// somebody owns; who was passed over keeps its turn.
func TestGroupOrder(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.own(1, 2, 3, 4, 5, 6)
	m.want(true, 5, 3)
	m.want(false, 6, 4, 2, 1)
	m.want(true, 3, 5) // who has a place keeps it
	if p := m.join(6); p.Next || len(p.Holders) != 2 || p.Holders[0].Run != storetest.ID(5) || !p.Holders[0].Live {
		t.Errorf("the last one sees %+v", p)
	}
	if p := m.join(1); !p.Next {
		t.Errorf("the first one sees %+v", p)
	}
	m.lose(1)
	m.leave(5)
	m.want(false, 6, 4)
	m.want(true, 2)
	m.leave(3)
	m.own(1)
	m.want(false, 4, 6)
	m.want(true, 1)
	m.leave(1)
	m.leave(2)
	m.want(true, 4, 6)
	m.leave(4)
	m.leave(6)
	if left, err := os.ReadDir(filepath.Join(m.dir, "groups")); err != nil || len(left) > 0 {
		t.Errorf("a group without runs leaves %v, %v", left, err)
	}
}

// TestGroupLimits: each run goes by its own limit; other names are other groups.
func TestGroupLimits(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.own(1, 2, 3)
	m.want(true, 1)
	for _, limit := range []int{1, 2} {
		p, err := m.group.Join(t.Context(), storetest.ID(2), limit, false)
		if m.check(err); p.Held != (limit == 2) {
			t.Errorf("within a limit of %d it holds a place: %v", limit, p.Held)
		}
	}
	p, err := m.store.Group("ifs").Join(t.Context(), storetest.ID(3), 1, true)
	if m.check(err); !p.Held {
		t.Error("another group is as full as this one")
	}
	m.check(m.group.Keep(t.Context(), storetest.ID(3)))
	if holders, err := m.group.Holders(t.Context()); err != nil || len(holders) != 3 {
		t.Errorf("a run that has started does not keep its place: %v, %v", holders, err)
	}
}

// TestGroupCrash looks at everything that a process leaves which is killed between
// two operations on files. Run 1 is what was killed; runs 2 and 3 come next.
func TestGroupCrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		crash func(m *members)
		free  int  // places that runs 2 and 3 get
		turn  bool // run 1, opened again, is before them, or has its place
	}{
		"created, without an entry": {func(m *members) { m.lose(1) }, 2, true},
		"queued": {func(m *members) {
			m.own(8, 9)
			m.want(true, 8, 9)
			m.want(false, 1)
			m.lose(1)
			m.leave(8)
			m.leave(9)
		}, 2, true},
		"an entry half written": {func(m *members) {
			m.want(true, 1)
			m.check(os.WriteFile(filepath.Join(filepath.Dir(m.entry(1)), ".new-x"), []byte("{"), 0o600))
			m.check(os.Remove(m.entry(1)))
			m.lose(1)
		}, 2, true},
		"a place taken, not started": {func(m *members) { m.want(true, 1); m.lose(1) }, 2, true},
		"started":                    {func(m *members) { m.want(true, 1); m.begin(1); m.lose(1) }, 1, true},
		"started, its entry damaged": {func(m *members) {
			m.want(true, 1)
			m.begin(1)
			m.check(os.WriteFile(m.entry(1), nil, 0o600))
			m.check(m.group.Keep(m.t.Context(), storetest.ID(1)))
			m.lose(1)
		}, 1, true},
		"ended, not left": {func(m *members) { m.want(true, 1); m.begin(1); m.end(1); m.lose(1) }, 2, false},
		"removed, not left": {func(m *members) {
			m.want(true, 1)
			m.lose(1)
			m.check(m.store.Delete(m.t.Context(), storetest.ID(1)))
		}, 2, false},
		"left, the lock alone is there": {func(m *members) {
			m.want(true, 1)
			m.end(1)
			m.lose(1)
			m.check(os.Remove(m.entry(1)))
		}, 2, false},
		"left, the directory alone is there": {func(m *members) {
			m.want(true, 1)
			m.end(1)
			m.lose(1)
			dir := filepath.Dir(m.entry(1))
			m.check(os.Remove(m.entry(1)))
			m.check(os.Remove(filepath.Join(dir, "lock")))
		}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMembers(t)
			m.own(1)
			c.crash(m)
			m.own(2, 3)
			if c.turn && c.free == 2 {
				m.own(1)
				m.want(true, 1)
				m.leave(1)
				m.lose(1)
			}
			m.want(true, 2)
			m.want(c.free == 2, 3)
			if c.free == 1 {
				holders, err := m.group.Holders(t.Context())
				if m.check(err); len(holders) != 2 || holders[0].Run != storetest.ID(1) || holders[0].Live {
					t.Errorf("the places are held by %+v", holders)
				}
				m.own(1)
				m.want(true, 1)
			}
			left, err := filepath.Glob(filepath.Join(m.dir, "groups", "*", ".new-*"))
			if m.check(err); len(left) > 0 {
				t.Errorf("%s stays", left)
			}
		})
	}
}

// TestGroupFiles: nobody else reads them, and a person can.
func TestGroupFiles(t *testing.T) {
	t.Parallel()
	m := newMembers(t)
	m.own(1, 2, 3)
	m.want(true, 1, 2)
	m.want(false, 3)
	m.check(filepath.WalkDir(filepath.Join(m.dir, "groups"), func(path string, d fs.DirEntry, err error) error {
		m.check(err)
		info, err := d.Info()
		m.check(err)
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
	for n, want := range map[int]string{2: `{"group":"icon","state":"holding","position":2}`, 3: `{"group":"icon","state":"queued","position":0}`} {
		text, err := os.ReadFile(m.entry(n))
		if m.check(err); strings.TrimSpace(string(text)) != want {
			t.Errorf("%s", text)
		}
	}
	if digest := filepath.Base(filepath.Dir(m.entry(1))); len(digest) != 16 {
		t.Errorf("the directory is %s", digest)
	}
}
