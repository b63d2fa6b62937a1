package batch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAttach(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.UID = func(user string) string { return map[string]string{"alice": "1000", "bob": "1001"}[user] }
	})
	id := b.submitSpec(t, Spec{Script: "#!/bin/sh\n#SBATCH -J host\ntouch up\nexec sleep 60\n", Env: map[string]string{"K": "v"}})
	held := b.submit(t, "#!/bin/sh\n#SBATCH --hold\n")
	done := b.submit(t, "#!/bin/sh\n")
	b.wait(t, done)
	b.untilExists(t, "up")

	err := b.Attach(t.Context(), "alps", id, "1000", `sh -c 'echo "$SLURM_JOB_ID $SLURM_JOB_NAME $K $PWD" >attached'`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(b.home, "attached"))
	if want := id + " host v " + b.home + "\n"; err != nil || string(got) != want {
		t.Errorf("the command saw %q, %v; want %q", got, err, want)
	}
	const expired = "srun: Check SLURM_JOB_ID environment variable. Expired or invalid job "
	for name, tt := range map[string]struct {
		id, uid, command string
		status           int
		want             string
	}{
		"false":    {id, "1000", "false", 1, "srun: error: nid001: task 0: Exited with exit code 1"},
		"says why": {id, "1000", "sh -c 'echo no >&2; exit 3'", 3, "no\nsrun: error: nid001: task 0: Exited with exit code 3"},
		"unknown":  {"99", "1000", "true", 1, "srun: error: Unable to confirm allocation for job 99: Invalid job id specified\n" + expired + "99"},
		"foreign":  {id, "1001", "true", 1, "srun: error: Unable to confirm allocation for job " + id + ": Access/permission denied\n" + expired + id},
		"over":     {done, "1000", "true", 1, "srun: error: Unable to confirm allocation for job " + done + ": Job/step already completing or completed\n" + expired + done},
		"pending":  {held, "1000", "true", 1, "srun: error: Unable to create step for job " + held + ": Job is pending execution"},
	} {
		var failed *AttachError
		if err := b.Attach(t.Context(), "alps", tt.id, tt.uid, tt.command); !errors.As(err, &failed) || failed.Status != tt.status || failed.Stderr != tt.want {
			t.Errorf("%s: %v, want status %d and %q", name, err, tt.status, tt.want)
		}
	}
}

// TestAttachLeavesNothing ends a command at the deadline, and what another left
// in the background at its end.
func TestAttachLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\ntouch up\nexec sleep 60\n")
	b.untilExists(t, "up")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := b.Attach(ctx, "alps", id, "1000", `sh -c 'while :; do date >late; sleep 0.01; done'`)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if err := b.Attach(t.Context(), "alps", id, "1000", `sh -c 'while :; do date >left; sleep 0.01; done >/dev/null 2>&1 &'`); err != nil {
		t.Error(err)
	}
	// A process that still lives would write its file again in that time.
	if err := b.Attach(t.Context(), "alps", id, "1000", "sh -c 'rm -f late left; sleep 0.2'"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"late", "left"} {
		if _, err := os.Stat(filepath.Join(b.home, name)); err == nil {
			t.Errorf("a process still writes %s", name)
		}
	}
	if job, _ := b.Get("alps", id); job.State != Running {
		t.Errorf("the job is %s", job.State)
	}
}
