package jobscript

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	r := Resources{
		Nodes: 4, TasksPerNode: 8, CPUsPerTask: 2, GPUsPerNode: 1, Memory: 64 << 30, Time: 6*time.Hour + time.Nanosecond,
		Partition: "normal", Account: "csstaff", Reservation: "maint_1", QOS: "high", Constraint: "gpu&[rack1|rack2]", Exclusive: true,
	}
	got, err := r.Options(Slurm)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"--nodes=4", "--ntasks-per-node=8", "--cpus-per-task=2", "--gpus-per-node=1", "--mem=64G", "--time=0-06:00:01",
		"--partition=normal", "--account=csstaff", "--reservation=maint_1", "--qos=high", "--constraint=gpu&[rack1|rack2]", "--exclusive",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := (Resources{}).Options(Slurm); err != nil || got != nil {
		t.Errorf("nothing asked for: %v, %v", got, err)
	}
	for _, r := range []Resources{{Nodes: -1}, {Partition: "a b"}, {QOS: "x\n#SBATCH --hold"}, {Account: "a#b"}} {
		if got, err := r.Options(Slurm); err == nil {
			t.Errorf("%+v gives %v", r, got)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{1: "1K", 1024: "1K", 1025: "2K", 1 << 20: "1M", 3 << 29: "1536M", 1 << 40: "1024G"} {
		if got := strings.ToUpper(memory(bytes)); got != want {
			t.Errorf("%d bytes: %s, want %s", bytes, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Millisecond: "0-00:00:01", 90 * time.Second: "0-00:01:30", 25*time.Hour + 61*time.Second: "1-01:01:01",
	} {
		if got := slurmTime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestCheckScript(t *testing.T) {
	t.Parallel()
	given := func(key string) bool { return key == "nodes" || key == "time" }
	tests := map[string]string{ // directive → what the problem says, "" = none
		"--parsable":           "--parsable",
		"--parsa":              "--parsable",
		"--quiet":              "--quiet",
		"-Q":                   "-Q (--quiet)",
		"-HQ":                  "--hold",
		"--wait":               "--wait",
		"-W":                   "--wait",
		"-J name":              "--job-name",
		"--job-name=x":         "--job-name",
		"-o out":               "--output",
		"-eerr":                "--error",
		"-i in":                "--input",
		"-D /x":                "--chdir",
		"--export=ALL":         "--export",
		"--export NONE":        "--export",
		"--expo=ALL":           "--export",
		"--export-file=f":      "--export-file",
		"--array=1-3":          "--array",
		"-a 1-3":               "--array",
		"-M all":               "--clusters",
		"--hold":               "--hold",
		"--test-only":          "--test-only",
		"--requeue":            "--requeue",
		"hetjob":               "heterogeneous",
		"--gres=gpu:1 -J x":    "--job-name",
		"--nodes=2":            "repeats resources.nodes",
		"-N2":                  "repeats resources.nodes",
		"-t 10":                "repeats resources.time",
		"--partition=normal":   "",
		"--gres=gpu:1":         "",
		"--mail-type=END # -J": "",
		`--comment="-J x -o"`:  "",
		"--exclusive=user":     "",
		"--mem=1G":             "",
		"-n 4":                 "",
	}
	for text, want := range tests {
		script := "#!/bin/bash\n# first\n#SBATCH " + text + "\n\necho\n#SBATCH --parsable\n"
		problems := CheckScript(Slurm, script, given)
		if want == "" {
			if len(problems) > 0 {
				t.Errorf("%q: %v", text, problems)
			}
			continue
		}
		if len(problems) == 0 {
			t.Errorf("%q is accepted, want %q", text, want)
			continue
		}
		if p := problems[0]; !strings.Contains(p.Message, want) || p.Line != 3 || p.Hint == "" {
			t.Errorf("%q: %+v, want line 3 and %q", text, p, want)
		}
	}
	for _, script := range []string{"echo\n", "#!/bin/bash\r\necho\r\n"} {
		if problems := CheckScript(Slurm, script, nil); len(problems) != 1 || problems[0].Line != 1 {
			t.Errorf("%q: %v", script, problems)
		}
	}
}

func TestCheckDirectives(t *testing.T) {
	t.Parallel()
	problems := CheckDirectives(Slurm, []string{"--gres=gpu:2", "#SBATCH --x", "nodes=2", "--a\n--b", "--parsable", "-N 2"}, func(key string) bool { return key == "nodes" })
	var at []int
	for _, p := range problems {
		at = append(at, p.Line)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, at); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, problems)
	}
}

func FuzzDirectives(f *testing.F) {
	f.Add("#!/bin/bash\n#SBATCH -N2 --comment='x\n")
	f.Add("#!/bin/bash\n #PBS -hVl select=2:ncpus=4+1,walltime=1:2:3 -W block='x\n")
	f.Fuzz(func(t *testing.T, script string) {
		for _, scheduler := range []Scheduler{Unknown, Slurm, PBS} {
			for _, p := range CheckScript(scheduler, script, func(string) bool { return true }) {
				if p.Line < 1 || p.Line > strings.Count(script, "\n")+1 {
					t.Errorf("%q: problem at line %d", scheduler, p.Line)
				}
			}
			for key := range Requested(scheduler, script, []string{script}) {
				if !(Resources{1, 1, 1, 1, 1, 1, "p", "a", "r", "q", "c", true}).Given(key) {
					t.Errorf("%q: %q is no key of resources", scheduler, key)
				}
			}
		}
	})
}

func TestSets(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]bool{
		"#!/bin/sh\n#SBATCH -n 4 -A me\n":             true,
		"#!/bin/sh\n#SBATCH --account=me\n":           true,
		"#!/bin/sh\n#SBATCH -n 4\necho\n#SBATCH -A x": false,
	} {
		if got := Sets(Slurm, script, nil, "account"); got != want {
			t.Errorf("%q: %v", script, got)
		}
	}
	if !Sets(Slurm, "#!/bin/sh", []string{"-A me"}, "account") || Sets(Slurm, "#!/bin/sh", []string{"--gres=gpu:1"}, "account") {
		t.Error("the list is not read")
	}
}
