package firecresttest_test

import (
	"errors"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

// switched is a sandbox with fault switches on, and a client of it.
func switched(t *testing.T, faults ...string) faulty {
	t.Helper()
	f := newFaulty(t, nil)
	if err := f.SetFaults(0, faults...); err != nil {
		t.Fatal(err)
	}
	seed, _ := f.Faults()
	t.Logf("faults %q with seed %d", faults, seed)
	return f
}

// fired wants the first switch to have hit so often.
func (f faulty) fired(t *testing.T, want int) {
	t.Helper()
	if _, states := f.Faults(); states[0].Fired != want {
		t.Errorf("fault %q fired %d times, want %d", states[0].Fault, states[0].Fired, want)
	}
}

// What passes is not noticed by who reads.
func TestReadsOutliveFaults(t *testing.T) {
	t.Parallel()
	for fault, fired := range map[string]int{
		"429,times=2": 2, "5xx,times=2": 2, "html,times=2": 2, "html,status=200,times=2": 2, "status=504,times=2": 2,
		"408,times=2": 2, "424,times=2": 2, "408,effect=yes,times=2": 2, "500,ops=*/ops/ls,times=2": 2,
		"latency=1ms": 1, "drop-request,times=2": 2, "drop-reply,times=2": 2,
		"unhealthy=ssh,times=2": 2, "unhealthy=home,times=2": 2,
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f := switched(t, fault)
			if _, err := f.client.Filesystem.List(t.Context(), system, f.home, nil); err != nil {
				t.Error(err)
			}
			f.fired(t, fired)
		})
	}
}

// Of a submission that met a fault, it is known what is known.
func TestSubmissionsMeetFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		class firecrest.SubmitClass
		jobs  int
	}{
		"drop-submit":                          {firecrest.SubmitAmbiguous, 1},
		"drop-request,ops=POST /compute*":      {firecrest.SubmitAmbiguous, 0},
		"408,effect=yes,ops=POST /compute*":    {firecrest.SubmitAmbiguous, 1},
		"408,ops=POST /compute*":               {firecrest.SubmitAmbiguous, 0},
		"424,effect=yes,ops=POST /compute*":    {firecrest.SubmitAmbiguous, 1},
		"html,ops=POST /compute*":              {firecrest.SubmitAmbiguous, 0},
		"5xx,ops=POST /compute*":               {firecrest.SubmitAmbiguous, 0},
		"429,ops=POST /compute*":               {firecrest.SubmitNotSent, 0},
		"unhealthy=scheduler,ops=POST *":       {firecrest.SubmitNotSent, 0},
		"unhealthy=scheduler,system=elsewhere": {firecrest.SubmitAccepted, 1},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f := switched(t, fault)
			_, err := f.submit(t, "met")
			if firecrest.SubmitClassOf(err) != want.class {
				t.Errorf("got %v: %s, want %s", err, firecrest.SubmitClassOf(err), want.class)
			}
			if n := f.count(submitting); n != 1 {
				t.Errorf("%d submissions were sent, want 1", n)
			}
			if err := f.SetFaults(0); err != nil {
				t.Fatal(err)
			}
			if jobs := f.jobs(t, "met"); len(jobs) != want.jobs {
				t.Errorf("%d jobs, want %d", len(jobs), want.jobs)
			}
		})
	}
}

// Who waits for a job finds it, whatever the accounting leaves out for a while.
func TestWaitingOutlivesFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{
		"accounting-lag=150ms", "hide-rows=0.7", "500,rate=0.5", "5xx=0.3", "html=0.3", "drop-reply=0.3", "latency=20ms", "unhealthy=scheduler,rate=0.5",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f := switched(t)
			id, err := f.submit(t, "waited for")
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetFaults(0, fault); err != nil {
				t.Fatal(err)
			}
			if job := f.wait(t, id); !job.Succeeded() {
				t.Errorf("job %+v", job)
			}
			if fault == "accounting-lag=150ms" || fault == "latency=20ms" {
				if _, states := f.Faults(); states[0].Fired == 0 {
					t.Errorf("%s never fired", fault)
				}
			}
		})
	}
}

// The reason of a failed query is kept, from below the words of the server.
func TestReasonOfAFailedQuery(t *testing.T) {
	t.Parallel()
	f := switched(t, "500")
	_, err := f.client.Compute.List(t.Context(), system, nil)
	var failure *firecrest.Error
	if !errors.As(err, &failure) || len(failure.CausedBy) != 1 || failure.Status != 500 {
		t.Errorf("got %+v", failure)
	}
}

// Tokens that are short-lived are renewed, and those that are refused at once are
// an error soon.
func TestShortTokens(t *testing.T) {
	t.Parallel()
	srv := serve(t, sandbox.Config{Faults: []string{"token-lifetime=40s"}})
	client := newClient(t, srv)
	for range 3 {
		if _, err := client.Status.Systems(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	srv = serve(t, sandbox.Config{Faults: []string{"token-lifetime=20s"}})
	client = newClient(t, srv)
	if _, err := client.Status.Systems(t.Context()); !errors.Is(err, firecrest.ErrUnauthenticated) {
		t.Errorf("got %v, want unauthenticated", err)
	}
	if _, states := srv.Faults(); states[0].Fired == 0 || states[0].Fired > 3 {
		t.Errorf("%d tokens were asked for", states[0].Fired)
	}
}
