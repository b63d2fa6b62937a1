package batch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestKillWaitsForTheScript: the wrapper comes up first and does not mind
// signals, so one that is sent before the script is there would be lost.
func TestKillWaitsForTheScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	payload := exec.Command("sleep", "600")
	payload.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := payload.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = payload.Wait() })
	t.Cleanup(func() { _ = payload.Process.Kill() })
	if err := os.Mkdir(filepath.Join(dir, claimDir), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name string) *os.File {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if _, err := f.WriteString(strconv.Itoa(payload.Process.Pid) + "\n"); err != nil {
			t.Fatal(err)
		}
		return f
	}
	alive := write(aliveFile)
	if err := syscall.Flock(int(alive.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	write(groupFile)
	if err := (ProcessRunner{}).Kill(Job{}, dir, WholeJob, syscall.SIGTERM); err == nil {
		t.Error("a signal was sent before there was a script")
	}
	write(shellFile)
	if err := (ProcessRunner{}).Kill(Job{}, dir, WholeJob, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = payload.Wait()
	if status := payload.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("the payload ended with %v", status)
	}
}
