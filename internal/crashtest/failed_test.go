package crashtest

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFailedJob looks at what a person is told of a job that failed.
func TestFailedJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(nil, "run", "failing.yaml", "--sandbox="+l.path("sandbox"))
	if code := p.exit(); code != 4 {
		t.Errorf("it exits with %d", code)
	}
	var run struct {
		State string `json:"state"`
		Steps []struct {
			ID        string `json:"id"`
			State     string `json:"state"`
			Instances []struct {
				Cause    string `json:"cause"`
				Attempts []struct {
					JobID string `json:"job_id"`
				} `json:"attempts"`
			} `json:"instances"`
		} `json:"steps"`
	}
	if err := json.Unmarshal([]byte(l.run("runs", "show", "last", "--output", "json")), &run); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	var job, cause string
	for _, s := range run.Steps {
		states[s.ID] = s.State
		if s.ID == "simulate" {
			job, cause = s.Instances[0].Attempts[0].JobID, s.Instances[0].Cause
		}
	}
	if run.State != "failed" || states["prepare"] != "succeeded" || states["simulate"] != "failed" || states["after"] != "skipped" {
		t.Errorf("the run is %s, its steps are %v", run.State, states)
	}
	if cause != "exit(3)" {
		t.Errorf("cause %q", cause)
	}
	for _, fact := range []string{"simulate failed", "job", job, "exit code 3", "reading the mesh", "the mesh has a hole", "fcflow runs logs"} {
		if fact == "" || !strings.Contains(p.stderr(), fact) {
			t.Errorf("what is printed does not say %q", fact)
		}
	}
	if logs := l.run("runs", "logs", "last", "simulate"); !strings.Contains(logs, "the mesh has a hole") {
		t.Errorf("the log is %q", logs)
	}
}
