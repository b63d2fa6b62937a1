package scheduler

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/workflow"
)

func at(day, hour, minute int) time.Time {
	return time.Date(2000, 1, day, hour, minute, 0, 0, time.UTC)
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Catchup: workflow.Catchup{Keep: "all", Window: day}, Overlap: "queue"})
		s, stop := w.run(f)
		defer func() { stop() }()
		sleep(90 * time.Minute)
		if err := s.Pause(t.Context(), keyOf(f), "anna", "maintenance"); err != nil {
			t.Fatal(err)
		}
		sleep(time.Hour)
		stop() // it stays paused
		sleep(2 * time.Hour)
		s, stop = w.run(f)
		if p := s.List()[0].Paused; p == nil || p.By != "anna" || p.Why != "maintenance" || !p.At.Equal(at(1, 1, 30)) {
			t.Errorf("paused: %+v", p)
		}
		sleep(time.Minute)
		if err := s.Resume(t.Context(), keyOf(f)); err != nil {
			t.Fatal(err)
		}
		sleep(time.Hour)
		tells(t, s, f, "1 01:00:00 run by schedule", "1 02:00:00 to 1 04:00:00, 3 times skipped", "1 05:00:00 run by schedule")
		if records, err := s.Slots(keyOf(f)); err != nil || records[1].Reason != "paused by anna: maintenance" {
			t.Errorf("skipped: %+v, %v", records, err)
		}
		if err := s.Pause(t.Context(), Key{"w", "never"}, "", ""); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("paused what is not there: %v", err)
		}
	})
}

// TestPauseWithoutServer: nothing is begun by the next server that came before the
// pause or after it, as if it had been paused while that was running.
func TestPauseWithoutServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Catchup: workflow.Catchup{Keep: "all", Window: day}, Overlap: "queue"})
		_, stop := w.run(f)
		synctest.Wait()
		stop()
		sleep(3*time.Hour + time.Second)
		s, release := w.alone()
		if err := s.Pause(t.Context(), keyOf(f), "anna", ""); err != nil {
			t.Fatal(err)
		}
		release()
		sleep(30 * time.Minute)
		s, stop = w.run(f)
		sleep(time.Hour)
		tells(t, s, f, "1 01:00:00 to 1 03:00:00, 3 times missed", "1 04:00:00 skipped")
		stop()
		sleep(time.Hour)
		s, release = w.alone()
		if err := s.Resume(t.Context(), keyOf(f)); err != nil {
			t.Fatal(err)
		}
		release()
		sleep(time.Hour)
		s, stop = w.run(f)
		defer stop()
		sleep(time.Minute)
		tells(t, s, f, "1 01:00:00 to 1 03:00:00, 3 times missed", "1 04:00:00 to 1 05:00:00, 2 times skipped", "1 06:00:00 run by catchup")
	})
}

// TestPauseWithoutFile: the same while no file has the schedule.
func TestPauseWithoutFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Catchup: workflow.Catchup{Keep: "all", Window: day}, Overlap: "queue"})
		s, stop := w.run(f)
		defer stop()
		synctest.Wait()
		if err := s.Set(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		sleep(2*time.Hour + time.Second)
		if err := s.Pause(t.Context(), keyOf(f), "anna", ""); err != nil {
			t.Fatal(err)
		}
		sleep(time.Hour)
		if err := s.Set(t.Context(), []*workflow.Workflow{f}); err != nil {
			t.Fatal(err)
		}
		sleep(time.Minute)
		tells(t, s, f, "1 01:00:00 to 1 02:00:00, 2 times missed", "1 03:00:00 skipped")
	})
}

func TestPauseAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{PauseAfter: 3})
		w.busy = true
		var log bytes.Buffer
		w.logger = zerolog.New(&log)
		s, stop := w.run(f)
		defer stop()
		for _, state := range []workflow.RunState{
			workflow.RunFailed, workflow.RunFailed, workflow.RunSucceeded, workflow.RunFailed, workflow.RunCancelled, workflow.RunFailed,
		} {
			sleep(time.Hour + time.Second)
			id := s.List()[0].Running[0]
			w.end(id, state)
			for range 2 { // told twice, counted once
				if err := s.Ended(t.Context(), id, state); err != nil {
					t.Fatal(err)
				}
			}
			if s.List()[0].Paused != nil {
				t.Fatal("paused too early")
			}
		}
		sleep(time.Hour)
		if err := s.Ended(t.Context(), s.List()[0].Running[0], workflow.RunFailed); err != nil {
			t.Fatal(err)
		}
		if v := s.List()[0]; v.Paused == nil || v.Failures != 3 || v.Last.State != workflow.RunFailed {
			t.Errorf("not paused: %+v", v)
		}
		if got := log.String(); !strings.Contains(got, `"level":"warn","schedule":"w/default","failures":3,"message":"the schedule is paused`) {
			t.Errorf("the log says %s", got)
		}
		if err := s.Resume(t.Context(), keyOf(f)); err != nil {
			t.Fatal(err)
		}
		if v := s.List()[0]; v.Paused != nil || v.Failures != 0 {
			t.Errorf("not resumed: %+v", v)
		}
	})
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{})
		_, stop := w.run(f)
		sleep(90 * time.Minute)
		stop()
		sleep(5 * time.Hour)
		s, stop := w.run(f)
		defer stop()
		sleep(time.Minute)
		tells(t, s, f, "1 01:00:00 run by schedule", "1 02:00:00 to 1 06:00:00, 5 times missed")
		fill := func(from, to time.Time, runs, already int) {
			t.Helper()
			open, err := s.Fillable(t.Context(), keyOf(f), from, to)
			if err != nil || len(open.Slots) != runs || open.Already != already {
				t.Errorf("%d runs would be started, %d before, %v", len(open.Slots), open.Already, err)
			}
			filled, err := s.Backfill(t.Context(), keyOf(f), from, to)
			if err != nil || len(filled.Runs) != runs || filled.Already != already {
				t.Errorf("%d runs, %d before, %v", len(filled.Runs), filled.Already, err)
			}
			sleep(time.Minute)
		}
		fill(at(1, 4, 0), at(1, 4, 0), 1, 0)
		tells(t, s, f, "1 01:00:00 run by schedule", "1 02:00:00 to 1 03:00:00, 2 times missed", "1 04:00:00 run by backfill", "1 05:00:00 to 1 06:00:00, 2 times missed")
		fill(at(1, 0, 0), at(1, 4, 30), 3, 2) // midnight was before there was a schedule
		fill(at(1, 0, 0), at(3, 0, 0), 2, 5)  // no more than up to now
		w.once(s, keyOf(f), []time.Time{at(1, 0, 0), at(1, 1, 0), at(1, 2, 0), at(1, 3, 0), at(1, 4, 0), at(1, 5, 0), at(1, 6, 0)})
		for _, bad := range [][2]time.Time{{at(2, 0, 0), at(3, 0, 0)}, {at(1, 2, 0), at(1, 1, 0)}, {at(-1000, 0, 0), at(1, 1, 0)}} {
			if _, err := s.Backfill(t.Context(), keyOf(f), bad[0], bad[1]); !errors.Is(err, ErrSpan) {
				t.Errorf("filled from %s to %s: %v", bad[0], bad[1], err)
			}
			if _, err := s.Fillable(t.Context(), keyOf(f), bad[0], bad[1]); !errors.Is(err, ErrSpan) {
				t.Errorf("fillable from %s to %s: %v", bad[0], bad[1], err)
			}
		}
	})
}

// TestBackfillOfForgottenSlots: a slot whose record is forgotten had its run all the
// same, with a server and without.
func TestBackfillOfForgottenSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Overlap: "allow"})
		const n = 2 * keepRecords
		s, stop := w.run(f)
		sleep(n*time.Hour + time.Minute)
		check := func(s *Scheduler) {
			t.Helper()
			open, err := s.Fillable(t.Context(), keyOf(f), at(1, 1, 0), w.now())
			if err != nil || len(open.Slots) != 0 || open.Already != n {
				t.Errorf("%d runs would be started, %d before, %v", len(open.Slots), open.Already, err)
			}
			filled, err := s.Backfill(t.Context(), keyOf(f), at(1, 1, 0), w.now())
			if err != nil || len(filled.Runs) != 0 || filled.Already != n {
				t.Errorf("%d runs, %d before, %v", len(filled.Runs), filled.Already, err)
			}
		}
		check(s)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Fillable(gone, keyOf(f), at(1, 1, 0), w.now()); !errors.Is(err, context.Canceled) {
			t.Errorf("for nobody: %v", err)
		}
		stop()
		s, release := w.alone()
		check(s)
		release()
		if w.asked != n {
			t.Errorf("%d runs were started", w.asked)
		}
	})
}

// TestBackfillWithoutServer: what is asked for while no server runs is started by
// the next one, once.
func TestBackfillWithoutServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{})
		_, stop := w.run(f)
		synctest.Wait()
		stop()
		sleep(3*time.Hour + time.Minute)
		s, release := w.alone()
		if filled, err := s.Backfill(t.Context(), keyOf(f), at(1, 2, 0), at(1, 3, 0)); err != nil || len(filled.Runs) != 2 {
			t.Fatalf("%+v, %v", filled, err)
		}
		release()
		sleep(48 * time.Hour)
		s, stop = w.run(f)
		defer stop()
		sleep(time.Minute)
		if got := w.slots(keyOf(f)); len(got) != 2 || !got[0].Equal(at(1, 2, 0)) || !got[1].Equal(at(1, 3, 0)) {
			t.Errorf("runs for %v: %v", got, story(t, s, keyOf(f)))
		}
	})
}

func TestRunNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{})
		w.busy = true
		s, stop := w.run(f)
		defer stop()
		sleep(time.Minute)
		id, err := s.RunNow(t.Context(), keyOf(f), "anna")
		if err != nil {
			t.Fatal(err)
		}
		if start := w.started()[id]; start.By != "anna" || !start.Slot.IsZero() || start.BeganBy != workflow.TriggerManual || len(start.Groups) != 1 {
			t.Errorf("started %+v", start)
		}
		if _, err := s.RunNow(t.Context(), keyOf(f), "anna"); !errors.Is(err, ErrBusy) {
			t.Errorf("another beside it: %v", err)
		}
		sleep(time.Hour)
		tells(t, s, f, "1 01:00:00 skipped")
		w.end(id, workflow.RunSucceeded)
		if id, err = s.RunNow(t.Context(), keyOf(f), "anna"); err != nil {
			t.Fatal(err)
		}
		w.end(id, workflow.RunSucceeded)
		w.wrong = func(Start) error { return errors.New("disk full") }
		if _, err := s.RunNow(t.Context(), keyOf(f), "anna"); err == nil {
			t.Error("started on a full disk")
		}
		if running := s.List()[0].Running; len(running) != 0 {
			t.Errorf("still going: %v", running)
		}
	})
}
