package firecresttest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/batch"
)

// The reply to a submission is lost: the job is there, the caller is told that
// nobody knows, and nothing is sent again.
func TestSubmissionWithoutReply(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, map[string][]*sandbox.Fault{submitting: {{DropReply: true}}})
	id, err := f.submit(t, "unanswered")
	if class := firecrest.SubmitClassOf(err); class != firecrest.SubmitAmbiguous || id != "" {
		t.Errorf("got %q, %v: %s, want ambiguous", id, err, class)
	}
	if n := f.count(submitting); n != 1 {
		t.Errorf("%d submissions were sent, want 1", n)
	}
	if jobs := f.jobs(t, "unanswered"); len(jobs) != 1 || !jobs[0].Succeeded() {
		t.Errorf("jobs %+v, want one", jobs)
	}
	text, err := f.client.Filesystem.View(t.Context(), system, f.home+"/ran.txt", nil)
	if err != nil || text != "ran\n" {
		t.Errorf("the job wrote %q, %v; want that it ran once", text, err)
	}
}

// What is known after submissions to which something else answered.
func TestSubmissionBehindGateway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault     *sandbox.Fault
		class     firecrest.SubmitClass
		permanent bool
	}{
		"HTML 502":          {gateway(502), firecrest.SubmitAmbiguous, false},
		"HTML 404":          {gateway(404), firecrest.SubmitAmbiguous, false},
		"504":               {gateway(504), firecrest.SubmitAmbiguous, false},
		"429":               {gateway(429, "Retry-After", "1"), firecrest.SubmitNotSent, false},
		"redirect":          {gateway(307, "Location", "/elsewhere"), firecrest.SubmitNotSent, false},
		"login page":        {gateway(200), firecrest.SubmitAmbiguous, false},
		"unhealthy":         {own(503, "The scheduler service for the requested system (alps) is unhealthy."), firecrest.SubmitNotSent, false},
		"slow scheduler":    {own(500, "('Channel not open for sending',)"), firecrest.SubmitAmbiguous, false},
		"deadline":          {own(408, "Command execution timeout limit exceeded."), firecrest.SubmitAmbiguous, false},
		"connection lost":   {own(424, "SSH connection Reset."), firecrest.SubmitAmbiguous, false},
		"no channel":        {own(424, "Unable to open a new SSH channel."), firecrest.SubmitNotSent, false},
		"no id":             {own(500, "Unable to submit new job"), firecrest.SubmitAmbiguous, false},
		"controller is off": {own(500, "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n"), firecrest.SubmitAmbiguous, false},
		"bad account":       {own(500, "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n"), firecrest.SubmitRejected, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, map[string][]*sandbox.Fault{submitting: {test.fault}})
			_, err := f.submit(t, "refused")
			var submit *firecrest.SubmitError
			if !errors.As(err, &submit) || submit.Class != test.class || submit.Permanent != test.permanent {
				t.Errorf("got %v: %s, want %s", err, firecrest.SubmitClassOf(err), test.class)
			}
			if err != nil && strings.Contains(err.Error(), "<h1>") {
				t.Errorf("the error quotes HTML: %v", err)
			}
			if n := f.count(submitting); n != 1 {
				t.Errorf("%d submissions were sent, want 1", n)
			}
		})
	}
}

// A limit of the site refuses a job for now; one of the job refuses it for good.
func TestSubmissionOverLimit(t *testing.T) {
	t.Parallel()
	const limit = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: " +
		"Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
	const account = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified"
	srv := serve(t, sandbox.Config{Admit: func(spec *batch.Spec) error {
		if spec.Account == "nobody" {
			return &batch.RejectedError{Stderr: account}
		}
		return &batch.RejectedError{Stderr: limit}
	}})
	client := newClient(t, srv)
	for name, want := range map[string]firecrest.SubmitError{
		"":       {Class: firecrest.SubmitRejected, JobLimit: true},
		"nobody": {Class: firecrest.SubmitRejected, Permanent: true},
	} {
		_, err := client.Compute.Submit(t.Context(), system, firecrest.JobSpec{
			Account: name, WorkingDirectory: srv.home, Script: "#!/bin/sh\n",
		})
		var got *firecrest.SubmitError
		if !errors.As(err, &got) || got.Class != want.Class || got.JobLimit != want.JobLimit || got.Permanent != want.Permanent {
			t.Errorf("account %q: got %+v, want %+v", name, got, want)
		}
	}
}
