package jobscript

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPBSOptions(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Resources{
		"": {},
		"-l select=4:ncpus=16:mpiprocs=8:ngpus=1:mem=64gb; -l place=scatter:excl; -l walltime=30:00:01; -q normal; -A csstaff": {
			Nodes: 4, TasksPerNode: 8, CPUsPerTask: 2, GPUsPerNode: 1, Memory: 64 << 30, Time: 30*time.Hour + time.Nanosecond,
			Partition: "normal", Account: "csstaff", Exclusive: true,
		},
		"-l select=1:ncpus=8:mpiprocs=8": {TasksPerNode: 8},
		"-l select=1:ncpus=8":            {Nodes: 1, CPUsPerTask: 8},
		"-l select=1:ngpus=2":            {GPUsPerNode: 2},
		"-l select=1:mem=1537mb":         {Memory: 1537 << 20},
		"-l select=2; -l place=scatter":  {Nodes: 2},
		"-l select=1; -l place=excl":     {Exclusive: true},
		"-l walltime=00:01:30":           {Time: 90 * time.Second},
	} {
		if got, err := r.Options(PBS); err != nil || strings.Join(got, "; ") != want {
			t.Errorf("%+v: %q, %v, want %q", r, got, err, want)
		}
	}
	for says, r := range map[string]Resources{
		"resources.qos":                          {QOS: "high"},
		"resources.constraint":                   {Constraint: "gpu"},
		"a reservation of PBS is a queue":        {Reservation: "R12"},
		"resources.nodes is negative":            {Nodes: -1},
		"a character that a directive":           {Partition: "a b"},
		"tasks_per_node times resources.cpus_pe": {TasksPerNode: 1 << 40, CPUsPerTask: 1 << 40},
	} {
		if got, err := r.Options(PBS); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %q, %v, want %q", r, got, err, says)
		}
	}
}

func TestGiven(t *testing.T) {
	t.Parallel()
	all := Resources{1, 1, 1, 1, 1, 1, "p", "a", "r", "q", "c", true}
	for _, key := range slurmKeys {
		if !all.Given(key) || (Resources{}).Given(key) {
			t.Errorf("%s: %v with all, %v with none", key, all.Given(key), Resources{}.Given(key))
		}
	}
}

