package workflow

import (
	"fmt"
	"testing"
	"time"
)

// TestClosureOfWide: what a reset takes with it is found by a look at each unit or
// two, not by one at all of them for each that fail_fast skipped.
func TestClosureOfWide(t *testing.T) {
	t.Parallel()
	const n = 2000
	run := expandedRun(t, []string{"a"},
		fmt.Sprintf(`  - { id: a, uses: noop, fail_fast: true, matrix: { x: "${{ 1..%d }}" } }`, n),
		`  - { id: b, uses: noop, for_each: a }`,
		`  - { id: c, uses: noop, needs: [b] }`)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, _ := run.Step("a")
	for _, e := range []Event{
		{Step: "a", Instance: a.Units[0].Instance, Attempt: 1, Data: &AttemptStarted{}},
		{Step: "a", Instance: a.Units[0].Instance, Attempt: 1, Data: &AttemptFinished{State: Failed, Cause: CauseExit}},
	} {
		e.Seq, e.At, e.Epoch = run.Seq+1, at, 1
		if err := Apply(run, &e); err != nil {
			t.Fatal(err)
		}
	}
	if a.counts[Skipped] != n-1 {
		t.Fatalf("%d of %d are skipped", a.counts[Skipped], n)
	}
	if set := run.closure(a.Units[:1]); len(set.units) != 2*n+1 {
		t.Errorf("%d units are done again, want %d", len(set.units), 2*n+1)
	}
	c := newReach(run)
	c.from(a.Units[0])
	if c.looked > 2*n+1 {
		t.Errorf("%d looks at %d units", c.looked, 2*n+1)
	}
}
