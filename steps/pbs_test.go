package steps

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

func onPBS(c *sandbox.Config) { c.Scheduler = "pbs" }

// killedJob is killed, its batch shell and all, when it has claimed its token.
const killedJob = `
	- id: x
	  uses: job
	  with: { script: "#!/bin/sh\nkill -KILL 0" }`

// awaitsMarker is a condition for driveUntil: the job is over, and has left no exit
// marker yet.
func awaitsMarker(r *workflow.Run) bool {
	u := r.Steps[0].Units[0]
	return u.State == workflow.Waiting && strings.Contains(u.Wait.Message, "its exit marker may take")
}

// TestPBSJobWithoutMarker: a job that was killed leaves no exit marker. That is waited
// for no longer than one takes to show, whoever waits.
func TestPBSJobWithoutMarker(t *testing.T) {
	t.Parallel()
	const shows = 3 * freshness // longer than an end that is told once more is old
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS, func(c *sandbox.Config) { c.Faults = []string{"fail-job=node_fail,match=-x"} })
		s.library.fence.Visible = shows
		u := unit(t, s.run(longJob), "x")
		if end := u.Attempt().End; u.State != workflow.Failed || end.Rule != workflow.RuleState {
			t.Errorf("%s by %s: %s", u.State, end.Rule, end.Evidence)
		}
	})
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		x := s.create(s.load(killedJob))
		s.library.fence.Visible = shows
		s.driveUntil(x, awaitsMarker)
		x = s.reopen(x)
		s.library.fence.Visible = shows
		if u := unit(t, s.drive(x), "x"); u.State != workflow.Failed {
			t.Errorf("%s: %s", u.State, u.Message)
		}
	})
	t.Run("cancelled meanwhile", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		s.library.fence.Visible = shows
		x := s.create(s.load(killedJob))
		var once sync.Once
		s.observe(func(r *workflow.Run) {
			if awaitsMarker(r) {
				once.Do(func() {
					go func() {
						if err := x.Cancel(context.Background(), "test"); err != nil {
							t.Error(err)
						}
					}()
				})
			}
		})
		if u := unit(t, s.drive(x), "x"); u.State != workflow.Failed {
			t.Errorf("%s: %s", u.State, u.Message)
		}
	})
}

// TestPBSEnds: PBS shows one state for every end of a job, and its wrapper lives to
// leave an exit marker. Who ended it is known all the same.
func TestPBSEnds(t *testing.T) {
	t.Parallel()
	t.Run("cancelled run", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		x := s.create(s.load(longJob))
		s.whenJobRuns(func(firecrest.JobID) {
			if err := x.Cancel(context.Background(), "test"); err != nil {
				t.Error(err)
			}
		})
		if r := s.drive(x); r.State != workflow.RunCancelled || unit(t, r, "x").State != workflow.Cancelled {
			t.Errorf("the run is %s\n%s", r.State, states(r))
		}
	})
	t.Run("timeout of the step", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		r := s.run(longJob + "\n  timeout: 500ms\n  retry: [{ cause: exit, max: 3 }]")
		if u := unit(t, r, "x"); u.Cause != workflow.CauseTimedOut || len(u.Attempts) != 1 {
			t.Errorf("%d attempts, %s: %s", len(u.Attempts), u.Cause, u.Message)
		}
	})
	t.Run("time limit of the job", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		u := unit(t, s.run(strings.Replace(longJob, "{ script", "{ resources: { time: 1s }, script", 1)), "x")
		if u.Cause != workflow.CauseWalltime {
			t.Errorf("%s: %s", u.Cause, u.Message)
		}
	})
	t.Run("cancelled by somebody else", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, onPBS)
		s.whenJobRuns(func(id firecrest.JobID) {
			if err := s.client.Compute.Cancel(context.Background(), system, id); err != nil {
				t.Error(err)
			}
		})
		if u := unit(t, s.run(longJob), "x"); u.Cause != workflow.CauseKilled {
			t.Errorf("%s: %s", u.Cause, u.Message)
		}
	})
}

// TestJudgePBS walks the exit codes of PBS and of exit markers.
func TestJudgePBS(t *testing.T) {
	t.Parallel()
	const unmarked = -1
	for _, test := range []struct {
		code      int64
		marker    int
		cancelled bool // by this attempt
		want      workflow.Cause
	}{
		{-29, 143, false, workflow.CauseWalltime},
		{-29, unmarked, false, workflow.CauseWalltime},
		{-29, 0, false, ""},
		{271, 143, false, workflow.CauseKilled},
		{271, unmarked, false, workflow.CauseKilled},
		{143, 143, false, "exit(143)"},
		{143, 143, true, workflow.CauseKilled},
		{137, unmarked, true, workflow.CauseKilled},
		{265, unmarked, true, workflow.CauseKilled},
		{265, 3, true, workflow.CauseKilled},
		{0, 137, true, workflow.CauseKilled},
		{3, 3, true, "exit(3)"},
		{143, 0, true, ""},
	} {
		c := &call{Invocation: &engine.Invocation{}}
		if test.cancelled {
			if err := c.Put(cancelKey, true); err != nil {
				t.Fatal(err)
			}
		}
		job := firecrest.Job{ID: "7", Status: firecrest.JobStatus{State: "F", ExitCode: &test.code}}
		k := claim{owner: "7", marked: test.marker != unmarked, code: max(test.marker, 0)}
		if end := c.judge(&job, k, false); end.cause != test.want {
			t.Errorf("%d, marker %d, cancelled %t: %q, want %q", test.code, test.marker, test.cancelled, end.cause, test.want)
		}
	}
}

// TestPBSForgotten: PBS does not know the job any more, which the server takes for a
// failure of its own. The exit marker is there.
func TestPBSForgotten(t *testing.T) {
	t.Parallel()
	c := newSite(t, onPBS).counted()
	c.forgottenOnceItRuns(signed(http.StatusInternalServerError, `Unexpected PBS qstat response. exit_status:153 std_err:qstat: Unknown Job Id 7.one\n`), c.open)
	r := c.run(c.steps(true, "0"))
	if u := unit(t, r, "x"); u.State != workflow.Succeeded || u.Attempt().End.Rule != workflow.RuleMarker {
		t.Errorf("%s by %s: %s", u.State, u.Attempt().End.Rule, states(r))
	}
}
