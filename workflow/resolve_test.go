package workflow

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestResolvable: a person is asked only for what nobody can find out.
func TestResolvable(t *testing.T) {
	t.Parallel()
	sent := []Payload{&AttemptStarted{}, &SubmissionIntent{Token: "t"}, &SubmissionSending{K: 1}}
	lost := append(slices.Clone(sent), &SubmissionOutcome{K: 1, Class: Ambiguous})
	accepted := append(slices.Clone(sent), &SubmissionOutcome{K: 1, Class: Accepted, JobID: "7"})
	for _, c := range []struct {
		name   string
		events []Payload
		want   string // "" = there is something to resolve
	}{
		{"nothing began", nil, "c is ready"},
		{"nothing submitted", sent[:1], "c is running and has submitted nothing"},
		{"not sent", sent[:2], "no request of c has made a job so far"},
		{"in flight", sent, ""},
		{"answer lost", lost, ""},
		{"answer lost, waiting", append(slices.Clone(lost), &AttemptWaiting{Reason: WaitOutage}), ""},
		{"believed absent", append(slices.Clone(lost), &SubmissionAbsent{K: 1, Votes: 3}), "no request of c has made a job so far"},
		{"accepted", accepted, "job 7 of c is known"},
		{"lost by the scheduler", append(slices.Clone(accepted), &AttemptWaiting{Reason: WaitAttention}), ""},
		{"owned", append(slices.Clone(lost), &SubmissionOwner{JobID: "8"}), "job 8 is known to be that of c"},
		{"fenced off", append(slices.Clone(lost), &SubmissionOwner{}), "no job of attempt 1 of c can run any more"},
		{"in backoff", append(slices.Clone(sent), &SubmissionOutcome{K: 1, Class: Rejected}, &AttemptFinished{State: Failed, Retry: &Retry{}}), "c is waiting for its next attempt"},
		{"over", append(slices.Clone(sent), &SubmissionOutcome{K: 1, Class: Rejected}, &AttemptFinished{State: Failed}), "c is failed"},
	} {
		h := newHistory(t)
		for _, p := range c.events {
			h.must("c", 1, p)
		}
		err := h.unit("c").Resolvable()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWordWhileRunning: what a person says while the attempt looks around is not
// forgotten when it goes on waiting.
func TestWordWhileRunning(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.must("c", 1, &AttemptStarted{})
	h.must("c", 1, &SubmissionIntent{Token: "t", Fence: FenceOff})
	h.must("c", 1, &SubmissionSending{K: 1})
	h.must("c", 1, &SubmissionOutcome{K: 1, Class: Ambiguous})
	h.must("c", 1, &SubmissionResolved{As: ResolvedNeverRan, By: "ada"})
	if got := h.woken(); got != nil {
		t.Errorf("wakes %v while it runs", got)
	}
	h.must("c", 1, &AttemptWaiting{Reason: WaitAttention})
	if got := h.woken(); !slices.Equal(got, []string{"c resolved"}) {
		t.Errorf("wakes %v, want c resolved", got)
	}
	h.must("c", 1, &AttemptWoken{Why: WakeResolved})
	h.must("c", 1, &AttemptWaiting{Reason: WaitOutage})
	if got := h.woken(); got != nil {
		t.Errorf("wakes %v, it was told already", got)
	}
}
