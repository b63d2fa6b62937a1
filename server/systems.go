package server

import (
	"bytes"
	"net/http"
)

func (s *Server) systems(w http.ResponseWriter, r *http.Request) error {
	all, err := s.host.Systems(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, all)
}

func (s *Server) system(w http.ResponseWriter, r *http.Request) error {
	one, err := s.host.System(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, one)
}

// metrics answers the text form that Prometheus reads.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	var b bytes.Buffer
	if err := s.host.Metrics(r.Context(), &b); err != nil {
		return err
	}
	return writeText(w, "text/plain; version=0.0.4; charset=utf-8", b.Bytes())
}
