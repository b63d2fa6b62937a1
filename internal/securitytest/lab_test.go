package securitytest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/program"
)

// patience is how long a process may take that is waited for. None should come near it.
const patience = 90 * time.Second

// shared is a directory for this test process: for the program, and for sockets,
// whose paths must be short.
var shared string

func TestMain(m *testing.M) { program.Main(m, &shared) }

// root is that of the sources.
const root = "../.."

// bin is the path of fcflow, which is built once.
var bin = sync.OnceValues(func() (string, error) { return program.Build(shared) })

// lab is everything that processes of one test may write to.
type lab struct {
	t       *testing.T
	dir     string
	bin     string
	sockets string // of these processes alone, with a short path

	environment []string // besides the usual variables
	umask       string   // of the processes, if set

	mu        sync.Mutex
	processes []*process
}

func newLab(t *testing.T) *lab {
	t.Helper()
	bin, err := bin()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fcflow-security-") // not of testing.T: jobs may still write there
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp(shared, "")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: dir, bin: bin, sockets: sockets}
	for _, name := range []string{"home/.config/fcflow/secrets", "tmp", "work", "output"} {
		if err := os.MkdirAll(l.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(l.close)
	return l
}

func (l *lab) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.processes {
		p.kill()
		if l.t.Failed() {
			l.t.Logf("%s\n%s%s", p.cmd, end(p.output("out")), end(p.output("err")))
		}
	}
	_ = os.RemoveAll(l.dir)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// write writes a file that only we can read, with $LAB replaced by the directory.
func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(strings.ReplaceAll(text, "$LAB", l.dir)), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) read(name string) string {
	l.t.Helper()
	text, err := os.ReadFile(l.path(name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// run runs fcflow to its end, which must come with an exit code, and returns what
// it printed on both streams.
func (l *lab) run(code int, args ...string) string {
	l.t.Helper()
	p := l.start(nil, args...)
	if got := p.exit(); got != code {
		l.t.Fatalf("%s exits with %d, want %d\n%s%s", p.cmd, got, code, p.output("out"), p.output("err"))
	}
	return p.output("out") + p.output("err")
}

// serve starts a sandbox and waits until clients can log in to it. It returns
// the variables that tell them how.
func (l *lab) serve(args ...string) (*process, map[string]string) {
	l.t.Helper()
	p := l.start(nil, append([]string{"sandbox", "--root", l.path("sandbox"), "--system", "sandbox"}, args...)...)
	l.eventually("a sandbox serves", func() bool { return strings.Contains(p.output("out"), "login ") })
	return p, l.clientEnv()
}

// clientEnv reads how to log in to the sandbox.
func (l *lab) clientEnv() map[string]string {
	l.t.Helper()
	variables := map[string]string{}
	for line := range strings.Lines(l.read("sandbox/client.env")) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		variables[name] = strings.Trim(value, `'"`)
	}
	return variables
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

// process is a running fcflow, in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	base string // of the files with its output
	once sync.Once
}

// start starts fcflow with variables besides those of the lab.
func (l *lab) start(variables []string, args ...string) *process {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &process{base: l.path(fmt.Sprintf("output/%02d.", len(l.processes)))}
	p.cmd = exec.Command(l.bin, args...)
	if l.umask != "" {
		p.cmd = exec.Command("/bin/sh", append([]string{"-c", "umask " + l.umask + `; exec "$0" "$@"`, l.bin}, args...)...)
	}
	p.cmd.Dir = l.path("work")
	p.cmd.Env = append(append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.path("home"), "TMPDIR=" + l.path("tmp"),
		"XDG_RUNTIME_DIR=" + l.sockets, "FCFLOW_STATE_DIR=" + l.path("state"),
	}, l.environment...), variables...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Files, not pipes: nothing that a process leaves behind keeps Wait waiting, and
	// what it printed is an artefact, too.
	for name, stream := range map[string]func(*os.File){
		"out": func(f *os.File) { p.cmd.Stdout = f }, "err": func(f *os.File) { p.cmd.Stderr = f },
	} {
		f, err := os.Create(p.base + name)
		if err != nil {
			l.t.Fatal(err)
		}
		defer f.Close()
		stream(f)
	}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.processes = append(l.processes, p)
	return p
}

// wait waits for the end of the process. One that hangs prints where, and ends.
func (p *process) wait() {
	p.once.Do(func() {
		hangs := time.AfterFunc(patience, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
		_ = p.cmd.Wait() // the state says it
		if !hangs.Stop() {
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what it has started
		}
	})
}

// exit is the exit code of the process; -1 if a signal ended it.
func (p *process) exit() int {
	p.wait()
	return p.cmd.ProcessState.ExitCode()
}

// kill sends SIGKILL to the process group, unless the process was waited for.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		p.wait()
	}
}

// stop asks the process to end, as a person does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.wait()
}

func (p *process) output(name string) string {
	text, err := os.ReadFile(p.base + name)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// end is the end of a text.
func end(text string) string { return text[max(0, len(text)-2000):] }
