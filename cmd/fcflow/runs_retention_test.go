package main

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// TestExpired: runs of a backfill have the ids of slots long ago, and are as new as
// their end. Of what has one end the one with the newer id counts as newer.
func TestExpired(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const (
		backfilled = workflow.RunID("01K0AAAAAAAAAAAAAAAAAAAAAA")
		same       = workflow.RunID("01K0BBBBBBBBBBBBBBBBBBBBBB")
		middle     = workflow.RunID("01K0CCCCCCCCCCCCCCCCCCCCCC")
		last       = workflow.RunID("01K0DDDDDDDDDDDDDDDDDDDDDD")
	)
	for id, ago := range map[workflow.RunID]time.Duration{
		backfilled: time.Minute, same: time.Hour, middle: time.Hour, last: 2 * time.Hour,
	} {
		if err := os.MkdirAll(st.Paths(id).Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := st.PutSummary(id, workflow.Summary{ID: id, Workflow: "sweep", State: workflow.RunSucceeded, EndedAt: now.Add(-ago)}); err != nil {
			t.Fatal(err)
		}
	}
	for keep, want := range [][]workflow.RunID{
		{backfilled, middle, same, last}, {middle, same, last}, {same, last}, {last}, nil,
	} {
		runs, err := expired(t.Context(), st, "", func(string) *workflow.Retention { return &workflow.Retention{Runs: keep} }, now)
		if err != nil {
			t.Fatal(err)
		}
		var got []workflow.RunID
		for _, l := range runs {
			got = append(got, l.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %d kept %q go, want %q", keep, got, want)
		}
	}
}

// TestRetentionOfNewest: what is kept is said by the run that was made last, also
// where that has the id of a slot long ago.
func TestRetentionOfNewest(t *testing.T) {
	t.Parallel()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	create := func(id workflow.RunID, at time.Time, runs string) {
		t.Helper()
		frozen := "version: 1\nname: sweep\nretention: { runs: " + runs + " }\nsteps:\n  - { id: a, uses: sleep, with: { duration: 1s } }\n"
		first := []workflow.Event{{Seq: 1, Epoch: 1, At: at, Data: &workflow.RunCreated{ID: id, Workflow: "sweep"}}}
		h, err := st.Create(t.Context(), id, []byte(frozen), first, nil)
		if err == nil {
			err = errors.Join(h.Close(), st.PutSummary(id, workflow.Summary{ID: id, Workflow: "sweep", State: workflow.RunSucceeded, CreatedAt: at}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	create("01K0AAAAAAAAAAAAAAAAAAAAAA", now, "7")
	create("01K0BBBBBBBBBBBBBBBBBBBBBB", now.Add(-time.Hour), "3")
	a, _, _ := testApp(t)
	rule, err := a.retentions(t.Context(), st, "")
	if err != nil {
		t.Fatal(err)
	}
	if r := rule("sweep"); r == nil || r.Runs != 7 {
		t.Errorf("kept is %+v", r)
	}
}
