package firecresttest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/batch"
)

// script decides what goes wrong: for each operation, one fault per request,
// until there are no more. It notes what was sent and what answered.
type script struct {
	mu      sync.Mutex
	faults  map[string][]*sandbox.Fault
	seen    map[string]int
	answers map[string][]int
}

func (s *script) fault(operation string, _ *http.Request) *sandbox.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[operation]++
	if len(s.faults[operation]) == 0 {
		return nil
	}
	next := s.faults[operation][0]
	s.faults[operation] = s.faults[operation][1:]
	return next
}

func (s *script) observe(operation string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[operation] = append(s.answers[operation], status)
}

func (s *script) count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[operation]
}

const (
	submitting = "POST /compute/{system_name}/jobs"
	listing    = "GET /compute/{system_name}/jobs"
	making     = "POST /filesystem/{system_name}/ops/mkdir"
	viewing    = "GET /filesystem/{system_name}/ops/ls"
	removing   = "DELETE /filesystem/{system_name}/ops/rm"
	telling    = "GET /status/systems"
	issuing    = "POST " + sandbox.TokenPath
)

// faulty is a sandbox in which a script goes wrong, and a client of it that
// repeats quickly.
type faulty struct {
	served
	*script
	client *firecrest.Client
}

func newFaulty(t *testing.T, faults map[string][]*sandbox.Fault, options ...firecrest.Option) faulty {
	t.Helper()
	s := &script{faults: faults, seen: map[string]int{}, answers: map[string][]int{}}
	srv := serve(t, sandbox.Config{Fault: s.fault, Observe: s.observe})
	return faulty{srv, s, newClient(t, srv, options...)}
}

