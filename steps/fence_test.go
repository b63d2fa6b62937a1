package steps

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// countedJob appends a line to a ledger when its payload starts, and waits until a
// file is there if there is a name for it.
const countedJob = `
	- id: x
	  uses: job
	  with:
	    env: { LEDGER: LEDGERFILE, GATE: "GATEFILE" }
	    script: |
	      #!/bin/sh
	      echo "$SLURM_JOB_ID" >>"$LEDGER"
	      [ -z "$GATE" ] || until [ -e "$GATE" ]; do sleep 0.02; done
	      exit EXITCODE`

// counted is that job on a site, with the ways to look at it.
type counted struct {
	*site
	ledger, gate string
}

func (s *site) counted() counted {
	return counted{s, filepath.Join(s.root, "ledger"), filepath.Join(s.root, "gate")}
}

func (c counted) steps(gated bool, code string, more ...string) string {
	gate := ""
	if gated {
		gate = c.gate
	}
	return strings.NewReplacer("LEDGERFILE", c.ledger, "GATEFILE", gate, "EXITCODE", code).Replace(countedJob) + strings.Join(more, "")
}

// starts lists the jobs whose payload started, in that order.
func (c counted) starts() []string {
	c.t.Helper()
	text, err := os.ReadFile(c.ledger)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// open lets the job end.
func (c counted) open() {
	c.t.Helper()
	if err := os.WriteFile(c.gate, nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// claimText is what the claim of a token says, "" if there is none.
func (c counted) claimText(r *workflow.Run, token string) string {
	c.t.Helper()
	text, err := os.Readlink(filepath.Join(r.Sites[system].RemoteDir, ".fcflow", "000", token))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	return filepath.Base(text)
}

// TestDuplicateSubmission: the answer is lost, and a proxy sends the request once
// more. One of the jobs runs the payload, and that one is followed.
func TestDuplicateSubmission(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(true, "0")))
	var once sync.Once
	c.faults(postJob, func(n int) *sandbox.Fault {
		if n > 1 {
			return nil
		}
		return &sandbox.Fault{DropReply: true}
	})
	c.observe(func(r *workflow.Run) {
		if r.Steps[0].Units[0].State == workflow.Waiting {
			go once.Do(func() {
				kept, err := c.client.Compute.Metadata(context.Background(), system, "1")
				if err != nil {
					t.Error(err)
					return
				}
				id, err := c.client.Compute.Submit(context.Background(), system, firecrest.JobSpec{
					Name: workflow.JobName(tokenOf(r, "x"), "x"), WorkingDirectory: c.root + "/home/demo", Script: kept[0].Script,
				})
				if err != nil {
					t.Error(err)
				}
				until(t, "one of the jobs has lost", func() bool { return c.state("1") == "FAILED" || c.state(id) == "FAILED" })
				c.open()
			})
		}
	})
	r := c.drive(x)
	if got, starts := c.outputs(r, "x")["job_id"], c.starts(); len(starts) != 1 || got != starts[0] {
		t.Errorf("followed %v; started: %v", got, starts)
	}
}

// TestCancelBeforeTheJobStarts: a job in the queue is fenced off before it is
// cancelled, so that nothing of it can start any more.
func TestCancelBeforeTheJobStarts(t *testing.T) {
	t.Parallel()
	c := newSite(t, func(config *sandbox.Config) { config.Slots = 1 }).counted()
	blocker, err := c.client.Compute.Submit(t.Context(), system, firecrest.JobSpec{WorkingDirectory: c.root + "/home/demo", Script: "#!/bin/sh\nsleep 600\n"})
	if err != nil {
		t.Fatal(err)
	}
	x := c.create(c.load(c.steps(false, "0")))
	asked := false
	c.observe(func(r *workflow.Run) {
		if a := r.Steps[0].Units[0].Attempt(); !asked && a != nil && a.Job != nil {
			asked = true
			go func() {
				if err := x.Cancel(context.Background(), "test"); err != nil {
					t.Error(err)
				}
			}()
		}
	})
	r := c.drive(x)
	u := unit(t, r, "x")
	if u.State != workflow.Cancelled || u.Attempt().End.Rule != workflow.RuleTombstone || !strings.HasPrefix(c.claimText(r, tokenOf(r, "x")), tombstonePrefix) {
		t.Errorf("decided by %s, claim %q\n%s", u.Attempt().End.Rule, c.claimText(r, tokenOf(r, "x")), states(r))
	}
	if state := c.state(firecrest.JobID(u.Attempt().Submission.JobID)); state != "CANCELLED" || len(c.starts()) > 0 {
		t.Errorf("the job is %s; started: %v", state, c.starts())
	}
	if err := c.client.Compute.Cancel(t.Context(), system, blocker); err != nil {
		t.Error(err)
	}
}

// TestCancelOfWhatSucceeded: the payload ended with 0 before anybody could stop
// it. That is a success, whatever was asked for.
func TestCancelOfWhatSucceeded(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(true, "0")))
	var blind atomic.Bool
	var once sync.Once
	refused, asked := make(chan struct{}), make(chan struct{})
	c.faults("GET /compute/{system_name}/jobs", func(int) *sandbox.Fault {
		if !blind.Load() {
			return nil
		}
		once.Do(func() { close(refused) })
		return signed(http.StatusInternalServerError, "Error executing Slurm command.") // so that the run does not know
	})
	c.whenJobRuns(func(id firecrest.JobID) {
		defer close(asked)
		blind.Store(true)
		<-refused // hence no other list is under way
		c.open()
		until(t, "the job is over", func() bool { return c.state(id) == "COMPLETED" })
		if err := x.Cancel(context.Background(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := c.drive(x)
	<-asked
	if u := unit(t, r, "x"); u.State != workflow.Succeeded || r.CancelRequests != 1 {
		t.Errorf("asked %d times to cancel\n%s", r.CancelRequests, states(r))
	}
}

// TestCancelledInTheQueue: somebody else cancels a job that has not started. The
// attempt ends only when no job of its token can start any more.
func TestCancelledInTheQueue(t *testing.T) {
	t.Parallel()
	c := newSite(t, func(config *sandbox.Config) { config.Slots = 1 }).counted()
	blocker, err := c.client.Compute.Submit(t.Context(), system, firecrest.JobSpec{WorkingDirectory: c.root + "/home/demo", Script: "#!/bin/sh\nsleep 600\n"})
	if err != nil {
		t.Fatal(err)
	}
	x := c.create(c.load(c.steps(false, "0", "\n  max_attempts: 2\n  retry: [{ cause: killed, max: 1 }]")))
	asked := false
	c.driveUntil(x, func(r *workflow.Run) bool {
		u := r.Steps[0].Units[0]
		if a := u.Attempt(); !asked && a != nil && a.Job != nil {
			asked = true
			id := firecrest.JobID(a.Job.JobID)
			go func() {
				for _, id := range []firecrest.JobID{id, blocker} {
					if err := c.client.Compute.Cancel(context.Background(), system, id); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		return u.State == workflow.Waiting && u.Wait.Reason == workflow.WaitBackoff
	})
	first := unit(t, x.Run(), "x").Attempts[0]
	if first.End.Cause != workflow.CauseKilled || first.Submission.Owner == nil || first.Submission.Owner.JobID != "" {
		t.Errorf("the first attempt ended as %s; its token is owned by %+v", first.End.Cause, first.Submission.Owner)
	}
	if text := c.claimText(x.Run(), tokenOf(x.Run(), "x")); !strings.HasPrefix(text, tombstonePrefix) || len(c.starts()) > 0 {
		t.Errorf("the claim says %q; started: %v", text, c.starts())
	}
}

// TestBackupOfARun: the history of a run is put back to before its job was
// submitted, and driven again. The job is found before anything is sent.
func TestBackupOfARun(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(false, "0")))
	whole := c.drive(x)
	history, blobs := events(t, c.site, whole), blobsOf(t, c.site, whole)
	for n := 1; n < len(history) && !sent(history[:n]); n++ {
		c.store = memory.New()
		h, err := c.store.Create(t.Context(), whole.ID, whole.Workflow.Source, history[:n], blobs)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		r := c.drive(c.reopen(x))
		if c.outputs(r, "x")["job_id"] != "1" || len(c.starts()) != 1 {
			t.Errorf("from event %d, %s: job %v; started: %v", n, history[n-1].Data.Kind(), c.outputs(r, "x")["job_id"], c.starts())
		}
		if sub := unit(t, r, "x").Attempt().Submission; sub.Sent != 0 {
			t.Errorf("from event %d: %d requests", n, sub.Sent)
		}
	}
}

// TestTwoCopiesOfARun: two processes drive copies of one run at the same time. The
// payload starts once, and both learn how it ended.
func TestTwoCopiesOfARun(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	x := c.create(c.load(c.steps(false, "0")))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	first := events(t, c.site, x.Run())[:1]
	ends := make(chan *workflow.Run)
	for range 2 {
		s := memory.New()
		h, err := s.Create(t.Context(), x.ID(), x.Run().Workflow.Source, first, nil)
		if err == nil {
			err = h.Close()
		}
		if err == nil {
			h, err = s.Open(t.Context(), x.ID())
		}
		if err != nil {
			t.Fatal(err)
		}
		copied, err := c.engine().Open(t.Context(), h, x.Run().Workflow, workflow.Owner{Host: "test"}, "test")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := copied.Drive(t.Context()); err != nil {
				t.Error(err)
			}
			ends <- copied.Run()
		}()
	}
	jobs := map[string]bool{}
	for range 2 {
		r := <-ends
		u := unit(t, r, "x")
		if u.State != workflow.Succeeded {
			t.Error(states(r))
			continue
		}
		jobs[u.Attempt().Submission.Owner.JobID] = true
	}
	if starts := c.starts(); len(starts) != 1 || len(jobs) != 1 || !jobs[starts[0]] {
		t.Errorf("started: %v; the copies believe in %v", starts, jobs)
	}
}

// TestPurgedControlDirectory: the site deletes the claims while the job runs.
// Nobody can tell then whether it ran, so a person is asked.
func TestPurgedControlDirectory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		word  workflow.SubmissionResolved
		state workflow.State
	}{
		{workflow.SubmissionResolved{As: workflow.ResolvedJob, JobID: "1", By: "me"}, workflow.Failed}, // with 3, says the scheduler
		{workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "me"}, workflow.Failed},
	} {
		c := newSite(t).counted()
		x := c.create(c.load(c.steps(true, "3")))
		c.whenJobRuns(func(firecrest.JobID) {
			until(t, "the payload has started", func() bool { return len(c.starts()) == 1 })
			if err := os.RemoveAll(filepath.Join(x.Run().Sites[system].RemoteDir, ".fcflow")); err != nil {
				t.Error(err)
			}
			c.open()
		})
		resolved := false
		go func() {
			until(t, "the step waits for a person", func() bool {
				v, err := x.View(context.Background())
				u := v.Steps[0].Instances[0]
				return err == nil && u.Wait != nil && u.Wait.Reason == workflow.WaitAttention
			})
			resolved = true
			if err := x.Resolve(context.Background(), workflow.UnitRef{Step: "x"}, test.word); err != nil {
				t.Error(err)
			}
		}()
		r := c.drive(x)
		u := unit(t, r, "x")
		if !resolved || u.State != test.state || len(c.starts()) != 1 || u.Attempt().End.Rule == "" {
			t.Errorf("%s: resolved %v, rule %s, started: %v\n%s", test.word.As, resolved, u.Attempt().End.Rule, c.starts(), states(r))
		}
	}
}

