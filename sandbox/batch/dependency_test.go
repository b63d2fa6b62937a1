package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseDependency(t *testing.T) {
	t.Parallel()
	three := 3
	for text, want := range map[string]*dependencies{
		"afterok:1":                   {Conditions: []condition{{Kind: "afterok", Job: "1"}}},
		"afterok:1:2,afterany:3":      {Conditions: []condition{{Kind: "afterok", Job: "1"}, {Kind: "afterok", Job: "2"}, {Kind: "afterany", Job: "3"}}},
		"afterok:1?afternotok:2":      {Any: true, Conditions: []condition{{Kind: "afterok", Job: "1"}, {Kind: "afternotok", Job: "2"}}},
		"after:1+5":                   {Conditions: []condition{{Kind: "after", Job: "1", Delay: 5 * time.Minute}}},
		"singleton":                   {Conditions: []condition{{Kind: "singleton"}}},
		"afterok:12_3,aftercorr:12_*": {Conditions: []condition{{Kind: "afterok", Job: "12", Task: &three}, {Kind: "aftercorr", Job: "12"}}},
		"AFTEROK:1":                   {Conditions: []condition{{Kind: "afterok", Job: "1"}}},
	} {
		got, ok := parseDependency(text)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", text, ok, diff)
		}
	}
	for _, text := range []string{"", "afterok", "afterok:", "afterok:x", "before:1", "afterok:1+2", "singleton:1", "afterok:1,after:2?after:3", "1"} {
		if got, ok := parseDependency(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// TestDependencies submits a job behind one that succeeds, one that fails, one
// that is cancelled and an array that half fails.
func TestDependencies(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	wait := "until [ -e go ]; do sleep 0.01; done\n"
	ids := strings.NewReplacer(
		"GOOD", b.submit(t, "#!/bin/sh\n"+wait),
		"BAD", b.submit(t, "#!/bin/sh\n"+wait+"exit 1\n"),
		"GONE", b.submit(t, "#!/bin/sh\n#SBATCH --hold\n"),
		"HALF", b.submit(t, "#!/bin/sh\n#SBATCH --array=0-1\n"+wait+"exit $SLURM_ARRAY_TASK_ID\n"),
	)
	const unmet = "DependencyNeverSatisfied"
	tests := []struct{ depends, want string }{
		{"afterok:GOOD", "COMPLETED"},
		{"afterok:BAD", unmet},
		{"afterok:GONE", unmet},
		{"afterok:HALF", unmet},
		{"afterok:HALF_0", "COMPLETED"},
		{"afterok:HALF_1", unmet},
		{"afterany:GOOD:BAD:HALF", "COMPLETED"},
		{"afterany:GONE", "COMPLETED"},
		{"afternotok:GOOD", unmet},
		{"afternotok:BAD", "COMPLETED"},
		{"afternotok:HALF", "COMPLETED"},
		{"after:BAD", "COMPLETED"},
		{"after:BAD+600", "Dependency"},
		{"afterok:GOOD,afterok:BAD", unmet},
		{"afterok:GOOD?afterok:BAD", "COMPLETED"},
		{"afterok:BAD?afternotok:GOOD", unmet},
	}
	jobs := make([]string, len(tests))
	for i, tt := range tests {
		jobs[i] = b.submit(t, "#!/bin/sh\n#SBATCH -d "+ids.Replace(tt.depends)+"\n")
	}
	killed := b.submit(t, ids.Replace("#!/bin/sh\n#SBATCH -d afterok:BAD --kill-on-invalid-dep=yes\n"))
	corresponding := b.submit(t, ids.Replace("#!/bin/sh\n#SBATCH --array=0-1 -d aftercorr:HALF\n"))
	b.reopen(t)
	for i, tt := range tests {
		job, _ := b.Get("alps", jobs[i])
		if tt.depends != "after:BAD" && job.State != Pending {
			t.Errorf("%s: %s before anything ended", tt.depends, job.State)
		}
	}
	if err := b.Cancel("alps", ids.Replace("GONE"), "1000"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.home, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outcome := func(id string) string {
		job, _ := b.Get("alps", id)
		if job.State == Pending {
			return job.Reason
		}
		return string(job.State)
	}
	for i, tt := range tests {
		until(t, tt.depends+" to come to "+tt.want, func() bool { return outcome(jobs[i]) == tt.want })
	}
	until(t, "a job to be given up", func() bool { return outcome(killed) == "CANCELLED" })
	parts := b.Find("alps", corresponding)
	until(t, "part 0 to follow part 0", func() bool { return outcome(parts[0].ID) == "COMPLETED" })
	until(t, "part 1 not to follow part 1", func() bool { return outcome(parts[1].ID) == unmet })
}

func TestSingleton(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	script := "#!/bin/sh\n#SBATCH -d singleton -J one\nuntil [ -e go-$SLURM_JOB_ID ]; do sleep 0.01; done\n"
	first, second := b.submit(t, script), b.submit(t, script)
	other := b.submit(t, "#!/bin/sh\n#SBATCH -d singleton -J other\n")
	b.wait(t, other)
	if job, _ := b.Get("alps", second); job.State != Pending || job.Reason != "Dependency" {
		t.Errorf("second is %s (%s) while the first runs", job.State, job.Reason)
	}
	for _, id := range []string{first, second} {
		if err := os.WriteFile(filepath.Join(b.home, "go-"+id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		b.wait(t, id)
	}
}

func TestParseBegin(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 15, 16, 17, 0, time.Local)
	for text, want := range map[string]string{
		"now":                 "2026-03-04 15:16:17",
		"now+60":              "2026-03-04 15:17:17",
		"now+2hours":          "2026-03-04 17:16:17",
		"now+1day":            "2026-03-05 15:16:17",
		"16:00":               "2026-03-04 16:00:00",
		"15:00":               "2026-03-05 15:00:00",
		"3:30pm":              "2026-03-04 15:30:00",
		"noon":                "2026-03-05 12:00:00",
		"teatime":             "2026-03-04 16:00:00",
		"midnight":            "2026-03-05 00:00:00",
		"tomorrow":            "2026-03-05 00:00:00",
		"2026-05-06":          "2026-05-06 00:00:00",
		"2026-05-06T07:08":    "2026-05-06 07:08:00",
		"2026-05-06T07:08:09": "2026-05-06 07:08:09",
	} {
		if got, ok := parseBegin(text, now); !ok || got.Format(time.DateTime) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "later", "now-1", "now+", "now+1year", "now+20000weeks", "25:00", "2026-13-01", "16"} {
		if got, ok := parseBegin(text, now); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// TestBegin keeps a job waiting until its time, across a restart.
func TestBegin(t *testing.T) {
	t.Parallel()
	var clock clock
	b := newBench(t, func(c *Config) { c.Now = clock.now })
	soon, late := b.submit(t, "#!/bin/sh\n#SBATCH -b now+600\n"), b.submit(t, "#!/bin/sh\n#SBATCH --begin=now+1hour\n")
	until(t, "the reason", func() bool {
		job, _ := b.Get("alps", soon)
		return job.Reason == "BeginTime"
	})
	b.reopen(t)
	clock.forward(10 * time.Minute)
	job := b.wait(t, soon)
	if waited := job.Started.Sub(job.Submitted); waited < 10*time.Minute {
		t.Errorf("began after %v, want 10 minutes at least", waited)
	}
	if job, _ := b.Get("alps", late); job.State != Pending {
		t.Errorf("the later one is %s", job.State)
	}
}
