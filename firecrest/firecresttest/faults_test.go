package firecresttest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

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
	slow.Delay = 1500 * time.Millisecond
	f := newFaulty(t, map[string][]*sandbox.Fault{submitting: {slow}, telling: {slow, slow, slow}},
		firecrest.WithRequestTimeout(500*time.Millisecond))
	if _, err := f.submit(t, "slow"); firecrest.SubmitClassOf(err) != firecrest.SubmitAmbiguous || !errors.Is(err, firecrest.ErrTimeout) {
		t.Errorf("got %v, want an ambiguous time-out", err)
	}
	if _, err := f.client.Status.Systems(t.Context()); !errors.Is(err, firecrest.ErrTimeout) || f.count(telling) != 3 {
		t.Errorf("got %v after %d requests, want a time-out after 3", err, f.count(telling))
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
