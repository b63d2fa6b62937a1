package firecresttest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
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
