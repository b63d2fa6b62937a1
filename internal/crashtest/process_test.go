package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a running fcflow, in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	base string // of the files with its output
	once sync.Once
	err  error
}

// start starts fcflow with variables besides the usual ones.
func (l *lab) start(variables []string, args ...string) *process {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &process{base: l.path(fmt.Sprintf("process-%d", len(l.processes)))}
	p.cmd = exec.Command(l.bin, append([]string{"--state-dir", l.path("state")}, args...)...)
	p.cmd.Dir = l.dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "XDG_RUNTIME_DIR=" + shared, "TMPDIR=" + os.TempDir(),
		"FCFLOW_COMMIT_LOG=" + l.path("commits"),
	}, variables...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
		l.t.Fatal(err)
	}
	l.processes = append(l.processes, p)
	return p
}

// wait waits for the end of the process. One that hangs prints where, and ends.
func (p *process) wait() *os.ProcessState {
	p.once.Do(func() {
		hangs := time.AfterFunc(patience, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
		p.err = p.cmd.Wait()
		if !hangs.Stop() {
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what it has started
		}
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
