package workflow

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// allDue lists what is due of all groups, the earliest first.
func (r *Run) allDue(now time.Time) (all []Timer) {
	for g := range timerGroups {
		all = slices.AppendSeq(all, r.Due(g, now))
	}
	slices.SortFunc(all, func(a, b Timer) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind)) })
	return all
}

// TestTimersInOrder: of random timers, of which some are void, those that are due are
// yielded in order, however many are taken, and the next instant is that of the
// earliest that is not due, of waits only if none is due.
func TestTimersInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		instant := rapid.Custom(func(t *rapid.T) time.Time {
			return start.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
		})
		run := &Run{}
		var all []Timer
		for range rapid.IntRange(0, 60).Draw(t, "timers") {
			timer := Timer{
				At:   instant.Draw(t, "at"),
				Kind: rapid.SampledFrom([]TimerKind{TimerWait, TimerBackoff, TimerFinally}).Draw(t, "kind"),
				Unit: &Unit{State: rapid.SampledFrom([]State{Waiting, Waiting, Running}).Draw(t, "state")},
				run:  &Run{},
			}
			run.timers.add(timer)
			all = append(all, timer)
		}
		now := instant.Draw(t, "now")
		for g := range timerGroups {
			var want []time.Time
			for _, timer := range all {
				if timer.Kind.group() == g && !timer.void() && !timer.At.After(now) {
					want = append(want, timer.At)
				}
			}
			slices.SortFunc(want, time.Time.Compare)
			want = want[:rapid.IntRange(0, len(want)).Draw(t, "taken")]
			var got []time.Time
			for timer := range run.Due(g, now) {
				if len(got) == len(want) {
					break
				}
				got = append(got, timer.At)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("due of group %d at %s: %v, want %v", g, now, got, want)
			}
		}
		var want time.Time
		waitDue := slices.ContainsFunc(all, func(t Timer) bool { return t.Kind == TimerWait && !t.At.After(now) })
		for _, timer := range all {
			if timer.At.After(now) && (timer.Kind != TimerWait || !waitDue) && (want.IsZero() || timer.At.Before(want)) {
				want = timer.At
			}
		}
		if got, ok := run.NextTimer(now); ok == want.IsZero() || ok && !got.Equal(want) {
			t.Fatalf("next after %s is %s %v, want %s", now, got, ok, want)
		}
	})
}

// BenchmarkDue takes 64 of many waits that are due, and asks what comes next.
func BenchmarkDue(b *testing.B) {
	run, u := &Run{}, &Unit{State: Waiting}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range MaxUnits {
		run.timers.add(Timer{At: now.Add(-time.Duration(i*7919%MaxUnits) * time.Millisecond), Kind: TimerWait, Unit: u})
	}
	for b.Loop() {
		taken := 0
		for range run.Due(TimersOfWaits, now) {
			if taken++; taken == 64 {
				break
			}
		}
		if _, ok := run.NextTimer(now); ok || taken < 64 {
			b.Fatal(taken)
		}
	}
}
