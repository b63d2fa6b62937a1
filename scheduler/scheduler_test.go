package scheduler

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

// The clock of a bubble begins at midnight UTC on the first of January 2000.

func hourly(name string, s workflow.Schedule) *workflow.Workflow {
	s.Cron = "0 * * * *"
	return flow(name, s)
}

func tells(t *testing.T, s *Scheduler, w *workflow.Workflow, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, story(t, s, keyOf(w))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", keyOf(w), diff)
	}
}

// sleep lets time pass, and then waits until all is quiet.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRunsWhenDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Jitter: 10 * time.Minute})
		s, stop := w.run(f)
		defer stop()
		jitter := jitterOf(keyOf(f), 10*time.Minute)
		if jitter <= 0 || jitter >= 10*time.Minute || jitter != jitterOf(keyOf(f), 10*time.Minute) {
			t.Fatalf("jitter is %s", jitter)
		}
		sleep(time.Hour + jitter - time.Second)
		tells(t, s, f)
		sleep(time.Second)
		tells(t, s, f, "1 01:00:00 run by schedule")
		sleep(time.Hour)
		tells(t, s, f, "1 01:00:00 run by schedule", "1 02:00:00 run by schedule")
		for id, start := range w.started() {
			if id != RunID(s.book.Nonce(), keyOf(f), start.Slot) || start.Slot.Minute() != 0 || start.RunID != id {
				t.Errorf("run %s is for %s", id, start.Slot)
			}
		}
		v := s.List()[0]
		if v.Next.Hour() != 3 || !v.StartsAt.Equal(v.Next.Add(jitter)) || v.Last == nil || v.Last.State != "" || len(v.Running) != 1 {
			t.Errorf("listed as %+v", v)
		}
	})
}

func TestDowntime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schedule workflow.Schedule
		want     []string
	}{
		"none":                     {workflow.Schedule{}, []string{"1 03:00:00 to 1 06:00:00, 4 times missed"}},
		"none with a window":       {workflow.Schedule{Catchup: workflow.Catchup{Keep: "none", Window: day}}, []string{"1 03:00:00 to 1 06:00:00, 4 times missed"}},
		"latest":                   {workflow.Schedule{Catchup: workflow.Catchup{Keep: "latest"}}, []string{"1 03:00:00 to 1 05:00:00, 3 times missed", "1 06:00:00 run by catchup"}},
		"latest in the window":     {workflow.Schedule{Catchup: workflow.Catchup{Keep: "latest", Window: time.Hour}}, []string{"1 03:00:00 to 1 05:00:00, 3 times missed", "1 06:00:00 run by catchup"}},
		"latest out of the window": {workflow.Schedule{Catchup: workflow.Catchup{Keep: "latest", Window: 20 * time.Minute}}, []string{"1 03:00:00 to 1 06:00:00, 4 times missed"}},
		"all": {workflow.Schedule{Overlap: "queue", Catchup: workflow.Catchup{Keep: "all", Window: day}}, []string{
			"1 03:00:00 run by catchup", "1 04:00:00 run by catchup", "1 05:00:00 run by catchup", "1 06:00:00 run by catchup",
		}},
		"all in the window": {workflow.Schedule{Overlap: "queue", Catchup: workflow.Catchup{Keep: "all", Window: 90 * time.Minute}}, []string{
			"1 03:00:00 to 1 04:00:00, 2 times missed", "1 05:00:00 run by catchup", "1 06:00:00 run by catchup",
		}},
		"all, one at a time": {workflow.Schedule{Catchup: workflow.Catchup{Keep: "all", Window: day}}, []string{
			"1 03:00:00 run by catchup", "1 04:00:00 to 1 06:00:00, 3 times skipped",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, f := newWorld(t), hourly("w", c.schedule)
				_, stop := w.run(f)
				sleep(150 * time.Minute)
				stop()
				sleep(4 * time.Hour)
				s, stop := w.run(f)
				defer stop()
				sleep(time.Minute)
				tells(t, s, f, append([]string{"1 01:00:00 run by schedule", "1 02:00:00 run by schedule"}, c.want...)...)
				sleep(time.Hour)
				if got := story(t, s, keyOf(f)); got[len(got)-1] != "1 07:00:00 run by schedule" {
					t.Errorf("then %v", got)
				}
			})
		})
	}
}

// TestShortRestart: a slot that is less than a minute late is on time.
func TestShortRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{})
		_, stop := w.run(f)
		sleep(59*time.Minute + 50*time.Second)
		stop()
		sleep(30 * time.Second)
		s, stop := w.run(f)
		defer stop()
		sleep(time.Second)
		tells(t, s, f, "1 01:00:00 run by schedule")
	})
}

