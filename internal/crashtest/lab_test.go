package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a process may take. None should come near it.
const patience = 90 * time.Second

// shared is a directory for this test process: for the program, and for the
// sockets of runs, whose paths must be short.
var shared string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if shared, err = os.MkdirTemp("", "fc"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(shared) // it is below the directory for temporary files
	os.Exit(code)
}

// program builds fcflow as it is released, once.
var program = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	bin := filepath.Join(shared, "bin", "fcflow")
	build := exec.Command("go", "build", "-o", bin, "github.com/fcflow/fcflow/cmd/fcflow")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// lookAtSources touches every source of the program, so that `go test` knows
// what a cached result of these tests depends on.
func lookAtSources() error {
	root := filepath.Join("..", "..")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		_, err = os.Stat(path)
		return err
	})
}

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
	bin, err := program()
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

// process is a running fcflow, in a process group of its own.
type process struct {
	cmd    *exec.Cmd
	base   string // of the files with its output
	cancel context.CancelFunc
	once   sync.Once
	err    error
}

// start starts fcflow with variables besides the usual ones.
func (l *lab) start(variables []string, args ...string) *process {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &process{base: l.path(fmt.Sprintf("process-%d", len(l.processes))), cancel: cancel}
	p.cmd = exec.CommandContext(ctx, l.bin, append([]string{"--state-dir", l.path("state")}, args...)...)
	p.cmd.Dir = l.dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "XDG_RUNTIME_DIR=" + shared, "TMPDIR=" + os.TempDir(),
		"FCFLOW_COMMIT_LOG=" + l.path("commits"),
	}, variables...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	// Files, not pipes: nothing that a process leaves behind keeps Wait waiting.
	for name, stream := range map[string]func(*os.File){
		".out": func(f *os.File) { p.cmd.Stdout = f }, ".err": func(f *os.File) { p.cmd.Stderr = f },
	} {
		f, err := os.Create(p.base + name)
		if err != nil {
			l.t.Fatal(err)
		}
		defer f.Close()
		stream(f)
	}
	if err := p.cmd.Start(); err != nil {
		cancel()
		l.t.Fatal(err)
	}
	l.processes = append(l.processes, p)
	return p
}

// wait waits for the end of the process.
func (p *process) wait() *os.ProcessState {
	p.once.Do(func() {
		p.err = p.cmd.Wait()
		p.cancel()
	})
	return p.cmd.ProcessState
}

// exit is the exit code of the process; -1 if a signal ended it.
func (p *process) exit() int { return p.wait().ExitCode() }

// killed reports whether SIGKILL ended the process, not its own will.
func (p *process) killed() bool {
	status, ok := p.wait().Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// kill sends SIGKILL to the process group, unless the process was waited for.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		p.wait()
	}
}

func (p *process) stdout() string { return p.output(".out") }
func (p *process) stderr() string { return p.output(".err") }

func (p *process) output(name string) string {
	text, err := os.ReadFile(p.base + name)
	if err != nil {
		return err.Error()
	}
	return string(text)
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

// serve starts a sandbox in a process of its own and waits until it serves.
func (l *lab) serve() {
	l.t.Helper()
	l.start(nil, "sandbox", "--root", l.path("sandbox"))
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

// event is a stored event. Its text is compared as it was printed.
type event struct {
	Seq      int64  `json:"seq"`
	Epoch    int64  `json:"epoch"`
	Kind     string `json:"kind"`
	Step     string `json:"step"`
	Attempt  int    `json:"attempt"`
	Data     data   `json:"data"`
	original string
}

// data is what these tests need of the payloads.
type data struct {
	State string `json:"state"`
	K     int    `json:"k"`
}

// events reads what is stored of a run.
func (l *lab) events(run string) []event {
	l.t.Helper()
	var events []event
	for line := range strings.Lines(l.run("runs", "events", run, "--output", "json")) {
		e := event{original: line}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			l.t.Fatalf("%v: %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// listed is a run as lists print it.
type listed struct {
	ID          string `json:"id"`
	State       string `json:"state"`
	Live        bool   `json:"live"`
	Interrupted bool   `json:"interrupted"`
}

func (l *lab) list() []listed {
	l.t.Helper()
	var list []listed
	if err := json.Unmarshal([]byte(l.run("runs", "list", "--output", "json")), &list); err != nil {
		l.t.Fatal(err)
	}
	return list
}

// shown is a run as `runs show` prints it.
type shown struct {
	State     string `json:"state"`
	Attention []struct {
		Step string `json:"step"`
	} `json:"attention"`
	Outputs struct {
		JSON map[string]any `json:"json"`
	} `json:"outputs"`
}

func (l *lab) show(run string) shown {
	l.t.Helper()
	var s shown
	if err := json.Unmarshal([]byte(l.run("runs", "show", run, "--output", "json")), &s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// lines reads the lines of a file of the lab; none if there is no such file.
// The last one may be in the middle of being written.
func (l *lab) lines(name string) []string {
	l.t.Helper()
	text, err := os.ReadFile(l.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1])); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// start is a line of the ledger: a payload, and the job it is in.
type start struct{ name, job string }

// ledger lists the payloads that were started, in that order.
func (l *lab) ledger() []start {
	l.t.Helper()
	var starts []start
	for _, line := range l.lines("ledger") {
		name, job, _ := strings.Cut(line, " ")
		starts = append(starts, start{name, job})
	}
	return starts
}

// batchLine is a line of the ledger of the batch system.
type batchLine struct {
	Event string `json:"event"`
	ID    string `json:"id"`
	Name  string `json:"name"`
}

// batch lists what the batch system did.
func (l *lab) batch() []batchLine {
	l.t.Helper()
	var list []batchLine
	for _, line := range l.lines("sandbox/batch/ledger.jsonl") {
		var b batchLine
		if err := json.Unmarshal([]byte(line), &b); err != nil {
			continue // torn by a kill, and written again since
		}
		list = append(list, b)
	}
	return list
}

// downloaded reads the files that a run fetched.
func (l *lab) downloaded() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(l.path("results"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		// Below results/ there is one directory per run.
		_, name, _ := strings.Cut(strings.TrimPrefix(path, l.path("results")+"/"), "/")
		files[name] = string(text)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}

// commit is a line of the log of commits that a process writes before each.
type commit struct {
	Epoch int64    `json:"epoch"`
	Last  int64    `json:"last"`
	Kinds []string `json:"kinds"`
}

func (l *lab) commits() []commit {
	l.t.Helper()
	var commits []commit
	for _, line := range l.lines("commits") {
		var c commit
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			l.t.Fatal(err)
		}
		commits = append(commits, c)
	}
	return commits
}

// lastCommit lists the kinds of events that became durable last.
func (l *lab) lastCommit(stored []event) []string {
	l.t.Helper()
	if len(stored) == 0 {
		return nil
	}
	last := stored[len(stored)-1]
	for _, c := range l.commits() {
		if c.Last == last.Seq && c.Epoch == last.Epoch {
			kinds := slices.Clone(c.Kinds)
			slices.Sort(kinds)
			return slices.Compact(kinds)
		}
	}
	l.t.Fatalf("no commit ends with event %d", last.Seq)
	return nil
}
