package server

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

// TestWhatIsWaitedFor: of jobs the counts and the filter know those that run from
// those in the queue.
func TestWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newWideHost(0)
	step := &h.run.RunView.Steps[0]
	add := func(key string, state workflow.State, reason workflow.WaitReason, job *workflow.JobObserved) {
		u := workflow.UnitView{Step: step.ID, Instance: key, State: state, Attempts: []workflow.AttemptView{{Attempt: 1, Job: job}}}
		if reason != "" {
			u.Wait = &workflow.WaitView{Reason: reason}
		}
		step.Instances = append(step.Instances, u)
	}
	add("done", workflow.Succeeded, "", &workflow.JobObserved{State: "COMPLETED", Active: true, Terminal: true})
	add("new", workflow.Waiting, workflow.WaitJob, nil)
	add("queued", workflow.Waiting, workflow.WaitJob, &workflow.JobObserved{State: "PENDING"})
	add("runs", workflow.Waiting, workflow.WaitJob, &workflow.JobObserved{State: "RUNNING", Active: true})
	add("paused", workflow.Waiting, workflow.WaitJob, &workflow.JobObserved{State: "SUSPENDED", Active: true})
	add("over", workflow.Waiting, workflow.WaitJob, &workflow.JobObserved{State: "COMPLETED", Active: true, Terminal: true})
	add("again", workflow.Waiting, workflow.WaitBackoff, &workflow.JobObserved{State: "FAILED", Active: true, Terminal: true})
	add("asks", workflow.Waiting, workflow.WaitApproval, nil)
	s := NewHost(h)

	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A?fold=true", nil))
	var got foldedRun
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"job": 2, "job_queued": 1, "job_running": 2, "backoff": 1, "approval": 1}
	if !maps.Equal(got.Steps[0].Waits, want) {
		t.Errorf("waits are %v, want %v", got.Steps[0].Waits, want)
	}
	for what, n := range want {
		if part := getWindow(t, s, "waits="+what); part.Total != n {
			t.Errorf("%d instances wait for %s, want %d", part.Total, what, n)
		}
	}
}
