package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// asking is a workflow that waits for an answer and then says a number.
func asking(n int) string {
	return fmt.Sprintf(`version: 1
name: asking
steps:
  - { id: ask, uses: approve, with: { message: "Now?" } }
  - { id: say, needs: [ask], uses: run, with: { script: "printf %d" } }
outputs: { said: "${{ steps.say.outputs.stdout }}" }
`, n)
}

// quick is one that waits for nothing.
func quick(n int) string {
	return fmt.Sprintf(`version: 1
name: quick
steps:
  - { id: first, uses: run, with: { script: "true" } }
  - { id: say, needs: [first], uses: run, with: { script: "printf %d" } }
outputs: { said: "${{ steps.say.outputs.stdout }}" }
`, n)
}

func saying(n int) string { return fmt.Sprintf(`{"said":"%d"}`, n) }

// servedHost is a host that drives runs until it is told to leave them; stop waits for
// that.
func servedHost(t *testing.T, dir string) (h *host, leave, stop func()) {
	t.Helper()
	h, err := openTestHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	h.begin(ctx)
	leave = func() { cancel(errInterrupted) }
	stop = sync.OnceFunc(func() {
		leave()
		h.driving.dismiss()
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return h, leave, stop
}

func startRun(t *testing.T, h *host, source string) workflow.RunID {
	t.Helper()
	id, err := h.Start(t.Context(), server.StartRequest{Source: source, By: "me"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// shownWhen waits until a run looks as it should.
func shownWhen(t *testing.T, h *host, id workflow.RunID, what string, holds func(*server.ShownRun) bool) server.ShownRun {
	t.Helper()
	var run server.ShownRun
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		if run, err = h.Show(t.Context(), id); err == nil && holds(&run) {
			return run
		}
	}
	t.Fatalf("run %s is not %s: %+v", id, what, run)
	return run
}

func isOver(run *server.ShownRun) bool { return run.State.Terminal() && len(run.Steps) > 0 }

func replans(t *testing.T, h *host, id workflow.RunID) int {
	t.Helper()
	run := shownWhen(t, h, id, "shown", func(run *server.ShownRun) bool { return len(run.Steps) > 0 })
	return run.Replans
}

// TestChangesAtOnce: of many requests that come together each is carried out whole or
// refused, and the run goes on with the last. Meanwhile it can be looked at.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	h, _, _ := servedHost(t, t.TempDir())
	id := startRun(t, h, asking(0))
	shownWhen(t, h, id, "waiting", func(run *server.ShownRun) bool { return len(run.Attention) > 0 })
	var made atomic.Int64
	var requests sync.WaitGroup
	for n := range 8 {
		requests.Go(func() {
			for try := range 4 {
				switch _, err := h.Resume(t.Context(), id, server.ResumeRequest{Source: asking(1 + 4*n + try), By: "me"}); {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, workflow.ErrConflict):
					t.Error(err)
				}
			}
		})
	}
	requests.Wait()
	if made.Load() == 0 {
		t.Error("no request was carried out")
	}
	if got := replans(t, h, id); got != int(made.Load()) {
		t.Errorf("%d requests were carried out, and the workflow changed %d times", made.Load(), got)
	}
	if _, err := h.Resume(t.Context(), id, server.ResumeRequest{By: "me"}); !errors.Is(err, workflow.ErrOwned) {
		t.Errorf("a run that goes on: %v", err)
	}
	last, err := h.Resume(t.Context(), id, server.ResumeRequest{Source: asking(99), By: "me"})
	if err != nil || last.Plan.Plan != int(made.Load())+1 || !exists(last.PlanFile) || !exists(h.markFile(id)) {
		t.Errorf("%+v, %v", last, err)
	}
	run, err := h.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Approve(t.Context(), workflow.UnitRef{Step: "ask"}, workflow.ApprovalGiven{By: "me"}); err != nil {
		t.Fatal(err)
	}
	if end := shownWhen(t, h, id, "over", isOver); end.State != workflow.RunSucceeded || string(end.Outputs) != saying(99) {
		t.Errorf("it ended %s with %s", end.State, end.Outputs)
	}
}

// TestChangeAtTheEnd: a request that comes while the run ends has it go on with the
// new workflow, or is refused.
func TestChangeAtTheEnd(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h, _, _ := servedHost(t, t.TempDir())
	made := 0
	for n := range 30 {
		id := startRun(t, h, quick(0))
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond) // when it comes is what is tried
		want := saying(0)
		switch _, err := h.Resume(t.Context(), id, server.ResumeRequest{Source: quick(n + 1), By: "me"}); {
		case err == nil:
			made++
			want = saying(n + 1)
		case !errors.Is(err, workflow.ErrConflict):
			t.Error(err)
		}
		end := shownWhen(t, h, id, "over", isOver)
		if end.State != workflow.RunSucceeded || string(end.Outputs) != want {
			t.Errorf("run %s ended %s with %s, want %s", id, end.State, end.Outputs, want)
		}
	}
	if made == 0 {
		t.Error("no request was carried out")
	}
}

// TestChangeAndStop: a server that stops at a change leaves a run that the next one
// goes on with, by the workflow that was answered.
func TestChangeAndStop(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	h, leave, stop := servedHost(t, dir)
	id := startRun(t, h, asking(0))
	want := 0
	for n := 1; n <= 10; n++ {
		shownWhen(t, h, id, "waiting", func(run *server.ShownRun) bool { return len(run.Attention) > 0 })
		var request sync.WaitGroup
		request.Go(func() {
			switch _, err := h.Resume(context.WithoutCancel(t.Context()), id, server.ResumeRequest{Source: asking(n), By: "me"}); {
			case err == nil:
				want++
			case !errors.Is(err, server.ErrStopping):
				t.Error(err)
			}
		})
		time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond) // when it stops is what is tried
		leave()
		request.Wait()
		stop()
		if !exists(h.markFile(id)) {
			t.Fatal("the run is the server's no more")
		}
		h, leave, stop = servedHost(t, dir)
		if err := h.resume(h.ctx, false); err != nil {
			t.Fatal(err)
		}
		if got := replans(t, h, id); got != want {
			t.Fatalf("the workflow changed %d times, and %d times that was answered", got, want)
		}
	}
}

