package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Why slots are missed.
const (
	reasonDown    = "nothing was running then"
	reasonWindow  = "nothing was running then, and it is longer ago than the window of %s"
	reasonLater   = "nothing was running then, and a later one counts"
	reasonChanged = "the schedule was changed before it was due to start"
	reasonMany    = "nothing was running then, and there are more than 1000 later ones"
)

// decide gives each slot an outcome that has come since the last look.
func (s *Scheduler) decide(ctx context.Context, e *entry, b *batch) {
	if e.calendar == nil { // nobody can tell when it is due
		return
	}
	until := b.now.Add(-e.jitter)
	if until.Before(e.cursor) { // the clock was set back
		e.lookFrom(until)
	}
	if e.next.IsZero() || e.next.After(until) {
		e.cursor = until
		return
	}
	s.refresh(ctx, e, b)
	s.decideAgain(e, b, until)
	if until.After(e.state.Decided) {
		s.decideNew(e, b, until)
		e.state.Decided = until
	}
	e.look(until)
	e.prune(b)
	b.state(e)
}

// decideAgain looks at slots that come a second time because the clock was set
// back: those that a wrong clock made us miss are due after all. No other one
// changes its outcome.
func (s *Scheduler) decideAgain(e *entry, b *batch, until time.Time) {
	from := later(later(e.cursor, until.Add(-lateness)), e.state.Since)
	for slot := e.calendar.Next(from); !slot.IsZero() && !slot.After(until) && !slot.After(e.state.Decided); slot = e.calendar.Next(slot) {
		r := e.covering(slot)
		if r == nil || r.Outcome != workflow.SlotMissed || e.state.Pause != nil {
			continue
		}
		e.take(b, r, slot)
		s.run(e, b, slot, workflow.TriggerSchedule)
	}
}

// decideNew decides about the slots after those that have been decided about.
func (s *Scheduler) decideNew(e *entry, b *batch, until time.Time) {
	from := e.state.Decided
	if p := e.state.Pause; p != nil {
		paused := later(from, earlier(p.At.Add(-e.jitter), until))
		e.addSpan(b, from, paused, workflow.SlotMissed, reasonDown)
		e.addSpan(b, paused, until, workflow.SlotSkipped, p.String())
		return
	}
	onTime := later(from, until.Add(-lateness))
	s.catchUp(e, b, from, onTime, until)
	for slot := e.calendar.Next(onTime); !slot.IsZero() && !slot.After(until); slot = e.calendar.Next(slot) {
		s.run(e, b, slot, workflow.TriggerSchedule)
	}
}

// catchUp decides about the slots in (from, to], for which it is late; those up to
// until are on time.
func (s *Scheduler) catchUp(e *entry, b *batch, from, to, until time.Time) {
	first := e.calendar.Next(from)
	if first.IsZero() || first.After(to) {
		return
	}
	keep, window := e.schedule.Catchup.Keep, e.schedule.Catchup.Window
	if keep != "all" && keep != "latest" {
		e.addSpan(b, from, to, workflow.SlotMissed, reasonDown)
		return
	}
	reason := reasonDown
	inside := from
	if window > 0 {
		inside = earlier(later(from, until.Add(-window-1)), to)
		reason = fmt.Sprintf(reasonWindow, span(window))
	}
	e.addSpan(b, from, inside, workflow.SlotMissed, reason)
	if keep == "latest" {
		s.catchLatest(e, b, inside, to, until)
		return
	}
	var slots []time.Time
	for slot := e.calendar.Next(inside); !slot.IsZero() && !slot.After(to); slot = e.calendar.Next(slot) {
		slots = append(slots, slot)
	}
	if n := len(slots) - maxOpen; n > 0 {
		e.addSpan(b, inside, slots[n-1], workflow.SlotMissed, reasonMany)
		slots = slots[n:]
	}
	for _, slot := range slots {
		s.run(e, b, slot, workflow.TriggerCatchup)
	}
}

// catchLatest runs the last slot, unless one that is on time follows.
func (s *Scheduler) catchLatest(e *entry, b *batch, from, to, until time.Time) {
	latest := e.calendar.Last(from, to)
	if next := e.calendar.Next(to); latest.IsZero() || !next.IsZero() && !next.After(until) {
		e.addSpan(b, from, to, workflow.SlotMissed, reasonLater)
		return
	}
	e.addSpan(b, from, latest.Add(-1), workflow.SlotMissed, reasonLater)
	s.run(e, b, latest, workflow.TriggerCatchup)
}

// run decides that a slot has a run, unless overlap forbids it.
func (s *Scheduler) run(e *entry, b *batch, slot time.Time, by workflow.Trigger) {
	r := &workflow.SlotRecord{Slot: slot, Outcome: workflow.SlotRun, BeganBy: by, At: b.now}
	n := len(e.state.Open)
	switch {
	case n >= maxOpen:
		r.Outcome, r.Reason = workflow.SlotSkipped, fmt.Sprintf("%d runs of the schedule have not ended", maxOpen)
	case n > 0 && by != workflow.TriggerBackfill && overlap(e.schedule) == "skip":
		r.Outcome, r.Reason = workflow.SlotSkipped, fmt.Sprintf("run %s is still going", e.state.Open[0])
	default:
		r.Run, r.Pending = RunID(s.book.Nonce(), e.key, slot), true
		if !slices.Contains(e.state.Open, r.Run) {
			e.state.Open = append(e.state.Open, r.Run)
		}
		s.open[r.Run] = e
	}
	if r.Outcome != workflow.SlotRun {
		r.BeganBy = ""
	}
	e.add(b, r)
}

func overlap(s *workflow.Schedule) string {
	if s.Overlap == "" {
		return "skip"
	}
	return s.Overlap
}

// groups are the places that a run takes because of its schedule. Skipping is
// decided here, with the slot: such a run at most waits a moment for the one before
// to let go, as does one of a backfill for the others.
func (e *entry) groups(by workflow.Trigger) []workflow.Membership {
	m := workflow.Membership{Group: "schedule:" + e.key.String(), Limit: 1, OnConflict: workflow.ConflictQueue}
	switch overlap(e.schedule) {
	case "allow":
		return nil
	case "cancel_running":
		if by != workflow.TriggerBackfill {
			m.OnConflict = workflow.ConflictCancel
		}
	}
	return []workflow.Membership{m}
}

// refresh asks for the runs of a schedule that nobody has told the end of.
func (s *Scheduler) refresh(ctx context.Context, e *entry, b *batch) {
	if s.starter == nil {
		return
	}
	for _, id := range slices.Clone(e.state.Open) {
		if r := e.recordOf(id); s.asked[id] || r != nil && r.Pending {
			continue
		}
		switch state, err := s.starter.State(ctx, id); {
		case errors.Is(err, workflow.ErrNotFound), err == nil && state.Terminal():
			s.ended(e, b, id, state)
		case err != nil:
			s.options.Logger.Warn().Err(err).Str("schedule", e.key.String()).Str("run", string(id)).Msg("nobody knows how the run is doing")
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
