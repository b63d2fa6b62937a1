package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	// startPatience is how long a run is tried to be started that was decided on.
	startPatience = time.Hour
	firstBackoff  = time.Second
	maxBackoff    = time.Minute
)

// launch begins to start what was decided for a schedule, one run after the other.
func (s *Scheduler) launch(e *entry) {
	if e.starting || s.loop == nil || s.starter == nil || e.workflow == nil || e.pending() == nil {
		return
	}
	e.starting = true
	ctx := s.loop
	s.starts.Go(func() { s.startPending(ctx, e) })
}

func (s *Scheduler) startPending(ctx context.Context, e *entry) {
	for backoff := firstBackoff; ; {
		start, more := s.nextStart(ctx, e)
		if !more {
			return
		}
		if s.started(ctx, e, start.RunID, s.start(ctx, start)) {
			backoff = firstBackoff
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
			backoff = min(2*backoff, maxBackoff)
		}
	}
}

// nextStart returns the run to be started next.
func (s *Scheduler) nextStart(ctx context.Context, e *entry) (Start, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.forsake(ctx, e); err != nil {
		s.options.Logger.Warn().Err(err).Str("schedule", e.key.String()).Msg("a run that was to be started long ago")
	}
	r := e.pending()
	if r == nil || ctx.Err() != nil || s.broken != nil || e.workflow == nil {
		e.starting = false
		return Start{}, false
	}
	return Start{
		Workflow: e.workflow, Schedule: e.schedule, RunID: r.Run, Slot: r.Slot, BeganBy: r.BeganBy, Groups: e.groups(r.BeganBy),
	}, true
}

// forsake gives up on slots that were decided long before the loop began and have
// no run: the process ended in between. A backfill has time.
func (s *Scheduler) forsake(ctx context.Context, e *entry) error {
	b := s.batch()
	for _, r := range e.records {
		if !r.Pending || r.BeganBy == workflow.TriggerBackfill || !r.At.Before(s.began) || b.now.Sub(r.At) < startPatience {
			continue
		}
		switch _, err := s.starter.State(ctx, r.Run); {
		case err == nil:
			r.Pending, r.Reason = false, ""
			b.record(e, r)
		case errors.Is(err, workflow.ErrNotFound):
			s.miss(e, b, r, "nothing was running after it was decided to start its run")
		default:
			return err
		}
	}
	return s.commit(ctx, b)
}

// miss gives up the run of a slot, which does not exist.
func (s *Scheduler) miss(e *entry, b *batch, r *workflow.SlotRecord, reason string) {
	e.close(r.Run)
	delete(s.open, r.Run)
	r.Pending, r.Outcome, r.Reason, r.Run, r.BeganBy = false, workflow.SlotMissed, reason, "", ""
	b.record(e, r)
	b.state(e)
}

func (s *Scheduler) start(ctx context.Context, start Start) error {
	select {
	case s.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.room }()
	return s.starter.Start(ctx, start)
}

// started records how it went to start a run: it reports whether that is settled. Until
// then the record says what was wrong the last time.
func (s *Scheduler) started(ctx context.Context, e *entry, id workflow.RunID, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := e.recordOf(id)
	if r == nil || !r.Pending {
		return true
	}
	b := s.batch()
	reason := fmt.Sprintf("its run could not be started: %v", err)
	if err != nil && !errors.Is(err, ErrCannotStart) {
		if ctx.Err() != nil {
			return false
		}
		s.options.Logger.Warn().Err(err).Str("schedule", e.key.String()).Time("slot", r.Slot).Msg("the run is not started yet")
		again := b.now.Sub(later(r.At, s.began)) < startPatience
		if !again {
			// It may be there all the same: then this is the outcome.
			_, unsure := s.starter.State(ctx, id)
			if again = unsure != nil && !errors.Is(unsure, workflow.ErrNotFound); unsure == nil {
				err = nil
			}
		}
		if again {
			if r.Reason != reason {
				r.Reason = reason
				b.record(e, r)
			}
			_ = s.commit(ctx, b) // if the book fails, nothing is started any more
			return false
		}
	}
	if err != nil {
		s.miss(e, b, r, reason)
	} else {
		r.Pending, r.Reason = false, ""
		b.record(e, r)
	}
	return s.commit(ctx, b) == nil
}
