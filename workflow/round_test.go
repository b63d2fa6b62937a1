package workflow

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// newRound starts a run of a step and one of `finally`, with a timeout.
func newRound(t *testing.T) *history {
	t.Helper()
	h := &history{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), run: NewRun(&Workflow{
		Name: "w", Timeout: time.Hour, FinallyTimeout: time.Minute,
		Steps:   []*Step{{ID: "a", Index: 0, MaxAttempts: 10}},
		Finally: []*Step{{ID: "f", Index: 1, Finally: true, MaxAttempts: 10, If: &Value{}}},
	})}
	h.must("", 0, &RunCreated{ID: "r", Nonce: "n"})
	h.must("", 0, &RunStarted{})
	return h
}

func (h *history) end(step string, state State) {
	h.t.Helper()
	n := len(h.unit(step).Attempts) + 1
	h.must(step, n, &AttemptStarted{})
	h.must(step, n, &AttemptFinished{State: state, Cause: CauseExit})
}

func (h *history) finish() {
	h.t.Helper()
	state, _ := h.run.End()
	h.must("", 0, &RunFinished{State: state, Message: "m", Outputs: Body{JSON: []byte("{}")}})
}

// dueAt lists what is due at an instant.
func (h *history) dueAt(at time.Time) []TimerKind {
	var kinds []TimerKind
	for _, t := range h.run.allDue(at) {
		kinds = append(kinds, t.Kind)
	}
	return kinds
}

// TestNewRound: a run that has ended goes on as if it had just begun, with its
// whole timeout and without the cancel, and still tells when it was started.
func TestNewRound(t *testing.T) {
	t.Parallel()
	h := newRound(t)
	started := h.run.StartedAt
	h.must("", 0, &CancelRequested{By: "ada"})
	h.must("f", 0, &UnitReady{})
	h.end("f", Succeeded)
	h.finish()
	if h.run.State != RunCancelled {
		t.Fatalf("the run ended %s", h.run.State)
	}
	if err := h.apply("", 0, &UnitsReset{By: "ada"}); err == nil {
		t.Error("units of a run that has ended are reset")
	}
	if err := h.apply("", 0, &RunReopened{Round: 3}); err == nil {
		t.Error("round 3 follows round 1")
	}
	h.now = h.now.Add(24 * time.Hour)
	h.must("", 0, &RunReopened{Round: 2})
	r := h.run
	if r.State != RunQueued || r.Cause != "" || r.Message != "" || !r.Outputs.IsZero() || !r.EndedAt.IsZero() || r.Summarize().Round != 2 {
		t.Errorf("the end of round 1 is left: %+v", r.Summarize())
	}
	if at := r.Describe().QueuedAt; !at.Equal(h.now) || !r.CreatedAt.Before(at) {
		t.Errorf("it waits to begin since %s", at)
	}
	if err := h.apply("", 0, &RunReopened{Round: 3}); err == nil {
		t.Error("a run that has not ended is reopened")
	}
	h.must("", 0, &UnitsReset{By: "ada"})
	if a, f := h.unit("a").State, h.unit("f").State; a != Pending || f != Pending {
		t.Errorf("a is %s, f is %s", a, f)
	}
	h.must("", 0, &RunStarted{})
	if !r.StartedAt.Equal(started) || r.CancelRequests != 0 || r.CancelledBy != "" {
		t.Errorf("started at %s, before at %s, cancelled %d times", r.StartedAt, started, r.CancelRequests)
	}
	if early, due := h.dueAt(h.now.Add(59*time.Minute)), h.dueAt(h.now.Add(time.Hour)); len(early) > 0 || len(due) != 1 || due[0] != TimerRun {
		t.Errorf("due after 59 min: %v, after an hour: %v", early, due)
	}
	h.end("a", Succeeded)
	h.must("f", 0, &UnitReady{})
	h.end("f", Succeeded)
	h.finish()
	if r.State != RunSucceeded || len(h.unit("f").Attempts) != 2 {
		t.Errorf("the run ended %s, with attempts of f: %d", r.State, len(h.unit("f").Attempts))
	}
}

