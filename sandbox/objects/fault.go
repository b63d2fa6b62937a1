package objects

import (
	"io"
	"net/http"
	"time"
)

// Fault is one misbehaviour, decided per request by Config.Fault. The zero
// value, like nil, changes nothing.
type Fault struct {
	// Delay passes before anything else happens, or until the client leaves.
	Delay time.Duration
	// Status, if not 0, is answered with an error document of Code, such as
	// "SlowDown", and the request is not handled. With 200 it is the answer of a
	// completion that fails after its status was sent.
	Status int
	Code   string
	// Expired answers as if the presigned URL had expired.
	Expired bool
	// CutRequest cuts the connection after After bytes of the request's body have
	// been read: nothing is stored.
	CutRequest bool
	// CutReply handles the request and cuts the connection after After bytes of
	// the answer's body; with 0 the whole answer is lost.
	CutReply bool
	// Lose answers a PUT as if all was well, and keeps nothing of it.
	Lose bool
	// Truncate lets a GET see only the first After bytes of the object, in an
	// answer that is whole in itself, and a PUT store only so many.
	Truncate bool
	After    int64
}

// before applies what happens ahead of handling; a non-nil error is the answer.
func (f *Fault) before(r *http.Request) *apiError {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Status != 0:
		return &apiError{status: f.Status, code: f.Code, message: "Please try again."}
	case f.Expired:
		return errExpired
	case f.CutRequest:
		_, _ = io.CopyN(io.Discard, r.Body, f.After)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// cutWriter cuts the connection after some bytes of an answer's body; after none,
// not even the status leaves.
type cutWriter struct {
	http.ResponseWriter
	after, written int64
}

func (w *cutWriter) WriteHeader(status int) {
	if w.after > 0 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if left := w.after - w.written; int64(len(p)) >= left {
		_, _ = w.ResponseWriter.Write(p[:left])
		w.cut()
	}
	w.written += int64(len(p))
	return w.ResponseWriter.Write(p)
}

// cut ends the connection; what was written has left.
func (w *cutWriter) cut() {
	if w.after > 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	panic(http.ErrAbortHandler)
}