// TestResolve: without a fence, a submission of unknown fate waits for a person,
// whose word is carried out.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		word     workflow.SubmissionResolved
		state    workflow.State
		attempts int
		starts   int
	}{
		{workflow.SubmissionResolved{As: workflow.ResolvedNeverRan, By: "me"}, workflow.Succeeded, 2, 1},
		{workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "me"}, workflow.Failed, 1, 0},
		{workflow.SubmissionResolved{As: workflow.ResolvedJob, By: "me"}, workflow.Succeeded, 1, 1},
	} {
		c := newSite(t).counted()
		c.faults(postJob, func(n int) *sandbox.Fault {
			if n > 1 {
				return nil
			}
			return &sandbox.Fault{DropRequest: true}
		})
		x := c.create(c.load(c.steps(false, "0", "\n    fence: off")))
		go func() {
			until(t, "the step waits for a person", func() bool {
				v, err := x.View(context.Background())
				u := v.Steps[0].Instances[0]
				return err == nil && u.Wait != nil && u.Wait.Reason == workflow.WaitAttention && strings.Contains(u.Wait.Message, "fcflow resolve")
			})
			word := test.word
			if word.As == workflow.ResolvedJob { // somebody submitted it by hand
				id, err := c.client.Compute.Submit(context.Background(), system, firecrest.JobSpec{
					Name: tokenOf(x.Run(), "x") + "-by-hand", WorkingDirectory: c.root + "/home/demo", Script: "#!/bin/sh\necho 1 >>" + c.ledger + "\n",
				})
				if err != nil {
					t.Error(err)
				}
				word.JobID = string(id)
			}
			err := x.Resolve(context.Background(), workflow.UnitRef{Step: "x"}, word)
			if err != nil && !errors.Is(err, engine.ErrConflict) { // or the poller found the job first
				t.Error(err)
			}
		}()
		r := c.drive(x)
		if u := unit(t, r, "x"); u.State != test.state || len(u.Attempts) != test.attempts || len(c.starts()) != test.starts {
			t.Errorf("%s: %d attempts, started: %v\n%s", test.word.As, len(u.Attempts), c.starts(), states(r))
		}
	}
}

