package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// failingFlow has steps that may be done twice.
const failingFlow = `version: 1
name: flow
concurrency: { group: one, limit: 1 }
steps:
  - { id: first, uses: sleep, with: { duration: 1ms } }
  - { id: second, uses: sleep, needs: first, with: { duration: 1ms } }
finally:
  - { id: last, uses: sleep, with: { duration: 1ms } }
outputs: { said: well }
`

// commandAt runs a command line on the state directory of a directory, one commit of
// which fails.
func commandAt(t *testing.T, dir, point string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	env := map[string]string{"HOME": dir, "FCFLOW_STATE_DIR": filepath.Join(dir, "state"), crashVariable: point}
	root := newRootCommand(newApp(console.Plain(nil, &out, new(bytes.Buffer)), func(name string) string { return env[name] }))
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

// checkSummaries compares what lists show of the runs that are over with their
// histories.
func checkSummaries(t *testing.T, dir string) {
	t.Helper()
	a, _, _ := testApp(t)
	st, err := store.Open(filepath.Join(dir, "state"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	runs, _, err := st.Recent(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range runs {
		run, err := a.stored(t.Context(), st, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if l.Err != nil || l.Seq > run.Seq || l.State.Terminal() && l.State != run.State {
			t.Errorf("the summary of the run of %s says %s at %d (%v), its history %s at %d", l.Workflow, l.State, l.Seq, l.Err, run.State, run.Seq)
		}
	}
}

// TestCommitFails: whichever commit of a run fails, no summary and no output says more
// than is stored, and the run can be resumed to its end.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	flow := filepath.Join(dir, "flow.yaml")
	if err := os.WriteFile(flow, []byte(failingFlow), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
			t.Fatal(err)
		}
		out, err := commandAt(t, dir, fmt.Sprintf("commit:%d:fail", n), "run", flow, "--output", "json")
		if err != nil && (outcomeOf(err).code != "error" || !strings.Contains(err.Error(), errMadeToFail.Error())) {
			t.Fatalf("commit %d: %v", n, err)
		}
		if said := strings.Contains(out, `"state":"succeeded"`) || strings.Contains(out, `"state": "succeeded"`); said != (err == nil) {
			t.Errorf("commit %d: %v, and it says:\n%s", n, err, out)
		}
		checkSummaries(t, dir)
		if err == nil {
			if n < 5 {
				t.Fatalf("there are only %d commits", n-1)
			}
			return
		}
		if _, err := commandAt(t, dir, "", "resume", "--all"); err != nil {
			t.Errorf("commit %d: resume: %v", n, err)
		}
		checkSummaries(t, dir)
		out, err = commandAt(t, dir, "", "runs", "list", "--output", "json")
		if err != nil || strings.Contains(out, `"interrupted":true`) || n > 1 && !strings.Contains(out, string(workflow.RunSucceeded)) {
			t.Errorf("commit %d: after resume: %v\n%s", n, err, out)
		}
	}
}

// TestServeCommitFails: a server whose run could not record its end leaves the run for
// the next start.
func TestServeCommitFails(t *testing.T) {
	t.Parallel()
	h, err := openTestHost(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h.begin(t.Context())
	h.session.runs = crashStore{h.session.runs, &crash{what: "run.finished", at: 1, fail: true}}
	id := startOn(t, h, failingFlow)
	h.driving.wait()
	l, err := h.session.store.Summary(t.Context(), id)
	if err != nil || l.State.Terminal() || !exists(h.markFile(id)) {
		t.Errorf("the summary says %s (%v), marked: %v", l.State, err, exists(h.markFile(id)))
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}
