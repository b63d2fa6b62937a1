package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

const sweepText = `version: 1
name: sweep
schedule:
  - { id: nightly, cron: "30 2 * * *", timezone: Europe/Zurich, jitter: 10m }
  - { id: often, cron: "*/30 2,3 * * *", timezone: Europe/Zurich, dst: skip }
steps:
  - { id: a, uses: sleep, with: { duration: 1s } }
`

// scheduled is a state directory that a server with one workflow left.
func scheduled(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "sweep.yaml")
	if err := os.WriteFile(file, []byte(sweepText), 0o600); err != nil {
		t.Fatal(err)
	}
	w, problems := workflow.Parse("sweep.yaml", []byte(sweepText))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	book := bookOf(t, dir)
	s, err := scheduler.New(t.Context(), book, nil, scheduler.Options{})
	if err == nil {
		err = s.Set(t.Context(), []*workflow.Workflow{w})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func bookOf(t *testing.T, dir string) *store.Book {
	t.Helper()
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	book, err := st.Book(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// command runs a command line on a state directory.
func command(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{"HOME": dir, "FCFLOW_STATE_DIR": dir}
	root := newRootCommand(newApp(console.Plain(nil, &out, &errs), func(name string) string { return env[name] }))
	root.SetArgs(args)
	err = root.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

func TestSchedulesNext(t *testing.T) {
	t.Parallel()
	dir, file := scheduled(t)
	out, _, err := command(t, dir, "schedules", "next", file, "--from", "2026-03-28", "-n", "3", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var next []nextSlots
	if err := json.Unmarshal([]byte(out), &next); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range next {
		for _, s := range n.Slots {
			got = append(got, n.ID+" "+s.Local)
		}
	}
	// On the 29th the clock goes from two to three.
	want := "nightly 2026-03-28 02:30:00 CET, nightly 2026-03-29 03:00:00 CEST, nightly 2026-03-30 02:30:00 CEST, " +
		"often 2026-03-28 02:00:00 CET, often 2026-03-28 02:30:00 CET, often 2026-03-28 03:00:00 CET"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if _, _, err := command(t, dir, "schedules", "next", file, "--from", "yesterday"); outcomeOf(err).code != "usage" {
		t.Errorf("--from yesterday: %v", err)
	}
}

func TestSchedulesWithoutServer(t *testing.T) {
	t.Parallel()
	dir, _ := scheduled(t)
	if _, _, err := command(t, dir, "schedules", "run", "sweep/nightly"); !errors.Is(err, errNoServer) || outcomeOf(err).code != "conflict" {
		t.Errorf("a run without a server: %v", err)
	}
	list := func() []workflow.ScheduleView {
		t.Helper()
		out, _, err := command(t, dir, "schedules", "list", "--output", "json")
		var all []workflow.ScheduleView
		if err == nil {
			err = json.Unmarshal([]byte(out), &all)
		}
		if err != nil || len(all) != 2 {
			t.Fatalf("%v, %s", err, out)
		}
		return all
	}
	// In the night in which the clock goes from two to three it is due at three.
	if v := list()[0]; v.ID != "nightly" || v.Next.IsZero() || v.Active || !regexp.MustCompile(` (02:30|03:00):00 CES?T$`).MatchString(v.NextLocal) {
		t.Errorf("listed as %+v", v)
	}
	if _, _, err := command(t, dir, "schedules", "pause", "nightly", "--why", "maintenance"); err != nil {
		t.Fatal(err)
	}
	if v := list()[0]; v.Paused == nil || v.Paused.Why != "maintenance" || v.Paused.By == "" {
		t.Errorf("not paused: %+v", v)
	}
	text, said, err := command(t, dir, "schedules", "list")
	if err != nil || !strings.Contains(text, ": maintenance") || !strings.Contains(said, "no server is running") {
		t.Errorf("%v\n%s%s", err, text, said)
	}
	if _, _, err := command(t, dir, "schedules", "resume", "sweep/nightly"); err != nil {
		t.Fatal(err)
	}
	if v := list()[0]; v.Paused != nil {
		t.Errorf("still paused: %+v", v)
	}
	text, _, err = command(t, dir, "schedules", "backfill", "nightly", "--from", "2026-03-25", "--to", "2026-03-25")
	if err != nil || !strings.Contains(text, "\n2026-03-25 02:30:00 CET  2026-03-25T01:30:00Z  ") {
		t.Errorf("filled: %v\n%s", err, text)
	}
	fill := []string{"schedules", "backfill", "nightly", "--from", "2026-03-28", "--to", "2026-03-29", "--output", "name"}
	first, _, err := command(t, dir, fill...)
	if err != nil || strings.Count(first, "\n") != 2 {
		t.Errorf("filled %q, %v", first, err)
	}
	if again, said, err := command(t, dir, fill...); err != nil || again != "" || said != "" {
		t.Errorf("filled again: %q %q, %v", again, said, err)
	}
	for code, args := range map[string][]string{
		"not_found": {"pause", "never"},
		"conflict":  {"pause", "sweep"},
		"usage":     {"backfill", "nightly", "--from", "2026-03-29", "--to", "2026-03-28"},
	} {
		if _, _, err := command(t, dir, append([]string{"schedules"}, args...)...); outcomeOf(err).code != code {
			t.Errorf("%v: %v, want %s", args, err, code)
		}
	}
}

// TestScheduleRow: the last slot is told on the clock of the schedule, and a run that is
// not there yet by what it waits for, not by its id.
func TestScheduleRow(t *testing.T) {
	t.Parallel()
	slot := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	run := workflow.SlotRecord{Slot: slot, Outcome: workflow.SlotRun, Run: "01K0AAAAAAAAAAAAAAAAABCDEF"}
	ended, pending := run, run
	ended.State = workflow.RunFailed
	pending.Pending, pending.Reason = true, "its run could not be started: no secret"
	for _, c := range []struct {
		v          workflow.ScheduleView
		last, note string
	}{
		{workflow.ScheduleView{Last: &run}, "2026-03-29 03:00:00 CEST ABCDEF", ""},
		{workflow.ScheduleView{Last: &ended, Failures: 2}, "2026-03-29 03:00:00 CEST ABCDEF failed", "2 failures in a row"},
		{workflow.ScheduleView{Last: &pending, Failures: 2}, "2026-03-29 03:00:00 CEST not started yet", pending.Reason},
		{
			workflow.ScheduleView{Last: &workflow.SlotRecord{Slot: slot.Add(-time.Hour), To: slot, N: 2, Outcome: workflow.SlotSkipped, Reason: "paused by anna: maintenance"}},
			"2026-03-29 03:00:00 CEST skipped (2)", "paused by anna: maintenance",
		},
		{workflow.ScheduleView{FileError: "line 3: no\nline 4: no"}, "–", "its file has a mistake, and the version before counts: line 3: no"},
	} {
		c.v.Active, c.v.Timezone = true, "Europe/Zurich"
		if last, note := lastText(&c.v).S, noteText(&c.v, true).S; last != c.last || note != c.note {
			t.Errorf("%q, %q; want %q, %q", last, note, c.last, c.note)
		}
	}
}

// TestSchedulesOfAnother: a book that another process has is not waited for.
func TestSchedulesOfAnother(t *testing.T) {
	t.Parallel()
	dir, _ := scheduled(t)
	book := bookOf(t, dir)
	defer book.Close()
	if _, _, err := command(t, dir, "schedules", "list"); outcomeOf(err).code != "conflict" {
		t.Errorf("listed: %v", err)
	}
}