// TestYearOfDowntime: it takes no time and little room to tell what was missed.
func TestYearOfDowntime(t *testing.T) { // not parallel: it measures
	for _, c := range []struct {
		cron, zone, keep string
		slots            int
	}{
		{"* * * * *", "Europe/Zurich", "none", 366 * 24 * 60},
		{"* * * * *", "UTC", "latest", 366 * 24 * 60},
		{"* * * * *", "UTC", "all", 366 * 24 * 60},
		{"* * * * * *", "Europe/Zurich", "latest", 366 * 24 * 60 * 60},
		{"@every 1s", "", "all", 366 * 24 * 60 * 60},
	} {
		t.Run(c.cron+" "+c.keep, func(t *testing.T) {
			began := cpu(t)
			synctest.Test(t, func(t *testing.T) {
				w, f := newWorld(t), flow("w", workflow.Schedule{
					Cron: c.cron, Timezone: c.zone, Overlap: "allow", Catchup: workflow.Catchup{Keep: c.keep, Window: time.Hour},
				})
				_, stop := w.run(f)
				synctest.Wait()
				stop()
				time.Sleep(366*day - time.Second/2)
				s, release := w.open(f)
				defer release()
				if _, err := s.tick(t.Context()); err != nil {
					t.Fatal(err)
				}
				records, err := s.Slots(keyOf(f))
				if err != nil {
					t.Fatal(err)
				}
				n, runs := 0, 0
				for _, r := range records {
					if n += r.Count(); r.Outcome == workflow.SlotRun {
						runs++
					}
				}
				// The last second is not over.
				if len(records) > keepRecords+maxOpen || n != c.slots && n != c.slots-1 || runs == 0 && c.keep != "none" {
					t.Errorf("%d records of %d slots, want %d; %d runs", len(records), n, c.slots, runs)
				}
			})
			if took := cpu(t) - began; took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for policy, c := range map[string]struct {
		want   []string
		groups []workflow.Membership
	}{
		"": {
			[]string{"1 01:00:00 run by schedule", "1 02:00:00 to 1 03:00:00, 2 times skipped", "1 04:00:00 run by schedule"},
			[]workflow.Membership{{Group: "schedule:w/default", Limit: 1, OnConflict: workflow.ConflictQueue}},
		},
		"skip": {
			[]string{"1 01:00:00 run by schedule", "1 02:00:00 to 1 03:00:00, 2 times skipped", "1 04:00:00 run by schedule"},
			[]workflow.Membership{{Group: "schedule:w/default", Limit: 1, OnConflict: workflow.ConflictQueue}},
		},
		"queue": {
			[]string{"1 01:00:00 run by schedule", "1 02:00:00 run by schedule", "1 03:00:00 run by schedule", "1 04:00:00 run by schedule"},
			[]workflow.Membership{{Group: "schedule:w/default", Limit: 1, OnConflict: workflow.ConflictQueue}},
		},
		"cancel_running": {
			[]string{"1 01:00:00 run by schedule", "1 02:00:00 run by schedule", "1 03:00:00 run by schedule", "1 04:00:00 run by schedule"},
			[]workflow.Membership{{Group: "schedule:w/default", Limit: 1, OnConflict: workflow.ConflictCancel}},
		},
		"allow": {
			[]string{"1 01:00:00 run by schedule", "1 02:00:00 run by schedule", "1 03:00:00 run by schedule", "1 04:00:00 run by schedule"},
			nil,
		},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, f := newWorld(t), hourly("w", workflow.Schedule{Overlap: policy})
				w.busy = true
				_, stop := w.run(f)
				sleep(90 * time.Minute)
				stop() // what goes on is known again after a restart
				s, stop := w.run(f)
				defer stop()
				sleep(2 * time.Hour)
				for id, start := range w.started() {
					w.end(id, workflow.RunCancelled)
					if diff := cmp.Diff(c.groups, start.Groups); diff != "" {
						t.Error(diff)
					}
				}
				sleep(time.Hour)
				tells(t, s, f, c.want...)
			})
		})
	}
}

