package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Pause has the slots of a schedule skipped from now on. Runs that go on are not
// touched. Pausing one that is paused changes nothing.
func (s *Scheduler) Pause(ctx context.Context, k Key, by, why string) error {
	return s.change(ctx, k, func(e *entry, b *batch) error {
		if e.workflow != nil { // else nothing was running, and nothing is begun for that time
			s.decide(ctx, e, b)
		}
		if e.state.Pause == nil {
			s.pause(e, b, by, why)
		}
		return nil
	})
}

func (s *Scheduler) pause(e *entry, b *batch, by, why string) {
	e.state.Pause = &workflow.SchedulePause{By: by, At: b.now, Why: why}
	b.state(e)
}

// Resume ends a pause. What was skipped stays skipped: Backfill runs it.
func (s *Scheduler) Resume(ctx context.Context, k Key) error {
	return s.change(ctx, k, func(e *entry, b *batch) error {
		s.decide(ctx, e, b)
		e.state.Pause, e.state.Failures = nil, 0
		b.state(e)
		return nil
	})
}

// Backfill starts a run for each slot from one instant to another, both included,
// that has none. They go one after the other, also where the schedule skips slots
// while a run goes on.
func (s *Scheduler) Backfill(ctx context.Context, k Key, from, to time.Time) (workflow.Backfilled, error) {
	filled := workflow.Backfilled{Runs: []workflow.SlotRecord{}}
	err := s.change(ctx, k, func(e *entry, b *batch) error {
		s.decide(ctx, e, b)
		open, err := s.fillable(ctx, e, from, to, b.now)
		if err != nil {
			return err
		}
		filled.Already = open.Already
		for _, slot := range open.Slots {
			if r := e.covering(slot); r != nil {
				e.take(b, r, slot)
			}
			s.run(e, b, slot, workflow.TriggerBackfill)
			filled.Runs = append(filled.Runs, *e.covering(slot))
		}
		e.prune(b)
		return nil
	})
	return filled, err
}

// Fillable says what Backfill would do.
func (s *Scheduler) Fillable(ctx context.Context, k Key, from, to time.Time) (workflow.Fillable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil || e.schedule == nil {
		return workflow.Fillable{}, fmt.Errorf("%w: %s", ErrUnknown, k)
	}
	return s.fillable(ctx, e, from, to, s.now())
}

// fillable lists the slots from one instant to another, and no later than now, that
// have no run.
func (s *Scheduler) fillable(ctx context.Context, e *entry, from, to, now time.Time) (workflow.Fillable, error) {
	open := workflow.Fillable{Slots: []time.Time{}}
	slots, err := e.span(from, earlier(to, now.Add(-e.jitter)))
	if err != nil {
		return open, err
	}
	if n := len(slots) + len(e.state.Open); n > maxOpen {
		return open, fmt.Errorf("%w: %d runs of the schedule would be going on or waiting, and at most %d may: take a shorter one", ErrSpan, n, maxOpen)
	}
	for _, slot := range slots {
		if s.ran(ctx, e, slot) {
			open.Already++
		} else {
			open.Slots = append(open.Slots, slot)
		}
	}
	return open, ctx.Err()
}

// ran reports whether a slot has a run. That of one whose record is forgotten may be
// there still: begun again, it would be found as it ended, and counted once more.
func (s *Scheduler) ran(ctx context.Context, e *entry, slot time.Time) bool {
	if r := e.covering(slot); r != nil || s.options.Runs == nil {
		return r != nil && r.Outcome == workflow.SlotRun
	}
	_, err := s.options.Runs.State(ctx, RunID(s.book.Nonce(), e.key, slot))
	return !errors.Is(err, workflow.ErrNotFound) // one that cannot be read is there
}

// span lists the slots from one instant to another.
func (e *entry) span(from, to time.Time) ([]time.Time, error) {
	if e.calendar == nil {
		return nil, fmt.Errorf("%w: the schedule cannot be read", ErrSpan)
	}
	if from.After(to) {
		return nil, fmt.Errorf("%w: it ends before it begins, or has not come yet", ErrSpan)
	}
	if n := e.calendar.Count(from.Add(-1), to); n > maxOpen {
		return nil, fmt.Errorf("%w: the schedule is due %d times in it, and at most %d may be filled at once: take a shorter one", ErrSpan, n, maxOpen)
	}
	var slots []time.Time
	for slot := e.calendar.Next(from.Add(-1)); !slot.IsZero() && !slot.After(to); slot = e.calendar.Next(slot) {
		slots = append(slots, slot)
	}
	return slots, nil
}

