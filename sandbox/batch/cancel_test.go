package batch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		want         result
	}{
		{"pending", "#!/bin/sh\n#SBATCH --hold\ntouch ran\n", result{Cancelled, "JobHeldUser", 0, 0}},
		{"running", "#!/bin/sh\ntouch up\nsleep 600\ntouch ran\n", result{Cancelled, "None", 0, 15}},
		{"running, deaf to SIGTERM", "#!/bin/sh\ntrap '' TERM\ntouch up\nsleep 600\ntouch ran\n", result{Cancelled, "None", 0, 9}},
		{"running, tidies up", "#!/bin/bash\ntrap 'touch tidy; exit 4' TERM\ntouch up\nsleep 600 & wait\ntouch ran\n", result{Cancelled, "None", 4, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var change func(*Config)
			if strings.Contains(test.name, "deaf") {
				change = impatient
			}
			b := newBench(t, change)
			id := b.submit(t, test.script)
			if test.name == "pending" {
				until(t, "a reason", func() bool {
					job, _ := b.Get("alps", id)
					return job.Reason == "JobHeldUser"
				})
			} else {
				b.untilExists(t, "up")
			}
			if err := b.Cancel("alps", id, "1000"); err != nil {
				t.Fatal(err)
			}
			if test.name == "pending" {
				if job, _ := b.Get("alps", id); job.State != Cancelled {
					t.Errorf("a pending job is %s after Cancel", job.State)
				}
			}
			job := b.wait(t, id)
			if diff := cmp.Diff(test.want, resultOf(job)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if job.CancelledBy != "1000" {
				t.Errorf("cancelled by %q", job.CancelledBy)
			}
			if _, err := os.Stat(filepath.Join(b.home, "ran")); err == nil {
				t.Error("the script ran to its end")
			}
			if strings.Contains(test.name, "tidies") {
				b.output(t, "tidy")
			}
		})
	}
}

func TestCancelRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.UID = func(user string) string { return map[string]string{"alice": "1000", "bob": "1001"}[user] }
	})
	over := b.submit(t, "#!/bin/sh\n")
	b.wait(t, over)
	held := b.submit(t, "#!/bin/sh\n#SBATCH -H\n")
	tests := []struct{ name, id, uid, want string }{
		{"unknown", "99", "1000", "scancel: Terminating job 99\nscancel: error: Kill job error on job id 99: Invalid job id specified"},
		{"over", over, "1000", "scancel: Terminating job 1\nscancel: error: Kill job error on job id 1: Job/step already completing or completed"},
		{"foreign", held, "1001", "scancel: Terminating job 2\nscancel: error: Kill job error on job id 2: Access/permission denied"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := b.Cancel("alps", test.id, test.uid); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if err := b.Cancel("daint", held, "1000"); err == nil {
		t.Error("a job of alps can be cancelled on daint")
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\n#SBATCH --time=0:01\nsleep 600\n")
	job := b.wait(t, id)
	if diff := cmp.Diff(result{Timeout, "TimeLimit", 0, 0}, resultOf(job)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if ran := job.Ended.Sub(job.Started); ran < time.Second {
		t.Errorf("stopped after %v of 1s", ran)
	}
	if job.TimeLimit != time.Second {
		t.Errorf("limit is %v", job.TimeLimit)
	}
}

func TestSignalBeforeTimeLimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, directive, body string
		want                  result
		output                string
	}{
		{
			"batch shell", "--signal=B:USR1@300",
			"trap 'echo warned; kill $!; exit 6' USR1\ntouch up\nsleep 600 & wait\n",
			result{Failed, "NonZeroExitCode", 6, 0},
			"warned\n",
		},
		{
			"steps only", "--signal=USR1@300",
			"trap 'echo batch shell' USR1\nsrun sh -c 'trap \"echo step; exit 5\" USR1; touch up; sleep 600 & wait'\necho srun $?\n",
			result{Completed, "None", 0, 0},
			"step\nsrun 5\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var clock clock
			b := newBench(t, func(c *Config) { c.Now = clock.now })
			id := b.submit(t, "#!/bin/bash\n#SBATCH -t 10 "+test.directive+"\n"+test.body)
			b.untilExists(t, "up")
			clock.forward(5 * time.Minute)
			job := b.wait(t, id)
			if diff := cmp.Diff(test.want, resultOf(job)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := b.output(t, "slurm-"+id+".out"); got != test.output {
				t.Errorf("output is %q, want %q", got, test.output)
			}
		})
	}
}

func TestRefusedSubmissions(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Admit = func(spec *Spec) error {
			if spec.Partition == "" {
				spec.Partition = "normal"
			}
			if spec.Account != "" && spec.Account != "proj" {
				return &RejectedError{Stderr: "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified"}
			}
			return nil
		}
	})
	tests := []struct{ name, script, want string }{
		{"empty", "", "sbatch: error: Batch script is empty!"},
		{"blank", " \n\t\n", "sbatch: error: Batch script contains only whitespace!"},
		{"no interpreter", "echo hi\n", "sbatch: error: This does not look like a batch script.  The first\n" +
			"sbatch: error: line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh"},
		{"DOS", "#!/bin/sh\r\necho\r\n", "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n" +
			"sbatch: error: instead of expected UNIX line breaks (\\n)."},
		{"NUL", "#!/bin/sh\n\x00", "sbatch: error: The Slurm controller does not allow scripts that\nsbatch: error: contain a NULL character '\\0'."},
		{"time", "#!/bin/sh\n#SBATCH -t soon\n", "sbatch: error: Invalid --time specification"},
		{"nodes", "#!/bin/sh\n#SBATCH -N none\n", `sbatch: error: "none" is not a valid node count`},
		{"tasks", "#!/bin/sh\n#SBATCH --ntasks=0\n", `sbatch: error: Invalid numeric value "0" for --ntasks.`},
		{"cpus", "#!/bin/sh\n#SBATCH -c x\n", `sbatch: error: Invalid numeric value "x" for --cpus-per-task.`},
		{"signal", "#!/bin/sh\n#SBATCH --signal=NOPE@10\n", "sbatch: error: Invalid --signal specification"},
		{"missing value", "#!/bin/sh\n#SBATCH --time\n", "sbatch: option '--time' requires an argument"},
		{"array", "#!/bin/sh\n#SBATCH --array=3-0\n", "sbatch: error: Batch job submission failed: Invalid job array specification"},
		{"begin", "#!/bin/sh\n#SBATCH --begin=soon\n", "sbatch: error: Invalid date/time for --begin: soon"},
		{"dependency", "#!/bin/sh\n#SBATCH -d afterok:999\n", "sbatch: error: Batch job submission failed: Job dependency problem"},
		{
			"admission", "#!/bin/sh\n#SBATCH -A nosuch\n",
			"sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := b.Submit(Spec{System: "alps", User: "alice", WorkingDir: b.home, Script: test.script})
			var refusal *RejectedError
			if !errors.As(err, &refusal) || refusal.Stderr != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	for name, spec := range map[string]Spec{
		"relative folder": {WorkingDir: "work", Script: "#!/bin/sh\n"},
		"no folder":       {Script: "#!/bin/sh\n"},
		"environment":     {WorkingDir: b.home, Script: "#!/bin/sh\n", Env: map[string]string{"A=B": "c"}},
	} {
		spec.System = "alps"
		if _, err := b.Submit(spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if jobs := b.List("alps"); len(jobs) > 0 {
		t.Errorf("%d refused jobs are in the table", len(jobs))
	}
	job := b.wait(t, b.submit(t, "#!/bin/sh\n"))
	if job.Spec.Partition != "normal" || job.Spec.Name != "sbatch" {
		t.Errorf("partition %q, name %q", job.Spec.Partition, job.Spec.Name)
	}
}
