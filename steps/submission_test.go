package steps

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

const postJob = "POST /compute/{system_name}/jobs"

const helloJob = `
	- id: x
	  uses: job
	  with: { script: "#!/bin/sh\necho hello" }`

// jobs lists the jobs of the site whose name begins with a token.
func (s *site) jobs(token string) []firecrest.Job {
	s.t.Helper()
	jobs, err := s.client.Compute.List(s.t.Context(), system, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return named(jobs, token)
}

func tokenOf(r *workflow.Run, step string) string {
	return workflow.Token(r.Created.Nonce, workflow.UnitRef{Step: step}, 1)
}

// classes lists what the requests to submit a job came to.
func classes(t *testing.T, r *workflow.Run, step string) []workflow.SubmissionClass {
	t.Helper()
	var list []workflow.SubmissionClass
	for _, o := range unit(t, r, step).Attempt().Submission.Outcomes {
		list = append(list, o.Class)
	}
	return list
}

func signed(status int, message string) *sandbox.Fault {
	return &sandbox.Fault{
		Status: status, Header: http.Header{"F7T-AppVersion": {"2.5.6"}},
		Body: `{"errorType":"error","message":"` + message + `"}`,
	}
}

// TestSubmissionOutcomes walks the answers to a submission.
func TestSubmissionOutcomes(t *testing.T) {
	t.Parallel()
	const unhealthy = "The scheduler service for the requested system (one) is unhealthy."
	const limit = "Job submission rejected: accounting/QOS policy limit exceeded. QOSMaxSubmitJobPerUserLimit"
	tests := []struct {
		name    string
		faults  []*sandbox.Fault // for the first requests
		want    []workflow.SubmissionClass
		reason  workflow.WaitReason // of the waits before the job runs
		waiting int
	}{
		{"accepted", nil, []workflow.SubmissionClass{workflow.Accepted}, "", 0},
		{"answer lost", []*sandbox.Fault{{DropReply: true}}, []workflow.SubmissionClass{workflow.Ambiguous}, "", 0},
		{
			"unhealthy",
			[]*sandbox.Fault{signed(503, unhealthy), signed(503, unhealthy)},
			[]workflow.SubmissionClass{workflow.NotSent, workflow.NotSent, workflow.Accepted},
			workflow.WaitOutage, 2,
		},
		{
			"limit",
			[]*sandbox.Fault{signed(403, limit), signed(403, limit)},
			[]workflow.SubmissionClass{workflow.Rejected, workflow.Rejected, workflow.Accepted},
			workflow.WaitTimer, 2,
		},
		{
			"limit, then lost",
			[]*sandbox.Fault{signed(403, limit), {DropReply: true}},
			[]workflow.SubmissionClass{workflow.Rejected, workflow.Ambiguous},
			workflow.WaitTimer, 1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := s.drive(s.create(s.load(`
	- id: first
	  uses: job
	  with: { script: "#!/bin/sh" }`)))
			s.outputs(r, "first") // a job that is not meant
			s.faults(postJob, func(n int) *sandbox.Fault {
				if n > len(test.faults) {
					return nil
				}
				return test.faults[n-1]
			})
			r = s.run(helloJob)
			s.outputs(r, "x")
			if diff := cmp.Diff(test.want, classes(t, r, "x")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if jobs := s.jobs(tokenOf(r, "x")); len(jobs) != 1 {
				t.Errorf("%d jobs were submitted", len(jobs))
			}
			if test.reason != "" && waits(t, s, r, test.reason) != test.waiting {
				t.Errorf("%d waits for %s, want %d", waits(t, s, r, test.reason), test.reason, test.waiting)
			}
			sending := 0
			for _, e := range events(t, s, r) {
				if _, ok := e.Data.(*workflow.SubmissionSending); ok {
					sending++
				}
			}
			if posts := max(len(test.faults), 1); sending < posts {
				t.Errorf("%d requests on record, at least %d were sent", sending, posts)
			}
		})
	}
}

func TestRejectedForGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const words = "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid partition name specified"
	s.faults(postJob, func(int) *sandbox.Fault { return signed(500, words) })
	u := unit(t, s.run(helloJob), "x")
	if u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "Invalid partition name specified") {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
}

