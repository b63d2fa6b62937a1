package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/store/storetest"
	"github.com/fcflow/fcflow/workflow"
)

// childVariable holds what this test binary does instead of testing, when a
// test starts it as another process: the name of a child and a state directory.
const childVariable = "FCFLOW_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	name, dir, isChild := strings.Cut(os.Getenv(childVariable), " ")
	if !isChild {
		os.Exit(m.Run())
	}
	children := map[string]func(dir string) error{
		"append": appendUntilKilled, "create": createUntilKilled, "own": ownUntilKilled,
		"umask": createWithoutUmask, "full": appendUntilFull, "lane": takeLane,
	}
	if err := children[name](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is this binary, running as another process, and what it prints. Its standard
// input is open until leave is closed, or it is waited for.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	leave io.Closer
}

func start(t *testing.T, name, dir string) child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name+" "+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return child{cmd, bufio.NewScanner(out), in}
}

// number reads the next line as a number; false at the end.
func (c child) number(t *testing.T) (int64, bool) {
	t.Helper()
	if !c.lines.Scan() {
		return 0, false
	}
	n, err := strconv.ParseInt(c.lines.Text(), 10, 64)
	return n, err == nil // the last line may be cut
}

// killed kills the child and returns the last number it printed, or last.
func (c child) killed(t *testing.T, last int64) int64 {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for {
		n, ok := c.number(t)
		if !ok {
			break
		}
		last = n
	}
	_ = c.Wait() // it was killed
	return last
}