// RunNow starts a run as the schedule would, for a person and beside its slots.
func (s *Scheduler) RunNow(ctx context.Context, k Key, by string) (workflow.RunID, error) {
	var start Start
	err := s.change(ctx, k, func(e *entry, b *batch) error {
		if e.workflow == nil || s.starter == nil {
			return fmt.Errorf("%w: no server has the file of %s", ErrUnknown, k)
		}
		s.decide(ctx, e, b)
		s.refresh(ctx, e, b)
		if n := len(e.state.Open); n > 0 && overlap(e.schedule) == "skip" || n >= maxOpen {
			return fmt.Errorf("run %s: %w", e.state.Open[0], ErrBusy)
		}
		start = Start{
			Workflow: e.workflow, Schedule: e.schedule, RunID: freshID(b.now), BeganBy: workflow.TriggerManual, By: by,
			Groups: e.groups(workflow.TriggerManual),
		}
		e.state.Open = append(e.state.Open, start.RunID)
		s.open[start.RunID], s.asked[start.RunID] = e, true
		b.state(e)
		return nil
	})
	if err != nil {
		return "", err
	}
	wrong := s.start(ctx, start)
	err = s.change(context.WithoutCancel(ctx), k, func(e *entry, b *batch) error {
		delete(s.asked, start.RunID)
		if wrong != nil {
			e.close(start.RunID)
			delete(s.open, start.RunID)
			b.state(e)
		}
		return wrong
	})
	if err != nil {
		return "", err
	}
	return start.RunID, nil
}

// Ended tells how a run of a schedule ended. Of other runs it takes no notice.
func (s *Scheduler) Ended(ctx context.Context, id workflow.RunID, state workflow.RunState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.open[id]
	if e == nil {
		return nil
	}
	b := s.batch()
	s.ended(e, b, id, state)
	return s.commit(ctx, b)
}

// ended counts failures in a row. A run that was cancelled, or removed, says nothing.
func (s *Scheduler) ended(e *entry, b *batch, id workflow.RunID, state workflow.RunState) {
	e.close(id)
	delete(s.open, id)
	b.state(e)
	if r := e.recordOf(id); r != nil {
		r.State, r.Pending, r.Reason = state, false, ""
		b.record(e, r)
	}
	switch state {
	case workflow.RunSucceeded:
		e.state.Failures = 0
	case workflow.RunFailed:
		e.state.Failures++
		if after := e.state.Definition.PauseAfter; after > 0 && e.state.Failures >= after && e.state.Pause == nil {
			s.pause(e, b, "fcflow", fmt.Sprintf("the last %d runs failed", e.state.Failures))
			s.options.Logger.Warn().Str("schedule", e.key.String()).Int("failures", e.state.Failures).Msg("the schedule is paused: its last runs failed")
		}
	}
}

// change has f change a schedule and makes that durable.
func (s *Scheduler) change(ctx context.Context, k Key, f func(*entry, *batch) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil || e.schedule == nil {
		return fmt.Errorf("%w: %s", ErrUnknown, k)
	}
	b := s.batch()
	wrong := f(e, b)
	err := s.commit(ctx, b)
	s.rouse()
	return errors.Join(wrong, err)
}

// List shows every schedule, by workflow and id.
func (s *Scheduler) List() []workflow.ScheduleView {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := []workflow.ScheduleView{}
	for _, e := range s.sorted() {
		if e.schedule != nil {
			views = append(views, e.view(s.now(), e.workflow != nil || s.starter == nil))
		}
	}
	return views
}

// Slots lists what became of the slots of a schedule, newest first.
func (s *Scheduler) Slots(k Key) ([]workflow.SlotRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, k)
	}
	records := make([]workflow.SlotRecord, len(e.records))
	for i, r := range e.records {
		records[len(records)-1-i] = *r
	}
	return records, nil
}