// TestLostRequest: a gateway swallowed the request. It is looked for as long as it
// takes, also after a restart, and only then sent again.
func TestLostRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	posts := 0
	s.faults(postJob, func(n int) *sandbox.Fault {
		if posts = n; n > 1 {
			return nil
		}
		return &sandbox.Fault{Status: http.StatusBadGateway}
	})
	x := s.create(s.load(helloJob))
	s.driveUntil(x, waiting(workflow.WaitOutage))
	if u := unit(t, x.Run(), "x"); !strings.Contains(u.Wait.Message, workflow.JobName(tokenOf(x.Run(), "x"), "x")) || u.Wait.Until.IsZero() {
		t.Errorf("the wait does not say what is looked for, and when next: %+v", u.Wait)
	}
	r := s.drive(s.reopen(x))
	s.outputs(r, "x")
	sub := unit(t, r, "x").Attempt().Submission
	if sub.Sent != 2 || posts != 2 || sub.Absent != 1 {
		t.Errorf("%d requests on record, %d were made, the verdict is about %d", sub.Sent, posts, sub.Absent)
	}
	votes := 0
	var sent, verdict time.Time
	for _, e := range events(t, s, r) {
		switch p := e.Data.(type) {
		case *workflow.SubmissionSending:
			if p.K == 1 {
				sent = e.At
			}
		case *workflow.SubmissionLooked:
			votes++
		case *workflow.SubmissionAbsent:
			verdict = e.At
		}
	}
	if votes < s.library.fence.Votes || verdict.Sub(sent) < s.library.fence.Quiet {
		t.Errorf("%d looks, the verdict after %v", votes, verdict.Sub(sent))
	}
	if jobs := s.jobs(tokenOf(r, "x")); len(jobs) != 1 {
		t.Errorf("%d jobs were submitted", len(jobs))
	}
}

// TestResumeFromEveryPrefix cuts the history of a run after each event from the
// first byte of the submission on. The run ends the same, and the one job stays
// the only one.
func TestResumeFromEveryPrefix(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(helloJob))
	whole := s.drive(x)
	history := events(t, s, whole)
	blobs := blobsOf(t, s, whole)
	want := s.outputs(whole, "x")
	for n := 1; n < len(history); n++ {
		if !sent(history[:n]) {
			continue
		}
		s.store = memory.New()
		h, err := s.store.Create(t.Context(), whole.ID, whole.Workflow.Source, history[:n], blobs)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		r := s.drive(s.reopen(x))
		if diff := cmp.Diff(want, s.outputs(r, "x")); diff != "" {
			t.Errorf("after event %d, %s: -want +got:\n%s", n, history[n-1].Data.Kind(), diff)
		}
	}
	if jobs := s.jobs(tokenOf(whole, "x")); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
}

func sent(history []workflow.Event) bool {
	for _, e := range history {
		if _, ok := e.Data.(*workflow.SubmissionSending); ok {
			return true
		}
	}
	return false
}

// blobsOf are the values that lie beside the events of a run with one job.
func blobsOf(t *testing.T, s *site, r *workflow.Run) []workflow.Blob {
	t.Helper()
	h, err := s.store.Open(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	digest := unit(t, r, "x").Attempt().Submission.Intent.Script
	script, err := h.Blob(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	return []workflow.Blob{{Digest: digest, Bytes: script}}
}

// TestStopDuringSubmission: the process is told to end while the answer is on
// its way. The answer is waited for.
func TestStopDuringSubmission(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults(postJob, func(int) *sandbox.Fault { return &sandbox.Fault{Delay: 300 * time.Millisecond} })
	x := s.create(s.load(helloJob))
	s.driveUntil(x, func(r *workflow.Run) bool {
		a := r.Steps[0].Units[0].Attempt()
		return a != nil && a.Submission.InFlight()
	})
	if diff := cmp.Diff([]workflow.SubmissionClass{workflow.Accepted}, classes(t, x.Run(), "x")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r := s.drive(s.reopen(x))
	s.outputs(r, "x")
	if jobs := s.jobs(tokenOf(r, "x")); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
}

// TestAccount: the step, then its script, then the profile says whom to charge.
func TestAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.library.config.Account = "profile"
	r := s.run(`
	- { id: nobody, uses: job, with: { script: "#!/bin/sh" } }
	- { id: script, uses: job, with: { script: "#!/bin/sh\n#SBATCH -A script" } }
	- { id: step, uses: job, with: { script: "#!/bin/sh", account: step } }
	- { id: resources, uses: job, with: { script: "#!/bin/sh", account: step, resources: { account: resources } } }`)
	for step, want := range map[string]string{"nobody": "profile", "script": "script", "step": "step", "resources": "resources"} {
		rows, err := s.client.Compute.Get(t.Context(), system, firecrest.JobID(s.outputs(r, step)["job_id"].(string)))
		if err != nil || len(rows) != 1 || rows[0].Account != want {
			t.Errorf("%s: %+v, %v", step, rows, err)
		}
	}
}