func newClient(t *testing.T, srv served, options ...firecrest.Option) *firecrest.Client {
	t.Helper()
	client, err := firecrest.New(srv.url, append([]firecrest.Option{
		firecrest.WithTokenSource(srv.credentials()),
		firecrest.WithRetry(firecrest.RetryPolicy{Base: time.Millisecond, MaxAttempts: 3}),
		firecrest.WithPollSettings(quickPolls),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// gateway is an answer of something in front of the server.
func gateway(status int, header ...string) *sandbox.Fault {
	f := &sandbox.Fault{Status: status, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><h1>Sorry</h1></html>"}
	for i := 0; i < len(header); i += 2 {
		f.Header.Set(header[i], header[i+1])
	}
	return f
}

// own is an error answer of the server itself.
func own(status int, message string) *sandbox.Fault {
	return &sandbox.Fault{
		Status: status,
		Header: http.Header{"Content-Type": {"application/json"}, "F7T-Appversion": {sandbox.DefaultRelease}},
		Body:   fmt.Sprintf(`{"errorType":"error","message":%q,"causedBy":null,"data":null,"user":"demo"}`, message),
	}
}

func (f faulty) submit(t *testing.T, name string) (firecrest.JobID, error) {
	t.Helper()
	return f.client.Compute.Submit(t.Context(), system, firecrest.JobSpec{
		Name: name, WorkingDirectory: f.home, Script: "#!/bin/sh\necho ran >> ran.txt\n",
	})
}

// jobs returns the jobs of a name, once all of them are over.
func (f faulty) jobs(t *testing.T, name string) []firecrest.Job {
	t.Helper()
	rows, err := f.client.Compute.List(t.Context(), system, nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []firecrest.Job
	for _, row := range rows {
		if row.Name == name {
			found = append(found, f.wait(t, row.ID))
		}
	}
	return found
}

func (f faulty) wait(t *testing.T, id firecrest.JobID) firecrest.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	over := make(chan firecrest.Job, 1)
	f.client.Poller(system).Watch(ctx, firecrest.Query{ID: id}, func(o firecrest.Observation) {
		if o.Job.Status.State.IsTerminal() {
			over <- o.Job
		}
	})
	select {
	case job := <-over:
		return job
	case <-ctx.Done():
		t.Fatalf("job %s: %v", id, ctx.Err())
		return firecrest.Job{}
	}
}

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

// Reads are repeated, whoever is in trouble.
func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*sandbox.Fault{
		"503 of a gateway":      gateway(503),
		"502 of a gateway":      gateway(502),
		"a login page":          gateway(200),
		"an unhealthy service":  own(503, "The requested filesystem (/home on alps) is unhealthy."),
		"a lost SSH connection": own(424, "SSH connection Reset."),
		"a slow command":        own(408, "Command execution timeout limit exceeded."),
		"a lost answer":         {DropReply: true},
		"an answer cut short":   {Status: 200, Header: http.Header{"F7t-Appversion": {"2.5.6"}}, Body: `{"output":[`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, map[string][]*sandbox.Fault{viewing: {fault, fault}})
			entries, err := f.client.Filesystem.List(t.Context(), system, f.home, nil)
			if err != nil || len(entries) != 0 || f.count(viewing) != 3 {
				t.Errorf("got %v, %v after %d requests, want success at the third", entries, err, f.count(viewing))
			}
		})
	}
}

// A gateway that does not know the way says nothing about a file.
func TestNotFoundByGateway(t *testing.T) {
	t.Parallel()
	f := newFaulty(t, map[string][]*sandbox.Fault{viewing: {gateway(404)}})
	_, err := f.client.Filesystem.List(t.Context(), system, f.home, nil)
	if !errors.Is(err, firecrest.ErrUnavailable) || errors.Is(err, firecrest.ErrNotFound) || f.count(viewing) != 1 {
		t.Errorf("got %v after %d requests, want unavailable after 1", err, f.count(viewing))
	}
}

// When nothing helps, the error says who was in trouble and how often it was
// tried.
func TestReadsAreGivenUp(t *testing.T) {
	t.Parallel()
	html := gateway(502)
	f := newFaulty(t, map[string][]*sandbox.Fault{viewing: {html, html, html}})
	_, err := f.client.Filesystem.List(t.Context(), system, f.home, nil)
	var failure *firecrest.Error
	if !errors.As(err, &failure) || !errors.Is(err, firecrest.ErrUnavailable) || failure.Attempts != 3 || failure.FromServer() {
		t.Errorf("got %+v", failure)
	}
	if text := err.Error(); strings.Contains(text, "<") || !strings.Contains(text, "other than FirecREST answered") {
		t.Errorf("error %q", text)
	}
}

// Writes that must not run twice are repeated only if they did not run.
func TestWritesAreRepeatedWithCare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   *sandbox.Fault
		parents bool
		sent    int
		err     error
	}{
		"unhealthy":              {own(503, "The ssh service for the requested system (alps) is unhealthy."), false, 2, nil},
		"gateway":                {gateway(503), false, 1, firecrest.ErrUnavailable},
		"lost answer":            {&sandbox.Fault{DropReply: true}, false, 1, firecrest.ErrUnavailable},
		"gateway, parents":       {gateway(503), true, 2, nil},
		"lost answer, parents":   {&sandbox.Fault{DropReply: true}, true, 2, nil},
		"too many, then allowed": {gateway(429, "Retry-After", "1"), false, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, map[string][]*sandbox.Fault{making: {test.fault}})
			_, err := f.client.Filesystem.Mkdir(t.Context(), system, f.home+"/new", test.parents)
			if !errors.Is(err, test.err) || f.count(making) != test.sent {
				t.Errorf("got %v after %d requests, want %v after %d", err, f.count(making), test.err, test.sent)
			}
		})
	}
	t.Run("removed by the first try", func(t *testing.T) {
		t.Parallel()
		f := newFaulty(t, map[string][]*sandbox.Fault{removing: {{DropReply: true}}})
		if _, err := f.client.Filesystem.Mkdir(t.Context(), system, f.home+"/old", false); err != nil {
			t.Fatal(err)
		}
		if err := f.client.Filesystem.Remove(t.Context(), system, f.home+"/old"); err != nil || f.count(removing) != 2 {
			t.Errorf("got %v after %d requests, want success after 2", err, f.count(removing))
		}
	})
}

// A gateway that turns requests away says for how long, in one of three ways.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"seconds": {"Retry-After", "1"},
		"a date":  {"Retry-After", time.Now().UTC().Format(http.TimeFormat)},
		"a reset": {"RateLimit-Reset", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, map[string][]*sandbox.Fault{telling: {gateway(429, header...)}})
			began := time.Now()
			if _, err := f.client.Status.Systems(t.Context()); err != nil || f.count(telling) != 2 {
				t.Errorf("got %v after %d requests, want success after 2", err, f.count(telling))
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("the second request came after %s, want a second at least", took)
			}
		})
	}
}

// An answer that does not come in time leaves the outcome open.
func TestNoAnswerInTime(t *testing.T) {
	t.Parallel()
	slow := gateway(504)
	slow.Delay = 300 * time.Millisecond
	f := newFaulty(t, map[string][]*sandbox.Fault{submitting: {slow}, telling: {slow, slow, slow}},
		firecrest.WithRequestTimeout(100*time.Millisecond))
	if _, err := f.submit(t, "slow"); firecrest.SubmitClassOf(err) != firecrest.SubmitAmbiguous || !errors.Is(err, firecrest.ErrTimeout) {
		t.Errorf("got %v, want an ambiguous time-out", err)
	}
	if _, err := f.client.Status.Systems(t.Context()); !errors.Is(err, firecrest.ErrTimeout) || f.count(telling) != 3 {
		t.Errorf("got %v after %d requests, want a time-out after 3", err, f.count(telling))
	}
}