// TestTimeoutOutlivesReset: a reset while `finally` begins takes the end of
// `steps` back, so that the timeout of the run counts again, from the start.
func TestTimeoutOutlivesReset(t *testing.T) {
	t.Parallel()
	h := newRound(t)
	started := h.run.StartedAt
	h.end("a", Failed)
	if next, ok := h.run.NextTimer(h.now); ok {
		t.Fatalf("something is due at %s", next)
	}
	h.must("", 0, &UnitsReset{By: "ada"})
	if h.run.Result != "" || h.unit("a").State != Ready || h.unit("f").Step.unmet != 1 {
		t.Errorf("result %q, a is %s, f waits for %d", h.run.Result, h.unit("a").State, h.unit("f").Step.unmet)
	}
	if next, ok := h.run.NextTimer(h.now); !ok || !next.Equal(started.Add(time.Hour)) {
		t.Errorf("next is %s, %v", next, ok)
	}
}

// TestOnlyFinallyAgain: a reset of what failed in `finally` leaves `steps` and
// their result alone.
func TestOnlyFinallyAgain(t *testing.T) {
	t.Parallel()
	h := newRound(t)
	h.end("a", Succeeded)
	h.must("f", 0, &UnitReady{})
	h.end("f", Failed)
	h.finish()
	h.must("", 0, &RunReopened{Round: 2})
	h.must("", 0, &UnitsReset{By: "ada"})
	h.must("", 0, &RunStarted{})
	if h.unit("a").State != Succeeded || h.run.Result != RunSucceeded {
		t.Errorf("a is %s, the result %s", h.unit("a").State, h.run.Result)
	}
	h.must("f", 0, &UnitReady{})
	h.end("f", Succeeded)
	h.finish()
	if h.run.State != RunSucceeded {
		t.Errorf("the run ended %s", h.run.State)
	}
}

// TestResetRefused: what may not be reset, and that the refusal names it.
func TestResetRefused(t *testing.T) {
	t.Parallel()
	lost := func(h *history) {
		h.must("a", 1, &AttemptStarted{})
		h.must("a", 1, &SubmissionIntent{JobName: "t-a", Fence: FenceClaim})
		h.must("a", 1, &SubmissionSending{K: 1})
		h.must("a", 1, &AttemptFinished{State: Failed, Cause: CausePanic})
	}
	for _, c := range []struct {
		name   string
		before func(*history)
		reset  UnitsReset
		want   string
		is     error
	}{
		{"nothing bad", func(h *history) { h.end("a", Succeeded) }, UnitsReset{}, "nothing to do again", ErrConflict},
		{"succeeded", func(h *history) { h.end("a", Succeeded) }, UnitsReset{Units: []UnitRef{{Step: "a"}}}, "a has succeeded: do it again all the same with --force", ErrConflict},
		{"not done", func(*history) {}, UnitsReset{Units: []UnitRef{{Step: "a"}}}, "nothing to do again: a is ready", ErrConflict},
		{"running", func(h *history) { h.must("a", 1, &AttemptStarted{}) }, UnitsReset{Units: []UnitRef{{Step: "a"}}}, "before its end: a is running", ErrConflict},
		{"after it runs", func(h *history) {
			h.end("a", Succeeded)
			h.must("f", 0, &UnitReady{})
			h.must("f", 1, &AttemptStarted{})
			h.must("f", 1, &AttemptWaiting{Reason: WaitJob})
		}, UnitsReset{Units: []UnitRef{{Step: "a"}}, Force: true}, "before its end: f is waiting", ErrConflict},
		{"its job is lost", lost, UnitsReset{}, "nobody knows what became of its job: a", ErrConflict},
		{"being cancelled", func(h *history) {
			h.end("a", Failed)
			h.must("", 0, &CancelRequested{})
		}, UnitsReset{}, "the run is being cancelled", ErrConflict},
		{"no step", func(*history) {}, UnitsReset{Units: []UnitRef{{Step: "b"}}}, `no step "b"`, ErrNotFound},
		{"no instance", func(*history) {}, UnitsReset{Units: []UnitRef{{Step: "a", Instance: "n=1"}}}, "no instance a/n=1", ErrNotFound},
		{"none of those that are named", func(h *history) { h.end("a", Failed) }, UnitsReset{Exact: true}, "no instance is named", ErrConflict},
		{"too long", func(h *history) { h.end("a", Failed) }, UnitsReset{Units: slices.Repeat([]UnitRef{{Step: "a"}}, 2000)}, "2000 names are too many", ErrConflict},
	} {
		h := newRound(t)
		c.before(h)
		_, err := h.run.ResetSet(&c.reset)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
