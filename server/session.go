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

type readOnlyKey struct{}

func withReadOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, readOnlyKey{}, true)
}

func (s *Server) session(w http.ResponseWriter, r *http.Request) error {
	version, user := s.host.Identity()
	_, readOnly := r.Context().Value(readOnlyKey{}).(bool)
	return writeJSON(w, http.StatusOK, session{version, readOnly, user})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // who asked went away: nobody is left to tell
	return nil
}
