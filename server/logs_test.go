package server

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

// growing is a host of a log that has one line when it is first asked for.
type growing struct {
	*diary
	all   bool
	asked []LogQuery
}

func (g *growing) Log(_ context.Context, _ workflow.RunID, q LogQuery) (LogPart, error) {
	g.asked = append(g.asked, q)
	if q.From > 0 {
		return LogPart{Next: q.From, Over: true, All: true}, nil
	}
	return LogPart{Text: []byte("one\n"), Next: 4, All: g.all}, nil
}

// TestLogs: a log is asked for until all is there that there is now, or, by who
// follows it, until the attempt has ended; the host knows who follows.
func TestLogs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		query string
		all   bool
		want  []LogQuery
	}{
		{"", true, []LogQuery{{Unit: "s", Stream: "stdout"}}},
		{"", false, []LogQuery{{Unit: "s", Stream: "stdout"}, {Unit: "s", Stream: "stdout", From: 4}}},
		{"&follow=true", true, []LogQuery{{Unit: "s", Stream: "stdout", Follow: true}, {Unit: "s", Stream: "stdout", From: 4, Follow: true}}},
	} {
		g := &growing{diary: newDiary(), all: test.all}
		w := httptest.NewRecorder()
		NewHost(g).Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/runs/A/logs?unit=s"+test.query, nil))
		if w.Code != 200 || !slices.Equal(g.asked, test.want) {
			t.Errorf("%q: status %d, asked for %+v", test.query, w.Code, g.asked)
		}
	}
}
