package server

import (
	"net/http"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// pauseRequest pauses a schedule, or starts a run of it; both may be empty.
type pauseRequest struct {
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
}

// backfillRequest is a span of time, its ends included.
type backfillRequest struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func (s *Server) schedules(w http.ResponseWriter, r *http.Request) error {
	all, err := s.host.Schedules(r.Context())
	if err != nil {
		return err
	}
	if all == nil {
		all = []workflow.ScheduleView{}
	}
	return writeJSON(w, http.StatusOK, all)
}

func (s *Server) slots(w http.ResponseWriter, r *http.Request) error {
	all, err := s.host.Slots(r.Context(), r.PathValue("workflow"), r.PathValue("id"))
	if err != nil {
		return err
	}
	if all == nil {
		all = []workflow.SlotRecord{}
	}
	return writeJSON(w, http.StatusOK, all)
}

func (s *Server) pauseSchedule(w http.ResponseWriter, r *http.Request) error {
	request, err := s.scheduleRequest(r)
	if err != nil {
		return err
	}
	if err := s.host.PauseSchedule(r.Context(), r.PathValue("workflow"), r.PathValue("id"), request.By, request.Why); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) resumeSchedule(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.scheduleRequest(r); err != nil {
		return err
	}
	if err := s.host.ResumeSchedule(r.Context(), r.PathValue("workflow"), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) runSchedule(w http.ResponseWriter, r *http.Request) error {
	request, err := s.scheduleRequest(r)
	if err != nil {
		return err
	}
	id, err := s.host.RunSchedule(r.Context(), r.PathValue("workflow"), r.PathValue("id"), request.By)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, Started{id})
}

func (s *Server) scheduleRequest(r *http.Request) (pauseRequest, error) {
	var request pauseRequest
	if err := readBody(r, &request); err != nil {
		return request, err
	}
	s.sign(&request.By)
	if len(request.Why) > workflow.MaxNote {
		return request, badRequest("body: why takes %d bytes; at most %d are kept", len(request.Why), workflow.MaxNote)
	}
	return request, checkName(request.By, "who asks")
}

func (s *Server) fillable(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	open, err := s.host.Fillable(r.Context(), r.PathValue("workflow"), r.PathValue("id"), at(query, "from"), at(query, "to"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, open)
}

func (s *Server) backfill(w http.ResponseWriter, r *http.Request) error {
	var request backfillRequest
	if err := readBody(r, &request); err != nil {
		return err
	}
	if request.From.IsZero() || request.To.IsZero() {
		return badRequest("body: want from and to, two instants such as 2026-03-29T00:00:00Z")
	}
	filled, err := s.host.Backfill(r.Context(), r.PathValue("workflow"), r.PathValue("id"), request.From, request.To)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, filled)
}
