package workflow

import (
	"maps"
	"testing"
)

// TestSummaryOfWaits: the summary tells a job that runs from one in the queue.
func TestSummaryOfWaits(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	waits := func(want string) {
		t.Helper()
		if got := h.run.Summarize().Waits; want == "" && got != nil || want != "" && !maps.Equal(got, map[string]int{want: 1}) {
			t.Errorf("waits are %v, want %q", got, want)
		}
	}
	h.must("c", 1, &AttemptStarted{})
	waits("")
	h.must("c", 1, &AttemptWaiting{Reason: WaitJob})
	waits("job")
	for _, c := range []struct {
		job  JobObserved
		want string
	}{
		{JobObserved{JobID: "7", State: "PENDING"}, "job_queued"},
		{JobObserved{JobID: "7", State: "RUNNING", Active: true}, "job_running"},
		{JobObserved{JobID: "7", State: "COMPLETED", Active: true, Terminal: true}, "job"},
	} {
		h.must("c", 1, &c.job)
		waits(c.want)
	}
	h.must("c", 1, &AttemptWoken{Why: WakeTopic})
	waits("")
	h.must("c", 1, &AttemptWaiting{Reason: WaitOutage})
	waits("outage")
}
