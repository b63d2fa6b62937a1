package steps

import (
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// answer drives a run until step sure asks, leaves an answer and drives it to its
// end.
func (s *site) answer(w *workflow.Workflow, word workflow.ApprovalGiven) *workflow.Run {
	s.t.Helper()
	x := s.create(w)
	s.driveUntil(x, func(r *workflow.Run) bool {
		u := unit(s.t, r, "sure")
		return u.State == workflow.Waiting && u.Wait.Reason == workflow.WaitApproval && u.Wait.Message == "Publish the results?"
	})
	x = s.reopen(x)
	if _, err := x.LeaveApproval(s.t.Context(), workflow.UnitRef{Step: "sure"}, word); err != nil {
		s.t.Fatal(err)
	}
	return s.drive(x)
}

// TestApproveExample: a person says yes, and what they say is there for others.
func TestApproveExample(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := time.Now().Truncate(time.Second)
	r := s.answer(s.example("approve.yaml"), workflow.ApprovalGiven{By: "ada@login1", Note: "go"})
	out := s.outputs(r, "sure")
	at, err := time.Parse(time.RFC3339, out["at"].(string))
	if out["by"] != "ada@login1" || out["note"] != "go" || err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("outputs: %v, %v", out, err)
	}
	if got := s.outputs(r, "publish")["stdout"].(string); !strings.HasSuffix(got, " words, approved by ada@login1") {
		t.Errorf("published %q", got)
	}
}

// TestReject: a no fails the step, and says who said it and why.
func TestReject(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.answer(s.example("approve.yaml"), workflow.ApprovalGiven{By: "eve@login1", Note: "two are missing", Rejected: true})
	u := unit(t, r, "sure")
	if u.Cause != workflow.CauseRejected || !strings.HasPrefix(u.Message, "rejected by eve@login1 at 20") || !strings.HasSuffix(u.Message, "Z: two are missing") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	if r.State != workflow.RunFailed || unit(t, r, "publish").Cause != workflow.CauseUpstreamFailed {
		t.Error(states(r))
	}
}
