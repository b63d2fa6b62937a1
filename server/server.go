// Package server offers runs over HTTP: JSON for what is now, a stream of
// events for what happens, and the requests that change a run.
//
// The process that owns a run serves it on a Unix socket of its own, through
// which other terminals see it live and cancel it; [Dial] is the other end. The
// handlers know nothing of sockets.
//
//	GET  /v1/runs                      summaries of the runs that are served, newest first
//	GET  /v1/runs/{id}                 the full picture of one
//	GET  /v1/runs/{id}/events          its history, as JSON lines or server-sent events
//	GET  /v1/runs/{id}/blobs/{digest}  a value that is kept apart from its events
//	POST /v1/runs/{id}/cancel          asks for its end; durable when answered
//	POST /v1/runs/{id}/resolve         says what became of a submission; durable when answered
//	POST /v1/runs/{id}/retry           has units done again; durable when answered
//	POST /v1/runs/{id}/approve         answers what asks for approval; durable when answered
//
// An error is {"error":{"code":…,"message":…}} with a status of 4xx or 5xx.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Run is one run as its owner offers it. Its methods may be called at any time
// from any goroutine, and must not make the owner wait.
type Run interface {
	// View is the full picture as it is now.
	View(ctx context.Context) (workflow.RunView, error)
	// Events calls f with each stored event from sequence number from on; it
	// returns the error of f.
	Events(ctx context.Context, from int64, f func(workflow.Event) error) error
	// Blob returns a value that is kept apart from the events, by its digest.
	Blob(ctx context.Context, digest string) ([]byte, error)
	// Changed is closed when the next events are stored.
	Changed() <-chan struct{}
	// Cancel asks for the end of the run; the request is durable when it returns.
	Cancel(ctx context.Context, by string) error
	// Resolve takes the word of a person on what became of the submission of a unit;
	// it is durable when it returns. An error that is [workflow.ErrConflict] if there
	// is nothing to say about it.
	Resolve(ctx context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error
	// Retry has units done again; that is durable when it returns. An error that is
	// [workflow.ErrConflict] if they cannot be now.
	Retry(ctx context.Context, choice workflow.UnitsReset) error
	// Approve takes the answer of a person to the units with a name, or part of it,
	// that wait for one; it is durable when it returns, and which they are. An error
	// that is [workflow.ErrConflict] if none waits.
	Approve(ctx context.Context, units workflow.UnitRef, word workflow.ApprovalGiven) ([]workflow.UnitRef, error)
}

// Runs are the runs to serve.
type Runs interface {
	// List returns the summaries, newest first.
	List(ctx context.Context) ([]workflow.Summary, error)
	// Find returns a run by its full id; an error that is [workflow.ErrNotFound]
	// if it is not served.
	Find(ctx context.Context, id workflow.RunID) (Run, error)
}

// Server answers requests about runs.
type Server struct {
	runs    Runs
	handler http.Handler
	closing chan struct{} // closed by Close: streams end

	mu      sync.Mutex
	servers []*http.Server
	closed  bool
}

// route is a line of the table of routes.
type route struct {
	pattern string
	handle  func(*Server, http.ResponseWriter, *http.Request) error
}

func routes() []route {
	return []route{
		{"GET /v1/runs", (*Server).list},
		{"GET /v1/runs/{id}", (*Server).show},
		{"GET /v1/runs/{id}/events", (*Server).events},
		{"GET /v1/runs/{id}/blobs/{digest}", (*Server).blob},
		{"POST /v1/runs/{id}/cancel", (*Server).cancel},
		{"POST /v1/runs/{id}/resolve", (*Server).resolve},
		{"POST /v1/runs/{id}/retry", (*Server).retry},
		{"POST /v1/runs/{id}/approve", (*Server).approve},
	}
}

// New returns a server of runs.
func New(runs Runs) *Server {
	s := &Server{runs: runs, closing: make(chan struct{})}
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			req.Body = http.MaxBytesReader(w, req.Body, maxBody)
			if err := r.handle(s, w, req); err != nil {
				writeError(w, err)
			}
		})
	}
	s.handler = mux
	return s
}

// Handler serves the routes.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error {
	srv := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.servers = append(s.servers, srv)
	s.mu.Unlock()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Close lets streams deliver what is stored and ends them. Answers that are not
// read within two seconds are cut.
func (s *Server) Close() error {
	s.mu.Lock()
	servers := s.servers
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.servers = nil
	s.mu.Unlock()
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	var errs []error
	for _, srv := range servers {
		if srv.Shutdown(ctx) != nil {
			errs = append(errs, srv.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	runs, err := s.runs.List(r.Context())
	if err != nil {
		return err
	}
	if runs == nil {
		runs = []workflow.Summary{}
	}
	return writeJSON(w, http.StatusOK, runList{runs})
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) error {
	run, err := s.find(r)
	if err != nil {
		return err
	}
	view, err := run.View(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, view)
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request) error {
	run, err := s.find(r)
	if err != nil {
		return err
	}
	text, err := run.Blob(r.Context(), r.PathValue("digest"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(text) // who asked went away: nobody is left to tell
	return nil
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	var request cancelRequest
	run, err := s.findFor(r, &request)
	if err != nil {
		return err
	}
	if err := run.Cancel(r.Context(), request.By); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request) error {
	var request resolveRequest
	run, err := s.findFor(r, &request)
	if err != nil {
		return err
	}
	if err := run.Resolve(r.Context(), request.UnitRef, request.SubmissionResolved); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) retry(w http.ResponseWriter, r *http.Request) error {
	run, err := s.find(r)
	if err != nil {
		return err
	}
	var request workflow.UnitsReset
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return badRequest("body: %v", err)
	}
	if request.By == "" || len(request.By) > maxName {
		return badRequest("body: by must say who asks, in at most %d bytes", maxName)
	}
	if err := run.Retry(r.Context(), request); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	var request approveRequest
	run, err := s.findFor(r, &request)
	if err != nil {
		return err
	}
	units, err := run.Approve(r.Context(), request.UnitRef, request.ApprovalGiven)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, unitList{units})
}

// findFor finds the run that a request is about, and reads its body.
func (s *Server) findFor(r *http.Request, body interface{ check() error }) (Run, error) {
	run, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if err := json.NewDecoder(r.Body).Decode(body); err != nil {
		return nil, badRequest("body: %v", err)
	}
	return run, body.check()
}

func (s *Server) find(r *http.Request) (Run, error) {
	return s.runs.Find(r.Context(), workflow.RunID(r.PathValue("id")))
}