// tokens hands out one token after the other, the last one again and again.
type tokens struct {
	mu   sync.Mutex
	list []string
}

func (s *tokens) Token(context.Context) (firecrest.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.list[0]
	if len(s.list) > 1 {
		s.list = s.list[1:]
	}
	return firecrest.Token{Value: firecrest.Secret(next)}, nil
}

// A token that has expired unnoticed is replaced. A read is sent again with the
// new one. A submission is not, but is known not to have been carried out.
func TestExpiredToken(t *testing.T) {
	t.Parallel()
	srv := serve(t, sandbox.Config{TokenAlgorithm: "HS256"})
	expired, good := srv.token(t, "demo", -time.Second, nil), srv.token(t, "demo", time.Hour, nil)
	client := newClient(t, srv, firecrest.WithTokenSource(&tokens{list: []string{expired, good}}))
	if _, err := client.Filesystem.List(t.Context(), system, srv.home, nil); err != nil {
		t.Error(err)
	}

	client = newClient(t, srv, firecrest.WithTokenSource(&tokens{list: []string{expired, good}}))
	f := faulty{srv, nil, client}
	_, err := f.submit(t, "late")
	if !errors.Is(err, firecrest.ErrUnauthenticated) || firecrest.SubmitClassOf(err) != firecrest.SubmitNotSent {
		t.Errorf("got %v, want not sent for want of a token", err)
	}
	if strings.Contains(err.Error(), expired) {
		t.Error("the error holds the token")
	}
	if _, err := f.submit(t, "late"); err != nil {
		t.Error(err)
	}
	if jobs := f.jobs(t, "late"); len(jobs) != 1 {
		t.Errorf("jobs %+v, want one", jobs)
	}
}

// The server refuses tokens in their last half minute, sooner than the client
// would replace one that lives so short: the client has to notice by itself.
func TestTokensEndWhileWorking(t *testing.T) {
	t.Parallel()
	s := &script{seen: map[string]int{}, answers: map[string][]int{}}
	srv := serve(t, sandbox.Config{TokenLifetime: 30*time.Second + 200*time.Millisecond, Fault: s.fault, Observe: s.observe})
	client := newClient(t, srv)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	calls := 0
	for s.count(issuing) < 3 {
		if _, err := client.Status.Systems(ctx); err != nil {
			t.Fatal(err)
		}
		calls++
	}
	refused := 0
	for _, status := range s.answers[telling] {
		if status == http.StatusUnauthorized {
			refused++
		}
	}
	if got := len(s.answers[telling]); refused != 2 || got != calls+refused {
		t.Errorf("%d calls made %d requests, %d of them refused; want 2 refused", calls, got, refused)
	}
}

// A download that breaks off is an error, never a short file.
func TestDownloadIsCutShort(t *testing.T) {
	t.Parallel()
	const downloading = "GET /filesystem/{system_name}/ops/download"
	cut := &sandbox.Fault{
		Status: 200, Header: http.Header{"F7t-Appversion": {"2.5.6"}, "Content-Length": {"10"}}, Body: "12345",
	}
	f := newFaulty(t, map[string][]*sandbox.Fault{downloading: {cut, cut, cut}})
	n, err := f.client.Filesystem.Download(t.Context(), system, f.home+"/file", io.Discard)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != 5 || f.count(downloading) != 1 {
		t.Errorf("got %d, %v after %d requests, want an early end after 5 bytes", n, err, f.count(downloading))
	}
}

// A list that fails says nothing about a job: who waits is told of the outage
// and then of the end.
func TestWatchThroughOutage(t *testing.T) {
	t.Parallel()
	down := own(500, "Error executing Slurm command.")
	f := newFaulty(t, map[string][]*sandbox.Fault{listing: {down, gateway(502)}})
	id, err := f.submit(t, "watched")
	if err != nil {
		t.Fatal(err)
	}
	var observations []firecrest.Observation
	over := make(chan struct{})
	f.client.Poller(system).Watch(t.Context(), firecrest.Query{ID: id}, func(o firecrest.Observation) {
		observations = append(observations, o)
		if o.Job.Status.State.IsTerminal() {
			close(over)
		}
	})
	select {
	case <-over:
	case <-time.After(30 * time.Second):
		t.Fatal("the job does not end")
	}
	if first, last := observations[0], observations[len(observations)-1]; first.Outage == nil || last.Outage != nil || !last.Job.Succeeded() {
		t.Errorf("told %+v", observations)
	}
}
