package main

import (
	"testing"

	"github.com/fcflow/fcflow/workflow"
)

// TestUsed: what child runs have used is told beside what the run itself has, all
// the way down.
func TestUsed(t *testing.T) {
	t.Parallel()
	asked := func(n int, children ...shownRun) shownRun {
		r := shownRun{Children: children}
		if n > 0 {
			r.RunView = workflow.RunView{Requests: map[string]int{"GET /a": n - 1, "GET /b": 1}}
		}
		return r
	}
	used := func(hours float64, r shownRun) shownRun {
		r.NodeHours = &hours
		return r
	}
	for want, run := range map[string]shownRun{
		"":           asked(0),
		"3 requests": asked(3),
		"3 requests; in 3 child runs: 3.50 node-hours, 11 requests": asked(3, used(1.5, asked(5, used(2, asked(2)))), asked(4)),
		"in 1 child run: 1 request":                                 asked(0, asked(1)),
	} {
		if got := run.used(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
