package server

import (
	"context"
	"net/http"
)

// session says who asks, and what they may do.
type session struct {
	Version  string `json:"version"`
	ReadOnly bool   `json:"read_only"`
	User     string `json:"user,omitempty"`
}

// visitor is who asks over a network. Who asks over the socket is whoever the
// process belongs to.
type visitor struct{ readOnly bool }

type visitorKey struct{}

func visiting(ctx context.Context, v visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

func visitorOf(ctx context.Context) (v visitor, remote bool) {
	v, remote = ctx.Value(visitorKey{}).(visitor)
	return v, remote
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	version, user := s.host.Identity()
	v, _ := visitorOf(r.Context())
	return writeJSON(w, http.StatusOK, session{version, v.readOnly, user})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // who asked went away: nobody is left to tell
	return nil
}
