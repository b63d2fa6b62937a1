package steps

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// forgottenOnceItRuns takes the job out of every list from when it runs, and has
// requests about it answered so; then goes on with then.
func (s *site) forgottenOnceItRuns(answer *sandbox.Fault, then func()) {
	hidden := false
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		switch {
		case !hidden:
		case op == "GET /compute/{system_name}/jobs":
			return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: `{"jobs":[]}`}
		case strings.HasSuffix(op, " /compute/{system_name}/jobs/{job_id}"):
			return answer
		}
		return nil
	}
	s.mu.Unlock()
	s.whenJobRuns(func(firecrest.JobID) {
		s.mu.Lock()
		hidden = true
		s.mu.Unlock()
		then()
	})
}

// TestLost: a job has claimed its token, and vanishes from every list without an
// exit marker. It is lost when it cannot be running any more.
func TestLost(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	c.library.fence.Limit, c.library.fence.Margin, c.library.fence.Visible = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	c.forgottenOnceItRuns(signed(http.StatusNotFound, "Job not found."), func() {})
	r := c.run(c.steps(true, "0"))
	u := unit(t, r, "x")
	if u.Cause != workflow.CauseLost || u.Attempt().End.Rule != workflow.RuleGone || u.Attempt().Submission.Owner.JobID == "" {
		t.Errorf("decided by %s\n%s", u.Attempt().End.Rule, states(r))
	}
	if took := u.Attempt().EndedAt.Sub(u.Attempt().StartedAt); took < 1500*time.Millisecond {
		t.Errorf("given up after %v", took)
	}
}

// TestListingOfWhatChanges: another attempt removes something from the directory of the
// claims while it is listed. That is no reason to believe that the directory is gone.
func TestListingOfWhatChanges(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(false, "3")))
	missed := 0
	c.mu.Lock()
	c.fault = func(op string, r *http.Request) *sandbox.Fault {
		if !strings.HasSuffix(op, "ops/ls") || missed > 3 {
			return nil
		}
		missed++
		return signed(http.StatusNotFound, "ls: cannot access '"+r.URL.Query().Get("path")+"/another.secrets': No such file or directory")
	}
	c.mu.Unlock()
	r := c.drive(x)
	if u := unit(t, r, "x"); u.Cause != "exit(3)" || u.Attempt().End.Rule != workflow.RuleMarker || missed < 4 {
		t.Errorf("after %d listings decided by %s\n%s", missed, u.Attempt().End.Rule, states(r))
	}
}

// TestSilentBy: the exit marker of a job that nobody knows may have been left as
// late as its limit, and some more, allows, and show that much later.
func TestSilentBy(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := &call{library: &Library{fence: FenceSettings{Limit: 24 * time.Hour, Margin: 10 * time.Minute, Visible: 5 * time.Minute}}}
	for limit, want := range map[time.Duration]time.Duration{
		time.Hour: time.Hour + 15*time.Minute,
		0:         24*time.Hour + 15*time.Minute, // it asked for none
	} {
		s := &workflow.Submission{Intent: workflow.SubmissionIntent{LimitMS: limit.Milliseconds()}}
		if got := c.silentBy(s, since).Sub(since); got != want {
			t.Errorf("with a limit of %v it is silent after %v, want %v", limit, got, want)
		}
	}
}

// TestLostPastItsLimit: the attempt learns by itself, when the job must be over,
// that nobody knows it any more.
func TestLostPastItsLimit(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	c.library.fence.Margin = 300 * time.Millisecond
	c.library.jobs.settings.LookupEvery = time.Hour // so that the poller does not tell
	c.forgottenOnceItRuns(signed(http.StatusNotFound, "Job not found."), c.open)
	steps := strings.ReplaceAll(c.steps(true, "0", "\n    resources: { time: 2s }"), "exit 0", "kill -9 $PPID $$")
	r := c.run(steps)
	if u := unit(t, r, "x"); u.Cause != workflow.CauseLost || u.Attempt().End.Rule != workflow.RuleGone {
		t.Errorf("decided by %s\n%s", u.Attempt().End.Rule, states(r))
	}
}

// TestCancelOfAHiddenClaim: the job has ended well, nobody knows it any more, and
// its claim is there but not listed yet. However long that lasts, it is no proof
// that nothing ran.
func TestCancelOfAHiddenClaim(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(true, "0")))
	var hidden time.Time // since when
	c.mu.Lock()
	c.fault = func(op string, _ *http.Request) *sandbox.Fault {
		empty := func(body string) *sandbox.Fault {
			return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: body}
		}
		switch {
		case hidden.IsZero():
		case op == "GET /compute/{system_name}/jobs":
			return empty(`{"jobs":[]}`)
		case op == "GET /compute/{system_name}/jobs/{job_id}":
			return signed(http.StatusNotFound, "Job not found.")
		case strings.HasSuffix(op, "/ops/ls") && time.Since(hidden) < 1500*time.Millisecond:
			return empty(`{"output":[]}`)
		}
		return nil
	}
	c.mu.Unlock()
	asked := make(chan struct{})
	c.whenJobRuns(func(id firecrest.JobID) {
		defer close(asked)
		c.open()
		until(t, "the job is over", func() bool { return c.state(id) == "COMPLETED" })
		c.mu.Lock()
		hidden = time.Now()
		c.mu.Unlock()
		if err := x.Cancel(context.Background(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := c.drive(x)
	<-asked
	if u := unit(t, r, "x"); u.State != workflow.Succeeded {
		t.Errorf("decided by %s: %s\n%s", u.Attempt().End.Rule, u.Attempt().End.Evidence, states(r))
	}
}
