package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	// eventBatch bounds what is read at once, so that the history is not held
	// open while somebody reads slowly.
	eventBatch = 256
	// A reader who takes nothing for writePatience is dropped.
	writePatience = 30 * time.Second
	// heartbeat finds out that a reader has gone, and keeps proxies from closing.
	heartbeat = 15 * time.Second
	// lookAgain is how often a run is looked at that this process does not drive.
	lookAgain = time.Second
)

// events answers the history of a run from sequence number `from` (default 1)
// on. With `follow=true` it goes on with what happens until the run ends.
//
// The answer is JSON lines, empty lines between them meaning nothing. To
// `Accept: text/event-stream` it is server-sent events that follow; their id is
// the sequence number, so that Last-Event-ID continues, and 204 tells a browser
// that has seen the end of the run to stop asking.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	run, err := s.find(r)
	if err != nil {
		return err
	}
	sse := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	from, follow, err := eventRange(r, sse)
	if err != nil {
		return err
	}
	// One event earlier, to know whether what the reader has is the end already.
	tail := &tail{run: run, next: max(1, from-1)}
	batch, changed, err := s.more(r, tail)
	if err != nil {
		return err
	}
	if from > 1 && len(batch) > 0 {
		batch = batch[1:]
	}
	if sse && from > 1 && len(batch) == 0 && tail.ended {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	stream := newStream(w, sse)
	if err := stream.send(batch); err != nil {
		return nil // the reader has gone
	}
	for {
		if !tail.full {
			if !follow || tail.ended || !s.wait(r.Context(), changed, stream) {
				return nil
			}
		}
		batch, changed, err = s.more(r, tail)
		if err != nil && !errors.Is(err, workflow.ErrOwned) { // just taken over: look again later
			// The status is sent: cutting the answer is the only way to tell.
			panic(http.ErrAbortHandler)
		}
		if stream.send(batch) != nil {
			return nil
		}
	}
}

// more reads what follows, and returns what is closed when there is more than that.
// Meanwhile another process may have the run, or this one anew.
func (s *Server) more(r *http.Request, t *tail) (batch []workflow.Event, changed <-chan struct{}, err error) {
	for again := true; ; again = false {
		if run, err := s.find(r); err == nil {
			t.run = run
		}
		changed = t.run.Changed() // before reading, so that nothing is missed between
		batch, err = t.read(r.Context())
		if err == nil || changed == nil || !again { // else it was just let go of
			return batch, changed, err
		}
	}
}

// wait returns true when there may be news, false when the stream is to end.
func (s *Server) wait(ctx context.Context, changed <-chan struct{}, stream *eventStream) bool {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var again <-chan time.Time
	if changed == nil {
		again = time.After(lookAgain)
	}
	for {
		select {
		case <-changed:
			return true
		case <-again:
			return true
		case <-ctx.Done():
			return false
		case <-s.closing:
			select {
			case <-changed:
				return true // deliver what is stored first
			default:
				return false
			}
		case <-beat.C:
			if stream.beat() != nil {
				return false
			}
		}
	}
}

func eventRange(r *http.Request, sse bool) (from int64, follow bool, err error) {
	query := r.URL.Query()
	if follow = sse; query.Has("follow") {
		follow = flag(query, "follow")
	}
	last, err := lastEventID(r, max(0, int64(number(query, "from", 1, maxNumber))-1))
	return last + 1, follow, err
}

// lastEventID is where a reader was when its stream broke.
func lastEventID(r *http.Request, otherwise int64) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return otherwise, nil
	}
	last, err := strconv.ParseInt(text, 10, 64)
	if err != nil || last < 0 {
		return 0, badRequest("Last-Event-ID: %q is not a number from 0 on", text)
	}
	return last, nil
}

// tail reads a history in batches.
type tail struct {
	run   Run
	next  int64
	full  bool // the last batch was cut: there may be more
	ended bool // the last event read ends the run
}

var errBatchFull = errors.New("batch is full")

func (t *tail) read(ctx context.Context) ([]workflow.Event, error) {
	var batch []workflow.Event
	err := t.run.Events(ctx, t.next, func(e workflow.Event) error {
		if len(batch) == eventBatch {
			return errBatchFull
		}
		batch = append(batch, e)
		return nil
	})
	t.full = errors.Is(err, errBatchFull)
	if err != nil && !t.full {
		return nil, err
	}
	if len(batch) > 0 {
		last := batch[len(batch)-1]
		t.next = last.Seq + 1
		_, t.ended = last.Data.(*workflow.RunFinished)
	}
	return batch, nil
}

// eventStream writes events to a reader who may be slow or gone.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sse     bool
}

func newStream(w http.ResponseWriter, sse bool) *eventStream {
	kind := "application/jsonl"
	if sse {
		kind = "text/event-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request is read; a stream may last
	w.WriteHeader(http.StatusOK)
	return &eventStream{w: w, control: control, sse: sse}
}

func (s *eventStream) send(events []workflow.Event) error {
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("event %d: %w", e.Seq, err)
		}
		if s.sse {
			err = s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Data.Kind(), text))
		} else {
			err = s.write(string(text) + "\n")
		}
		if err != nil {
			return err
		}
	}
	return s.control.Flush()
}

func (s *eventStream) beat() error {
	text := "\n"
	if s.sse {
		text = ": still here\n\n"
	}
	return s.now(text)
}

// now writes what must not wait for more.
func (s *eventStream) now(text string) error {
	if err := s.write(text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *eventStream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writePatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.w.Write([]byte(text))
	return err
}