// TestBlind: where no links can be made through the service, jobs still claim
// among themselves, and tell by their exit codes.
func TestBlind(t *testing.T) {
	t.Parallel()
	c := newSite(t).counted()
	var posts int
	c.mu.Lock()
	c.fault = func(op string, _ *http.Request) *sandbox.Fault {
		switch {
		case strings.HasSuffix(op, "ops/symlink"):
			return signed(http.StatusForbidden, "Permission denied")
		case strings.HasSuffix(op, postJob):
			if posts++; posts == 1 {
				return &sandbox.Fault{DropRequest: true}
			}
		}
		return nil
	}
	c.mu.Unlock()
	r := c.run(c.steps(false, "0"))
	u := unit(t, r, "x")
	if u.State != workflow.Succeeded || r.Sites[system].Fence != workflow.FenceBlind || u.Attempt().Submission.Owner.Rule != workflow.RuleExitCode {
		t.Errorf("fence %q, owner %+v\n%s", r.Sites[system].Fence, u.Attempt().Submission.Owner, states(r))
	}
	if len(c.starts()) != 1 || posts != 2 {
		t.Errorf("started: %v, %d requests", c.starts(), posts)
	}
}

// TestForeignControlDirectory: the directory of the run has been claimed for
// another.
func TestForeignControlDirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := filepath.Join(s.root, "home/demo/fcflow/test/01RUN/.fcflow")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".o-somebody", filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.library.Binder().Bind(t.Context(), system, "", created); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("bound: %v", err)
	}
}

