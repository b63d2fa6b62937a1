package server

import (
	"bytes"
	"errors"
	"net/http"
	"path/filepath"

	"github.com/fcflow/fcflow/workflow"
)

const (
	defaultRuns = 50
	maxRuns     = 500
)

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	if s.host != nil {
		return s.search(w, r)
	}
	runs, err := s.runs.List(r.Context())
	if err != nil {
		return err
	}
	if runs == nil {
		runs = []workflow.Summary{}
	}
	return writeJSON(w, http.StatusOK, runList{runs})
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	page, err := s.host.Search(r.Context(), RunQuery{
		Workflow: query.Get("workflow"), State: query.Get("state"), BeganBy: query.Get("began_by"), Text: query.Get("q"),
		Limit: number(query, "limit", defaultRuns, maxRuns), Before: workflow.RunID(query.Get("before")),
	})
	if err != nil {
		return err
	}
	if page.Runs == nil {
		page.Runs = []ListedRun{}
	}
	return writeJSON(w, http.StatusOK, page)
}

func runID(r *http.Request) workflow.RunID { return workflow.RunID(r.PathValue("id")) }

func (s *Server) show(w http.ResponseWriter, r *http.Request) error {
	if s.host == nil {
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
	shown, err := s.shown.show(r.Context(), runID(r))
	if err != nil {
		return err
	}
	if flag(r.URL.Query(), "fold") {
		return writeJSON(w, http.StatusOK, folded(shown))
	}
	return writeJSON(w, http.StatusOK, shown)
}

func (s *Server) graph(w http.ResponseWriter, r *http.Request) error {
	g, err := s.host.Graph(r.Context(), runID(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, g)
}

// unit answers one instance. To read the values that are kept apart is much work for
// the host, which most instances can do without.
func (s *Server) unit(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("unit")
	run, err := s.shown.show(r.Context(), runID(r))
	if err != nil {
		return err
	}
	if u := unitNamed(run, name); u != nil && whole(u) {
		return writeJSON(w, http.StatusOK, u)
	}
	u, err := s.host.Unit(r.Context(), runID(r), name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, u)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) error {
	chain, err := s.host.Why(r.Context(), runID(r), r.URL.Query().Get("unit"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, chain)
}

func (s *Server) script(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	text, err := s.host.Script(r.Context(), runID(r), query.Get("unit"), number(query, "attempt", 0, maxNumber))
	if err != nil {
		return err
	}
	return writeText(w, textPlain, text)
}

const (
	textPlain  = "text/plain; charset=utf-8"
	textEvents = "text/event-stream"
)

func writeText(w http.ResponseWriter, kind string, text []byte) error {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text) // who asked went away: nobody is left to tell
	return nil
}

func (s *Server) results(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if query.Get("format") != "csv" {
		tables, err := s.host.Results(r.Context(), runID(r), query.Get("step"))
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, tables)
	}
	var b bytes.Buffer
	if err := s.host.CSV(r.Context(), runID(r), query.Get("step"), &b); err != nil {
		return err
	}
	return writeText(w, "text/csv; charset=utf-8", b.Bytes())
}

func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	var request StartRequest
	if err := readBody(r, &request); err != nil {
		return err
	}
	s.sign(&request.By)
	if err := request.check(r); err != nil {
		return err
	}
	if err := errors.Join(checkName(request.By, "who asks"), checkKey(request.Key)); err != nil {
		return err
	}
	id, err := s.host.Start(r.Context(), request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, Started{id})
}

// minKey is how long a key is at least: a short one is hardly one of its own.
const minKey = 8

func checkKey(key string) error {
	if key != "" && (len(key) < minKey || len(key) > maxName) {
		return badRequest("body: key must have %d to %d bytes, and be another one for each run that is wanted", minKey, maxName)
	}
	return nil
}

// check wants one way to name the workflow. Paths of this machine are for whoever
// asks on it.
func (q *StartRequest) check(r *http.Request) error {
	named := 0
	for _, text := range []string{q.Workflow, q.Source, q.File} {
		if text != "" {
			named++
		}
	}
	_, remote := visitorOf(r.Context())
	switch {
	case named != 1:
		return badRequest("body: want workflow, the name of one, or source, the text of one")
	case remote && (q.File != "" || q.Dir != "" || q.OutputDir != ""):
		return badRequest("body: file, dir and output_dir are for the socket on the machine of the server")
	}
	for _, path := range []string{q.File, q.Dir, q.OutputDir} {
		if path != "" && !filepath.IsAbs(path) {
			return badRequest("body: %q is no absolute path", path)
		}
	}
	return nil
}

func (s *Server) rerun(w http.ResponseWriter, r *http.Request) error {
	var request RerunRequest
	if err := readBody(r, &request); err != nil {
		return err
	}
	s.sign(&request.By)
	if err := errors.Join(checkName(request.By, "who asks"), checkKey(request.Key)); err != nil {
		return err
	}
	id, err := s.host.Rerun(r.Context(), runID(r), request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, Started{id})
}
