package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDoom(t *testing.T) {
	t.Parallel()
	var clock clock
	b := newBench(t, func(c *Config) {
		c.Now = clock.now
		c.Doom = func(job Job) (State, time.Duration) { return State(job.Spec.Name), time.Hour }
	})
	for state, want := range map[State]result{
		NodeFail:    {NodeFail, "None", 1, 0},
		BootFail:    {BootFail, "None", 1, 0},
		Preempted:   {Preempted, "None", 0, 0},
		OutOfMemory: {OutOfMemory, "OutOfMemory", 0, 125},
	} {
		id := b.submit(t, "#!/bin/sh\n#SBATCH -J "+string(state)+"\ntouch up-$SLURM_JOB_ID\ntrap '' TERM\nwhile :; do sleep 0.01; done\n")
		b.untilExists(t, "up-"+id)
		clock.forward(time.Hour)
		if diff := cmp.Diff(want, resultOf(b.wait(t, id))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", state, diff)
		}
	}
	id := b.submit(t, "#!/bin/sh\n#SBATCH -J COMPLETED\nexit 3\n")
	if got := b.wait(t, id); got.State != Failed {
		t.Errorf("a job was made to end as %s", got.State)
	}
}

// TestRequeue lets the node under a job fail: the job runs again, in a folder of
// its own and known as restarted, also if the table is reopened meanwhile.
func TestRequeue(t *testing.T) {
	t.Parallel()
	var clock clock
	b := newBench(t, func(c *Config) {
		c.Now = clock.now
		c.Doom = func(job Job) (State, time.Duration) {
			if job.Restarts > 0 {
				return "", 0
			}
			return NodeFail, time.Hour
		}
	})
	id := b.submit(t, "#!/bin/sh\n#SBATCH --requeue\necho \"run ${SLURM_RESTART_COUNT:-0}\" >>runs; : >begun\n"+
		"[ -n \"$SLURM_RESTART_COUNT\" ] || exec sleep 60\nsrun sh -c 'exit 4'\n")
	b.untilExists(t, "begun")
	clock.forward(time.Hour)
	b.reopen(t)
	job := b.wait(t, id)
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 4, 0}, resultOf(job)); diff != "" || job.Restarts != 1 {
		t.Errorf("%d restarts (-want +got)\n%s", job.Restarts, diff)
	}
	runs, err := os.ReadFile(filepath.Join(b.home, "runs"))
	if err != nil || string(runs) != "run 0\nrun 1\n" {
		t.Errorf("runs %q, %v", runs, err)
	}
	ledger, err := os.ReadFile(filepath.Join(b.cfg.Dir, "ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]int{"accepted": 1, "started": 2, "requeued": 1, "ended": 1} {
		if got := strings.Count(string(ledger), `"event":"`+event+`"`); got != want {
			t.Errorf("%d lines %q in the ledger, want %d:\n%s", got, event, want, ledger)
		}
	}
}
