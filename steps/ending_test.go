package steps

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// TestJudge walks what a scheduler may say of the job that owns its token, and
// what its exit marker says.
func TestJudge(t *testing.T) {
	t.Parallel()
	const unmarked = -1
	ran := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		state        string
		code, signal int64
		marker       int
		trusted      bool // the scheduler, with a success
		want         workflow.Cause
		rule         workflow.Rule
	}{
		{"COMPLETED", 0, 0, 0, false, "", workflow.RuleMarker},
		{"COMPLETED", 0, 0, unmarked, false, workflow.CauseLost, workflow.RuleState},
		{"COMPLETED", 0, 0, unmarked, true, "", workflow.RuleState},
		{"COMPLETED", 0, 9, unmarked, true, "exit(137)", workflow.RuleState},
		{"COMPLETED", 2, 0, unmarked, true, "exit(2)", workflow.RuleState},
		{"TIMEOUT", 0, 0, unmarked, true, workflow.CauseWalltime, workflow.RuleState},
		{"CANCELLED by 1000", 0, 0, unmarked, true, workflow.CauseKilled, workflow.RuleState},
		{"OUT_OF_MEMORY", 0, 0, unmarked, true, workflow.CauseOutOfMemory, workflow.RuleState},
		{"NODE_FAIL", 0, 0, unmarked, true, workflow.CauseNodeFail, workflow.RuleState},
		{"FAILED", 0, 0, unmarked, true, workflow.CauseExit, workflow.RuleState},
		{"FAILED", 0, 11, unmarked, true, "exit(139)", workflow.RuleState},
		{"FAILED", 3, 0, unmarked, true, "exit(3)", workflow.RuleState},
		{"F", 0, 0, 0, false, "", workflow.RuleMarker},
		{"F", 0, 0, unmarked, false, workflow.CauseLost, workflow.RuleState},
		{"F", 0, 0, 7, false, "exit(7)", workflow.RuleMarker},
		{"CANCELLED", 0, 15, 0, false, "", workflow.RuleMarker},
		{"TIMEOUT", 0, 0, 0, false, "", workflow.RuleMarker},
		{"FAILED", 1, 0, 79, false, "exit(79)", workflow.RuleMarker},
		{"", 0, 0, unmarked, false, workflow.CauseLost, workflow.RuleGone},
		{"", 0, 0, 0, false, "", workflow.RuleMarker},
	} {
		job := firecrest.Job{ID: "7", Status: firecrest.JobStatus{State: firecrest.JobState(test.state), ExitCode: &test.code, Signal: &test.signal}}
		job.Time.Start = ran
		k := claim{owner: "7", marked: test.marker != unmarked, code: max(test.marker, 0)}
		c := &call{Invocation: &engine.Invocation{}}
		if end := c.judge(&job, k, test.trusted); end.cause != test.want || end.rule != test.rule {
			t.Errorf("%s %d:%d, marker %d, trusted %t: %q by %s, want %q by %s",
				cmp.Or(test.state, "unknown"), test.code, test.signal, test.marker, test.trusted, end.cause, end.rule, test.want, test.rule)
		}
	}
}

// TestJobThatRunsAgain: the scheduler says that the node of a job has failed, and
// then runs it again, as was asked for. That was no end.
func TestJobThatRunsAgain(t *testing.T) {
	t.Parallel()
	stop := filepath.Join(t.TempDir(), "stop")
	var mu sync.Mutex
	var down string // what is answered about the job while its node is down
	var again bool
	g := newGate(t, func(_ *gate, op string, _ int) *sandbox.Fault {
		mu.Lock()
		defer mu.Unlock()
		if down == "" || again || !strings.HasPrefix(op, "GET /compute/{system_name}/jobs") {
			return nil
		}
		return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: down}
	})
	g.observe(func(r *workflow.Run) {
		mu.Lock()
		defer mu.Unlock()
		a := r.Steps[0].Units[0].Attempt()
		switch {
		case a == nil || a.Job == nil:
		case a.Job.Active && down == "":
			now := time.Now().Unix()
			down = fmt.Sprintf(`{"jobs":[{"jobId":"%s","name":"%s","status":{"state":"NODE_FAIL","exitCode":0,"interruptSignal":0},"time":{"start":%d,"end":%d}}]}`,
				a.Job.JobID, a.Submission.Intent.JobName, now, now+1)
		case a.Job.Terminal && !again:
			again = true
		case a.Job.Active && again:
			if err := os.WriteFile(stop, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	r := g.run(`
	- id: x
	  uses: job
	  with:
	    requeue: true
	    env: { STOP: ` + stop + ` }
	    script: |
	      #!/bin/sh
	      until [ -e "$STOP" ]; do sleep 0.02; done`)
	g.outputs(r, "x")
	var states []string
	for _, e := range events(t, g.site, r) {
		if p, ok := e.Data.(*workflow.JobObserved); ok {
			states = append(states, p.State)
		}
	}
	if got := strings.Join(states, " "); !strings.HasSuffix(got, "RUNNING NODE_FAIL RUNNING COMPLETED") {
		t.Errorf("seen were %s", got)
	}
	if jobs := g.jobs(tokenOf(r, "x")); len(jobs) != 1 {
		t.Errorf("%d jobs were submitted", len(jobs))
	}
}

// TestJobThatOutlivesItsEnd: the scheduler shows a job as stopped while its
// processes are still given time. Without a claim nothing else tells when they are
// gone, and another attempt must not meet them, whatever the clock of the system says.
func TestJobThatOutlivesItsEnd(t *testing.T) {
	t.Parallel()
	for _, fence := range []string{"blind", "off"} {
		for _, ahead := range []time.Duration{-time.Hour, 0, time.Hour} {
			t.Run(fmt.Sprintf("%s %v", fence, ahead), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var stopped string // what is answered about the job once it runs
				var since time.Time
				g := newGate(t, func(_ *gate, op string, _ int) *sandbox.Fault {
					mu.Lock()
					defer mu.Unlock()
					if stopped == "" || !strings.HasPrefix(op, "GET /compute/{system_name}/jobs") {
						return nil
					}
					return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: stopped}
				})
				g.observe(func(r *workflow.Run) {
					mu.Lock()
					defer mu.Unlock()
					if a := r.Steps[0].Units[0].Attempt(); a != nil && a.Job != nil && a.Job.Active && stopped == "" {
						since = time.Now()
						end := since.Add(ahead).Unix()
						stopped = fmt.Sprintf(`{"jobs":[{"jobId":"%s","name":"%s","status":{"state":"TIMEOUT","exitCode":0,"interruptSignal":0},"time":{"start":%d,"end":%d}}]}`,
							a.Job.JobID, a.Submission.Intent.JobName, end-1, end)
					}
				})
				u := unit(t, g.run(strings.Replace(longJob, "{ script", "{ fence: "+fence+", script", 1)), "x")
				mu.Lock()
				defer mu.Unlock()
				stopped = ""
				if after := u.Attempt().EndedAt.Sub(since); u.Cause != workflow.CauseWalltime || after < g.library.fence.Confirm {
					t.Errorf("%s, settled %v after the end", u.Cause, after)
				}
			})
		}
	}
}
