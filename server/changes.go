package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// changePace is how often a reader is told of one run at most.
const changePace = 500 * time.Millisecond

// changes streams what changes: which run, workflow or schedule, not how. Who was
// away asks for what it shows, anew.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	news := s.host.Changes()
	reader := news.listen()
	defer news.leave(reader)
	stream := newStream(w, true)
	if err := stream.beat(); err != nil {
		return nil // the reader has gone
	}
	beat, pace := time.NewTicker(heartbeat), time.NewTicker(changePace)
	defer beat.Stop()
	defer pace.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-s.closing:
			return nil
		case <-beat.C:
			if stream.beat() != nil {
				return nil
			}
		case <-pace.C:
			for _, c := range reader.take() {
				if stream.change(c) != nil {
					return nil
				}
			}
		}
	}
}

func (e *eventStream) change(c Change) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return e.now(fmt.Sprintf("event: %s\ndata: %s\n\n", c.Kind, text))
}

// logPace is how often a log that is followed is looked at. What is on a system
// comes at the pace of the host.
const logPace = 500 * time.Millisecond

// logs answers what an attempt has printed, or follows it as server-sent events
// whose id is the byte at which to go on.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	q := LogQuery{Unit: query.Get("unit"), Attempt: number(query, "attempt", 0, maxNumber), Stream: cmp.Or(query.Get("stream"), "stdout")}
	var err error
	if q.From, err = lastEventID(r, 0); err != nil {
		return err
	}
	if !flag(query, "follow") {
		return s.log(w, r, q)
	}
	return s.followLog(w, r, q)
}

// log answers all that is there.
func (s *Server) log(w http.ResponseWriter, r *http.Request, q LogQuery) error {
	part, err := s.host.Log(r.Context(), runID(r), q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", textPlain)
	stream := eventStream{w: w, control: http.NewResponseController(w)}
	for len(part.Text) > 0 {
		if err := stream.write(string(part.Text)); err != nil {
			return nil // the reader has gone
		}
		if part.All {
			return nil
		}
		q.From = part.Next
		if part, err = s.host.Log(r.Context(), runID(r), q); err != nil {
			panic(http.ErrAbortHandler) // the status is sent: cutting the answer is the only way to tell
		}
	}
	return nil
}

func (s *Server) followLog(w http.ResponseWriter, r *http.Request, q LogQuery) error {
	q.Follow = true
	part, err := s.host.Log(r.Context(), runID(r), q)
	if err != nil {
		return err
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	stream := newStream(w, true)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if len(part.Text) > 0 {
			if stream.text(part) != nil {
				return nil
			}
		} else if part.Over {
			_ = stream.now("event: end\ndata: {}\n\n") // the reader has all
			return nil
		}
		if len(part.Text) == 0 {
			select {
			case <-time.After(logPace):
			case <-beat.C:
				if stream.beat() != nil {
					return nil
				}
			case <-s.closing:
				return nil
			case <-r.Context().Done():
				return nil
			}
		}
		q.From = part.Next
		if part, err = s.host.Log(r.Context(), runID(r), q); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func (e *eventStream) text(part LogPart) error {
	text, err := json.Marshal(struct {
		Text string `json:"text"`
	}{string(part.Text)})
	if err != nil {
		return err
	}
	return e.now(fmt.Sprintf("id: %d\ndata: %s\n\n", part.Next, text))
}
