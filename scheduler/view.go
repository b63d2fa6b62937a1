package scheduler

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// view shows a schedule, and when it is due next, if it may be.
func (e *entry) view(now time.Time, due bool) workflow.ScheduleView {
	v := describe(e.key.Workflow, e.schedule)
	v.Active, v.Failures = e.workflow != nil, e.state.Failures
	v.Running = slices.DeleteFunc(slices.Clone(e.state.Open), func(id workflow.RunID) bool {
		r := e.recordOf(id)
		return r != nil && r.Pending
	})
	if p := e.state.Pause; p != nil {
		paused := *p
		v.Paused = &paused
	}
	if n := len(e.records); n > 0 {
		r := *e.records[n-1]
		v.Last = &r
	}
	if e.calendar != nil && due {
		showNext(&v, e.calendar, later(e.cursor, e.state.Decided), now, e.jitter)
	}
	return v
}

// showNext shows the next slot that is to be decided about.
func showNext(v *workflow.ScheduleView, c *Calendar, decided, now time.Time, jitter time.Duration) {
	v.Next = c.Next(later(decided, now.Add(-jitter)))
	if v.Next.IsZero() {
		return
	}
	v.NextLocal = Local(v.Next, c.Zone())
	v.StartsAt = v.Next.Add(jitter)
}

// Local shows an instant on the clock of a zone.
func Local(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04:05 MST")
}

// Describe shows a schedule of a workflow as its file has it, with its next slot
// after an instant.
func Describe(name string, s *workflow.Schedule, now time.Time) (workflow.ScheduleView, error) {
	c, err := NewCalendar(s)
	if err != nil {
		return workflow.ScheduleView{}, err
	}
	v := describe(name, s)
	showNext(&v, c, time.Time{}, now, jitterOf(Key{name, s.ID}, s.Jitter))
	return v, nil
}

func describe(name string, s *workflow.Schedule) workflow.ScheduleView {
	v := workflow.ScheduleView{
		Workflow: name, ID: s.ID, Cron: s.Cron, Timezone: cmp.Or(s.Timezone, "UTC"), DST: cmp.Or(s.DST, "once"),
		Overlap: overlap(s), Catchup: cmp.Or(s.Catchup.Keep, "none"), PauseAfter: s.PauseAfter,
	}
	if s.Catchup.Window > 0 {
		v.Window = span(s.Catchup.Window)
	}
	if s.Jitter > 0 {
		v.Jitter = span(jitterOf(Key{name, s.ID}, s.Jitter))
	}
	return v
}

// span prints a duration as people write it: 24h, not 24h0m0s.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
