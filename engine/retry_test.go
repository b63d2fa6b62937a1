package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRetryBackoff: 10 s, 20 s, 40 s … at most 10 min, give or take a fifth that
// follows from the token.
func TestRetryBackoff(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - id: a
		    uses: act
		    with: { do: [fail exit(1)] }
		    retry: [{ cause: exit, max: 9 }]`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil {
			t.Fatal(err)
		}
		u := run.Steps[0].Units[0]
		if len(u.Attempts) != 10 {
			t.Fatalf("%d attempts", len(u.Attempts))
		}
		pause := 10 * time.Second
		for i := range 9 {
			got := u.Attempts[i+1].StartedAt.Sub(u.Attempts[i].EndedAt)
			if got < pause*8/10-time.Millisecond || got > pause*12/10+time.Millisecond {
				t.Errorf("pause %d is %s, want about %s", i+1, got, pause)
			}
			pause = min(2*pause, 10*time.Minute)
		}
	})
}

// TestRetryGrow: each attempt asks for more, up to the bound; a growth that
// changes nothing ends the retries.
func TestRetryGrow(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - id: a
		    uses: fenced
		    with: { do: [fail walltime], resources: { time: 1h, nodes: 3, memory: 10GiB } }
		    retry: [{ cause: walltime, max: 9, grow: { time: x1.5, nodes: x1.1, memory: x2 }, until: { time: 2h, nodes: 5, memory: 30GiB } }]
		  - id: b
		    uses: fenced
		    with: { do: [fail walltime, ok], resources: { time: "${{ attempt * duration('2h') }}" } }
		    retry: [{ cause: walltime, max: 9, grow: { time: x2 }, until: { time: 2h } }]`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := states(run), "a=failed(walltime) b=failed(walltime)"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		var asked []string
		for _, attempt := range run.Steps[0].Units[0].Attempts {
			var with resources
			if err := json.Unmarshal(attempt.With.JSON, &with); err != nil {
				t.Fatal(err)
			}
			asked = append(asked, fmt.Sprintf("%s %s %s", with.Resources["time"], with.Resources["nodes"], with.Resources["memory"]))
		}
		want := []string{
			`"1h0m0s" 3 10737418240`, `"1h30m0s" 4 21474836480`, `"2h0m0s" 5 32212254720`,
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Error(diff)
		}
		if n := len(run.Steps[1].Units[0].Attempts); n != 1 {
			t.Errorf("b, at its bound already, had %d attempts", n)
		}
	})
}

// TestRetryAfterDeadline: a rule may name the causes of deadlines, and each
// attempt has its own time.
func TestRetryAfterDeadline(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		steps:
		  - id: a
		    uses: act
		    timeout: 1m
		    with: { do: [job 1h ok, job 50s ok] }
		    retry: [{ cause: timed_out, max: 1 }]
		  - id: b
		    uses: fenced
		    queue_timeout: 1m
		    with: { do: [queue 1h ok, queue 50s ok] }
		    retry: [{ cause: queue_timeout, max: 1 }]`)
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := states(run), "a=succeeded b=succeeded"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