// TestClockSteps: however the clock is set, no slot is lost that comes after it is
// right, and none has two runs.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps []time.Duration // one after each half hour
		want  []string
	}{
		"back": {[]time.Duration{0, 0, 0, -70 * time.Minute, 0, 0}, []string{
			"1 01:00:00 run by schedule", "1 02:00:00 run by schedule",
		}},
		// At three the clock shows a day before.
		"back by days": {[]time.Duration{0, 0, 0, 0, -72 * time.Hour, 0, 72 * time.Hour, 0, 0}, []string{
			"1 01:00:00 run by schedule", "1 02:00:00 run by schedule", "1 03:00:00 missed", "1 04:00:00 run by schedule", "1 05:00:00 run by schedule",
		}},
		"forth": {[]time.Duration{0, 0, 3 * time.Hour, 0}, []string{
			"1 01:00:00 run by schedule", "1 02:00:00 to 1 04:00:00, 3 times missed", "1 05:00:00 run by schedule",
		}},
		"forth and back": {[]time.Duration{0, 0, 0, 400 * day, 0, -400 * day, 0, 0}, []string{
			"1 01:00:00 run by schedule", "1 02:00:00 run by schedule",
			"1 03:00:00 run by schedule", "1 04:00:00 run by schedule", "1 05:00:00 to 4 01:00:00, 9597 times missed",
			"4 02:00:00 run by schedule", "4 03:00:00 run by schedule",
		}},
		"by seconds": {[]time.Duration{-time.Second, 0, 2 * time.Second, -time.Second, time.Second, -3 * time.Second}, []string{
			"1 01:00:00 run by schedule", "1 02:00:00 run by schedule", "1 03:00:00 run by schedule",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, f := newWorld(t), hourly("w", workflow.Schedule{})
				s, stop := w.run(f)
				defer stop()
				for _, step := range c.steps {
					sleep(30*time.Minute + time.Second/2)
					w.set(step)
				}
				sleep(30 * time.Minute)
				got := story(t, s, keyOf(f))
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestSleepingMachine: the timers of a machine that sleeps stand still, its clock
// goes on.
func TestSleepingMachine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Catchup: workflow.Catchup{Keep: "latest", Window: day}})
		s, stop := w.run(f)
		defer stop()
		sleep(30 * time.Minute)
		w.set(12 * time.Hour)
		sleep(lookEvery)
		tells(t, s, f, "1 01:00:00 to 1 11:00:00, 11 times missed", "1 12:00:00 run by catchup")
	})
}

func TestThousandSchedules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var flows []*workflow.Workflow
		for i := range 1000 {
			flows = append(flows, flow(fmt.Sprintf("w%d", i), workflow.Schedule{
				Cron: fmt.Sprintf("%d * * * *", i%7*8), Jitter: time.Duration(i%3) * time.Minute,
			}))
		}
		s, stop := w.run(flows...)
		defer stop()
		sleep(3*time.Hour + 55*time.Minute)
		for _, f := range flows {
			k := keyOf(f)
			slots := w.slots(k)
			if len(slots) != 4 && !(f.Schedules[0].Cron[0] == '0' && len(slots) == 3) {
				t.Fatalf("%s ran at %v", k, slots)
			}
			w.once(s, k, slots)
		}
	})
}

// TestFailedStart: what cannot be started is missed, what cannot be started now is
// tried again.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		never, later, lost := hourly("never", workflow.Schedule{}), hourly("later", workflow.Schedule{}), hourly("lost", workflow.Schedule{Overlap: "allow"})
		calls := 0
		w.wrong = func(s Start) error {
			switch s.Workflow.Name {
			case "never":
				return fmt.Errorf("%w: no secret", ErrCannotStart)
			case "lost":
				return errors.New("disk full")
			}
			if calls++; calls < 5 {
				return errors.New("disk full")
			}
			return nil
		}
		s, stop := w.run(never, later, lost)
		defer stop()
		sleep(time.Hour + 5*time.Minute)
		tells(t, s, never, "1 01:00:00 missed")
		tells(t, s, later, "1 01:00:00 run by schedule")
		records, err := s.Slots(keyOf(lost))
		const reason = "its run could not be started: disk full"
		if err != nil || !records[0].Pending || records[0].Reason != reason {
			t.Errorf("%+v, %v", records, err)
		}
		for _, v := range s.List() {
			if v.Workflow == "lost" && len(v.Running) != 0 {
				t.Errorf("goes on without having begun: %v", v.Running)
			}
		}
		if records, err = s.Slots(keyOf(later)); err != nil || records[0].Pending || records[0].Reason != "" {
			t.Errorf("started at last: %+v, %v", records, err)
		}
		sleep(time.Hour)
		if got := story(t, s, keyOf(lost))[0]; got != "1 01:00:00 missed" {
			t.Errorf("after an hour: %s", got)
		}
		if got := w.slots(keyOf(later)); len(got) != 2 {
			t.Errorf("runs for %v", got)
		}
	})
}

// TestRecordsKept: old records are forgotten, but for runs that go on, and what is
// forgotten is not decided about again.
func TestRecordsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), hourly("w", workflow.Schedule{Overlap: "queue"})
		w.busy = true
		s, stop := w.run(f)
		sleep(90 * time.Minute)
		first := s.List()[0].Running[0]
		for range 3 * keepRecords {
			sleep(time.Hour)
			for _, id := range s.List()[0].Running[1:] {
				w.end(id, workflow.RunSucceeded)
			}
		}
		stop()
		s, stop = w.run(f)
		defer stop()
		w.set(-50 * time.Hour)
		sleep(time.Hour)
		records, err := s.Slots(keyOf(f))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(records); n < keepRecords || n > keepRecords+2 || records[n-1].Run != first {
			t.Errorf("%d records are kept; the oldest is %+v", n, records[n-1])
		}
		if n := len(w.started()); n != 3*keepRecords+1 || w.asked != n {
			t.Errorf("%d runs, started %d times", n, w.asked)
		}
	})
}