// TestJobsThatEndTogether: one listing tells how all of them ended.
func TestJobsThatEndTogether(t *testing.T) {
	t.Parallel()
	const jobs = 20
	var lists atomic.Int64
	var open atomic.Bool
	ended := make(chan struct{})
	s := newSite(t, func(config *sandbox.Config) {
		config.Slots = 50
		config.Fault = func(op string, _ *http.Request) *sandbox.Fault {
			if strings.HasSuffix(op, "ops/ls") && open.Load() {
				lists.Add(1)
				<-ended // they end together, however busy the machine is
			}
			return nil
		}
	})
	gate := filepath.Join(s.root, "gate")
	var steps strings.Builder
	for i := range jobs {
		steps.WriteString("\n- { id: j" + string(rune('a'+i)) + `, uses: job, with: { keep_output: never, env: { GATE: ` + gate + ` }, script: "#!/bin/sh\nuntil [ -e $GATE ]; do sleep 0.05; done; exit 3" } }`)
	}
	x := s.create(s.load(steps.String()))
	s.observe(func(r *workflow.Run) {
		active := 0
		for _, step := range r.Steps {
			if a := step.Units[0].Attempt(); a != nil && a.Job != nil && a.Job.Active {
				active++
			}
		}
		if active < jobs || open.Swap(true) {
			return
		}
		markers := filepath.Join(r.Sites[system].RemoteDir, ".fcflow", "*", "*"+markerSuffix)
		go func() {
			defer close(ended)
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Error(err)
			}
			until(t, "all have ended", func() bool {
				found, err := filepath.Glob(markers)
				return err == nil && len(found) == jobs
			})
			until(t, "the system says so", func() bool {
				list, err := s.client.Compute.List(t.Context(), system, nil)
				return err == nil && !slices.ContainsFunc(list, func(j firecrest.Job) bool { return !j.Status.State.IsTerminal() })
			})
		}()
	})
	r := s.drive(x)
	for _, step := range r.Steps {
		if u := step.Units[0]; u.Cause != "exit(3)" || u.Attempt().End.Rule != workflow.RuleMarker {
			t.Errorf("%s: %s by %s", step.Step.ID, u.Cause, u.Attempt().End.Rule)
		}
	}
	if n := lists.Load(); n == 0 || n > jobs/2 {
		t.Errorf("%d listings for %d jobs", n, jobs)
	}
}

