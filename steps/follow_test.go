package steps

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

const longJob = `
	- id: x
	  uses: job
	  with: { script: "#!/bin/sh\nsleep 600" }`

// whenJobRuns calls f once, when the job of step x runs and has claimed its token.
func (s *site) whenJobRuns(f func(id firecrest.JobID)) {
	done := false
	s.observe(func(r *workflow.Run) {
		if done || !jobRuns(r) {
			return
		}
		done = true
		a := r.Steps[0].Units[0].Attempt()
		go func() {
			until(s.t, "the job has claimed its token", func() bool {
				_, err := os.Lstat(filepath.Join(a.Submission.Intent.Control, a.Submission.Intent.Token))
				return err == nil
			})
			f(firecrest.JobID(a.Job.JobID))
		}()
	})
}

func (s *site) state(id firecrest.JobID) string {
	s.t.Helper()
	rows, err := s.client.Compute.Get(s.t.Context(), system, id)
	if err != nil || len(rows) != 1 {
		s.t.Fatalf("job %s: %v, %v", id, rows, err)
	}
	return rows[0].Status.State.Name()
}

func TestCancelEndsTheJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(longJob))
	s.whenJobRuns(func(firecrest.JobID) {
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := s.drive(x)
	u := unit(t, r, "x")
	if r.State != workflow.RunCancelled || u.State != workflow.Cancelled || !strings.Contains(u.Attempt().End.Evidence, "CANCELLED") {
		t.Errorf("run %s, evidence %q\n%s", r.State, u.Attempt().End.Evidence, states(r))
	}
	if state := s.state(firecrest.JobID(u.Attempt().Submission.JobID)); state != "CANCELLED" {
		t.Errorf("the job is %s", state)
	}
}

// TestCancelAfterALookAtANeighbour: the control directory was listed a moment before
// the job claimed its token. The job is cancelled at once all the same.
func TestCancelAfterALookAtANeighbour(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(longJob))
	s.whenJobRuns(func(firecrest.JobID) {
		part := controlDir(x.Run().Sites[system]) + "/" + partName(0)
		s.library.parts.reading(system+" "+part).get(t.Context(), time.Now(), func(context.Context) *listing {
			return &listing{began: time.Now()}
		})
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := s.drive(x)
	if u := unit(t, r, "x"); u.State != workflow.Cancelled || u.Attempt().Submission.Owner == nil {
		t.Error(states(r))
	}
	for _, e := range events(t, s, r) {
		if w, ok := e.Data.(*workflow.AttemptWaiting); ok && strings.Contains(w.Message, "does not show yet") {
			t.Errorf("it waits: %s", w.Message)
		}
	}
}

// TestCancelDuringOutage: while the scheduler does not answer nothing is known,
// so the unit is not cancelled before it does.
func TestCancelDuringOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults("DELETE /compute/{system_name}/jobs/{job_id}", func(n int) *sandbox.Fault {
		if n > 3 {
			return nil
		}
		return &sandbox.Fault{Status: http.StatusBadGateway}
	})
	x := s.create(s.load(longJob))
	s.whenJobRuns(func(firecrest.JobID) {
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := s.drive(x)
	if u := unit(t, r, "x"); u.State != workflow.Cancelled || !strings.Contains(u.Attempt().End.Evidence, "CANCELLED") {
		t.Error(states(r))
	}
	if n := waits(t, s, r, workflow.WaitOutage); n < 3 {
		t.Errorf("%d outages on record", n)
	}
}

func TestTimeoutEndsTheJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(longJob + "\n  timeout: 500ms")
	u := unit(t, r, "x")
	if u.Cause != workflow.CauseTimedOut {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	sub := u.Attempt().Submission
	if sub.Owner == nil || sub.Owner.JobID == "" {
		return // the time was up before the job made its claim: it finds the tombstone, and does nothing
	}
	if state := s.state(firecrest.JobID(sub.JobID)); state != "CANCELLED" {
		t.Errorf("the job is %s (%s)", state, u.Attempt().End.Evidence)
	}
}

func TestCancelledBySomebodyElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.whenJobRuns(func(id firecrest.JobID) {
		if err := s.client.Compute.Cancel(t.Context(), system, id); err != nil {
			t.Error(err)
		}
	})
	u := unit(t, s.run(longJob), "x")
	if u.Cause != workflow.CauseKilled || !strings.Contains(u.Message, "CANCELLED") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestRestartWhileTheJobRuns: the process ends, the job goes on, another process
// finds how it ended.
func TestRestartWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	for _, over := range []bool{false, true} {
		s := newSite(t)
		stop := filepath.Join(s.root, "stop")
		x := s.create(s.load(`
	- id: x
	  uses: job
	  with:
	    env: { STOP: ` + stop + ` }
	    script: |
	      #!/bin/sh
	      until [ -e "$STOP" ]; do sleep 0.02; done`))
		s.driveUntil(x, jobRuns)
		id := firecrest.JobID(unit(t, x.Run(), "x").Attempt().Job.JobID)
		end := func() {
			if err := os.WriteFile(stop, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
		if over { // before anybody looks again
			end()
			until(t, "the job is over", func() bool { return s.state(id) == "COMPLETED" })
		} else {
			s.observe(func(r *workflow.Run) {
				if r.Epoch > 1 && jobRuns(r) {
					end()
				}
			})
		}
		r := s.drive(s.reopen(x))
		if got := s.outputs(r, "x")["job_id"]; got != string(id) {
			t.Errorf("followed %v, not %s", got, id)
		}
		if jobs := s.jobs(tokenOf(r, "x")); len(jobs) != 1 {
			t.Errorf("%d jobs", len(jobs))
		}
	}
}

// TestOutageWhileTheJobRuns: a scheduler that does not answer says nothing about
// the job.
func TestOutageWhileTheJobRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults("GET /compute/{system_name}/jobs", func(n int) *sandbox.Fault {
		if n > 4 {
			return nil
		}
		return signed(http.StatusInternalServerError, "Error executing Slurm command.")
	})
	r := s.run(`
	- id: x
	  uses: job
	  give_up_after: 1ms
	  with: { script: "#!/bin/sh\nsleep 0.5" }`)
	s.outputs(r, "x")
	if n := waits(t, s, r, workflow.WaitOutage); n != 1 {
		t.Errorf("%d outages on record, want 1", n)
	}
}

// TestMissingRowsSayNothing: a job that neither the list nor its id shows is not
// over. Its exit marker tells how it ended.
func TestMissingRowsSayNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hidden := 0
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		if hidden > 60 {
			return nil
		}
		switch op {
		case "GET /compute/{system_name}/jobs":
			hidden++
			return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: `{"jobs":[]}`}
		case "GET /compute/{system_name}/jobs/{job_id}":
			hidden++
			return signed(http.StatusNotFound, "Job not found.")
		}
		return nil
	}
	s.mu.Unlock()
	r := s.run(helloJob)
	s.outputs(r, "x")
	end := unit(t, r, "x").Attempt().End
	if end.Rule != workflow.RuleMarker || !strings.Contains(end.Evidence, "does not know") {
		t.Errorf("the end was decided by %s: %s", end.Rule, end.Evidence)
	}
}

