package grouptest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/fcflow/fcflow/internal/program"
)

// shared is a directory for this test process: for the program, and for the
// sockets of runs, whose paths must be short.
var shared string

func TestMain(m *testing.M) { program.Main(m, &shared) }

// bin is the path of fcflow, which is built once.
var bin = sync.OnceValues(func() (string, error) { return program.Build(shared) })

// process is a running fcflow, in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	base string // of the files with its output
	done chan struct{}
}

// start starts fcflow in a directory with its own state. Its output goes to files
// beside it.
func start(bin, dir, name string, args ...string) (*process, error) {
	p := &process{base: filepath.Join(dir, name), done: make(chan struct{})}
	p.cmd = exec.Command(bin, append([]string{"--state-dir", filepath.Join(dir, "state")}, args...)...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + shared, "TMPDIR=" + os.TempDir()}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(p.base + ".out")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	errs, err := os.Create(p.base + ".err")
	if err != nil {
		return nil, err
	}
	defer errs.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, errs
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its state says how it ended
		close(p.done)
	}()
	return p, nil
}

// ended reports whether the process has ended, and with which code; -1 if a signal
// ended it.
func (p *process) ended() (code int, ended bool) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) stdout() string { return read(p.base + ".out") }
func (p *process) stderr() string { return read(p.base + ".err") }

func read(name string) string {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}