func (c child) succeeded(t *testing.T) {
	t.Helper()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newRun makes a run with events up to last, owned by nobody.
func newRun(t *testing.T, s *store.Store, id workflow.RunID, last int64) {
	t.Helper()
	h, err := s.Create(t.Context(), id, []byte("name: test\n"), []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for after := int64(1); after < last; after += 100 {
		if err := h.Append(t.Context(), after, storetest.Events(1, after, min(after+100, last))); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

// collect is a callback that keeps the events it is given.
func collect(events *[]workflow.Event) func(workflow.Event) error {
	return func(e workflow.Event) error {
		*events = append(*events, e)
		return nil
	}
}

// appendUntilKilled appends commits of one to five events and prints the number
// of the last event after each; now and then it compacts.
func appendUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	h, err := s.Open(ctx, storetest.ID(1))
	if err != nil {
		return err
	}
	last := int64(0)
	if err := h.Read(ctx, 1, func(e workflow.Event) error { last = e.Seq; return nil }); err != nil {
		return err
	}
	for {
		n := 1 + rand.Int64N(5)
		if err := h.Append(ctx, last, storetest.Events(h.Epoch(), last, last+n), workflow.NewBlob([]byte(fmt.Sprint(last)))); err != nil {
			return err
		}
		last += n
		fmt.Println(last)
		if rand.IntN(10) == 0 {
			if err := h.(interface{ Compact(context.Context) error }).Compact(ctx); err != nil {
				return err
			}
		}
	}
}

func TestKillWhileAppending(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const kills = 25
	dir, id := t.TempDir(), storetest.ID(1)
	s := open(t, dir, store.Options{})
	newRun(t, s, id, 1)
	known := []workflow.Event{storetest.Created(id)}
	for kill := range kills {
		c := start(t, "append", dir)
		acknowledged := int64(len(known))
		for range random.IntN(30) {
			acknowledged, _ = c.number(t)
		}
		<-time.After(time.Duration(random.IntN(2000)) * time.Microsecond)
		acknowledged = c.killed(t, acknowledged)

		var events []workflow.Event
		if err := s.ReadEvents(t.Context(), id, 1, collect(&events)); err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		if int64(len(events)) < acknowledged {
			t.Fatalf("kill %d: %d events, %d were acknowledged", kill, len(events), acknowledged)
		}
		if d := cmp.Diff(known, events[:len(known)]); d != "" {
			t.Fatalf("kill %d changed what was stored: %s", kill, d)
		}
		for _, e := range events[len(known):] {
			if want := storetest.Events(e.Epoch, e.Seq-1, e.Seq)[0]; !cmp.Equal(e, want) {
				t.Fatalf("kill %d: %s", kill, cmp.Diff(want, e))
			}
		}
		known = events
	}
	t.Logf("%d events survived %d kills", len(known), kills)
	h, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if left, err := filepath.Glob(filepath.Join(s.Paths(id).Dir, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("an owner leaves half written files: %v %v", left, err)
	}
}

// createUntilKilled makes runs and prints the number of each.
func createUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	ids, err := s.List(ctx)
	if err != nil {
		return err
	}
	for n := len(ids); ; n++ {
		id := storetest.ID(n)
		first := append([]workflow.Event{storetest.Created(id)}, storetest.Events(1, 1, 3)...)
		h, err := s.Create(ctx, id, []byte("name: test\n"), first, nil)
		if err != nil {
			return err
		}
		fmt.Println(n)
		if err := h.Close(); err != nil {
			return err
		}
		if rand.IntN(4) == 0 {
			if err := s.Delete(ctx, id); err != nil {
				return err
			}
			n--
		}
	}
}

func TestKillWhileCreating(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	leftovers := 0
	for kill := range 20 {
		c := start(t, "create", dir)
		last := int64(-1)
		for range 1 + random.IntN(4) {
			last, _ = c.number(t)
		}
		<-time.After(time.Duration(random.IntN(5000)) * time.Microsecond)
		last = c.killed(t, last)

		temp := filepath.Join(dir, "runs", ".tmp")
		if left, err := os.ReadDir(temp); err != nil {
			t.Fatal(err)
		} else if len(left) > 0 {
			leftovers++
		}
		ids, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(ids)) < last { // the last one may be deleted again
			t.Fatalf("kill %d: %d runs, run %d was made", kill, len(ids), last)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("kill %d: a list leaves %v, %v", kill, left, err)
		}
		for _, id := range ids[:min(3, len(ids))] {
			var events []workflow.Event
			if err := s.ReadEvents(t.Context(), id, 1, collect(&events)); err != nil || len(events) != 3 {
				t.Errorf("kill %d: run %s has %d events, %v", kill, id, len(events), err)
			}
			if l, err := s.Summary(t.Context(), id); err != nil || l.Err != nil || l.Workflow != "test" {
				t.Errorf("kill %d: run %s is listed as %+v, %v", kill, id, l, err)
			}
		}
	}
	t.Logf("%d kills left something to sweep", leftovers)
}

// ownUntilKilled owns a run until it is killed.
func ownUntilKilled(dir string) error {
	s, err := store.Open(dir, store.Options{Owner: workflow.Owner{Socket: "/run/fcflow/x.sock"}})
	if err != nil {
		return err
	}
	h, err := s.Open(context.Background(), storetest.ID(1))
	if err != nil {
		return err
	}
	if err := h.Append(context.Background(), 3, storetest.Events(h.Epoch(), 3, 5)); err != nil {
		return err
	}
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGTERM)
	fmt.Println(h.Epoch())
	<-never
	return nil
}

func TestOwnerInAnotherProcess(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), storetest.ID(1)
	s := open(t, dir, store.Options{})
	newRun(t, s, id, 3)
	if owner, alive, err := s.Owner(t.Context(), id); err != nil || alive || owner.PID != 0 {
		t.Fatalf("nobody's run is owned by %+v, %v, %v", owner, alive, err)
	}

	c := start(t, "own", dir)
	epoch, _ := c.number(t)
	owner, alive, err := s.Owner(t.Context(), id)
	want := workflow.Owner{
		Host: s.Self().Host, BootID: s.Self().BootID, PID: c.Process.Pid, StartedAt: owner.StartedAt,
		Epoch: epoch, Socket: "/run/fcflow/x.sock",
	}
	if err != nil || !alive || owner != want || epoch != 2 {
		t.Errorf("owner %+v, alive %v, %v; want %+v", owner, alive, err, want)
	}
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Open(brief, id)
	if !errors.Is(err, workflow.ErrOwned) || !strings.Contains(err.Error(), fmt.Sprintf("process %d on %s", c.Process.Pid, want.Host)) {
		t.Errorf("open: %v", err)
	}
	began := time.Now()
	var events []workflow.Event
	if err := s.ReadEvents(t.Context(), id, 1, collect(&events)); !errors.Is(err, workflow.ErrOwned) || len(events) > 0 {
		t.Errorf("read: %d events, %v", len(events), err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a reader waited %v for an owner", took)
	}
	if text, err := s.Frozen(t.Context(), id); err != nil || string(text) != "name: test\n" {
		t.Errorf("workflow %q, %v", text, err)
	}
	if l, err := s.Summary(t.Context(), id); err != nil || !l.Live || l.Interrupted || l.Owner != want {
		t.Errorf("listed as %+v, %v", l, err)
	}

	c.killed(t, 0)
	if owner, alive, err := s.Owner(t.Context(), id); err != nil || alive || owner != want {
		t.Errorf("killed: owner %+v, alive %v, %v", owner, alive, err)
	}
	if l, err := s.Summary(t.Context(), id); err != nil || l.Live || !l.Interrupted {
		t.Errorf("killed: listed as %+v, %v", l, err)
	}
	if err := s.ReadEvents(t.Context(), id, 4, collect(&events)); err != nil || len(events) != 2 {
		t.Errorf("killed: %d events, %v", len(events), err)
	}
	h, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if h.Epoch() != 3 {
		t.Errorf("epoch %d after 2", h.Epoch())
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if owner, alive, err := s.Owner(t.Context(), id); err != nil || alive || owner.PID != 0 {
		t.Errorf("closed: owner %+v, alive %v, %v", owner, alive, err)
	}
}

func createWithoutUmask(dir string) error {
	syscall.Umask(0)
	s, err := store.Open(filepath.Join(dir, "a", "state"), store.Options{})
	if err != nil {
		return err
	}
	ctx, id := context.Background(), storetest.ID(1)
	h, err := s.Create(ctx, id, []byte("name: test\n"), []workflow.Event{storetest.Created(id)}, nil)
	if err != nil {
		return err
	}
	if err := h.(interface{ Compact(context.Context) error }).Compact(ctx); err != nil {
		return err
	}
	return s.PutSummary(id, workflow.Summary{ID: id}) // and leave as a crash would
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, "umask", dir).succeeded(t)
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "a"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != 5 { // run.db owner.json run.json workflow.yaml .lock
		t.Errorf("%d files", files)
	}
}

// appendUntilFull appends until its files may not grow any more, prints the
// number of the last acknowledged event, and fails unless the history behaves.
func appendUntilFull(dir string) error {
	ctx := context.Background()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	h, err := s.Open(ctx, storetest.ID(1))
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	full := syscall.Rlimit{Cur: 300 << 10, Max: 300 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	last := int64(1)
	for err == nil {
		if last > 100_000 {
			return errors.New("the limit was never reached")
		}
		if err = h.Append(ctx, last, storetest.Events(h.Epoch(), last, last+10)); err == nil {
			last += 10
		}
	}
	if !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		return fmt.Errorf("not the error of a full disk: %w", err)
	}
	if err := h.Append(ctx, last, storetest.Events(h.Epoch(), last, last+1)); err == nil {
		return errors.New("appended after a commit failed")
	}
	fmt.Println(last)
	return h.Close()
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), storetest.ID(1)
	s := open(t, dir, store.Options{})
	newRun(t, s, id, 1)
	c := start(t, "full", dir)
	acknowledged, ok := c.number(t)
	c.succeeded(t)
	if !ok || acknowledged < 100 {
		t.Fatalf("%d events before the disk was full", acknowledged)
	}
	h, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	last := int64(len(storetest.Read(t, h, 1)))
	if last < acknowledged || last > acknowledged+10 {
		t.Fatalf("%d events, %d were acknowledged", last, acknowledged)
	}
	if err := h.Append(t.Context(), last, storetest.Events(h.Epoch(), last, last+1000)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
