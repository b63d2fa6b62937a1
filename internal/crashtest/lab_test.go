package crashtest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/program"
)

// patience is how long a process may take that is waited for. None should come near it.
const patience = 90 * time.Second

// shared is a directory for this test process: for the program, and for the
// sockets of runs, whose paths must be short.
var shared string

func TestMain(m *testing.M) { program.Main(m, &shared) }

// bin is the path of fcflow, which is built once.
var bin = sync.OnceValues(func() (string, error) { return program.Build(shared) })

// lab is a state directory, the root of a sandbox and a workflow that belong to
// one test.
type lab struct {
	t   *testing.T
	dir string
	bin string

	mu        sync.Mutex
	processes []*process
}

// newLab makes a lab. What detached jobs write into it while it is removed does
// not matter, unlike in a directory of testing.T.
func newLab(t *testing.T) *lab {
	t.Helper()
	bin, err := bin()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fcflow-crash-")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, bin: bin}
	t.Cleanup(l.close)
	l.write("numbers.txt", "1\n2\n3\n")
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		l.write(filepath.Base(file), string(text))
	}
	return l
}

func (l *lab) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.processes {
		p.kill()
		if l.t.Failed() {
			l.t.Logf("%s\n%s%s", p.cmd, p.stdout()[:min(len(p.stdout()), 500)], p.stderr())
		}
	}
	_ = os.RemoveAll(l.dir)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// run runs fcflow, which must exit with 0, and returns what it printed.
func (l *lab) run(args ...string) string {
	l.t.Helper()
	p := l.start(nil, args...)
	if code := p.exit(); code != 0 {
		l.t.Fatalf("%s exits with %d\n%s", p.cmd, code, p.stderr())
	}
	return p.stdout()
}

// eventually polls until a condition holds: what it waits for happens in other
// processes.
func (l *lab) eventually(what string, holds func() bool) {
	l.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			l.t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}

// serve starts a sandbox in a process of its own and waits until it serves. It
// loses half of the answers to submissions, and its lists lack rows.
func (l *lab) serve() {
	l.t.Helper()
	l.start(nil, "sandbox", "--root", l.path("sandbox"), "--fault", "drop-submit=0.5", "--fault", "hide-rows=0.3")
	l.eventually("a sandbox serves", func() bool { return l.servedBy() != 0 })
}

// servedBy is the id of the process that serves the sandbox, as it says; 0 if
// nobody ever did.
func (l *lab) servedBy() int {
	l.t.Helper()
	var address struct {
		PID int `json:"pid"`
	}
	text, err := os.ReadFile(l.path("sandbox/address"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err == nil {
		err = json.Unmarshal(text, &address)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return address.PID
}
