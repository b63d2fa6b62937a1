package protocoltest

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	maxJobs = flag.Int("protocol.jobs", 3, "how many `jobs` the batch system accepts at most; 4 is all that the requests can make")
	crashes = flag.Uint("protocol.crashes", 1, "how `often` fcflow is killed")
)

func bounds() Bounds {
	return Bounds{Jobs: *maxJobs, Crashes: uint8(*crashes), Repeats: 1, Cuts: 1, Cancels: 1}
}

// explore searches and prints how much there was to see.
func explore(t *testing.T, r Rules, b Bounds, seen func(*state)) Report {
	t.Helper()
	began := time.Now()
	got := Explore(r, b, seen)
	t.Logf("%d states, %d transitions in %v: %v", got.States, got.Transitions, time.Since(began).Round(time.Millisecond), got.Harm)
	if len(got.Path) > 0 {
		t.Logf("the shortest way, %d steps:\n%s", len(got.Path), strings.Join(got.Path, "\n"))
	}
	return got
}

// situations are what the protocol must get through; a model in which one never
// comes about proves nothing of it.
var situations = map[string]func(s *state) bool{
	"two jobs of one token, and the second ends with 79": func(s *state) bool {
		return s.job[0] == running && s.job[1] == fenced
	},
	"the first post is accepted after the second has run": func(s *state) bool {
		return s.job[0] == queued && s.claim[A] == holds(1) && s.job[1] == completed
	},
	"both copies of a repeated request become jobs": func(s *state) bool {
		return s.job[again] >= claimed && s.job[s.second] >= claimed && s.job[again] != s.job[s.second]
	},
	"the tombstone wins while a job is queued": func(s *state) bool {
		return s.claim[A] == tombstone && s.job[0] == queued
	},
	"a job wins while the tombstone is under way": func(s *state) bool {
		return s.plants[A] && s.job[0] == running
	},
	"B runs after A was fenced off, and a job of A is queued": func(s *state) bool {
		return s.job[2] == running && s.claim[A] == tombstone && s.job[0] == queued
	},
	"B succeeds after A failed": func(s *state) bool {
		return s.end[A] == failure && s.end[B] == succeeded
	},
	"success despite a request to cancel": func(s *state) bool {
		return s.cancel && s.job[0] == marked
	},
	"cancelled, and a job still comes": func(s *state) bool {
		return s.end[A] == cancelled && s.copies[0] > 0
	},
	"a job that was killed after its marker": func(s *state) bool {
		return s.job[0] == failed && s.marker[A] == holds(0)
	},
	"a job of nothing ended COMPLETED": func(s *state) bool {
		return s.hollow[0] && s.job[0] == completed
	},
	"an answer that says no, and a copy that is accepted": func(s *state) bool {
		return s.sent[0] == refused && s.job[0] == running
	},
	"the short cut can be taken": func(s *state) bool {
		return s.sent[0] == accepted && s.sent[1] == unsent && !s.reopened && s.job[0] == completed && s.owner[A] == nobody
	},
}

func TestProtocol(t *testing.T) {
	came := map[string]bool{}
	got := explore(t, Rules{}, bounds(), func(s *state) {
		for name, is := range situations {
			if !came[name] && is(s) {
				came[name] = true
			}
		}
	})
	if got.Harm != none {
		t.Error(got.Harm)
	}
	for name := range situations {
		if !came[name] {
			t.Errorf("never seen: %s", name)
		}
	}
}

// TestMutants leaves one rule out at a time. In the quiet world nobody cancels,
// and only what happens between the attempts can do harm.
func TestMutants(t *testing.T) {
	quiet := Bounds{Jobs: 3, Crashes: 1, Repeats: 1}
	whole := quiet
	whole.Cuts, whole.Cancels = 1, 1
	for _, mutant := range []struct {
		name string
		Rules
		Bounds
		want harm
	}{
		{"no claim", Rules{NoClaim: true}, quiet, startedTwice},
		{"a new token without a tombstone", Rules{NoTombstone: true}, quiet, overlap},
		{"a new token without a tombstone", Rules{NoTombstone: true}, whole, startedAfterCancel},
		{"the tombstone overwrites a claim", Rules{Overwrite: true}, quiet, overlap},
		{"the tombstone overwrites a claim", Rules{Overwrite: true}, whole, startedAfterCancel},
		{"planting is not read back", Rules{BelievePlant: true}, quiet, overlap},
		{"exit code 79 counts as a failure", Rules{Believe79: true}, quiet, overlap},
		{"a job cancelled in the queue counts as a failure", Rules{BelieveDropped: true}, quiet, overlap},
		{"a job id from an answer or a list is the owner", Rules{TrustID: true}, quiet, lostResult},
		{"a job id from an answer or a list is the owner", Rules{TrustID: true}, whole, startedAfterCancel},
		{"sending is recorded after the send", Rules{LateSending: true}, whole, startedAfterCancel},
		{"a refusal ends the attempt", Rules{Refusal: true}, quiet, overlap},
		{"an attempt is never given up", Rules{Patience: true}, quiet, stuck},
		{"the short cut also after a second sending", Rules{ShortCutLater: true}, whole, falseSuccess},
		{"the short cut also after a reopen", Rules{ShortCutReopened: true}, whole, falseSuccess},
	} {
		t.Run(mutant.name, func(t *testing.T) {
			if got := explore(t, mutant.Rules, mutant.Bounds, nil); got.Harm != mutant.want {
				t.Errorf("found: %v; want: %v", got.Harm, mutant.want)
			}
		})
	}
}

// TestShortCut: the two conditions that come with the answered id, one sending
// and no reopen, keep ids from lists out. With ids that the service answered
// neither is needed, because a job that it named has its whole script, and such a
// job ends COMPLETED 0:0 only as the owner.
func TestShortCut(t *testing.T) {
	b := Bounds{Jobs: 3, Crashes: 1, Repeats: 1, Cuts: 1}
	if got := explore(t, Rules{ShortCutWide: true}, b, nil); got.Harm != none {
		t.Error(got.Harm)
	}
}

// TestRestored: a record that was restored from a backup knows nothing of what
// was sent since. The claims still keep a payload from starting twice. What only
// the record knew is lost: which jobs there are to cancel, and that an attempt was
// over before it sent anything. Each of the searches finds one such loss; the last
// finds nothing else.
func TestRestored(t *testing.T) {
	b := Bounds{Jobs: 2, Restores: 1}
	for _, lost := range []harm{overlap, lostResult, none} {
		if got := explore(t, Rules{}, b, nil); got.Harm != lost {
			t.Errorf("found: %v; want: %v", got.Harm, lost)
		}
		b.Tolerated = append(b.Tolerated, lost)
	}
	if got := explore(t, Rules{}, Bounds{Jobs: 2, Restores: 1, Cancels: 1}, nil); got.Harm != startedAfterCancel {
		t.Errorf("found: %v; want: %v", got.Harm, startedAfterCancel)
	}
}

// TestCanonical searches a smaller world twice, with and without the states that
// stand for others: it must see the same.
func TestCanonical(t *testing.T) {
	b := Bounds{Jobs: 2, Crashes: 1, Repeats: 1}
	short := map[state]bool{}
	explore(t, Rules{}, b, func(s *state) { short[*s] = true })
	b.Plain = true
	long := map[state]bool{}
	explore(t, Rules{}, b, func(s *state) { long[s.canonical()] = true })
	if len(long) != len(short) {
		t.Errorf("%d states stand for what is %d", len(short), len(long))
	}
	for s := range long {
		if !short[s] {
			t.Fatalf("missed:\n%v", &s)
		}
	}
}
