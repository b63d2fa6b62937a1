package scheduler

import (
	"archive/zip"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// change is an instant at which the clock of a zone is set.
type change struct {
	zone *time.Location
	at   time.Time
}

// kind tells changes apart that differ for a schedule: by how much, and what the
// clock shows before.
func (c change) kind() string {
	before, after := c.at.Add(-time.Second).In(c.zone), c.at.In(c.zone)
	_, from := before.Zone()
	_, to := after.Zone()
	return fmt.Sprint(before.Format(time.TimeOnly), to-from)
}

// zones lists the time zones of the Go distribution, which are those that the
// program carries.
func zones(t *testing.T) []*time.Location {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib/time/zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	var zones []*time.Location
	for _, f := range files.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		zone, err := loadZone(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, zone)
	}
	return zones
}

var firstYear, lastYear = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)

// changes lists when the clock of a zone is set from 2020 to 2040.
func changes(zone *time.Location) []change {
	var list []change
	_, before := firstYear.In(zone).Zone()
	for at := firstYear; at.Before(lastYear); at = at.Add(day) {
		_, after := at.In(zone).Zone()
		if after == before {
			continue
		}
		at := at
		for _, offset := at.Add(-time.Minute).In(zone).Zone(); offset == after; _, offset = at.Add(-time.Minute).In(zone).Zone() {
			at = at.Add(-time.Minute)
		}
		list, before = append(list, change{zone, at}), after
	}
	return list
}

// line is a cron line, with what it means written down by itself.
type line struct {
	cron      string
	timeOfDay bool
	due       func(hour, minute int) bool
}

var lines = []line{
	{"30 2 * * *", true, func(h, m int) bool { return h == 2 && m == 30 }},
	{"0 0 * * *", true, func(h, m int) bool { return h == 0 && m == 0 }},
	{"*/20 1 * * *", true, func(h, m int) bool { return h == 1 && m%20 == 0 }},
	{"0 30 23 * * *", true, func(h, m int) bool { return h == 23 && m == 30 }},
	{"15 3 * * *", true, func(h, m int) bool { return h == 3 && m == 15 }},
	{"0 * * * *", false, func(_, m int) bool { return m == 0 }},
	{"10-50/20 0,1,2,3,23 * * *", false, func(h, m int) bool { return (h <= 3 || h == 23) && m >= 10 && m <= 50 && m%20 == 10 }},
	{"15 */2 * * *", false, func(h, m int) bool { return h%2 == 0 && m == 15 }},
}

// walk is what the clock of a zone shows, minute by minute.
type walk struct {
	begin time.Time
	shown []time.Time // as if there was no zone
	first map[time.Time]int
}

func walkClock(zone *time.Location, begin, end time.Time) walk {
	w := walk{begin: begin, first: map[time.Time]int{}}
	for at := begin; !at.After(end); at = at.Add(time.Minute) {
		l := at.In(zone)
		shown := time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
		if _, seen := w.first[shown]; !seen {
			w.first[shown] = len(w.shown)
		}
		w.shown = append(w.shown, shown)
	}
	return w
}

// slots finds the slots by looking at the clock only.
func (w walk) slots(l line, dst string) []time.Time {
	var found []time.Time
	if !l.timeOfDay {
		for i, shown := range w.shown {
			if l.due(shown.Hour(), shown.Minute()) {
				found = append(found, w.begin.Add(time.Duration(i)*time.Minute))
			}
		}
		return found
	}
	for wanted := w.shown[0]; !wanted.After(w.shown[len(w.shown)-1]); wanted = wanted.Add(time.Minute) {
		if !l.due(wanted.Hour(), wanted.Minute()) {
			continue
		}
		i, shown := w.first[wanted]
		if !shown {
			if dst == "skip" {
				continue
			}
			i = slices.IndexFunc(w.shown, func(s time.Time) bool { return s.After(wanted) })
		}
		found = append(found, w.begin.Add(time.Duration(i)*time.Minute))
	}
	slices.SortFunc(found, time.Time.Compare)
	return slices.Compact(found)
}

// between cuts slots to those in (after, to].
func between(slots []time.Time, after, to time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(slots), func(s time.Time) bool { return !s.After(after) || s.After(to) })
}

// TestSlotsInEveryZone compares the slots around every change of every clock with
// those that one finds by looking at it minute by minute.
func TestSlotsInEveryZone(t *testing.T) {
	t.Parallel()
	const around = 14 * time.Hour
	seen, zonesSet := map[string]bool{}, 0
	for _, zone := range zones(t) {
		list := changes(zone)
		if len(list) > 0 {
			zonesSet++
		}
		for _, c := range list {
			// Zones that share their rules need looking at once.
			key := fmt.Sprint(c.at, c.kind())
			if seen[key] {
				continue
			}
			seen[key] = true
			begin, end := c.at.Add(-around), c.at.Add(around)
			w := walkClock(zone, begin.Add(-4*time.Hour), end.Add(4*time.Hour))
			for _, l := range lines {
				for _, dst := range []string{"once", "skip"} {
					compareSlots(t, zone, l, dst, between(w.slots(l, dst), begin, end), begin, end)
				}
			}
		}
	}
	if zonesSet < 150 || len(seen) < 1000 {
		t.Errorf("%d zones with %d changes of the clock: where are the others?", zonesSet, len(seen))
	}
}

