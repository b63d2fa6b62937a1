package steps

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

// example runs one of the example workflows to its end.
func example(t *testing.T, s *site, name string) *workflow.Run {
	t.Helper()
	return s.drive(s.create(s.example(name)))
}

// example loads one of the example workflows, whose files are put beside it.
func (s *site) example(name string) *workflow.Workflow {
	s.t.Helper()
	if err := os.CopyFS(s.dir, os.DirFS(examples)); err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		s.t.Fatal(err)
	}
	w, problems := workflow.Load(name, text, s.library, workflow.CheckOptions{DefaultSystem: system, ReadFile: filesIn(examples)})
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	return w
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := example(t, s, "quickstart.yaml")
	out := s.outputs(r, "fetch")
	archive := filepath.Join(s.output, "out.tar.gz")
	if out["path"] != archive || out["verified"] != "sha256" {
		t.Errorf("fetch: %v", out)
	}
	words, err := exec.Command("tar", "-xzOf", archive, "out/words.txt").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(words)), "\n")
	if strings.Join(strings.Fields(first), " ") != "4 in" {
		t.Errorf("words.txt begins with %q", first)
	}
}

func TestDiamond(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := example(t, s, "diamond.yaml")
	if got := s.outputs(r, "together")["stdout"]; got != "sum 55, sum of squares 385" {
		t.Errorf("%q", got)
	}
	if sum := s.outputs(r, "squares")["sum"]; sum != 385.0 {
		t.Errorf("squares: %v", sum)
	}
}

func TestFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := example(t, s, "fails.yaml")
	u := unit(t, r, "simulate")
	if r.State != workflow.RunFailed || u.Cause != "exit(3)" {
		t.Fatalf("run %s\n%s", r.State, states(r))
	}
	id := u.Attempt().Job.JobID
	if !strings.Contains(u.Message, "job "+id+" on one ended FAILED with exit code 3") {
		t.Errorf("message: %s", u.Message)
	}
	want := "step 1: residual 0.1\nstep 2: residual 40.7\nthe model diverged"
	if tail := u.Attempt().End.Tail; tail != want {
		t.Errorf("tail: %q", tail)
	}
	log, err := os.ReadFile(filepath.Join(s.logs, "simulate.1.job.log"))
	if err != nil || string(log) != want+"\n" {
		t.Errorf("log: %q, %v", log, err)
	}
	if cause := unit(t, r, "publish").Cause; cause != workflow.CauseUpstreamFailed {
		t.Errorf("publish: %s", cause)
	}
	if got := s.outputs(r, "report")["stdout"]; got != "simulate failed" {
		t.Errorf("report: %q", got)
	}
}

func TestOtherExamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"files.yaml", "transfers.yaml", "objects.yaml", "jobs.yaml", "control.yaml", "status.yaml", "experiment.yaml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := example(t, newSite(t), name); r.State != workflow.RunSucceeded {
				t.Errorf("%s\n%s", r.State, states(r))
			} else {
				t.Logf("%s", r.Outputs.JSON)
			}
		})
	}
}

// TestWebExample: the service is well, and then it is not, which is told.
func TestWebExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(examples, "web.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var ill atomic.Bool
	w := newWebServer(t, func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, map[bool]string{false: `{"status":"ok"}`, true: `{"status":"ill"}`}[ill.Load()])
	})
	steps := strings.Replace(string(text), `default: ""`, `default: "`+w.URL+`"`, 1)
	steps = strings.Replace(steps, "WEBHOOK", "HOOK", -1)
	for _, want := range []workflow.RunState{workflow.RunSucceeded, workflow.RunFailed} {
		if r, said := local(t, w).drivenFile(steps, w.URL+webSecret); r.State != want {
			t.Errorf("%s, want %s\n%s%s", r.State, want, states(r), said)
		}
		ill.Store(true)
	}
	last := w.all()[len(w.all())-1]
	if len(w.all()) != 3 || !strings.HasPrefix(last.Body, `{"text":"web: ready failed (run `) {
		t.Errorf("%+v", w.all())
	}
}