func TestCheckPBS(t *testing.T) {
	t.Parallel()
	given := func(key string) bool { return key == "nodes" || key == "time" || key == "account" }
	tests := map[string]string{ // directive → what the problem says, "" = none
		"-N name":                           "-N is not allowed",
		"-Nname":                            "-N is not allowed",
		"-o out":                            "-o is",
		"-e err":                            "-e is",
		"-j oe":                             "-j is",
		"-k oe":                             "-k is",
		"-J 1-3":                            "-J is",
		"-h":                                "-h is",
		"-V":                                "-V is",
		"-fV":                               "-V is",
		"-v A=1":                            "-v is",
		"-r y":                              "-r is",
		"-I":                                "-I is",
		"-X":                                "-X is",
		"-z":                                "-z is",
		"-C '#X'":                           "-C is",
		"-S /bin/zsh":                       "-S is",
		"-W block=true":                     "-W block is",
		"-W umask=022,block=true":           "-W block is",
		"-l select=2:ncpus=4":               "-l select repeats resources.nodes",
		"-lselect=2":                        "-l select repeats resources.nodes",
		"-l mem=4gb":                        "-l mem repeats resources.nodes",
		"-l place=pack":                     "-l place repeats resources.nodes",
		"-q long -l fast=true,walltime=600": "-l walltime repeats resources.time",
		"-A me":                             "-A repeats resources.account",
		"-P me":                             "-P repeats resources.account",
		"select=2":                          `"select=2" is not an option of qsub`,
		"--gres=gpu:1":                      `"--gres=gpu:1" is not an option of qsub`,
		`-m abe \`:                          "ends on its line",
		"-q long":                           "",
		"-l filesystems=home":               "",
		"-W depend=afterok:12.server":       "",
		"-m abe -M me@example.org":          "",
		"-p 100 -a 0800":                    "",
	}
	for text, want := range tests {
		for indent, scheduler := range map[string]Scheduler{"": PBS, "  ": Unknown} {
			script := "#!/bin/bash\n# first\n" + indent + "#PBS " + text + "\n\necho\n#PBS -N late\n"
			checkProblem(t, CheckScript(scheduler, script, given), 3, text, want)
		}
		if strings.HasPrefix(text, "-") {
			checkProblem(t, CheckDirectives(PBS, []string{text}, given), 0, text, want)
		}
	}
}

func checkProblem(t *testing.T, problems []Problem, line int, text, want string) {
	t.Helper()
	switch {
	case want == "" && len(problems) > 0:
		t.Errorf("%q: %v", text, problems)
	case want != "" && len(problems) == 0:
		t.Errorf("%q is accepted, want %q", text, want)
	case want != "":
		if p := problems[0]; !strings.Contains(p.Message, want) || p.Line != line || p.Hint == "" {
			t.Errorf("%q: %+v, want line %d and %q", text, p, line, want)
		}
	}
}

// TestOtherScheduler reads scripts and lists for a scheduler that they were not
// written for, or that is not known.
func TestOtherScheduler(t *testing.T) {
	t.Parallel()
	const slurm, pbs = "#!/bin/sh\n#SBATCH -N 2\n", "#!/bin/sh\n#PBS -l nodes=2\n"
	for _, test := range []struct {
		scheduler Scheduler
		script    string
		want      string
	}{
		{Slurm, slurm, ""},
		{PBS, pbs, ""},
		{Slurm, "#!/bin/sh\n#PBS -N x\n#SBATCH -N 2\n", ""},
		{PBS, "#!/bin/sh\n#SBATCH -J x\n#PBS -q x\n", ""},
		{Unknown, slurm + "#PBS -q x\n", ""},
		{Slurm, pbs, "#PBS is not read by sbatch"},
		{PBS, slurm, "#SBATCH is not read by qsub"},
		{Unknown, "#!/bin/sh\n#PBS -N x\n#SBATCH -N 2\n", "-N is not allowed"},
		{Slurm, "#!/bin/sh\n#SBATCH -l select=2\n", "-l is an option of qsub"},
		{Slurm, "#!/bin/sh\n#PBSPro is not what we have\n", ""},
	} {
		checkProblem(t, CheckScript(test.scheduler, test.script, nil), 2, test.script, test.want)
	}
	for _, test := range []struct {
		scheduler Scheduler
		text      string
		want      string
	}{
		{Unknown, "-W depend=afterok:1", ""},
		{Unknown, "-N 2", "--nodes"},
		{Unknown, "-p 2", ""},
		{Unknown, "-o out", "--output"},
		{Unknown, "--parsable", "--parsable"},
		{Unknown, "-lnodes=2", "-l nodes repeats"},
		{Unknown, "#PBS -q x", "leave #PBS out"},
		{PBS, "#SBATCH -q x", "leave #SBATCH out"},
		{PBS, "q", "not an option of qsub"},
		{PBS, "-q a\n-q b", "not an option of qsub"},
		{Slurm, "-lnodes=2", "-l is an option of qsub"},
	} {
		given := func(key string) bool { return key == "nodes" }
		checkProblem(t, CheckDirectives(test.scheduler, []string{test.text}, given), 0, test.text, test.want)
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		script string
		list   []string
		want   Scheduler
	}{
		{"#!/bin/sh\n", nil, Unknown},
		{"#!/bin/sh\n#SBATCH -N 2\n", nil, Slurm},
		{"#!/bin/sh\n #PBS -q x\n", nil, PBS},
		{"#!/bin/sh\n#PBS -q x\n#SBATCH -N 2\n", nil, Unknown},
		{"", []string{"-q x", "--gres=gpu:1"}, Slurm},
		{"", []string{"-q x", "-lwalltime=1"}, PBS},
		{"", []string{"-q x"}, Unknown},
		{"#!/bin/sh\n#PBS -q x\n", []string{"--gres=gpu:1"}, Unknown},
	} {
		if got := Guess(test.script, test.list); got != test.want {
			t.Errorf("%q and %q: %q, want %q", test.script, test.list, got, test.want)
		}
	}
}

func TestRequestedOfPBS(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]map[string]string{
		"-q long@server -A me":                          {"partition": "long", "account": "me"},
		"-l select=2:ncpus=4+3:mem=1gb:ncpus=1+ncpus=1": {"nodes": "6"},
		"-l nodes=3:ppn=2,walltime=3600":                {"nodes": "3", "time": "0-01:00:00"},
		"-l walltime=26:00:30 -l place=excl":            {"time": "1-02:00:30"},
		"-l walltime=90:00 -P p":                        {"time": "0-01:30:00", "account": "p"},
		"-l walltime=soon":                              {"time": "soon"},
		"-l ncpus=4 -W depend=afterok:1":                {},
	} {
		got := Requested(PBS, "#!/bin/sh\n#PBS "+text+"\n", nil)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(want, Requested(PBS, "", []string{text})); diff != "" {
			t.Errorf("%q in a list (-want +got):\n%s", text, diff)
		}
	}
	both := Requested(Unknown, "#!/bin/sh\n#SBATCH -N 2\n#PBS -q long\n", []string{"-A me"})
	if diff := cmp.Diff(map[string]string{"nodes": "2", "partition": "long", "account": "me"}, both); diff != "" {
		t.Errorf("for either (-want +got):\n%s", diff)
	}
	if !Sets(PBS, "#!/bin/sh\n", []string{"-P me"}, "account") || Sets(PBS, "#!/bin/sh\n#SBATCH -A me\n", nil, "account") {
		t.Error("whether an account is set")
	}
}

func TestRenderRefusesForPBS(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Script{
		"option":    {Payload: []byte("#!/bin/sh\n"), Options: []string{`-m abe\`}},
		"directive": {Payload: []byte("#!/bin/sh\n#PBS -m abe \\\n#PBS -q x\n")},
	} {
		s.Control, s.Token, s.Fence, s.PBS, s.WorkDir = "/c", "f", FenceClaim, true, "/w"
		if text, err := Render(s); err == nil {
			t.Errorf("an %s that goes on in the next line is accepted:\n%s", name, text)
		}
	}
}

// TestPBSJob runs jobs as PBS does, which keeps their output to the end.
func TestPBSJob(t *testing.T) {
	t.Parallel()
	for _, shell := range shells {
		for _, fence := range []Fence{FenceClaim, FenceBlind, FenceOff} {
			s := counting(t, "echo out; echo err >&2; exit 3")
			s.PBS, s.Fence = true, fence
			claim, marker := ".o-123", "x-3.123"
			if fence == FenceOff {
				claim, marker = "", ""
			}
			for range 2 {
				var spool bytes.Buffer
				code := exitCode(startAs(t, "PBS_JOBID=123.server.example.org", shell, render(t, s), &spool).Wait())
				if code != 3 || spool.Len() > 0 || s.link("ftoken") != claim || s.link("ftoken.x") != marker {
					t.Errorf("%s, %s: exit %d, claim %q, marker %q: %s", shell, fence, code, s.link("ftoken"), s.link("ftoken.x"), &spool)
				}
			}
			want := "out\nerr\n"
			if fence == FenceOff {
				want += want // both ran
			}
			if out, err := os.ReadFile(s.Control + "/ftoken.out.123"); string(out) != want || err != nil {
				t.Errorf("%s, %s: output %q, %v", shell, fence, out, err)
			}
			if fence == FenceOff {
				continue
			}
			_ = exitCode(startAs(t, "PBS_JOBID=124.server", shell, render(t, s), nil).Wait())
			if out, err := os.ReadFile(s.Control + "/ftoken.out.124"); !strings.Contains(string(out), "nothing was run") || err != nil {
				t.Errorf("%s, %s: output of another job %q, %v", shell, fence, out, err)
			}
		}
		s := counting(t, "")
		s.PBS, s.Control = true, filepath.Join(s.Control, "purged")
		var spool bytes.Buffer
		if code := exitCode(startAs(t, "PBS_JOBID=9.server", shell, render(t, s), &spool).Wait()); code != 78 || spool.Len() == 0 || s.ran(t) != 0 {
			t.Errorf("%s: without its directory: exit %d, %d runs: %s", shell, code, s.ran(t), &spool)
		}
		if _, err := os.Lstat(s.Control); err == nil {
			t.Errorf("%s: the directory was made", shell)
		}
	}
}
