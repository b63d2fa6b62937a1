package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// lateRuns are runs whose news nobody gets to read before their owner has let go of
// them.
type lateRuns struct {
	server.Runs
	looks atomic.Int64  // at the beginning of a run
	left  chan struct{} // closed when its owner has let go
}

func (l *lateRuns) Find(ctx context.Context, id workflow.RunID) (server.Run, error) {
	run, err := l.Runs.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	return lateRun{run, l}, nil
}

type lateRun struct {
	server.Run
	runs *lateRuns
}

func (r lateRun) Events(ctx context.Context, from int64, f func(workflow.Event) error) error {
	if from > 1 {
		<-r.runs.left
	}
	err := r.Run.Events(ctx, from, f)
	if from == 1 {
		r.runs.looks.Add(1)
	}
	return err
}

// TestWatchOfWhatIsLetGo: who watches a run sees the last of it, also if its owner
// has let go of it before that could be sent.
func TestWatchOfWhatIsLetGo(t *testing.T) {
	t.Parallel()
	h, _, _ := servedHost(t, t.TempDir())
	id := startRun(t, h, asking(1))
	shownWhen(t, h, id, "waiting", func(run *server.ShownRun) bool { return len(run.Attention) > 0 })
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	runs := &lateRuns{Runs: h.session.owned, left: make(chan struct{})}
	s, served := server.New(runs), make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := server.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	a, _, stderr := testApp(t)
	var run *workflow.Run
	followed := make(chan error, 1)
	go func() {
		var err error
		run, err = a.follow(t.Context(), h.session.store, c, id, false)
		followed <- err
	}()
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not yet: %s", what)
			}
		}
	}
	until("somebody watches", func() bool { return runs.looks.Load() == 2 }) // first for the definition
	found, err := h.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found.Approve(t.Context(), workflow.UnitRef{Step: "ask"}, workflow.ApprovalGiven{By: "me"}); err != nil {
		t.Fatal(err)
	}
	until("the owner has let go", func() bool {
		_, err := h.session.owned.Find(t.Context(), id)
		return errors.Is(err, workflow.ErrNotFound)
	})
	close(runs.left)
	switch err := <-followed; {
	case err != nil:
		t.Error(err)
	case run.State != workflow.RunSucceeded:
		t.Errorf("followed until it was %s", run.State)
	}
	if text := stderr.String(); !strings.Contains(text, "succeeded   say") {
		t.Errorf("shown:\n%s", text)
	}
	c.Close()
	if err := errors.Join(s.Close(), <-served); err != nil {
		t.Error(err)
	}
}
