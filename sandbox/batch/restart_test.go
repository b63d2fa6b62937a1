package batch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRunningJobIsPickedUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	script := "#!/bin/sh\ntouch up-$SLURM_JOB_ID\nuntil [ -e open-$SLURM_JOB_ID ]; do sleep 0.01; done\nexit 3\n"
	open := func(id string) {
		if err := os.WriteFile(filepath.Join(b.home, "open-"+id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	during, after := b.submit(t, script), b.submit(t, script)
	held := b.submit(t, "#!/bin/sh\n#SBATCH --hold\n")
	b.untilExists(t, "up-"+during)
	b.untilExists(t, "up-"+after)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(during)
	dir := filepath.Join(b.cfg.Dir, "jobs", during)
	until(t, "the job to end without a table", func() bool {
		_, over := ProcessRunner{}.Poll(Job{}, dir)
		return over
	})
	end, err := readEnd(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.open(t)
	job := b.wait(t, during)
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 3, 0}, resultOf(job)); diff != "" {
		t.Errorf("ended meanwhile (-want +got)\n%s", diff)
	}
	if !job.Ended.Equal(end.At) {
		t.Errorf("ended at %v, found at %v", end.At, job.Ended)
	}
	if job, _ := b.Get("alps", after); job.State != Running {
		t.Errorf("a job that still runs is %s", job.State)
	}
	if job, _ := b.Get("alps", held); job.State != Pending {
		t.Errorf("a held job is %s", job.State)
	}
	open(after)
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 3, 0}, resultOf(b.wait(t, after))); diff != "" {
		t.Errorf("ended afterwards (-want +got)\n%s", diff)
	}
}

func TestTimeLimitAndCancelOutliveTheTable(t *testing.T) {
	t.Parallel()
	b := newBench(t, impatient)
	deaf := "trap '' TERM\ntouch up-$SLURM_JOB_ID\nsleep 600\n"
	limited := b.submit(t, "#!/bin/sh\n#SBATCH -t 0:01\n"+deaf)
	cancelled := b.submit(t, "#!/bin/sh\n"+deaf)
	b.untilRunning(t, limited)
	b.untilExists(t, "up-"+cancelled)
	if err := b.Cancel("alps", cancelled, "1000"); err != nil {
		t.Fatal(err)
	}
	b.reopen(t)
	if job := b.wait(t, cancelled); job.State != Cancelled || job.CancelledBy != "1000" {
		t.Errorf("cancelled before the restart, the job ended %s by %q", job.State, job.CancelledBy)
	}
	if job := b.wait(t, limited); job.State != Timeout {
		t.Errorf("over its limit, the job ended %s", job.State)
	}
}

func TestWrapperKilledIsNodeFail(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\ntouch up\nsleep 600\n")
	b.untilExists(t, "up")
	group, err := readNumber(filepath.Join(b.cfg.Dir, "jobs", id, groupFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if diff := cmp.Diff(result{NodeFail, "None", 1, 0}, resultOf(b.wait(t, id))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A process that died between its decision to start a job and the start leaves
// a record that says RUNNING and nothing else.
func TestDecidedButNotStarted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		stop stop
		want result
		runs string
	}{
		{"is started", stop{}, result{Completed, "None", 0, 0}, "ran\n"},
		{"cancelled, is not", stop{Cause: Cancelled, At: time.Now()}, result{Cancelled, "None", 0, 0}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			id := b.submit(t, "#!/bin/sh\n#SBATCH --hold\necho ran >>runs\n")
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			rec := *b.jobs[id]
			rec.State, rec.Started, rec.Stop = Running, time.Now(), test.stop
			if err := b.disk.save(&rec); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(b.home, "runs"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			b.open(t)
			if diff := cmp.Diff(test.want, resultOf(b.wait(t, id))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := b.output(t, "runs"); got != test.runs {
				t.Errorf("runs: %q, want %q", got, test.runs)
			}
		})
	}
}

func TestStartedTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	dir := filepath.Join(b.root, "job")
	job := Job{Spec: Spec{
		Script: "#!/bin/sh\necho ran\nsleep 0.1\n", WorkingDir: b.home,
		Stdin: os.DevNull, Stdout: filepath.Join(b.home, "out"), Stderr: filepath.Join(b.home, "out"),
	}}
	runner := ProcessRunner{Roots: []string{b.root}}
	for range 10 {
		err := runner.Start(Launch{Job: job, Dir: dir, Env: []string{"PATH=/usr/bin:/bin"}, Ended: func() {}})
		if err != nil {
			t.Error(err)
		}
	}
	until(t, "the payload to end", func() bool {
		_, over := runner.Poll(job, dir)
		return over
	})
	if err := runner.Start(Launch{Job: job, Dir: dir, Ended: func() {}}); err != nil {
		t.Error(err)
	}
	if end, over := runner.Poll(job, dir); !over || end.Kind != Exited {
		t.Errorf("after one more Start it is %+v, %v", end, over)
	}
	if got := b.output(t, "out"); got != "ran\n" {
		t.Errorf("output is %q", got)
	}
}

func TestOpenRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if _, err := Open(b.cfg); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := Open(Config{Dir: t.TempDir()}); err == nil {
		t.Error("opened without a runner")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Submit(Spec{Script: "#!/bin/sh\n"}); err == nil {
		t.Error("a closed table accepts jobs")
	}
	damaged := filepath.Join(b.cfg.Dir, "jobs", "7.json")
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b.cfg); err == nil || !strings.Contains(err.Error(), damaged) {
		t.Errorf("a damaged record: %v", err)
	}
	if err := os.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged+".tmp", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if _, err := os.Stat(damaged + ".tmp"); err == nil {
		t.Error("the remains of an interrupted write are still there")
	}
}

func TestScriptKeepsItsBytes(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	script := "#!/bin/sh\n#SBATCH --hold\necho caf\xe9 \u2028 <&>\n"
	id := b.submit(t, script)
	before, _ := b.Get("alps", id)
	b.reopen(t)
	after, _ := b.Get("alps", id)
	if after.Spec.Script != script {
		t.Errorf("script %q came back as %q", script, after.Spec.Script)
	}
	before.Reason, after.Reason = "", "" // which the watcher may be about to say
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

func TestFoldersArePrivate(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.wait(t, b.submit(t, "#!/bin/sh\n")).ID
	for _, path := range []string{"", "lock", "ledger.jsonl", "bin", "bin/srun", "jobs", "jobs/" + id + ".json", "jobs/" + id} {
		info, err := os.Stat(filepath.Join(b.cfg.Dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q has mode %v", path, info.Mode())
		}
	}
}

func TestLedgerIsCompletedByOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.wait(t, b.submitSpec(t, Spec{Name: "a", Script: "#!/bin/sh\n"}))
	b.wait(t, b.submitSpec(t, Spec{Name: "b", Script: "#!/bin/sh\nexit 1\n"}))
	want := readLedger(t, b.cfg.Dir)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.cfg.Dir, "ledger.jsonl")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		records, err := b.disk.load()
		if err != nil {
			t.Fatal(err)
		}
		ledger, err := openLedger(path, records)
		if err != nil {
			t.Fatal(err)
		}
		ledger.file.Close()
		if diff := cmp.Diff(want, readLedger(t, b.cfg.Dir)); diff != "" {
			t.Fatalf("cut at %d (-whole +restored)\n%s", cut, diff)
		}
	}
}