// TestNeverStarts: a reason that does not clear by itself is a matter for a
// person.
func TestNeverStarts(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]workflow.WaitReason{
		"Priority": workflow.WaitJob, "Resources": workflow.WaitJob, "None": workflow.WaitJob, "": workflow.WaitJob, "QOSMaxJobsPerUserLimit": workflow.WaitJob,
		"PartitionTimeLimit": workflow.WaitAttention, "DependencyNeverSatisfied": workflow.WaitAttention, "(JobHeldUser)": workflow.WaitAttention,
	} {
		w := waitFor(firecrest.Observation{Job: firecrest.Job{ID: "7", Status: firecrest.JobStatus{State: "PENDING", Reason: reason}}}, "7", "t")
		if w.Reason != want || w.Topic != "t" || !strings.Contains(w.Message, "PENDING") {
			t.Errorf("%q: %+v, want %s", reason, w, want)
		}
	}
}

// TestPBS: a system that tells no exit code of a job that never ran, and none at
// all for one that it has forgotten. The exit marker is what counts.
func TestPBS(t *testing.T) {
	t.Parallel()
	c := newSite(t, func(config *sandbox.Config) { config.Scheduler = "pbs" }).counted()
	steps := strings.ReplaceAll(c.steps(false, "0"), "SLURM_JOB_ID", "PBS_JOBID")
	r := c.run(steps + `
	- id: bad
	  uses: job
	  with: { resources: { nodes: 1, time: 1m }, script: "#!/bin/sh\necho so sad\nexit 3" }
	- id: start
	  uses: submit
	  with: { script: "#!/bin/sh" }
	- id: finish
	  uses: wait_for_job
	  with: { job_id: "${{ steps.start.outputs.job_id }}" }`)
	for id, want := range map[string]struct {
		state workflow.State
		cause workflow.Cause
	}{"x": {workflow.Succeeded, ""}, "bad": {workflow.Failed, "exit(3)"}, "start": {workflow.Succeeded, ""}, "finish": {workflow.Succeeded, ""}} {
		u := unit(t, r, id)
		if u.State != want.state || u.Cause != want.cause {
			t.Errorf("%s: %s", id, states(r))
		}
		if end := u.Attempt().End; id != "start" && end.Rule != workflow.RuleMarker {
			t.Errorf("%s was decided by %s: %s", id, end.Rule, end.Evidence)
		}
	}
	if tail := unit(t, r, "bad").Attempt().End.Tail; tail != "so sad" {
		t.Errorf("its output is %q", tail)
	}
	if starts := c.starts(); len(starts) != 1 {
		t.Errorf("started: %v", starts)
	}
}
