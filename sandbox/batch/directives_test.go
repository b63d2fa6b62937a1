package batch

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDirectives(t *testing.T) {
	t.Parallel()
	base := func(change func(*record)) *record {
		r := &record{Job: Job{Nodes: 1}}
		if change != nil {
			change(r)
		}
		return r
	}
	tests := []struct {
		name, script string
		given        Spec
		want         *record
	}{
		{"none", "#!/bin/sh\necho\n", Spec{}, base(nil)},
		{
			"long", "#!/bin/sh\n#SBATCH --job-name=a --partition=b --account=c --reservation=d --constraint=e\n" +
				"#SBATCH --chdir=/f --input=g --output=h --error=i\n",
			Spec{},
			base(func(r *record) {
				r.Spec = Spec{
					Name: "a", Partition: "b", Account: "c", Reservation: "d", Constraints: "e",
					WorkingDir: "/f", Stdin: "g", Stdout: "h", Stderr: "i",
				}
			}),
		},
		{
			"short", "#!/bin/sh\n#SBATCH -J a -pb -A c -C e\n#SBATCH -D /f -i g -oh -e i -H\n",
			Spec{},
			base(func(r *record) {
				r.Spec = Spec{
					Name: "a", Partition: "b", Account: "c", Constraints: "e",
					WorkingDir: "/f", Stdin: "g", Stdout: "h", Stderr: "i",
				}
				r.Held = true
			}),
		},
		{
			"sizes", "#!/bin/sh\n#SBATCH -N 2-4 -n 16 -c4 --time 1-2:03:04 --signal=B:TERM@30\n",
			Spec{},
			base(func(r *record) {
				r.Nodes, r.Tasks, r.CPUsPerTask = 2, 16, 4
				r.TimeLimit, r.timeGiven = 26*time.Hour+3*time.Minute+4*time.Second, true
				r.Warning = warning{Signal: syscall.SIGTERM, Before: 30 * time.Second, Target: BatchShell}
			}),
		},
		{"last counts", "#!/bin/sh\n#SBATCH -J a\n#SBATCH -J b\n", Spec{}, base(func(r *record) { r.Spec.Name = "b" })},
		{
			"given wins", "#!/bin/sh\n#SBATCH -J a -p b\n",
			Spec{Name: "x"},
			base(func(r *record) { r.Spec = Spec{Name: "x", Partition: "b"} }),
		},
		{
			"stops at a command", "#!/bin/sh\n\n# note\n  # indented\n#SBATCH -J a\necho\n#SBATCH -J b\n",
			Spec{},
			base(func(r *record) { r.Spec.Name = "a" }),
		},
		{"not directives", "#!/bin/sh\n##SBATCH -J a\n #SBATCH -J b\n# SBATCH -J c\n#SBATCHX -J d\n", Spec{}, base(nil)},
		{
			"quotes and comments", "#!/bin/sh\n#SBATCH -J \"two words\" # -p b\n#SBATCH -o a\\ b -e 'it''s'\n",
			Spec{},
			base(func(r *record) { r.Spec = Spec{Name: "two words", Stdout: "a b", Stderr: "its"} }),
		},
		{
			"hardware and policies", "#!/bin/sh\n#SBATCH --no-requeue --gres=gpu:4 --qos high -w nid1 --exclusive --mem 4G -J a\n",
			Spec{},
			base(func(r *record) { r.Spec.Name, r.Spec.QOS = "a", "high" }),
		},
		{"tabs, no end of line", "#!/bin/sh\n#SBATCH\t-J\ta", Spec{}, base(func(r *record) { r.Spec.Name = "a" })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := &record{Job: Job{Nodes: 1}}
			test.given.Script, test.want.Spec.Script = test.script, test.script
			if err := applyDirectives(got, test.given, time.Now()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(record{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseTimeLimit(t *testing.T) {
	t.Parallel()
	valid := map[string]time.Duration{
		"0": 0, "UNLIMITED": 0, "infinite": 0, "-1": 0,
		"15":         15 * time.Minute,
		"90":         90 * time.Minute,
		"1:30":       90 * time.Second,
		"01:02:03":   time.Hour + 2*time.Minute + 3*time.Second,
		"2-3":        51 * time.Hour,
		"2-03:30":    51*time.Hour + 30*time.Minute,
		"1-00:00:01": 24*time.Hour + time.Second,
	}
	for text, want := range valid {
		if got, ok := parseTimeLimit(text); !ok || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "1-", "-", "1:2:3:4", "1-1:2:3:4", ":", "1:", "-5", "+5", "1.5", "5m", " 5", "1--1", "99999999999", "4294967295"} {
		if got, ok := parseTimeLimit(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// Every limit can be written in Slurm's own form and read back.
func FuzzParseTimeLimit(f *testing.F) {
	for _, seed := range []string{"1", "1:2", "1:2:3", "1-2", "1-2:3", "1-2:3:4", "UNLIMITED", "897000:99902870:0", "4294967295-4294967295:4294967295:4294967295"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		limit, ok := parseTimeLimit(text)
		if !ok {
			return
		}
		if limit < 0 {
			t.Fatalf("%q is %v", text, limit)
		}
		s := int64(limit / time.Second)
		written := fmt.Sprintf("%d-%d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
		if again, ok := parseTimeLimit(written); !ok || again != limit {
			t.Fatalf("%q is %v, written %q, read %v, %v", text, limit, written, again, ok)
		}
	})
}

func FuzzDirectives(f *testing.F) {
	f.Add("#!/bin/sh\n#SBATCH -J 'a b' --time=1:00 -N2\n")
	f.Add("#SBATCH -\n#SBATCH -- -J\\\n#SBATCH \"")
	f.Fuzz(func(t *testing.T, script string) {
		opts, err := directives(script)
		if err != nil {
			return
		}
		for _, o := range opts {
			if _, known := longOptions[o.name]; !known {
				t.Fatalf("unknown option %q", o.name)
			}
		}
	})
}

func TestParseWarning(t *testing.T) {
	t.Parallel()
	valid := map[string]warning{
		"USR1":         {Signal: syscall.SIGUSR1, Before: time.Minute, Target: JobSteps},
		"sigint@5":     {Signal: syscall.SIGINT, Before: 5 * time.Second, Target: JobSteps},
		"B:15@0":       {Signal: syscall.SIGTERM, Target: BatchShell},
		"B:SIGXCPU@10": {Signal: syscall.SIGXCPU, Before: 10 * time.Second, Target: BatchShell},
	}
	for text, want := range valid {
		got, ok := parseWarning(text)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", text, ok, diff)
		}
	}
	for _, text := range []string{"", "0", "65", "NOPE", "USR1@", "USR1@x", "USR1@70000", "B:", "X:USR1", "-9"} {
		if got, ok := parseWarning(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestExpandPattern(t *testing.T) {
	t.Parallel()
	spec := Spec{Name: "mesh", User: "alice"}
	tests := map[string]string{
		"slurm-%j.out": "slurm-42.out",
		"%x/%u-%J-%A":  "mesh/alice-42-42",
		"%5j|%2j|%99j": "00042|42|0000000042",
		"%5x":          "mesh",
		"100%%":        "100%",
		"%N %n %t %s":  "nid001 0 0 batch",
		"%q %3q":       "%q %3q",
		"50%":          "50%",
		"50%12":        "50%12",
		`a\b%j`:        "ab%j",
		"":             "",
	}
	for pattern, want := range tests {
		if got := expandPattern(pattern, Job{ID: "42", Spec: spec}); got != want {
			t.Errorf("%q becomes %q, want %q", pattern, got, want)
		}
	}
}
