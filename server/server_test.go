package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fcflow/fcflow/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history is a run in memory: a list of events that grows.
type history struct {
	id workflow.RunID

	mu      sync.Mutex
	events  []workflow.Event
	blobs   []workflow.Blob
	changed chan struct{}
	cancels []string
	words   []resolveRequest
	retries []workflow.UnitsReset
	answers []approveRequest
	err     error // what Cancel, Resolve, Retry and Approve answer
}

func newHistory(id workflow.RunID, payloads ...workflow.Payload) *history {
	h := &history{id: id, changed: make(chan struct{})}
	h.add(payloads...)
	return h
}

func (h *history) add(payloads ...workflow.Payload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range payloads {
		h.events = append(h.events, workflow.Event{
			Seq: int64(len(h.events) + 1), At: time.Unix(0, 0).UTC(), Epoch: 1, Data: p,
		})
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *history) View(context.Context) (workflow.RunView, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return workflow.RunView{Summary: workflow.Summary{ID: h.id, State: workflow.RunRunning, Seq: int64(len(h.events))}}, nil
}

func (h *history) Events(_ context.Context, from int64, f func(workflow.Event) error) error {
	h.mu.Lock()
	events := h.events
	h.mu.Unlock()
	for _, e := range events[min(int(from-1), len(events)):] {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) Blob(_ context.Context, digest string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.blobs {
		if b.Digest == digest {
			return b.Bytes, nil
		}
	}
	return nil, workflow.ErrNotFound
}

func (h *history) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

func (h *history) Cancel(_ context.Context, by string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancels = append(h.cancels, by)
	return h.err
}

func (h *history) Resolve(_ context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.words = append(h.words, resolveRequest{unit, word})
	return h.err
}

func (h *history) Retry(_ context.Context, choice workflow.UnitsReset) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retries = append(h.retries, choice)
	return h.err
}

func (h *history) Approve(_ context.Context, units workflow.UnitRef, word workflow.ApprovalGiven) ([]workflow.UnitRef, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers = append(h.answers, approveRequest{units, word})
	return []workflow.UnitRef{{Step: units.Step, Instance: "dt=30"}}, h.err
}

// histories are the runs of a process.
type histories []*history

func (hs histories) List(ctx context.Context) ([]workflow.Summary, error) {
	var all []workflow.Summary
	for _, h := range hs {
		v, err := h.View(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, v.Summary)
	}
	return all, nil
}

func (hs histories) Find(_ context.Context, id workflow.RunID) (Run, error) {
	for _, h := range hs {
		if h.id == id {
			return h, nil
		}
	}
	return nil, fmt.Errorf("run %q: %w", id, workflow.ErrNotFound)
}

// serve offers runs on a socket and returns a client of it.
func serve(t *testing.T, runs ...*history) (*Client, *Server) {
	t.Helper()
	s := New(histories(runs))
	dir := t.TempDir()
	l, err := Listen(func(name string) string { return map[string]string{"TMPDIR": dir}[name] })
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return c, s
}

func TestClientReads(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, newHistory("B", &workflow.RunStarted{}), newHistory("A"))
	list, err := c.List(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != "B" {
		t.Errorf("List = %v, %v", list, err)
	}
	view, err := c.View(t.Context(), "B")
	if err != nil || view.ID != "B" || view.Seq != 1 {
		t.Errorf("View = %+v, %v", view, err)
	}
	for _, id := range []workflow.RunID{"C", "", "../A", "A/events"} {
		if _, err := c.View(t.Context(), id); err == nil {
			t.Errorf("View(%q) succeeded", id)
		}
	}
	if _, err := c.View(t.Context(), "C"); !errors.Is(err, workflow.ErrNotFound) || err.Error() != `run "C": not found` {
		t.Errorf("View of an unknown run: %v", err)
	}
}

func TestBlob(t *testing.T) {
	t.Parallel()
	h := newHistory("A")
	good, other := workflow.NewBlob([]byte("{\"a\":1}")), workflow.NewBlob([]byte("other"))
	h.blobs = []workflow.Blob{good, {Digest: other.Digest, Bytes: []byte("changed")}}
	c, _ := serve(t, h)
	if text, err := c.Blob(t.Context(), "A", good.Digest); err != nil || string(text) != string(good.Bytes) {
		t.Errorf("Blob = %q, %v", text, err)
	}
	if _, err := c.Blob(t.Context(), "A", other.Digest); !errors.Is(err, workflow.ErrCorrupt) {
		t.Errorf("a value of another digest: %v", err)
	}
	for _, digest := range []string{"00", "", "../events"} {
		if _, err := c.Blob(t.Context(), "A", digest); err == nil {
			t.Errorf("Blob(%q) succeeded", digest)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHistory("A")
	c, _ := serve(t, h)
	if err := c.Cancel(t.Context(), "A", "ada@login1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ada@login1"}, h.cancels); diff != "" {
		t.Errorf("cancels (-want +got):\n%s", diff)
	}
	h.mu.Lock()
	h.err = fmt.Errorf("the run has ended: %w", workflow.ErrConflict)
	h.mu.Unlock()
	if err := c.Cancel(t.Context(), "A", "ada@login1"); !errors.Is(err, workflow.ErrConflict) {
		t.Errorf("conflict came back as %v", err)
	}
	if err := c.Cancel(t.Context(), "A", ""); err == nil || !strings.Contains(err.Error(), "who asks") {
		t.Errorf("anonymous cancel: %v", err)
	}
	if err := c.Cancel(t.Context(), "A", strings.Repeat("x", maxName+1)); err == nil {
		t.Error("a name of 257 bytes is accepted")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	h := newHistory("A")
	c, _ := serve(t, h)
	unit := workflow.UnitRef{Step: "simulate", Instance: "dt=30"}
	good := []resolveRequest{
		{unit, workflow.SubmissionResolved{As: workflow.ResolvedJob, JobID: "12", By: "ada@login1"}},
		{unit, workflow.SubmissionResolved{As: workflow.ResolvedNeverRan, By: "ada@login1"}},
		{workflow.UnitRef{Step: "simulate"}, workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada@login1"}},
	}
	for _, r := range good {
		if err := c.Resolve(t.Context(), "A", r.UnitRef, r.SubmissionResolved); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(good, h.words); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
	for want, r := range map[string]resolveRequest{
		"as must be":     {unit, workflow.SubmissionResolved{As: "perhaps", By: "ada"}},
		"who knows":      {unit, workflow.SubmissionResolved{As: workflow.ResolvedFailed}},
		"in at most":     {unit, workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: strings.Repeat("x", maxName+1)}},
		"step is":        {workflow.UnitRef{}, workflow.SubmissionResolved{As: workflow.ResolvedFailed, By: "ada"}},
		"goes with":      {unit, workflow.SubmissionResolved{As: workflow.ResolvedJob, By: "ada"}},
		"only with it":   {unit, workflow.SubmissionResolved{As: workflow.ResolvedFailed, JobID: "12", By: "ada"}},
		"job_id goes wi": {unit, workflow.SubmissionResolved{As: workflow.ResolvedJob, JobID: strings.Repeat("1", maxName+1), By: "ada"}},
	} {
		if err := c.Resolve(t.Context(), "A", r.UnitRef, r.SubmissionResolved); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	if len(h.words) != len(good) {
		t.Errorf("%d words reached the run, %d were good", len(h.words), len(good))
	}
	h.mu.Lock()
	h.err = fmt.Errorf("nothing to resolve: %w", workflow.ErrConflict)
	h.mu.Unlock()
	if err := c.Resolve(t.Context(), "A", unit, good[0].SubmissionResolved); !errors.Is(err, workflow.ErrConflict) {
		t.Errorf("conflict came back as %v", err)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	h := newHistory("A")
	c, _ := serve(t, h)
	good := []workflow.UnitsReset{
		{By: "ada@login1"},
		{Units: []workflow.UnitRef{{Step: "simulate", Instance: "n=1"}, {Step: "publish"}}, Force: true, By: "ada@login1"},
	}
	for _, choice := range good {
		if err := c.Retry(t.Context(), "A", choice); err != nil {
			t.Errorf("%+v: %v", choice, err)
		}
	}
	for _, by := range []string{"", strings.Repeat("x", maxName+1)} {
		if err := c.Retry(t.Context(), "A", workflow.UnitsReset{By: by}); err == nil || !strings.Contains(err.Error(), "by must say who asks") {
			t.Errorf("by %q: %v", by, err)
		}
	}
	if diff := cmp.Diff(good, h.retries); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	h.mu.Lock()
	h.err = fmt.Errorf("a is running: %w", workflow.ErrConflict)
	h.mu.Unlock()
	if err := c.Retry(t.Context(), "A", good[0]); !errors.Is(err, workflow.ErrConflict) || !strings.Contains(err.Error(), "a is running") {
		t.Errorf("conflict came back as %v", err)
	}
}

func TestApprove(t *testing.T) {
	t.Parallel()
	h := newHistory("A")
	c, _ := serve(t, h)
	good := []approveRequest{
		{workflow.UnitRef{Step: "sure"}, workflow.ApprovalGiven{By: "ada@login1"}},
		{workflow.UnitRef{Step: "sure", Instance: "dt=30"}, workflow.ApprovalGiven{By: "ada@login1", Note: "no", Rejected: true}},
	}
	for _, r := range good {
		units, err := c.Approve(t.Context(), "A", r.UnitRef, r.ApprovalGiven)
		if want := []workflow.UnitRef{{Step: "sure", Instance: "dt=30"}}; err != nil || !cmp.Equal(want, units) {
			t.Errorf("answered %v, error %v", units, err)
		}
	}
	if diff := cmp.Diff(good, h.answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	for want, r := range map[string]approveRequest{
		"who approves":    {good[0].UnitRef, workflow.ApprovalGiven{}},
		"in at most":      {good[0].UnitRef, workflow.ApprovalGiven{By: strings.Repeat("x", maxName+1)}},
		"step is missing": {workflow.UnitRef{}, good[0].ApprovalGiven},
		"at most 1024":    {good[0].UnitRef, workflow.ApprovalGiven{By: "ada", Note: strings.Repeat("x", workflow.MaxNote+1)}},
	} {
		if _, err := c.Approve(t.Context(), "A", r.UnitRef, r.ApprovalGiven); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	if len(h.answers) != len(good) {
		t.Errorf("%d answers reached the run, %d were good", len(h.answers), len(good))
	}
	h.mu.Lock()
	h.err = fmt.Errorf("nothing to approve: %w", workflow.ErrConflict)
	h.mu.Unlock()
	if units, err := c.Approve(t.Context(), "A", good[0].UnitRef, good[0].ApprovalGiven); !errors.Is(err, workflow.ErrConflict) || units != nil {
		t.Errorf("conflict came back as %v, %v", units, err)
	}
}

func TestEventsWithoutFollow(t *testing.T) {
	t.Parallel()
	h := newHistory("A", &workflow.RunStarted{}, &workflow.CancelRequested{By: "me"})
	for range 3 * eventBatch {
		h.add(&workflow.UnitReady{})
	}
	c, _ := serve(t, h)
	for _, from := range []int64{1, 2, 3, eventBatch, 3*eventBatch + 2, 3*eventBatch + 3, 10_000} {
		next, n := from, int64(0)
		err := c.Events(t.Context(), "A", from, false, func(e workflow.Event) error {
			if e.Seq != next {
				t.Errorf("from %d: event %d, want %d", from, e.Seq, next)
			}
			next, n = e.Seq+1, n+1
			return nil
		})
		if err != nil {
			t.Errorf("from %d: %v", from, err)
		}
		if want := max(0, 3*eventBatch+2-from+1); n != want {
			t.Errorf("from %d: %d events, want %d", from, n, want)
		}
	}
}

func TestEventsFollowUntilTheEnd(t *testing.T) {
	t.Parallel()
	h := newHistory("A", &workflow.RunStarted{})
	c, _ := serve(t, h)
	var kinds []workflow.EventKind
	err := c.Events(t.Context(), "A", 1, true, func(e workflow.Event) error {
		kinds = append(kinds, e.Data.Kind())
		switch e.Seq { // each only after the one before has arrived
		case 1:
			h.add(&workflow.CancelRequested{By: "me"})
		case 2:
			h.add(&workflow.RunFinished{State: workflow.RunCancelled})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]workflow.EventKind{"run.started", "run.cancel_requested", "run.finished"}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestFollowerLearnsThatTheOwnerStopped(t *testing.T) {
	t.Parallel()
	h := newHistory("A", &workflow.RunStarted{})
	c, s := serve(t, h)
	err := c.Events(t.Context(), "A", 1, true, func(workflow.Event) error {
		go s.Close()
		return nil
	})
	if !errors.Is(err, ErrGone) {
		t.Errorf("error = %v, want ErrGone", err)
	}
	if _, err := c.View(t.Context(), "A"); !errors.Is(err, ErrGone) {
		t.Errorf("View after the end: %v, want ErrGone", err)
	}
}

func TestFollowerIsDelivered(t *testing.T) {
	t.Parallel()
	// What is stored when the owner closes still reaches a follower.
	h := newHistory("A", &workflow.RunStarted{})
	c, s := serve(t, h)
	last := int64(0)
	err := c.Events(t.Context(), "A", 1, true, func(e workflow.Event) error {
		if last = e.Seq; last == 1 {
			h.add(&workflow.UnitReady{}, &workflow.RunFinished{State: workflow.RunSucceeded})
			return s.Close()
		}
		return nil
	})
	if err != nil || last != 3 {
		t.Errorf("last event %d, error %v", last, err)
	}
}

func TestSlowReaderDoesNotBlockTheOwner(t *testing.T) {
	t.Parallel()
	h := newHistory("A", &workflow.RunStarted{})
	_, s := serve(t, h)
	web := httptest.NewServer(s.Handler())
	resp, err := http.Get(web.URL + "/v1/runs/A/events?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// Nobody reads the body. More than any buffer between is stored all the same.
	long := strings.Repeat("x", 32<<10)
	for range 1000 {
		h.add(&workflow.CancelRequested{By: long})
	}
	if view, err := h.View(t.Context()); err != nil || view.Seq != 1001 {
		t.Errorf("view %+v, %v", view, err)
	}
	http.DefaultClient.CloseIdleConnections()
	web.CloseClientConnections()
	web.Close()
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	h := newHistory("A", &workflow.RunStarted{}, &workflow.CancelRequested{By: "me"}, &workflow.RunFinished{State: workflow.RunCancelled})
	handler := New(histories{h}).Handler()
	get := func(last string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", "/v1/runs/A/events", nil)
		req.Header.Set("Accept", "text/event-stream")
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		return w
	}
	w := get("1")
	if got := w.Header().Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	var ids []string
	for scan := bufio.NewScanner(w.Body); scan.Scan(); {
		if id, ok := strings.CutPrefix(scan.Text(), "id: "); ok {
			ids = append(ids, id)
		}
		if data, ok := strings.CutPrefix(scan.Text(), "data: "); ok {
			var e workflow.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Error(err)
			}
		}
	}
	if diff := cmp.Diff([]string{"2", "3"}, ids); diff != "" {
		t.Errorf("ids after 1 (-want +got):\n%s", diff)
	}
	if w := get("3"); w.Code != http.StatusNoContent {
		t.Errorf("after the end: status %d, want 204", w.Code)
	}
	if w := get("x"); w.Code != http.StatusBadRequest {
		t.Errorf("odd id: status %d, want 400", w.Code)
	}
}

func TestEveryRouteAnswersJSONErrors(t *testing.T) {
	t.Parallel()
	handler := New(histories{}).Handler()
	for _, r := range routes(Forms{}) {
		method, path, _ := strings.Cut(r.pattern, " ")
		if !strings.Contains(path, "{id}") || !r.ownerServes {
			continue
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, strings.ReplaceAll(path, "{id}", "none"), strings.NewReader(`{"by":"me"}`)))
		body, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := readError(w.Code, body); w.Code != http.StatusNotFound || !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("%s: %d %s", r.pattern, w.Code, body)
		}
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	handler := New(histories{newHistory("A")}).Handler()
	for _, target := range []string{"events?from=0", "events?from=x", "events?follow=perhaps"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A/"+target, nil))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", target, w.Code)
		}
	}
	w := httptest.NewRecorder()
	body := `{"by":"` + strings.Repeat("x", maxBody) + `"}`
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/runs/A/cancel", strings.NewReader(body)))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("body of more than 64 KiB: status %d, want 413", w.Code)
	}
}

// TestWrongType: who sends a value of another type reads which, in words of JSON.
func TestWrongType(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"units":["a"]}`:            "units: a string where an object is wanted",
		`{"units":{"step":"a"}}`:     "units: an object where an array is wanted",
		`{"units":[{"step":["a"]}]}`: "units.step: an array where a string is wanted",
		`{"force":1}`:                "force: a number where true or false is wanted",
	} {
		err := readBody(httptest.NewRequest("POST", "/", strings.NewReader(body)), &workflow.UnitsReset{})
		if err == nil || plain(err) != "body: "+want+"; /v1/openapi.json has the form" {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestErrorText: the code says what kind of an error it is, so the text does not.
func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`"code":"bad_request","message":"which unit?"`:              BadRequest(errors.New("which unit?")),
		`"code":"conflict","message":"the run is over: look at it"`: fmt.Errorf("the run is over: look at it: %w", workflow.ErrConflict),
		`"code":"not_found","message":"run 1: not found"`:           fmt.Errorf("run 1: %w", workflow.ErrNotFound),
	} {
		w := httptest.NewRecorder()
		writeError(w, err)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%v: %s", err, w.Body)
		}
	}
}
