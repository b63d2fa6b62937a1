package batch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waiting is a builtin that ends with exit code 3 once its folder has a file
// "go", and appends a line to "begun" there each time it is called.
func waiting(ctx context.Context, run BuiltinRun) int {
	f, err := os.OpenFile(filepath.Join(run.Dir, "begun"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 98
	}
	_, err = f.WriteString(string(run.Args) + run.Job.ID + "\n")
	if f.Close() != nil || err != nil {
		return 99
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(run.Dir, "go")); err == nil {
			return 3
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 97
		}
	}
}

func withWaiting(c *Config) { c.Builtins = map[string]Builtin{"wait": waiting} }

func (b *bench) submitBuiltin(t *testing.T, name, script string) (id, dir string) {
	t.Helper()
	id = b.submitSpec(t, Spec{Script: script, Builtin: &BuiltinCall{Name: name, Args: []byte(`"a"`)}})
	return id, filepath.Join(b.cfg.Dir, "jobs", id)
}

func untilFile(t *testing.T, path, content string) {
	t.Helper()
	until(t, path, func() bool {
		data, _ := os.ReadFile(path)
		return string(data) == content
	})
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { withWaiting(c); c.Slots = 1 })
	slot := b.submit(t, "#!/bin/sh\ntouch up\nuntil [ -e go ]; do sleep 0.01; done\n")
	b.untilExists(t, "up")
	id, dir := b.submitBuiltin(t, "wait", "#!/bin/sh\n#SBATCH --job-name=fetch\n")
	untilFile(t, filepath.Join(dir, "begun"), `"a"`+id+"\n")
	if job, _ := b.Get("alps", id); job.State != Running || job.Spec.Name != "fetch" {
		t.Errorf("job %s is %s, want fetch RUNNING although all slots are taken", job.Spec.Name, job.State)
	}
	for _, path := range []string{filepath.Join(dir, "go"), filepath.Join(b.home, "go")} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 3, 0}, resultOf(b.wait(t, id))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.wait(t, slot)
}

// TestBuiltinIsRepeated: a table that is opened again starts over what the
// earlier one had not finished, also what is cancelled right away.
func TestBuiltinIsRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t, withWaiting)
	id, dir := b.submitBuiltin(t, "wait", "#!/bin/sh\n")
	line := `"a"` + id + "\n"
	untilFile(t, filepath.Join(dir, "begun"), line)
	b.reopen(t)
	untilFile(t, filepath.Join(dir, "begun"), line+line)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if job := b.wait(t, id); job.State != Failed || job.ExitCode != 3 {
		t.Errorf("ended as %+v", resultOf(job))
	}
	b.reopen(t)
	if job, _ := b.Get("alps", id); job.State != Failed {
		t.Errorf("the end is forgotten: %s", job.State)
	}
}

// TestBuiltinPanics: the job has failed, for good, and others go on.
func TestBuiltinPanics(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Builtins = map[string]Builtin{"panic": func(context.Context, BuiltinRun) int { panic("out of ideas") }}
	})
	id, _ := b.submitBuiltin(t, "panic", "#!/bin/sh\n")
	b.wait(t, id)
	b.reopen(t)
	job, _ := b.Get("alps", id)
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 1, 0}, resultOf(job)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !strings.Contains(job.Detail, "out of ideas") || !strings.Contains(job.Detail, "TestBuiltinPanics") {
		t.Errorf("detail %q, want the panic and where it was", job.Detail)
	}
	b.wait(t, b.submit(t, "#!/bin/sh\n"))
}

func TestBuiltinIsStopped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, builtin, script string
		cancel                bool
		want                  result
	}{
		{"cancelled", "wait", "#!/bin/sh\n", true, result{Cancelled, "None", 0, 15}},
		{"over its limit", "wait", "#!/bin/sh\n#SBATCH --time=10\n", false, result{Timeout, "TimeLimit", 0, 0}},
		{"unknown", "nothing", "#!/bin/sh\n", false, result{Failed, "RaisedSignal:53(Real-time_signal_19)", 0, 53}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var clock clock
			b := newBench(t, func(c *Config) { withWaiting(c); c.Now = clock.now })
			id, dir := b.submitBuiltin(t, test.builtin, test.script)
			if test.builtin == "wait" {
				untilFile(t, filepath.Join(dir, "begun"), `"a"`+id+"\n")
				clock.forward(10 * time.Minute)
			}
			if test.cancel {
				if err := b.Cancel("alps", id, "1000"); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, resultOf(b.wait(t, id))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
