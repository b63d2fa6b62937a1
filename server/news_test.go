package server

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

func TestSlowReaderGetsTheLastChangeOfEach(t *testing.T) {
	t.Parallel()
	var n News
	slow := n.listen()
	for seq := range int64(5000) {
		n.Tell(Change{Kind: ChangedRun, Run: "A", Seq: seq + 1, State: workflow.RunRunning})
		n.Tell(Change{Kind: ChangedSchedule, Workflow: "w", Schedule: "s"})
	}
	n.Tell(Change{Kind: ChangedRun, Run: "A", State: workflow.RunSucceeded, Workflow: "w"})
	want := []Change{
		{Kind: ChangedRun, Run: "A", Seq: 5000, State: workflow.RunSucceeded, Workflow: "w"},
		{Kind: ChangedSchedule, Workflow: "w", Schedule: "s"},
	}
	if diff := cmp.Diff(want, slow.take()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if again := slow.take(); again != nil {
		t.Errorf("taken twice: %v", again)
	}
	n.leave(slow)
	n.Tell(Change{Kind: ChangedRun, Run: "B"})
	if left := slow.take(); left != nil || len(n.readers) != 0 {
		t.Errorf("a reader that left is told of %v", left)
	}
}

// TestChangesArePaced: of a run that changes a hundred times a second a reader hears
// twice a second, and of its end.
func TestChangesArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		handler := NewHost(d).Handler()
		ctx, stop := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/events", nil))
		}()
		synctest.Wait()
		time.Sleep(changePace / 100)   // not at the very moment of a tick
		for seq := range int64(1000) { // ten seconds
			d.news.Tell(Change{Kind: ChangedRun, Run: "A", Seq: seq + 1})
			time.Sleep(10 * time.Millisecond)
		}
		d.news.Tell(Change{Kind: ChangedRun, Run: "A", State: workflow.RunFailed})
		time.Sleep(30 * time.Second)
		stop()
		<-done
		told, beats, last := 0, 0, ""
		for lines := bufio.NewScanner(w.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				told, last = told+1, data
			}
			if strings.HasPrefix(lines.Text(), ":") {
				beats++
			}
		}
		if told < 15 || told > 21 {
			t.Errorf("told %d times in ten seconds, want at most 2 a second", told)
		}
		if want := `{"run":"A","state":"failed"}`; last != want {
			t.Errorf("the last word is %s, want %s", last, want)
		}
		if beats < 3 {
			t.Errorf("%d signs of life in 40 s, want one each %s", beats, heartbeat)
		}
		if len(d.news.readers) != 0 {
			t.Error("a reader that has gone is still told")
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := NewHost(newDiary())
	var leaves []func()
	for range maxStreams {
		leave, err := s.enter()
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	for _, target := range []string{"/v1/events", "/v1/runs/A/events", "/v1/runs/A/logs?unit=s&follow=true"} {
		ctx, stop := context.WithTimeout(t.Context(), time.Second) // a stream that is let in would go on
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", target, nil))
		stop()
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d, want 503", target, w.Code)
		}
	}
	leaves[0]()
	if leave, err := s.enter(); err != nil {
		t.Errorf("after one has left: %v", err)
	} else {
		leave()
	}
}

func TestWhatNoRouteIsForIsAnErrorOfJSON(t *testing.T) {
	t.Parallel()
	_, handler := guardedDiary()
	for target, want := range map[string]int{
		"GET /v1": 404, "GET /v1/nothing": 404, "GET /v1/runs/A/nothing": 404, "PUT /v1/runs": 405, "DELETE /v1/runs/A": 405, "POST /metrics": 405,
	} {
		method, path, _ := strings.Cut(target, " ")
		req := httptest.NewRequest(method, path, strings.NewReader("{}"))
		req.Host = ownHost
		req.Header.Set("Authorization", "Bearer "+fullToken)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != want || w.Header().Get("Content-Type") != "application/json" || !strings.HasPrefix(w.Body.String(), `{"error":{"code":"`) {
			t.Errorf("%s: %d %s %s", target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if want == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s: no Allow", target)
		}
	}
}
