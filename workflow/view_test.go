package workflow

import (
	"maps"
	"slices"
	"testing"
	"time"
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

// TestSummaryOfFailures: the summary names the steps that failed first, each once.
func TestSummaryOfFailures(t *testing.T) {
	t.Parallel()
	var steps []*Step
	for i := range listedFailures + 2 {
		steps = append(steps, &Step{ID: string(rune('a' + i)), Index: i, MaxAttempts: 2})
	}
	steps[1].ContinueOnError = true
	h := &history{t: t, run: NewRun(&Workflow{Name: "w", Steps: steps, FinallyTimeout: time.Minute})}
	h.must("", 0, &RunCreated{ID: "r", Nonce: "n"})
	h.must("", 0, &RunStarted{})
	if got := h.run.Summarize().FailedSteps; got != nil {
		t.Errorf("nothing has failed, and %q is listed", got)
	}
	for _, s := range slices.Backward(steps) {
		h.must(s.ID, 1, &AttemptStarted{})
		h.must(s.ID, 1, &AttemptFinished{State: Failed, Cause: ExitCause(3)})
	}
	listed := h.run.Summarize().FailedSteps
	if want := []string{"g", "f", "e", "d", "c"}; !slices.Equal(listed, want) {
		t.Errorf("%q failed, want %q", listed, want)
	}
	listed[0] = "other"
	if h.run.failedSteps[0] != "g" {
		t.Error("a summary shares its list with the run")
	}
}

// TestSummaryOfImports: the summary names each run once that units were done in.
func TestSummaryOfImports(t *testing.T) {
	t.Parallel()
	steps := []*Step{{ID: "a"}, {ID: "b", Index: 1}, {ID: "c", Index: 2}}
	h := &history{t: t, run: NewRun(&Workflow{Name: "w", Steps: steps, FinallyTimeout: time.Minute})}
	h.must("", 0, &RunCreated{ID: "r", Nonce: "n"})
	for i, from := range []RunID{"old", "older", "old"} {
		h.must(steps[i].ID, 0, &UnitImported{Run: from, State: Succeeded})
	}
	if got := h.run.Summarize().ImportedFrom; !slices.Equal(got, []RunID{"old", "older"}) {
		t.Errorf("imported from %q", got)
	}
}
