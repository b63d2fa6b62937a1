package batch

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("BATCH_TEST_SUBMITTER"); dir != "" {
		submitUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// bench is a table with a root of its own and a home for its one user.
type bench struct {
	*Table
	root, home string
	cfg        Config
}

// impatient is for scripts that do not listen to SIGTERM.
func impatient(c *Config) { c.KillWait = 200 * time.Millisecond }

// clock is a clock that a test can put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	root := t.TempDir()
	b := &bench{root: root, home: filepath.Join(root, "home", "alice")}
	if err := os.MkdirAll(b.home, 0o700); err != nil {
		t.Fatal(err)
	}
	b.cfg = Config{
		Dir:    filepath.Join(root, "batch"),
		Runner: ProcessRunner{Roots: []string{filepath.Join(root, "home")}},
		Home:   func(user string) string { return filepath.Join(root, "home", user) },
	}
	if change != nil {
		change(&b.cfg)
	}
	b.open(t)
	t.Cleanup(func() { b.clear(t) })
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	table, err := Open(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Table = table
}

func (b *bench) reopen(t *testing.T) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
}

// clear leaves no process behind: goleak and the removal of the root both mind.
func (b *bench) clear(t *testing.T) {
	for _, job := range b.List("alps") {
		if !job.State.Terminal() {
			_ = b.Cancel("alps", job.ID, "0")
			b.wait(t, job.ID)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func (b *bench) submit(t *testing.T, script string) string {
	t.Helper()
	return b.submitSpec(t, Spec{Script: script})
}

func (b *bench) submitSpec(t *testing.T, spec Spec) string {
	t.Helper()
	spec.System, spec.User = "alps", "alice"
	if spec.WorkingDir == "" {
		spec.WorkingDir = b.home
	}
	id, err := b.Submit(spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) wait(t *testing.T, id string) Job {
	t.Helper()
	return ended(t, b.Table, "alps", id)
}

// ended is a job once it is over.
func ended(t *testing.T, table *Table, system, id string) (job Job) {
	t.Helper()
	until(t, "the end of job "+id, func() bool {
		var found bool
		if job, found = table.Get(system, id); !found {
			t.Fatalf("no job %s on %s", id, system)
		}
		return job.State.Terminal()
	})
	return job
}

// output is a file below the home, once the job or the script has made it.
func (b *bench) output(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.home, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// until waits for something that a process outside this one does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

func (b *bench) untilExists(t *testing.T, name string) {
	t.Helper()
	until(t, name, func() bool {
		_, err := os.Stat(filepath.Join(b.home, name))
		return err == nil
	})
}

func (b *bench) untilRunning(t *testing.T, id string) {
	t.Helper()
	until(t, "job "+id+" to run", func() bool {
		job, _ := b.Get("alps", id)
		return job.State == Running
	})
}

// result is the part of a job that says how it ended.
type result struct {
	State            State
	Reason           string
	ExitCode, Signal int
}

func resultOf(j Job) result { return result{j.State, j.Reason, j.ExitCode, j.Signal} }

func TestEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		want         result
	}{
		{"success", "#!/bin/sh\nexit 0\n", result{Completed, "None", 0, 0}},
		{"failure", "#!/bin/sh\nexit 3\n", result{Failed, "NonZeroExitCode", 3, 0}},
		{"exit code above 128", "#!/bin/sh\nexit 137\n", result{Failed, "NonZeroExitCode", 137, 0}},
		{"killed", "#!/bin/sh\nkill -KILL $$\n", result{Failed, "RaisedSignal:9(Killed)", 0, 9}},
		{"terminated", "#!/bin/sh\nkill -TERM $$\n", result{Failed, "RaisedSignal:15(Terminated)", 0, 15}},
		{"killed below the script", "#!/bin/sh\nsh -c 'kill -KILL $$'\n", result{Failed, "NonZeroExitCode", 137, 0}},
		{"no such interpreter", "#!/no/such/shell\n", result{Failed, "NonZeroExitCode", 127, 0}},
		{"whole group killed", "#!/bin/sh\nkill -KILL 0\n", result{NodeFail, "None", 1, 0}},
	}
	b := newBench(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			job := b.wait(t, b.submit(t, test.script))
			if diff := cmp.Diff(test.want, resultOf(job)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if job.Submitted.After(job.Started) || job.Started.After(job.Ended) {
				t.Errorf("times out of order: %v, %v, %v", job.Submitted, job.Started, job.Ended)
			}
		})
	}
}

// The shell behind /bin/sh differs between machines, and the end record
// depends on what it prints.
func TestWrapperUnderEveryShell(t *testing.T) {
	t.Parallel()
	shells := [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}, {"ksh"}, {"zsh", "--emulate", "sh"}}
	scripts := map[string]End{
		"exit 0":                          {},
		"exit 137":                        {ExitCode: 137},
		"kill -KILL $$":                   {Signal: 9},
		"kill -TERM $$":                   {Signal: 15},
		"kill -USR1 $$":                   {Signal: int(syscall.SIGUSR1)},
		"kill -TERM 0; exit 7":            {Signal: 15},
		"trap '' TERM; kill 0":            {},
		"trap 'exit 5' INT; kill -INT $$": {ExitCode: 5},
	}
	for _, shell := range shells {
		program, err := exec.LookPath(shell[0])
		if err != nil {
			continue
		}
		for script, want := range scripts {
			t.Run(shell[0]+"/"+script, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := writeExecutable(filepath.Join(dir, "slurm_script"), []byte("#!/bin/sh\n"+script+"\n")); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "wrapper.sh")
				if err := os.WriteFile(path, wrapper, 0o600); err != nil {
					t.Fatal(err)
				}
				notice, err := os.Create(filepath.Join(dir, noticeFile))
				if err != nil {
					t.Fatal(err)
				}
				defer notice.Close()
				null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer null.Close()
				cmd := exec.Command(program, append(slices.Clone(shell[1:]), path, dir)...)
				cmd.Env = []string{"PATH=/nonsense"}
				cmd.Stderr = notice
				cmd.ExtraFiles = []*os.File{null, null}
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				_ = cmd.Run()
				got, err := readEnd(dir)
				if err != nil {
					t.Fatal(err)
				}
				got.At = time.Time{}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
}

func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(b.home, "way-out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "target"), filepath.Join(b.home, "link.out")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(b.home, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		spec   Spec
		detail string
	}{
		{"working directory missing", Spec{WorkingDir: b.home + "/gone"}, "no such file or directory"},
		{"working directory a file", Spec{WorkingDir: "/bin/sh", Stdout: os.DevNull}, "not a directory"},
		{"output folder missing", Spec{Stdout: "no/such/out"}, "no such file or directory"},
		{"input missing", Spec{Stdin: "no-input"}, "no such file or directory"},
		{"output outside the roots", Spec{Stdout: outside + "/x.out"}, "permission denied"},
		{"output next to the roots", Spec{Stdout: b.root + "/x.out"}, "permission denied"},
		{"output through a linked folder", Spec{Stdout: "way-out/x.out"}, "permission denied"},
		{"output through a link", Spec{Stdout: "link.out"}, "escapes"},
		{"error output outside the roots", Spec{Stderr: "../../../x.err"}, "permission denied"},
		{"input is a pipe", Spec{Stdin: "pipe"}, "not a regular file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spec.Script = "#!/bin/sh\ntouch " + b.home + "/ran\n"
			job := b.wait(t, b.submitSpec(t, test.spec))
			want := result{Failed, "RaisedSignal:53(Real-time_signal_19)", 0, 53}
			if diff := cmp.Diff(want, resultOf(job)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !strings.Contains(job.Detail, test.detail) {
				t.Errorf("detail %q does not say %q", job.Detail, test.detail)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(b.home, "ran")); err == nil {
		t.Error("a script ran all the same")
	}
	if entries, _ := os.ReadDir(outside); len(entries) > 0 {
		t.Errorf("%s was written outside the root", entries[0].Name())
	}
}

func TestStandardFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if err := os.WriteFile(filepath.Join(b.home, "in.txt"), []byte("fed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncat\necho out\necho err >&2\npwd\n"

	id := b.submit(t, script)
	job := b.wait(t, id)
	if got, want := b.output(t, "slurm-"+id+".out"), "out\nerr\n"+b.home+"\n"; got != want {
		t.Errorf("default output is %q, want %q", got, want)
	}
	if job.Spec.Stdout != filepath.Join(b.home, "slurm-"+id+".out") || job.Spec.Stderr != job.Spec.Stdout || job.Spec.Stdin != os.DevNull {
		t.Errorf("standard files are %q, %q, %q", job.Spec.Stdin, job.Spec.Stdout, job.Spec.Stderr)
	}

	id = b.submitSpec(t, Spec{Script: script, Name: "mesh", Stdin: "in.txt", Stdout: "%x-%u.%j", Stderr: "100%%.err"})
	b.wait(t, id)
	if got, want := b.output(t, "mesh-alice."+id), "fed\nout\n"+b.home+"\n"; got != want {
		t.Errorf("output is %q, want %q", got, want)
	}
	if got := b.output(t, "100%.err"); got != "err\n" {
		t.Errorf("error output is %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.UID = func(string) string { return "4711" } })
	id := b.submitSpec(t, Spec{
		Name: "env", Partition: "normal", Account: "proj",
		Env:    map[string]string{"GREETING": "hello, world", "SLURM_JOB_ID": "666", "HOME": "/elsewhere"},
		Script: "#!/usr/bin/env -S /bin/sh\n#SBATCH -N 2 -n 8 --cpus-per-task=3\nenv\n",
	})
	b.wait(t, id)
	got := strings.Split(strings.TrimSpace(b.output(t, "slurm-"+id+".out")), "\n")
	slices.Sort(got)
	got = slices.DeleteFunc(got, func(s string) bool { // what shells add
		return strings.HasPrefix(s, "PWD=") || strings.HasPrefix(s, "OLDPWD=") || strings.HasPrefix(s, "SHLVL=") || strings.HasPrefix(s, "_=")
	})
	want := []string{
		"GREETING=hello, world", "HOME=/elsewhere", "LOGNAME=alice",
		"PATH=" + b.cfg.Dir + "/bin:/usr/local/bin:/usr/bin:/bin", "SHELL=/bin/bash",
		"SLURM_CLUSTER_NAME=alps", "SLURM_CPUS_PER_TASK=3", "SLURM_JOBID=" + id, "SLURM_JOB_ACCOUNT=proj", "SLURM_JOB_ID=" + id,
		"SLURM_JOB_NAME=env", "SLURM_JOB_NODELIST=nid[001-002]", "SLURM_JOB_NUM_NODES=2", "SLURM_JOB_PARTITION=normal",
		"SLURM_JOB_UID=4711", "SLURM_JOB_USER=alice", "SLURM_NNODES=2", "SLURM_NTASKS=8", "SLURM_SUBMIT_DIR=" + b.home, "USER=alice",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	id = b.submit(t, "#!/bin/sh\necho $F7T_version $HOME\n")
	b.wait(t, id)
	if got, want := b.output(t, "slurm-"+id+".out"), "v2.0.0 "+b.home+"\n"; got != want {
		t.Errorf("without an environment the job prints %q, want %q", got, want)
	}
}

func TestSlotsAreServedInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Slots = 1 })
	gate := b.submit(t, "#!/bin/sh\nuntil [ -e open ]; do sleep 0.01; done\n")
	b.untilRunning(t, gate)
	var ids []string
	for range 5 {
		ids = append(ids, b.submit(t, "#!/bin/sh\necho $SLURM_JOB_ID >>order\n"))
	}
	until(t, "a reason", func() bool {
		job, _ := b.Get("alps", ids[4])
		return job.Reason == "Resources"
	})
	if job, _ := b.Get("alps", ids[0]); job.State != Pending {
		t.Errorf("with one slot a second job is %s", job.State)
	}
	if err := os.WriteFile(filepath.Join(b.home, "open"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if job := b.wait(t, id); job.State != Completed {
			t.Errorf("job %s ended %s", id, job.State)
		}
	}
	if diff := cmp.Diff(ids, strings.Fields(b.output(t, "order"))); diff != "" {
		t.Errorf("order of execution (-want +got)\n%s", diff)
	}
}

func TestListIsPerSystemAndComplete(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var ids []string
	for range 12 {
		ids = append(ids, b.submit(t, "#!/bin/sh\n"))
	}
	other, err := b.Submit(Spec{System: "daint", User: "alice", WorkingDir: b.home, Script: "#!/bin/sh\n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Get("alps", other); ok {
		t.Error("a job of daint is visible on alps")
	}
	ended(t, b.Table, "daint", other)
	for _, id := range ids {
		b.wait(t, id)
	}
	b.reopen(t)
	var got []string
	for _, job := range b.List("alps") {
		got = append(got, job.ID)
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if id := b.submit(t, "#!/bin/sh\n"); id != "14" {
		t.Errorf("the job after 13 has id %s", id)
	}
}

func TestLeftoversDieWithTheJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\nsleep 600 &\necho $! >pid\n")
	if job := b.wait(t, id); job.State != Completed {
		t.Errorf("the job ended %s", job.State)
	}
	pid, err := readNumber(filepath.Join(b.home, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the process left in the background to die", func() bool {
		// Reparented, it may stay a zombie where nobody collects it.
		state, _ := exec.Command("ps", "-o", "stat=", "-p", strings.TrimSpace(b.output(t, "pid"))).Output()
		return syscall.Kill(pid, 0) != nil || strings.HasPrefix(string(state), "Z")
	})
}