// readLedger returns the events of every job, as "name: state state state".
func readLedger(t *testing.T, dir string) map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events := map[string]string{}
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		var e entry
		if json.Unmarshal(scanner.Bytes(), &e) == nil {
			if events[e.ID] == "" {
				events[e.ID] = e.Name + ":"
			}
			events[e.ID] += " " + e.Event + "/" + string(e.State)
		}
	}
	return events
}

// submitUntilKilled is the process that TestKilledAtAnyMoment kills: it
// submits jobs, four at a time, prints the id of each that was accepted and
// then lets them run.
func submitUntilKilled(dir string) {
	home := filepath.Join(dir, "home")
	table, err := Open(crashConfig(dir))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("open")
	var submitters sync.WaitGroup
	for range 4 {
		submitters.Go(func() {
			array := "#SBATCH --array=0-1\n"
			for range 8 {
				id, err := table.Submit(Spec{
					System: "alps", User: "alice", WorkingDir: home, Stdout: os.DevNull, Stderr: "%j.err",
					Script: "#!/bin/sh\n" + array + "echo $SLURM_JOB_ID >>runs\nsleep 0.02\n",
				})
				array = ""
				if err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println(id)
			}
		})
	}
	submitters.Wait()
	select {}
}

func crashConfig(dir string) Config {
	return Config{Dir: filepath.Join(dir, "batch"), Runner: ProcessRunner{Roots: []string{dir}}, Slots: 6}
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o700); err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	for range rounds {
		for _, id := range killedSubmitter(t, dir, time.Duration(random.IntN(150_000))*time.Microsecond) {
			if accepted[id] {
				t.Errorf("id %s was given out twice", id)
			}
			accepted[id] = true
		}
	}

	table, err := Open(crashConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}()
	jobs := table.List("alps")
	t.Logf("%d jobs accepted, %d known to their submitter", len(jobs), len(accepted))
	for _, job := range jobs {
		delete(accepted, job.ID)
		if done := ended(t, table, "alps", job.ID); done.State != Completed {
			t.Errorf("job %s ended %s %s %s", job.ID, done.State, done.Reason, done.Detail)
		}
	}
	if len(accepted) > 0 {
		t.Errorf("accepted and lost: %v", accepted)
	}
	data, err := os.ReadFile(filepath.Join(dir, "home", "runs"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, id := range strings.Fields(string(data)) {
		ran[id]++
	}
	ledger := readLedger(t, filepath.Join(dir, "batch"))
	for _, job := range jobs {
		if ran[job.ID] != 1 {
			t.Errorf("job %s ran %d times", job.ID, ran[job.ID])
		}
		if got, want := ledger[job.ID], "sbatch: accepted/PENDING started/RUNNING ended/COMPLETED"; !sameEvents(got, want) {
			t.Errorf("the ledger says of job %s %q", job.ID, got)
		}
	}
	if len(ran) != len(jobs) || len(ledger) != len(jobs) {
		t.Errorf("%d jobs, %d ran, %d in the ledger", len(jobs), len(ran), len(ledger))
	}
}

// sameEvents ignores order: an event whose line was lost is added by Open,
// which can be after the next one.
func sameEvents(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// killedSubmitter runs submitUntilKilled and kills it, with its process group,
// some time after it has opened the table. It returns the ids it printed.
func killedSubmitter(t *testing.T, dir string, after time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BATCH_TEST_SUBMITTER="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch line := lines.Text(); {
		case line == "open":
			time.AfterFunc(after, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		case strings.HasPrefix(line, "error"):
			t.Errorf("submitter: %s", line)
		default:
			ids = append(ids, line)
		}
	}
	_ = cmd.Wait()
	return ids
}
