package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// AttachError is a command beside a job that failed, or never began. Stderr is
// what srun prints.
type AttachError struct {
	Stderr string
	Status int
}

// Error returns the text of srun.
func (e *AttachError) Error() string { return e.Stderr }

// maxAttachStderr is how much of what an attached command says is kept.
const maxAttachStderr = 64 << 10

// Attach runs a command beside a running job, as srun --overlap does from a
// login node: in the environment and the folder of the job, its output
// discarded. The command is the rest of a line of shell. When ctx ends, and
// when the command is over, nothing of it stays behind. The error is ctx's, or
// an *AttachError.
func (t *Table) Attach(ctx context.Context, system, id, uid, command string) error {
	job, err := t.attachable(system, id, uid)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("srun --jobid=%s --overlap %s", shellQuote(id), command)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = t.workingDir(job), t.environment(job)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	stderr := &bytes.Buffer{}
	cmd.Stderr = &head{stderr, maxAttachStderr}
	if err := cmd.Start(); err != nil {
		return &AttachError{"srun: error: " + err.Error(), 1}
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left in the background
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		status := exit.ExitCode()
		if signal := exit.Sys().(syscall.WaitStatus).Signal(); status < 0 {
			status = 128 + int(signal)
		}
		fmt.Fprintf(stderr, "srun: error: %s: task 0: Exited with exit code %d", firstHost(job), status)
		return &AttachError{stderr.String(), status}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return &AttachError{"srun: error: " + err.Error(), 1}
	}
	return nil
}

// attachable is the running job of that id, which has to be the caller's.
func (t *Table) attachable(system, id, uid string) (Job, error) {
	refuse := func(reason string) error {
		return &AttachError{fmt.Sprintf("srun: error: Unable to confirm allocation for job %s: %s\n"+
			"srun: Check SLURM_JOB_ID environment variable. Expired or invalid job %s", id, reason, id), 1}
	}
	job, known := t.Get(system, id)
	switch {
	case !known:
		return Job{}, refuse(string(UnknownJob))
	case t.cfg.UID != nil && uid != "0" && uid != t.cfg.UID(job.Spec.User):
		return Job{}, refuse(string(ForeignJob))
	case job.State.Terminal():
		return Job{}, refuse(string(EndedJob))
	case job.State == Pending:
		return Job{}, &AttachError{fmt.Sprintf("srun: error: Unable to create step for job %s: Job is pending execution", id), 1}
	}
	return job, nil
}

func firstHost(job Job) string {
	hosts, err := Hosts(job.NodeList)
	if err != nil || len(hosts) == 0 {
		return job.Spec.System
	}
	return hosts[0]
}

// head keeps the beginning of what is written to it.
type head struct {
	to   *bytes.Buffer
	room int
}

func (h *head) Write(p []byte) (int, error) {
	keep := p[:min(len(p), h.room)]
	h.room -= len(keep)
	h.to.Write(keep)
	return len(p), nil
}