// TestAnotherJobWithTheSameID: ids are used again after a reset of the
// scheduler; a job of another name is not ours.
func TestAnotherJobWithTheSameID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const foreign = `{"jobs":[{"jobId":"1","name":"other","status":{"state":"FAILED","exitCode":1,"interruptSignal":0},"time":{}}]}`
	foreigners := 0
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		if !strings.HasPrefix(op, "GET /compute/") || foreigners >= 5 {
			return nil
		}
		foreigners++
		return &sandbox.Fault{Status: http.StatusOK, Header: http.Header{"F7T-AppVersion": {"2.5.6"}}, Body: foreign}
	}
	s.mu.Unlock()
	s.outputs(s.run(helloJob), "x")
}

// TestCancelTwice: a job that has ended is as good as cancelled.
func TestCancelTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- { id: x, uses: submit, with: { script: "#!/bin/sh\nsleep 600" } }
	- { id: one, uses: cancel_job, with: { job_id: "${{ steps.x.outputs.job_id }}" } }
	- { id: two, uses: cancel_job, with: { job_id: "${{ steps.one.outputs.job_id }}" } }
	- { id: w, uses: wait_for_job, with: { job_id: "${{ steps.two.outputs.job_id }}" } }`)
	s.outputs(r, "two")
	if u := unit(t, r, "w"); u.Cause != workflow.CauseKilled {
		t.Errorf("w: %s: %s", u.Cause, u.Message)
	}
}

// TestNoNewsNoEvents: however often the job is asked for, the history grows
// only when something changed.
func TestNoNewsNoEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lists := 0
	s.faults("GET /compute/{system_name}/jobs", func(n int) *sandbox.Fault { lists = n; return nil })
	byID := 0
	s.mu.Lock()
	count := s.fault
	s.fault = func(op string, r *http.Request) *sandbox.Fault {
		if op == "GET /compute/{system_name}/jobs/{job_id}" {
			byID++
		}
		return count(op, r)
	}
	s.mu.Unlock()
	r := s.run(`
	- id: x
	  uses: job
	  with: { script: "#!/bin/sh\nsleep 1" }`)
	s.outputs(r, "x")
	woken := 0
	for _, e := range events(t, s, r) {
		if _, ok := e.Data.(*workflow.AttemptWoken); ok {
			woken++
		}
	}
	if woken > 3 || lists < 5 {
		t.Errorf("woken %d times by %d lists", woken, lists)
	}
	if byID > 1 {
		t.Errorf("asked for by id %d times", byID)
	}
}

// TestWaitForJobOfOthers: a cancelled run cancels its own jobs and leaves others
// alone.
func TestWaitForJobOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ours := s.create(s.load(`
	- id: x
	  uses: submit
	  with: { script: "#!/bin/sh\nsleep 600" }
	- id: w
	  uses: wait_for_job
	  with: { job_id: "${{ steps.x.outputs.job_id }}" }`))
	info, err := s.client.Status.UserInfo(t.Context(), system)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := s.client.Compute.Submit(t.Context(), system, firecrest.JobSpec{
		WorkingDirectory: s.root + "/home/" + info.User.Name, Script: "#!/bin/sh\nsleep 600\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	others := s.create(s.load("- id: w\n  uses: wait_for_job\n  with: { job_id: \"" + string(foreign) + "\" }"))
	for _, test := range []struct {
		name string
		step int
		want string
	}{{"ours", 1, "CANCELLED"}, {"others", 0, "RUNNING"}} {
		x := ours
		if test.name == "others" {
			x = others
		}
		done := false
		s.observe(func(r *workflow.Run) {
			if u := r.Steps[test.step].Units; !done && len(u) == 1 && u[0].State == workflow.Waiting && u[0].Attempt().Job != nil && u[0].Attempt().Job.Active {
				done = true
				go func() {
					if err := x.Cancel(t.Context(), "test"); err != nil {
						t.Error(err)
					}
				}()
			}
		})
		r := s.drive(x)
		u := unit(t, r, "w")
		if u.State != workflow.Cancelled {
			t.Errorf("%s: %s", test.name, states(r))
		}
		if state := s.state(firecrest.JobID(u.Attempt().Job.JobID)); state != test.want {
			t.Errorf("%s: the job is %s, want %s", test.name, state, test.want)
		}
	}
	if err := s.client.Compute.Cancel(t.Context(), system, foreign); err != nil {
		t.Error(err)
	}
}

func TestJobCauses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		state        string
		code, signal int64
		want         workflow.Cause
	}{
		{"TIMEOUT", 0, 0, workflow.CauseWalltime},
		{"DEADLINE", 0, 0, workflow.CauseWalltime},
		{"OUT_OF_MEMORY", 0, 9, workflow.CauseOutOfMemory},
		{"NODE_FAIL", 0, 0, workflow.CauseNodeFail},
		{"BOOT_FAIL", 0, 0, workflow.CauseNodeFail},
		{"LAUNCH_FAILED", 1, 0, workflow.CauseNodeFail},
		{"PREEMPTED", 0, 0, workflow.CausePreempted},
		{"CANCELLED", 0, 0, workflow.CauseKilled},
		{"REVOKED", 0, 0, workflow.CauseKilled},
		{"FAILED", 3, 0, "exit(3)"},
		{"FAILED", 0, 11, "exit(139)"},
		{"FAILED", 0, 0, workflow.CauseExit},
		{"COMPLETED", 2, 0, "exit(2)"},
		{"COMPLETED", 0, 9, "exit(137)"},
	} {
		if got := jobCause(&firecrest.Job{Status: firecrest.JobStatus{State: firecrest.JobState(test.state)}}, test.code, test.signal); got != test.want {
			t.Errorf("%s %d:%d is %s, want %s", test.state, test.code, test.signal, got, test.want)
		}
	}
}

// TestCheckpointBeforeTimeLimit: a script asks to be warned before its time is
// over, saves its work when it is, and ends well.
func TestCheckpointBeforeTimeLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: x
	  uses: job
	  with:
	    workdir: out
	    resources: { time: 8s }
	    script: |
	      #!/bin/bash
	      #SBATCH --signal=B:USR1@5
	      trap 'echo "step 42" >checkpoint; exit 0' USR1
	      sleep 600 & wait
	- id: saved
	  uses: view
	  needs: [x]
	  with: { path: out/checkpoint }`)
	if out := s.outputs(r, "saved"); out["content"] != "step 42\n" {
		t.Errorf("the checkpoint holds %q", out["content"])
	}
	a := unit(t, r, "x").Attempt()
	marker, err := os.Readlink(filepath.Join(a.Submission.Intent.Control, a.Submission.Intent.Token+".x"))
	if err != nil || marker != "x-0."+a.Submission.JobID {
		t.Errorf("marker %q, %v", marker, err)
	}
}

