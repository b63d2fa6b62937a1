package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Fault is one misbehaviour, decided per request by Config.Fault or by a fault
// switch. The zero value, like nil, changes nothing.
type Fault struct {
	// Delay passes before anything else happens, or until the client leaves.
	Delay time.Duration
	// Status, if not 0, is answered with Header and Body verbatim and the
	// request is not handled: what a gateway in front of the server does.
	Status int
	Header http.Header
	Body   string
	// Late handles the request before Status is answered: the effect is there,
	// and the answer says something else.
	Late bool
	// DropRequest cuts the connection instead of handling the request.
	DropRequest bool
	// DropReply handles the request and then cuts the connection: the effect is
	// there, the answer is lost.
	DropReply bool

	own error // the server's own answer, after its checks; nil is none
}

// before applies what happens ahead of handling and says whether that was all.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) (answered bool) {
	if f.Delay > 0 {
		// That a client has left shows only once its whole request has been read.
		body, err := io.ReadAll(io.LimitReader(r.Body, maxJSONBody))
		if err == nil {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
		}
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	if f.DropRequest {
		panic(http.ErrAbortHandler)
	}
	if f.Status == 0 || f.Late {
		return false
	}
	f.answer(w)
	return true
}

// after applies what happens to the answer and says whether that was all.
func (f *Fault) after(w http.ResponseWriter) (answered bool) {
	if f.DropReply {
		panic(http.ErrAbortHandler)
	}
	if f.Status == 0 {
		return false
	}
	f.answer(w)
	return true
}

func (f *Fault) answer(w http.ResponseWriter) {
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body)) // a client that left needs no body
}
