package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

const (
	maxBody = 64 << 10
	// maxSource bounds a request with the text of a workflow.
	maxSource = 2 << 20
	maxName   = 256
)

type runList struct {
	Runs []workflow.Summary `json:"runs"`
}

type cancelRequest struct {
	By string `json:"by"` // user@host
}

func (r *cancelRequest) check() error { return checkName(r.By, "who asks") }

func (r *cancelRequest) signature() *string  { return &r.By }
func (r *approveRequest) signature() *string { return &r.By }
func (r *resolveRequest) signature() *string { return &r.By }

// checkName checks who somebody says to be.
func checkName(by, what string) error {
	if by == "" || len(by) > maxName {
		return badRequest("body: by must say %s, in at most %d bytes", what, maxName)
	}
	return nil
}

// approveRequest is {"step":…,"instance":…,"by":…,"note":…,"rejected":…}; the
// instance may be a part of a key, or missing.
type approveRequest struct {
	workflow.UnitRef
	workflow.ApprovalGiven
}

func (r *approveRequest) check() error {
	switch {
	case r.Step == "":
		return badRequest("body: step is missing")
	case len(r.Note) > workflow.MaxNote:
		return badRequest("body: note takes %d bytes; at most %d are kept", len(r.Note), workflow.MaxNote)
	}
	return checkName(r.By, "who approves")
}

// unitList is the answer to it.
type unitList struct {
	Units []workflow.UnitRef `json:"units"`
}

// resolveRequest is {"step":…,"instance":…,"as":…,"job_id":…,"by":…}.
type resolveRequest struct {
	workflow.UnitRef
	workflow.SubmissionResolved
}

func (r *resolveRequest) check() error {
	switch r.As {
	case workflow.ResolvedJob, workflow.ResolvedNeverRan, workflow.ResolvedFailed:
	default:
		return badRequest("body: as must be %s, %s or %s", workflow.ResolvedJob, workflow.ResolvedNeverRan, workflow.ResolvedFailed)
	}
	switch {
	case r.Step == "":
		return badRequest("body: step is missing")
	case (r.As == workflow.ResolvedJob) != (r.JobID != "") || len(r.JobID) > maxName:
		return badRequest("body: job_id goes with as: %s, and only with it", workflow.ResolvedJob)
	}
	return checkName(r.By, "who knows")
}

// formOf is what JSON calls the values that a type is read from.
func formOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return formOf(t.Elem())
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// withArticle is for the words of [json.UnmarshalTypeError], such as array.
func withArticle(word string) string {
	if strings.HasPrefix(word, "array") || strings.HasPrefix(word, "object") {
		return "an " + word
	}
	return "a " + word
}

// failure is the body of an answer that is an error.
type failure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

var (
	errBadRequest = errors.New("bad request")
	errTooLarge   = errors.New("the body is too large")
	errToken      = errors.New("a token is needed")
	errForbidden  = errors.New("not allowed")
	errMethod     = errors.New("not a method of this address")
	errKind       = errors.New("the body must be application/json")
)

// ErrBusy: there are too many who read; later there may not be.
var ErrBusy = errors.New("too many readers")

// ErrStopping: a server stops, and begins nothing more.
var ErrStopping = errors.New("the server is stopping")

// BadRequest marks an error as one of whoever asks. Its text stays as it is: a schedule
// has no request.
func BadRequest(err error) error { return &requestError{err} }

type requestError struct{ err error }

func (e *requestError) Error() string   { return e.err.Error() }
func (e *requestError) Unwrap() []error { return []error{errBadRequest, e.err} }

// IsBadRequest reports whether an error is one of whoever asked.
func IsBadRequest(err error) bool { return errors.Is(err, errBadRequest) }

func badRequest(format string, args ...any) error {
	return BadRequest(fmt.Errorf(format, args...))
}

// codes are the errors that a client can tell apart.
func codes() []struct {
	err    error
	code   string
	status int
} {
	return []struct {
		err    error
		code   string
		status int
	}{
		{errBadRequest, "bad_request", http.StatusBadRequest},
		{errTooLarge, "too_large", http.StatusRequestEntityTooLarge},
		{errToken, "token", http.StatusUnauthorized},
		{errForbidden, "forbidden", http.StatusForbidden},
		{errMethod, "method", http.StatusMethodNotAllowed},
		{ErrBusy, "busy", http.StatusServiceUnavailable},
		{errKind, "media_type", http.StatusUnsupportedMediaType},
		{ErrStopping, "stopping", http.StatusServiceUnavailable},
		{workflow.ErrNotFound, "not_found", http.StatusNotFound},
		{workflow.ErrConflict, "conflict", http.StatusConflict},
		{workflow.ErrOwned, "owned", http.StatusConflict},
		{workflow.ErrStale, "stale", http.StatusConflict},
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who asked went away: nobody is left to tell
	return nil
}

func writeError(w http.ResponseWriter, err error) {
	var body failure
	status := http.StatusInternalServerError
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		err = fmt.Errorf("%w: %d bytes are allowed", errTooLarge, tooLarge.Limit)
	}
	body.Error.Code, body.Error.Message = "internal", plain(err)
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			body.Error.Code, status = c.code, c.status
			break
		}
	}
	_ = writeJSON(w, status, body) // strings always encode
}

// plain is the text of an error without the words for what its code says.
func plain(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+workflow.ErrConflict.Error())
}

// readError turns the body of an error back into one that matches the same
// sentinels.
func readError(status int, body []byte) error {
	var f failure
	if json.Unmarshal(body, &f) != nil || f.Error.Message == "" {
		return fmt.Errorf("the owner answered %d", status)
	}
	for _, c := range codes() {
		if c.code == f.Error.Code {
			return &remoteError{f.Error.Message, c.err}
		}
	}
	return errors.New(f.Error.Message)
}

// remoteError is an error of the other side, whose text it keeps as it was.
type remoteError struct {
	message string
	is      error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.is }
