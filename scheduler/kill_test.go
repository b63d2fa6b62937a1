package scheduler

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

var errKilled = errors.New("killed")

// TestKilledAnywhere kills the scheduler before and after each thing that lasts
// between deciding about a slot and knowing that its run was started. Each time
// the next one comes to exactly one outcome for each slot, and one run.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, schedule := range []workflow.Schedule{
		{},
		{Overlap: "queue", Catchup: workflow.Catchup{Keep: "all", Window: day}},
		{Overlap: "allow", Catchup: workflow.Catchup{Keep: "latest"}, Jitter: 7 * time.Minute},
	} {
		points := 0
		for killed := true; killed; points++ {
			synctest.Test(t, func(t *testing.T) { killed = killAt(t, points, schedule) })
			if t.Failed() {
				t.Fatalf("killed at point %d of %+v", points, schedule)
			}
		}
		if points < 12 {
			t.Errorf("there are only %d points", points)
		}
	}
}

// killAt lets three slots come, and has everything stop at that point. It reports
// whether the point was reached.
func killAt(t *testing.T, point int, schedule workflow.Schedule) bool {
	w, f := newWorld(t), hourly("w", schedule)
	w.busy = schedule.Overlap == "queue"
	var at atomic.Int64
	var dead atomic.Bool
	armed := func() error {
		if at.Add(1) > int64(point) {
			dead.Store(true)
			return errKilled
		}
		return nil
	}
	s, release := w.open(f)
	w.step = armed
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		_ = s.Run(ctx)
		close(ended)
	}()
	for range 200 {
		if sleep(time.Minute); dead.Load() {
			break
		}
	}
	cancel()
	<-ended
	release()

	w.step = func() error { return nil }
	s, stop := w.run(f)
	sleep(10 * time.Minute)
	var slots []time.Time
	for slot := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC); !slot.After(w.now().Add(-s.entries[keyOf(f)].jitter)); slot = slot.Add(time.Hour) {
		slots = append(slots, slot)
	}
	w.once(s, keyOf(f), slots)
	if got := w.slots(keyOf(f)); len(got) != len(slots) {
		t.Errorf("runs for %v of %v: %v", got, slots, story(t, s, keyOf(f)))
	}
	stop()
	return dead.Load()
}
