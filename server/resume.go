package server

import (
	"net/http"
	"path/filepath"
	"time"
)

// resumeTime bounds the answer to a request that first ends what is under way.
const resumeTime = time.Hour

// resume has a run go on, with another workflow if there is one.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	var request ResumeRequest
	if err := readBody(r, &request); err != nil {
		return err
	}
	s.sign(&request.By)
	if err := request.check(r); err != nil {
		return err
	}
	if request.CancelRunning {
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{}) // the request is read; without deadlines the answer may come late
		_ = control.SetWriteDeadline(time.Now().Add(resumeTime))
	}
	answer, err := s.host.Resume(r.Context(), runID(r), request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// check wants what belongs to a workflow only with one. Paths of this machine are
// for whoever asks on it.
func (q *ResumeRequest) check(r *http.Request) error {
	_, remote := visitorOf(r.Context())
	switch {
	case q.Source != "" && q.File != "":
		return badRequest("body: source and file are two workflows")
	case remote && (q.File != "" || q.Dir != ""):
		return badRequest("body: file and dir are for the socket on the machine of the server")
	case q.Inputs != nil && q.Texts != nil:
		return badRequest("body: inputs and texts say the same; want one of them")
	case q.Source == "" && q.File == "" && (q.Inputs != nil || q.Texts != nil || q.DryRun || q.CancelRunning):
		return badRequest("body: inputs, texts, dry_run and cancel_running go with another workflow: send its text as source; " +
			"a new run with other inputs is for /rerun")
	}
	for _, path := range []string{q.File, q.Dir} {
		if path != "" && !filepath.IsAbs(path) {
			return badRequest("body: %q is no absolute path", path)
		}
	}
	return checkName(q.By, "who asks")
}
