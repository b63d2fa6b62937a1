package workflow

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// woken lists the units to wake, with the reason.
func (h *history) woken() []string {
	var list []string
	h.run.ToWake(func(u *Unit, why WakeReason) bool {
		list = append(list, u.Ref().String()+" "+string(why))
		return true
	})
	return list
}

// TestToldAfterReopen: an attempt whose deadline passed, and whose owner died
// before it could say so, is told by the next owner.
func TestToldAfterReopen(t *testing.T) {
	t.Parallel()
	for reason, want := range map[WaitReason]string{WaitTimer: "c expired", WaitApproval: "c expired", WaitJob: "c reopened"} {
		h := newHistory(t)
		h.must("c", 1, &AttemptStarted{})
		h.must("c", 1, &AttemptWaiting{Reason: reason})
		h.must("c", 1, &AttemptExpired{Cause: CauseTimedOut})
		h.must("", 0, &RunOpened{})
		if got := h.woken(); !slices.Equal(got, []string{want}) {
			t.Errorf("waiting(%s): wakes %v, want %s", reason, got, want)
		}
	}
}

// TestBackoffTakesNoPlace: the pause before the next attempt counts against
// nothing.
func TestBackoffTakesNoPlace(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	s := h.unit("c").Step
	check := func(want int) {
		t.Helper()
		if got := s.InQueue(); got != want {
			t.Errorf("%d in the queue while %s, want %d", got, s.State(), want)
		}
	}
	check(0)
	for attempt := 1; attempt < 3; attempt++ {
		h.must("c", attempt, &AttemptStarted{})
		check(1)
		h.must("c", attempt, &AttemptWaiting{Reason: WaitJob})
		check(1)
		h.must("c", attempt, &AttemptWoken{})
		h.must("c", attempt, &AttemptFinished{State: Failed, Cause: CauseAPI, Retry: &Retry{At: h.now}})
		check(0)
		h.must("c", 0, &BackoffEnded{})
		check(0)
	}
}

// TestQueueTimer: queue_timeout counts from the acceptance of the job, or from
// when it was first seen if another step submitted it, until it has left the
// queue once.
func TestQueueTimer(t *testing.T) {
	t.Parallel()
	submit := []Payload{
		&SubmissionIntent{}, &SubmissionSending{K: 1}, &SubmissionOutcome{K: 1, Class: Accepted, JobID: "7"},
	}
	pending, running := &JobObserved{JobID: "7"}, &JobObserved{JobID: "7", Active: true}
	for _, c := range []struct {
		name   string
		events []Payload
		due    bool
	}{
		{"submitted", submit, true},
		{"not submitted", submit[:2], false},
		{"seen", []Payload{pending}, true},
		{"seen running", []Payload{running}, false},
		{"ran", append(slices.Clone(submit), pending, running), false},
		{"ran and is queued again", append(slices.Clone(submit), running, pending), false},
		{"taken over", append(slices.Clone(submit), &RunOpened{}), true},
		{"ran, is queued again and taken over", append(slices.Clone(submit), running, pending, &RunOpened{}), false},
	} {
		h := newHistory(t)
		u := h.unit("c")
		u.Step.Step.QueueTimeout = time.Hour
		h.must("c", 1, &AttemptStarted{})
		for _, p := range c.events {
			if _, ok := p.(*RunOpened); ok {
				h.must("", 0, p)
			} else {
				h.must("c", 1, p)
			}
		}
		due := h.run.allDue(h.now.Add(2 * time.Hour))
		if got := len(due) == 1 && due[0].Kind == TimerQueue; got != c.due || len(due) > 1 {
			t.Errorf("%s: due %v, want %v", c.name, due, c.due)
		}
		if early := h.run.allDue(h.now.Add(59 * time.Minute)); len(early) > 0 {
			t.Errorf("%s: due too early", c.name)
		}
	}
}

// TestTimers: what is due comes in the order of its instants, and what is next
// lies behind it.
func TestTimers(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	var want []time.Time
	for i := range 50 {
		at := h.now.Add(time.Duration(i*37%50) * time.Minute)
		h.run.timers.add(Timer{At: at, Kind: TimerFinally, run: h.run})
		want = append(want, h.now.Add(time.Duration(i)*time.Minute))
	}
	for i, at := range want {
		var got []time.Time
		for _, due := range h.run.allDue(at) {
			got = append(got, due.At)
		}
		if !slices.Equal(got, want[:i+1]) {
			t.Fatalf("at %s: %v", at, got)
		}
		next, ok := h.run.NextTimer(at)
		if last := i == len(want)-1; ok == last || !last && !next.Equal(want[i+1]) {
			t.Errorf("after %s comes %s, %v", at, next, ok)
		}
	}
}

// TestEventSize: a value that is inline does not grow by being stored.
func TestEventSize(t *testing.T) {
	t.Parallel()
	text, err := CanonicalJSON(strings.Repeat("<&>", 10_000))
	if err != nil {
		t.Fatal(err)
	}
	body, blobs := NewBody(text)
	if len(blobs) > 0 {
		t.Fatal("the value is not inline")
	}
	e := Event{Seq: 1, Step: "s", Attempt: 1, Data: &Checkpoint{Key: "k", Value: body}}
	stored, err := e.MarshalJSON()
	if err != nil || len(stored) > len(text)+200 {
		t.Fatalf("%d bytes are stored as %d, error %v", len(text), len(stored), err)
	}
	var again Event
	if err := json.Unmarshal(stored, &again); err != nil || string(again.Data.(*Checkpoint).Value.JSON) != string(text) {
		t.Errorf("read back otherwise, error %v", err)
	}
}