func compareSlots(t *testing.T, zone *time.Location, l line, dst string, want []time.Time, begin, end time.Time) {
	t.Helper()
	c, err := NewCalendar(&workflow.Schedule{Cron: l.cron, Timezone: zone.String(), DST: dst})
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Time
	for slot := c.Next(begin); !slot.After(end); slot = c.Next(slot) {
		got = append(got, slot)
	}
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Fatalf("%s, %q, dst %s, from %s:\ngot  %v\nwant %v", zone, l.cron, dst, begin, got, want)
	}
	if n := c.Count(begin, end); n != len(want) {
		t.Fatalf("%s, %q, dst %s, from %s: Count is %d, want %d", zone, l.cron, dst, begin, n, len(want))
	}
	if last := c.Last(begin, end); len(want) > 0 && !last.Equal(want[len(want)-1]) || len(want) == 0 && !last.IsZero() {
		t.Fatalf("%s, %q, dst %s, from %s: Last is %s, want %s", zone, l.cron, dst, begin, last, want)
	}
}

// TestLastDayOfLeapYear: the end of a span of the clock is where it should be also
// where the zone's table has ended.
func TestLastDayOfLeapYear(t *testing.T) {
	t.Parallel()
	for _, cron := range []string{"0 * * * *", "0 0,6,12,18 * * *", "0 12 * * *"} {
		c, err := NewCalendar(&workflow.Schedule{Cron: cron, Timezone: "Europe/Zurich"})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Date(2040, 12, 28, 23, 30, 0, 0, time.UTC)
		end, n := begin.Add(8*day), 0
		for slot := c.Next(begin); !slot.After(end); slot = c.Next(slot) {
			n++
		}
		if want := 8 * c.perDay(); n != want || c.Count(begin, end) != want {
			t.Errorf("%q is due %d times, Count is %d, want %d", cron, n, c.Count(begin, end), want)
		}
	}
}

// TestPoliciesInEveryZone takes the scheduler down while the clock is set, in every
// zone, and checks that each slot ends as run, skipped or missed, and which.
func TestPoliciesInEveryZone(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, zone := range zones(t) {
		for _, c := range changes(zone) {
			if key := zone.String() + c.kind(); !seen[key] {
				seen[key] = true
				playChange(t, c)
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("%d changes of the clock: where are the others?", len(seen))
	}
}

// playChange has every policy meet a change of the clock, with the scheduler down
// from three hours before it until three after.
func playChange(t *testing.T, c change) {
	t.Helper()
	begin, end := c.at.Add(-12*time.Hour), c.at.Add(12*time.Hour)
	down, up := c.at.Add(-3*time.Hour), c.at.Add(3*time.Hour-time.Second)
	w := newWorld(t)
	var flows []*workflow.Workflow
	slots := map[string][]time.Time{}
	minutes := walkClock(c.zone, begin.Add(-4*time.Hour), end.Add(4*time.Hour))
	for i, l := range lines {
		for _, dst := range []string{"once", "skip"} {
			for _, keep := range []string{"none", "latest", "all"} {
				f := flow(fmt.Sprint(i, dst, keep), workflow.Schedule{
					Cron: l.cron, Timezone: c.zone.String(), DST: dst, Overlap: "allow", Catchup: workflow.Catchup{Keep: keep, Window: 2 * time.Hour},
				})
				flows, slots[f.Name] = append(flows, f), between(minutes.slots(l, dst), begin, end)
			}
		}
	}
	play := func(from, to time.Time) {
		w.fixed = from
		s, release := w.open(flows...)
		defer release()
		for at := from; !at.After(to); at = at.Add(5 * time.Minute).Truncate(5 * time.Minute) {
			w.fixed = at
			if _, err := s.tick(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	play(begin, down)
	play(up, end)
	s, release := w.open(flows...)
	defer release()
	for _, f := range flows {
		judgeChange(t, c, s, f, slots[f.Name], down, up)
	}
}

func judgeChange(t *testing.T, c change, s *Scheduler, f *workflow.Workflow, slots []time.Time, down, up time.Time) {
	t.Helper()
	keep := f.Schedules[0].Catchup.Keep
	missed := between(slots, down, up.Add(-lateness))
	var want []string
	for _, slot := range slots {
		late := slot.After(down) && !slot.After(up.Add(-lateness))
		inWindow := !slot.Before(up.Add(-f.Schedules[0].Catchup.Window))
		latest := len(missed) > 0 && slot.Equal(missed[len(missed)-1]) && len(between(slots, up.Add(-lateness), up)) == 0
		outcome := "run schedule"
		switch {
		case late && inWindow && (keep == "all" || keep == "latest" && latest):
			outcome = "run catchup"
		case late:
			outcome = "missed "
		}
		want = append(want, slot.Format(time.DateTime)+" "+outcome)
	}
	var got []string
	for _, r := range s.entries[keyOf(f)].records {
		n := 0
		for _, slot := range slots {
			if !slot.Before(r.Slot) && !slot.After(last(r)) {
				got = append(got, slot.Format(time.DateTime)+" "+string(r.Outcome)+" "+string(r.BeganBy))
				n++
			}
		}
		if n != r.Count() {
			t.Errorf("%s at %s: %q: a record of %d slots is for %d", c.zone, c.at, f.Schedules[0].Cron, n, r.Count())
		}
	}
	if !slices.Equal(want, got) {
		t.Fatalf("%s at %s: %q, dst %s, keep %s:\ngot  %q\nwant %q", c.zone, c.at, f.Schedules[0].Cron, f.Schedules[0].DST, keep, got, want)
	}
}
