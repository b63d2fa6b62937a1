package sandbox

import (
	"context"
	"net/http"
	"time"
)

// Fault is one misbehaviour, decided per request by Config.Fault. The zero
// value, like nil, changes nothing.
type Fault struct {
	// Delay passes before anything else happens, or until the client leaves.
	Delay time.Duration
	// Status, if not 0, is answered with Header and Body verbatim and the
	// request is not handled: what a gateway in front of the server does.
	Status int
	Header http.Header
	Body   string
	// DropReply handles the request and then cuts the connection: the effect is
	// there, the answer is lost.
	DropReply bool
}

// before applies what happens ahead of handling and says whether that was all.
func (f *Fault) before(ctx context.Context, w http.ResponseWriter) (answered bool) {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
		}
	}
	if f.Status == 0 {
		return false
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body)) // a client that left needs no body
	return true
}
