package batch

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ProcessRunner runs payloads as processes in a session of their own, so that
// they outlive the sandbox however it ends. A small shell script stands
// between: it holds a lock for as long as it lives, claims the job by mkdir,
// waits for the payload and renames its end record into place. Nothing
// depends on a process id staying unique.
type ProcessRunner struct {
	// Roots, if there are any, are the only folders below which standard files
	// of jobs are opened, /dev/null excepted, whatever links say.
	Roots []string
}

//go:embed wrapper.sh
var wrapper []byte

// Files of a job's folder.
const (
	aliveFile  = "alive"         // locked by the wrapper while it lives
	claimDir   = "started"       // made by the wrapper that may run the payload
	groupFile  = "started/group" // process group of wrapper and payload
	shellFile  = "started/shell" // process id of the batch script
	stepsDir   = "steps"         // one file per process that srun started, named by its id
	endFile    = "end"           // exit status as the shell gives it
	noticeFile = "notice"        // what the wrapper said: that a signal ended the script
	nodesFile  = "nodes"         // the names of the job's nodes, one a line
)

// Start implements Runner.
func (r ProcessRunner) Start(l Launch) error {
	if _, err := os.Stat(filepath.Join(l.Dir, claimDir)); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(l.Dir, stepsDir), 0o700); err != nil {
		return err
	}
	alive, err := os.OpenFile(filepath.Join(l.Dir, aliveFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer alive.Close()
	err = syscall.Flock(int(alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // a wrapper is about to claim it
	}
	if err != nil {
		return err
	}
	if err := writeExecutable(filepath.Join(l.Dir, "slurm_script"), []byte(l.Job.Spec.Script)); err != nil {
		return err
	}
	names, err := Hosts(l.Job.NodeList)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.Dir, nodesFile), []byte(strings.Join(names, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return r.spawn(l, alive)
}

// spawn starts the wrapper with the locked file and the job's standard files.
func (r ProcessRunner) spawn(l Launch, alive *os.File) error {
	path := filepath.Join(l.Dir, "wrapper.sh")
	if err := os.WriteFile(path, wrapper, 0o600); err != nil {
		return err
	}
	notice, err := os.OpenFile(filepath.Join(l.Dir, noticeFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer notice.Close()
	stdin, err := r.open(l.Job.Spec.Stdin, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := r.open(l.Job.Spec.Stdout, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr := stdout
	if l.Job.Spec.Stderr != l.Job.Spec.Stdout {
		if stderr, err = r.open(l.Job.Spec.Stderr, os.O_WRONLY|os.O_CREATE|os.O_TRUNC); err != nil {
			return err
		}
		defer stderr.Close()
	}
	cmd := exec.Command("/bin/sh", path, l.Dir)
	cmd.Dir = l.Cwd
	cmd.Env = l.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, notice
	cmd.ExtraFiles = []*os.File{alive, stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait() // only to reap it: the end record has the result
		l.Ended()
	}()
	return nil
}

// writeExecutable keeps other goroutines from forking while the file is open
// for writing: their child would inherit the descriptor for a moment, and a
// file that somebody can write is refused by exec.
func writeExecutable(path string, data []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, data, 0o700)
}

// open opens a standard file of a job: a regular file below a root, or a device.
// Opening a pipe could block for ever.
func (r ProcessRunner) open(path string, flag int) (*os.File, error) {
	flag |= syscall.O_NONBLOCK
	var (
		f   *os.File
		err error
	)
	if len(r.Roots) == 0 || path == os.DevNull {
		f, err = os.OpenFile(path, flag, 0o644)
	} else {
		f, err = r.openBelow(path, flag)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0 {
		err = fmt.Errorf("open %s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r ProcessRunner) openBelow(path string, flag int) (*os.File, error) {
	real, err := resolveLinks(path)
	if err != nil {
		return nil, err
	}
	for _, dir := range r.Roots {
		top, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(top, real)
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		root, err := os.OpenRoot(top) // holds even if somebody swaps in a link now
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return root.OpenFile(name, flag, 0o644)
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
}

// resolveLinks is path free of links. The file itself need not exist.
func resolveLinks(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// Poll implements Runner.
func (r ProcessRunner) Poll(_ Job, dir string) (End, bool) {
	alive, err := os.Open(filepath.Join(dir, aliveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return End{Kind: NeverStarted}, true
	}
	if err != nil {
		return End{}, false // out of descriptors, say: ask again
	}
	defer alive.Close()
	if syscall.Flock(int(alive.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		return End{}, false
	}
	// Not by Close alone: a child that is being forked may hold a copy.
	_ = syscall.Flock(int(alive.Fd()), syscall.LOCK_UN)
	if end, err := readEnd(dir); err == nil {
		return end, true
	}
	if _, err := os.Stat(filepath.Join(dir, claimDir)); err == nil {
		return End{Kind: Lost}, true
	}
	return End{Kind: NeverStarted}, true
}

func readEnd(dir string) (End, error) {
	path := filepath.Join(dir, endFile)
	status, err := readNumber(path)
	if err != nil {
		return End{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return End{}, err
	}
	end := End{Kind: Exited, ExitCode: status, At: info.ModTime()}
	if notice, err := os.Stat(filepath.Join(dir, noticeFile)); err == nil && notice.Size() > 0 && status > 128 {
		end.ExitCode, end.Signal = 0, status-128
	}
	return end, nil
}

// Kill implements Runner. It fails while the payload is still coming up, and
// does nothing once the wrapper is gone.
func (r ProcessRunner) Kill(job Job, dir string, target Target, sig syscall.Signal) error {
	if _, over := r.Poll(job, dir); over {
		return nil
	}
	group, err := readNumber(filepath.Join(dir, groupFile))
	if err != nil {
		return err
	}
	if target == WholeJob && sig == syscall.SIGKILL {
		return syscall.Kill(-group, sig)
	}
	// Before this is there, nothing but the wrapper would hear of the signal, and
	// it does not mind.
	shell, err := readNumber(filepath.Join(dir, shellFile))
	switch {
	case err != nil:
		return err
	case target == WholeJob:
		return syscall.Kill(-group, sig)
	case target == BatchShell:
		return signalMember(group, shell, sig)
	}
	return signalSteps(group, filepath.Join(dir, stepsDir), sig)
}

func signalSteps(group int, dir string, sig syscall.Signal) error {
	steps, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, step := range steps {
		pid, err := strconv.Atoi(step.Name())
		if err != nil {
			continue
		}
		if err := signalMember(group, pid, sig); err != nil {
			return err
		}
	}
	return nil
}

// signalMember signals a process that is in the process group of the job. One
// that has ended, and one that has got its number since, are left alone.
func signalMember(group, pid int, sig syscall.Signal) error {
	if got, err := syscall.Getpgid(pid); err != nil || got != group {
		return nil
	}
	if err := syscall.Kill(pid, sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func readNumber(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
