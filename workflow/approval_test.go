package workflow

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// newQuestion is a history in which step c has been asking for approval; the
// attempt has a deadline an hour after its start.
func newQuestion(t *testing.T) *history {
	h := newHistory(t)
	h.unit("c").Step.Step.Uses = "approve"
	h.must("c", 1, &AttemptStarted{Deadline: h.now.Add(time.Hour)})
	h.must("c", 1, &AttemptWaiting{Reason: WaitApproval, Message: "sure?"})
	return h
}

// TestApprovalIsNotLost: wherever an answer falls, the unit is to be entered with
// it, also by the next owner.
func TestApprovalIsNotLost(t *testing.T) {
	t.Parallel()
	yes, opened := &ApprovalGiven{By: "ada@login1", Note: "go"}, &RunOpened{}
	started, asks, woken := &AttemptStarted{}, &AttemptWaiting{Reason: WaitApproval}, &AttemptWoken{}
	for name, events := range map[string][]Payload{
		"while it waits":             {started, asks, yes},
		"while it is being entered":  {started, yes, asks},
		"taken over after it":        {started, asks, yes, opened},
		"taken over twice":           {started, asks, yes, opened, opened},
		"entered, then taken over":   {started, asks, woken, yes, opened, asks},
		"out of time after it":       {started, asks, yes, &AttemptExpired{Cause: CauseTimedOut}},
		"out of time and taken over": {started, asks, yes, &AttemptExpired{Cause: CauseTimedOut}, opened},
	} {
		h := newHistory(t)
		h.unit("c").Step.Step.Uses = "approve"
		var given time.Time
		for _, p := range events {
			if p == opened {
				h.must("", 0, p)
				continue
			}
			h.must("c", 1, p)
			if p == yes {
				given = h.now
			}
		}
		if got := h.woken(); !slices.Contains(got, "c woken") {
			t.Errorf("%s: wakes %v", name, got)
		}
		a := h.unit("c").Attempt()
		if a.Approval == nil || a.Approval.ApprovalGiven != *yes || !a.Approval.At.Equal(given) {
			t.Errorf("%s: %+v", name, a.Approval)
		}
		h.must("c", 1, woken)
		h.must("c", 1, &AttemptFinished{State: Succeeded})
		if got := h.woken(); len(got) > 0 {
			t.Errorf("%s: it has ended, and wakes are left: %v", name, got)
		}
	}
}

// TestApprovable: only an attempt that asks can be answered, once and in time;
// the refusal says why, and the history does not take what was refused.
func TestApprovable(t *testing.T) {
	t.Parallel()
	yes, no := &ApprovalGiven{By: "ada@login1"}, &ApprovalGiven{By: "ada@login1", Rejected: true}
	end := &AttemptFinished{State: Failed, Cause: CauseRejected}
	again := &AttemptFinished{State: Failed, Cause: CauseRejected, Retry: &Retry{At: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}}
	for _, c := range []struct {
		name   string
		events []Payload
		want   string
	}{
		{"asks", nil, ""},
		{"twice", []Payload{yes}, "nothing to approve: c was approved by ada@login1 at 2026-01-02T03:04:10Z already: conflict"},
		{"after a no", []Payload{no}, "c was rejected by ada@login1 at 2026-01-02T03:04:10Z already"},
		{"over", []Payload{no, &AttemptWoken{}, end}, "was rejected by ada"},
		{"over without an answer", []Payload{&AttemptExpired{Cause: CauseTimedOut}, &AttemptWoken{}, &AttemptFinished{State: Failed, Cause: CauseTimedOut}}, "c is failed"},
		{"out of time", []Payload{&AttemptExpired{Cause: CauseTimedOut}}, "c has run out of time"},
		{"before the next attempt", []Payload{no, &AttemptWoken{}, again}, "c is waiting for its next attempt"},
	} {
		h := newQuestion(t)
		for _, p := range c.events {
			h.must("c", 1, p)
		}
		_, err := h.run.ToApprove(UnitRef{Step: "c"}, h.now)
		refused := h.apply("c", 1, yes)
		if c.want == "" {
			if err != nil || refused != nil {
				t.Errorf("%s: %v, %v", c.name, err, refused)
			}
			continue
		}
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), c.want) || refused == nil {
			t.Errorf("%s: %v, want %q; the history takes it: %v", c.name, err, c.want, refused == nil)
		}
	}

	h := newQuestion(t)
	if _, err := h.run.ToApprove(UnitRef{Step: "c"}, h.now.Add(2*time.Hour)); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "was to be answered until") {
		t.Errorf("after its deadline: %v", err)
	}
	for ref, want := range map[UnitRef]error{{Step: "x"}: ErrNotFound, {Step: "c", Instance: "dt=1"}: ErrNotFound, {Step: "b"}: ErrConflict, {Step: "a"}: ErrConflict} {
		if units, err := h.run.ToApprove(ref, h.now); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", ref, units, err)
		}
	}
	if units, err := h.run.ToApprove(UnitRef{Step: "c"}, h.now); err != nil || len(units) != 1 || units[0] != h.unit("c") {
		t.Errorf("c: %v, %v", units, err)
	}
}

// TestApproveSome: of several instances those are answered that ask.
func TestApproveSome(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	s := h.unit("c").Step
	s.Step.Uses = "approve"
	s.Units, s.byKey, s.counts = nil, map[string]*Unit{}, map[State]int{}
	for _, key := range []string{"dt=1", "dt=2", "dt=3"} {
		s.addUnit(key, h.now)
		u := s.byKey[key]
		if err := h.run.move(u, onMet, Ready, h.now); err != nil {
			t.Fatal(err)
		}
		u.State, u.Wait, u.Attempts = Waiting, AttemptWaiting{Reason: WaitApproval}, []*Attempt{{Number: 1}}
	}
	s.byKey["dt=2"].Attempts[0].Approval = &Approval{ApprovalGiven: ApprovalGiven{By: "ada"}}
	names := func(ref UnitRef) (list []string) {
		units, err := h.run.ToApprove(ref, h.now)
		if err != nil {
			list = append(list, err.Error())
		}
		for _, u := range units {
			list = append(list, u.Instance)
		}
		return list
	}
	if got := names(UnitRef{Step: "c"}); !slices.Equal(got, []string{"dt=1", "dt=3"}) {
		t.Errorf("all: %v", got)
	}
	if got := names(UnitRef{Step: "c", Instance: "dt=3"}); !slices.Equal(got, []string{"dt=3"}) {
		t.Errorf("one: %v", got)
	}
	if got := names(UnitRef{Step: "c", Instance: "dt=2"}); len(got) != 1 || !strings.Contains(got[0], "c/dt=2 was approved by ada") {
		t.Errorf("one that was answered: %v", got)
	}
}
