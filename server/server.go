// Package server offers runs over HTTP: JSON for what is now, a stream of
// events for what happens, and the requests that change a run.
//
// The process that owns a run serves it on a Unix socket of its own, through
// which other terminals see it live and cancel it; [Dial] is the other end. The
// handlers know nothing of sockets.
//
// A process with a [Host], such as `fcflow serve`, offers more: all stored runs,
// workflows, schedules and systems. The table of routes says what; the description
// at /v1/openapi.json is made of it. To the network a [Guard] stands before it.
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
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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
	host    Host // nil: only the runs of this process are served
	shown   *pictures
	by      string
	handler http.Handler
	closing chan struct{} // closed by Close: streams end
	streams atomic.Int32
	// errorLog is where connections that fail are told; nil is stderr.
	errorLog *log.Logger

	mu      sync.Mutex
	servers []*http.Server
	closed  bool
}

// route is a line of the table of routes.
type route struct {
	pattern string
	handle  func(*Server, http.ResponseWriter, *http.Request) error
	// about, takes and gives describe it: what it is for, and values of the types
	// of its body and answer.
	about       string
	query       []parameter
	takes       any
	gives       any
	orGives     any      // what it answers to some parameter
	status      int      // of an answer that is no error
	kinds       []string // of the answer, if not JSON
	open        bool     // needs no token
	large       bool     // takes the text of a workflow
	ownerServes bool     // also a process with runs and no host
}

// New returns a server of the runs of a process.
func New(runs Runs) *Server { return newServer(runs, nil) }

// NewHost returns a server of everything that a host has.
func NewHost(host Host) *Server { return newServer(host, host) }

func newServer(runs Runs, host Host) *Server {
	s := &Server{runs: runs, host: host, closing: make(chan struct{})}
	if host != nil {
		_, s.by = host.Identity()
		s.shown = newPictures(host)
	}
	mux := http.NewServeMux()
	for _, r := range routes(Forms{}) {
		if host == nil && !r.ownerServes {
			continue
		}
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			limit := int64(maxBody)
			if r.large {
				limit = maxSource
			}
			req.Body = http.MaxBytesReader(w, req.Body, limit)
			err := r.check(req)
			if err == nil {
				err = r.handle(s, w, req)
			}
			if err != nil {
				writeError(w, err)
			}
		})
	}
	s.handler = describedErrors(mux)
	return s
}

// check refuses what no handler of the route need see.
func (r *route) check(req *http.Request) error {
	if _, remote := visitorOf(req.Context()); remote && r.takes != nil {
		if err := checkKind(req); err != nil {
			return err
		}
	}
	if err := checkNames(r.pattern, req); err != nil {
		return err
	}
	return checkQuery(r.query, req.URL.RawQuery)
}

// describedErrors answers what no route is for as the routes answer errors.
func describedErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := &onlyHead{header: w.Header()}
		h.ServeHTTP(answer, r)
		err := fmt.Errorf("%s: %w", r.URL.Path, workflow.ErrNotFound)
		if answer.status == http.StatusMethodNotAllowed {
			err = fmt.Errorf("%w: %s %s", errMethod, r.Method, r.URL.Path)
		}
		writeError(w, err)
	})
}

// onlyHead keeps the status and the header of an answer.
type onlyHead struct {
	header http.Header
	status int
}

func (h *onlyHead) Header() http.Header            { return h.header }
func (h *onlyHead) WriteHeader(status int)         { h.status = status }
func (h *onlyHead) Write(text []byte) (int, error) { return len(text), nil }

// checkNames refuses names in the path of a request that could lead out of where
// what they name is kept. Nothing has such a name.
func checkNames(pattern string, r *http.Request) error {
	for _, m := range pathParameter.FindAllStringSubmatch(pattern, -1) {
		name := r.PathValue(m[1])
		if name == "" || len(name) > maxName || strings.Contains(name, "..") ||
			strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '/' || c == '\\' || c == 0x7f }) {
			return fmt.Errorf("%s %q: %w", m[1], name, workflow.ErrNotFound)
		}
	}
	return nil
}

// Handler serves the routes.
func (s *Server) Handler() http.Handler { return s.handler }

// LogTo sends what goes wrong with connections to w; to be called before Serve.
func (s *Server) LogTo(w io.Writer) { s.errorLog = log.New(w, "", 0) }

// Serve answers on l until Close.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, s.handler) }

// ServeGuarded answers on l whoever the guard lets in.
func (s *Server) ServeGuarded(l net.Listener, g *Guard) error {
	return s.serve(l, g.protect(s.handler))
}

// answerTime bounds an answer that is no stream, from its request to its last byte.
const answerTime = 5 * time.Minute

func (s *Server) serve(l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: answerTime, IdleTimeout: time.Minute,
		MaxHeaderBytes: maxBody, ErrorLog: s.errorLog,
	}
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
	if err := readBody(r, &request); err != nil {
		return err
	}
	s.sign(&request.By)
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
	if err := readBody(r, body); err != nil {
		return nil, err
	}
	if signed, ok := body.(interface{ signature() *string }); ok {
		s.sign(signed.signature())
	}
	return run, body.check()
}

// maxStreams bounds the readers of streams, each of which may be slow.
const maxStreams = 512

// enter counts a stream in, which calls leave when it ends.
func (s *Server) enter() (leave func(), err error) {
	leave = func() { s.streams.Add(-1) }
	if s.streams.Add(1) > maxStreams {
		leave()
		return nil, fmt.Errorf("%w: %d streams are open", ErrBusy, maxStreams)
	}
	return leave, nil
}

// sign says who asks where the request does not: whoever the process belongs to,
// since only they have its token.
func (s *Server) sign(by *string) {
	if *by == "" {
		*by = s.by
	}
}

// readBody reads a body, an object of JSON whose members are all known: what is
// misspelt must not be taken for missing.
func readBody(r *http.Request, v any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return err
		}
		return badRequest("body: %v", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		return badRequest("body: want an object of JSON, which may be {}")
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	var members map[string]json.RawMessage
	err = cmp.Or(json.Unmarshal(text, &members), in.Decode(v))
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field != "" {
		return badRequest("body: %s: %s where %s is wanted; /v1/openapi.json has the form", wrong.Field, withArticle(wrong.Value), formOf(wrong.Type))
	}
	if err != nil {
		return badRequest("body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	for name, value := range members {
		if string(value) == "null" {
			return badRequest("body: %s is null; leave out what is missing", name)
		}
	}
	return nil
}

func (s *Server) find(r *http.Request) (Run, error) {
	return s.runs.Find(r.Context(), workflow.RunID(r.PathValue("id")))
}