// TestWarnedByTerm: the same with the signal by which a scheduler ends a job, and a
// job that may be run again. It leaves no exit marker; the scheduler's word counts,
// also where it must be seen that the job is the one that owns the token.
func TestWarnedByTerm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(`
	- id: x
	  uses: job
	  with:
	    requeue: true
	    resources: { time: 8s }
	    script: |
	      #!/bin/bash
	      #SBATCH --signal=B:TERM@5
	      trap 'echo saved; exit 0' TERM
	      sleep 600 & wait`))
	s.driveUntil(x, jobRuns)
	r := s.drive(s.reopen(x))
	a := unit(t, r, "x").Attempt()
	if u := unit(t, r, "x"); u.State != workflow.Succeeded || a.Submission.Owner.Rule != workflow.RuleClaim {
		t.Errorf("%+v\n%s", a.Submission.Owner, states(r))
	}
	if _, err := os.Readlink(filepath.Join(a.Submission.Intent.Control, a.Submission.Intent.Token+".x")); err == nil {
		t.Error("there is a marker")
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ token, id string }{{"ftoken", ""}, {"ftoken", "12"}, {"", "12"}} {
		topic := jobTopic("one", test.token, firecrest.JobID(test.id))
		name, q, ok := query(topic, q0.Since)
		if !ok || name != "one" || q.Token != test.token || string(q.ID) != test.id {
			t.Errorf("%s reads back as %q, %+v, %v", topic, name, q, ok)
		}
	}
	for _, topic := range []string{"", "job", "job:one", "job:one:", "timer:x:y"} {
		if _, _, ok := query(topic, q0.Since); ok {
			t.Errorf("%q is a topic", topic)
		}
	}
}

var q0 firecrest.Query
