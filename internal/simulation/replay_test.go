package simulation_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/simulation"
)

var replays = flag.Int("replays", 20, "how many schedules TestReplay repeats, and how often")

// TestReplay: a seed decides everything that happens, to the nanosecond.
func TestReplay(t *testing.T) {
	first := firstSeed(t)
	c := newCampaign(t)
	for n := range *replays {
		s := c.schedule(first + simulation.Seed(n))
		want := c.run(t, s, true)
		for range *replays {
			if got := c.run(t, s, true); !slices.Equal(got.Trace, want.Trace) {
				t.Errorf("seed %d: %s", s.Seed, difference(want.Trace, got.Trace))
				break
			}
		}
	}
}

// difference is where two traces part.
func difference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			before := strings.Join(a[max(0, i-8):i], "\n")
			return "\n" + before + "\nand then\n" + a[i] + "\nor\n" + b[i]
		}
	}
	return "one ends before the other"
}