// TestTurn: a run goes on after a turn that came to nothing, and what is asked of it
// meanwhile reaches it then.
func TestTurn(t *testing.T) {
	t.Parallel()
	h, _, _ := servedHost(t, t.TempDir())
	id := startRun(t, h, asking(0))
	shownWhen(t, h, id, "waiting", func(run *server.ShownRun) bool { return len(run.Attention) > 0 })
	refused := errors.New("refused")
	err := h.inTurn(t.Context(), id, nil, func() (*engine.Execution, error) { return nil, refused })
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := h.session.owned.Find(t.Context(), id); err != nil {
		t.Error("the run is not driven after a turn:", err)
	}
	one, _ := h.Find(t.Context(), id)
	if two, err := h.Find(t.Context(), id); err != nil || one != two {
		t.Error("pictures of the run are not known again:", err)
	}
	approved := make(chan error, 1)
	err = h.inTurn(t.Context(), id, nil, func() (*engine.Execution, error) {
		run, err := h.Find(t.Context(), id)
		if err != nil {
			return nil, err
		}
		if _, err := h.session.owned.Find(t.Context(), id); err == nil {
			t.Error("the run is driven during a turn")
		}
		go func() {
			_, err := run.Approve(t.Context(), workflow.UnitRef{Step: "ask"}, workflow.ApprovalGiven{By: "me"})
			approved <- err
		}()
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	if err := <-approved; err != nil {
		t.Error(err)
	}
	if end := shownWhen(t, h, id, "over", isOver); end.State != workflow.RunSucceeded || string(end.Outputs) != saying(0) {
		t.Errorf("it ended %s with %s", end.State, end.Outputs)
	}
}

// TestChangeAndCommand: a command on this machine, which would be lost, has ended
// before the run is left.
func TestChangeAndCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, _, _ := servedHost(t, dir)
	busy := func(n int) string {
		return fmt.Sprintf(`version: 1
name: busy
steps:
  - { id: command, uses: run, with: { script: "echo began >> %[1]s/count; until [ -e %[1]s/go ]; do sleep 0.05; done" } }
  - { id: say, needs: [command], uses: run, with: { script: "printf %[2]d" } }
outputs: { said: "${{ steps.say.outputs.stdout }}" }
`, dir, n)
	}
	id := startRun(t, h, busy(0))
	shownWhen(t, h, id, "busy", func(*server.ShownRun) bool { return exists(filepath.Join(dir, "count")) })
	changed := make(chan error, 1)
	go func() {
		_, err := h.Resume(t.Context(), id, server.ResumeRequest{Source: busy(1), By: "me"})
		changed <- err
	}()
	select {
	case err := <-changed:
		t.Errorf("it was changed while the command went on: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Error(err)
	}
	end := shownWhen(t, h, id, "over", isOver)
	count, err := os.ReadFile(filepath.Join(dir, "count"))
	if err != nil || string(count) != "began\n" || end.State != workflow.RunSucceeded || string(end.Outputs) != saying(1) {
		t.Errorf("it ended %s with %s; the command: %q, %v", end.State, end.Outputs, count, err)
	}
}

// TestChangePanics: a panic ends the request, and not the run.
func TestChangePanics(t *testing.T) {
	t.Parallel()
	h, leave, stop := servedHost(t, t.TempDir())
	id := startRun(t, h, asking(0))
	shownWhen(t, h, id, "waiting", func(run *server.ShownRun) bool { return len(run.Attention) > 0 })
	leave()
	h.driving.wait()
	h.begin(t.Context())
	err := h.adopt(t.Context(), id, nil, func(*engine.Execution) error { panic("oh") })
	if err == nil || !strings.Contains(err.Error(), "panic: oh; please report this") {
		t.Error(err)
	}
	again := func() (*engine.Execution, error) { return h.session.reopen(t.Context(), id) }
	x, err := again()
	if err != nil {
		t.Fatalf("nobody can take the run over any more: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	stop()
}

// TestCancelOfEnded: a run that has ended is left alone.
func TestCancelOfEnded(t *testing.T) {
	t.Parallel()
	h, _, _ := servedHost(t, t.TempDir())
	id := startRun(t, h, quick(1))
	before := shownWhen(t, h, id, "over", isOver)
	h.driving.wait()
	run, err := h.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Cancel(t.Context(), "me"); err != nil {
		t.Error(err)
	}
	if after, err := h.Show(t.Context(), id); err != nil || after.Seq != before.Seq || after.Epoch != before.Epoch {
		t.Errorf("seq %d, then %d, epoch %d, then %d, %v", before.Seq, after.Seq, before.Epoch, after.Epoch, err)
	}
}

// TestFoldsOverDefinitions: the state that is kept goes on when the run gets another
// workflow.
func TestFoldsOverDefinitions(t *testing.T) {
	t.Parallel()
	h, _, _ := servedHost(t, t.TempDir())
	id := startRun(t, h, asking(0))
	untilState(t, h, id, "ask", workflow.Waiting)
	checkChains(t, h, id)
	source := asking(1) + "finally:\n  - { id: late, uses: run, with: { script: \"true\" } }\n"
	if _, err := h.Resume(t.Context(), id, server.ResumeRequest{Source: source, By: "me"}); err != nil {
		t.Fatal(err)
	}
	untilState(t, h, id, "ask", workflow.Waiting)
	checkChains(t, h, id)
	run, err := h.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Approve(t.Context(), workflow.UnitRef{Step: "ask"}, workflow.ApprovalGiven{By: "me"}); err != nil {
		t.Fatal(err)
	}
	untilState(t, h, id, "late", workflow.Succeeded)
	checkChains(t, h, id)
}

// TestStartWhileStopping: what is started while the server stops is left for the next
// start, whole and marked.
func TestStartWhileStopping(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, leave, stop := servedHost(t, dir)
	leave()
	h.driving.dismiss()
	h.begin(t.Context()) // the request came in before
	id := startRun(t, h, quick(3))
	if _, err := h.session.owned.Find(t.Context(), id); err == nil {
		t.Error("the run is offered, and nobody drives it")
	}
	stop()
	h, _, _ = servedHost(t, dir)
	if err := h.resume(h.ctx, false); err != nil {
		t.Fatal(err)
	}
	if end := shownWhen(t, h, id, "over", isOver); end.State != workflow.RunSucceeded || string(end.Outputs) != saying(3) {
		t.Errorf("it ended %s with %s", end.State, end.Outputs)
	}
}
