package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

func TestChangedFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, f := newWorld(t), flow("w", workflow.Schedule{Cron: "0 2 * * *", Catchup: workflow.Catchup{Keep: "all", Window: day}, Overlap: "queue"})
		s, stop := w.run(f)
		defer stop()
		sleep(5*time.Hour + time.Minute)
		changed := flow("w", workflow.Schedule{Cron: "30 * * * *", Catchup: workflow.Catchup{Keep: "all", Window: day}, Overlap: "queue"})
		if err := s.Set(t.Context(), []*workflow.Workflow{changed}); err != nil {
			t.Fatal(err)
		}
		sleep(time.Hour)
		tells(t, s, f, "1 02:00:00 run by schedule", "1 05:30:00 run by schedule")

		if err := s.Set(t.Context(), nil); err != nil { // the file is away
			t.Fatal(err)
		}
		sleep(2 * time.Hour)
		tells(t, s, f, "1 02:00:00 run by schedule", "1 05:30:00 run by schedule")
		if v := s.List(); len(v) != 1 || v[0].Active || !v[0].Next.IsZero() {
			t.Errorf("listed as %+v", v)
		}
		if err := s.Set(t.Context(), []*workflow.Workflow{changed, changed}); err == nil {
			t.Error("two files with one name are accepted")
		}
		sleep(time.Minute)
		if got := story(t, s, keyOf(f)); !slices.Equal(got[2:], []string{"1 06:30:00 run by catchup", "1 07:30:00 run by catchup"}) {
			t.Errorf("back again: %v", got)
		}
	})
}

// TestChangedWhileWaiting: a slot that waits for its jitter has an outcome also when
// the file is due at other instants from now on, or was away in between.
func TestChangedWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		most := time.Hour
		schedule := workflow.Schedule{Cron: "0 2 * * *", Jitter: most}
		w, f := newWorld(t), flow("w", schedule)
		jitter := jitterOf(keyOf(f), most)
		s, stop := w.run(f)
		defer func() { stop() }()
		sleep(2*time.Hour + jitter/2)
		set := func(change func(*workflow.Schedule)) {
			t.Helper()
			change(&schedule)
			if err := s.Set(t.Context(), []*workflow.Workflow{flow("w", schedule)}); err != nil {
				t.Fatal(err)
			}
		}
		set(func(s *workflow.Schedule) { s.Overlap = "queue" }) // still due then
		tells(t, s, f)
		set(func(s *workflow.Schedule) { s.Cron = "0 4 * * *" })
		tells(t, s, f, "1 02:00:00 missed")
		set(func(s *workflow.Schedule) { s.Timezone = "Europe/Zurich" }) // due at three
		set(func(s *workflow.Schedule) { s.Cron = "0 2,4 * * *" })       // at one and at three
		tells(t, s, f, "1 02:00:00 missed")
		sleep(time.Hour)
		set(func(s *workflow.Schedule) { s.DST = "skip" })
		tells(t, s, f, "1 02:00:00 to 1 03:00:00, 2 times missed")

		// While nothing was running, it begins anew.
		stop()
		sleep(22 * time.Hour)
		schedule.Cron = "30 2 * * *"
		s, stop = w.run(flow("w", schedule))
		sleep(time.Hour + jitter)
		tells(t, s, f, "1 02:00:00 to 1 03:00:00, 2 times missed", "2 01:30:00 run by schedule")
	})
}

// TestChangedAnywhere changes a file at any time, with and without a restart: each slot
// that came by the lines that held then has one outcome.
func TestChangedAnywhere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { changeAnywhere(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func changeAnywhere(t *testing.T, random *rand.Rand) {
	draw := func() *workflow.Workflow {
		lines := []string{"0 * * * *", "30 * * * *", "*/20 * * * *", "@every 17m"}
		return flow("w", workflow.Schedule{
			Cron: lines[random.IntN(len(lines))], Jitter: time.Duration(random.IntN(40)) * time.Minute, Overlap: "allow",
		})
	}
	w, f := newWorld(t), draw()
	s, stop := w.run(f)
	defer func() { stop() }()
	synctest.Wait()
	var slots []time.Time
	came := func(from, to time.Time) {
		c, err := NewCalendar(f.Schedules[0])
		if err != nil {
			t.Fatal(err)
		}
		for slot := c.Next(from); !slot.After(to); slot = c.Next(slot) {
			slots = append(slots, slot)
		}
	}
	from := w.now()
	for range 12 {
		sleep(time.Duration(random.IntN(100*60)) * time.Second)
		next := draw()
		if err := s.Set(t.Context(), []*workflow.Workflow{next}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if next.Schedules[0].Cron != f.Schedules[0].Cron {
			came(from, w.now())
			from = w.now()
		}
		if f = next; random.IntN(3) == 0 {
			stop()
			s, stop = w.run(f)
		}
	}
	sleep(time.Hour)
	came(from, w.now().Add(-jitterOf(keyOf(f), f.Schedules[0].Jitter)))
	w.once(s, keyOf(f), slots)
}
