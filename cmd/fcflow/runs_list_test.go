package main

import (
	"slices"
	"testing"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// TestListedAs: a run that waits for a person is found by that and by its state, one that
// has ended waits for nobody.
func TestListedAs(t *testing.T) {
	t.Parallel()
	sure := []workflow.UnitRef{{Step: "sure"}}
	for name, c := range map[string]struct {
		run  store.Listed
		want []string
	}{
		"runs":        {store.Listed{Summary: workflow.Summary{State: workflow.RunRunning}}, []string{"", "running"}},
		"asks":        {store.Listed{Summary: workflow.Summary{State: workflow.RunRunning, Attention: sure}}, []string{"", "running", "attention"}},
		"interrupted": {store.Listed{Summary: workflow.Summary{State: workflow.RunRunning, Attention: sure}, Interrupted: true}, []string{"", "interrupted", "attention"}},
		"over":        {store.Listed{Summary: workflow.Summary{State: workflow.RunFailed, Attention: sure}}, []string{"", "failed"}},
	} {
		var got []string
		for _, state := range []string{"", "running", "failed", "interrupted", "attention"} {
			if listedAs(c.run, state) {
				got = append(got, state)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: listed as %q, want %q", name, got, c.want)
		}
	}
}

func TestFailedNote(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]workflow.Summary{
		"simulate failed":             {FailedSteps: []string{"simulate"}},
		"a, b, c failed":              {FailedSteps: []string{"a", "b", "c"}},
		"a, b, c, … failed":           {FailedSteps: []string{"a", "b", "c", "d"}},
		"simulate failed (timed_out)": {FailedSteps: []string{"simulate"}, Cause: workflow.CauseTimedOut},
	} {
		if got := failedNote(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
