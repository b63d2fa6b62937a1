package server

import "net/http"

func (s *Server) workflows(w http.ResponseWriter, r *http.Request) error {
	all, err := s.host.Workflows(r.Context())
	if err != nil {
		return err
	}
	if all == nil {
		all = []WorkflowInfo{}
	}
	return writeJSON(w, http.StatusOK, all)
}

func (s *Server) workflow(w http.ResponseWriter, r *http.Request) error {
	one, err := s.host.Workflow(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, one)
}
