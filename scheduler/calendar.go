package scheduler

import (
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/fcflow/fcflow/workflow"
)

// Calendar tells at which instants a schedule is due: its slots.
//
// The cron library computes on a clock that nobody sets. What becomes of its
// times where the clock of the zone is set is decided here, in one of two ways.
// A line with one hour in its hour field names a time of day, which comes once a
// day: if the clock is set over it, it is due right after the gap (or not at all,
// with `dst: skip`), and if it comes twice, the first time. Any other line says
// what the clock shows, and each instant counts at which it shows that.
type Calendar struct {
	zone *time.Location
	// line has the times of the clock, on a clock that runs like UTC. Without it
	// slots are every so often, counted from 1970.
	line  *cron.SpecSchedule
	every int64 // seconds
	// timeOfDay: the line has one hour. skipGap: it is not due if left out.
	timeOfDay, skipGap bool
}

// NewCalendar reads the cron line and the time zone of a schedule.
func NewCalendar(s *workflow.Schedule) (*Calendar, error) {
	zone, err := loadZone(s.Timezone)
	if err != nil {
		return nil, err
	}
	c, err := parse(s.Cron)
	if err != nil {
		return nil, err
	}
	c.zone, c.skipGap = zone, s.DST == "skip"
	return c, nil
}

// Zone is whose clock the cron line means.
func (c *Calendar) Zone() *time.Location { return c.zone }

// Next returns the first slot after an instant, in UTC; zero if there is none
// within five years.
func (c *Calendar) Next(after time.Time) time.Time {
	switch {
	case c.line == nil:
		return time.Unix((c.turn(after)+1)*c.every, 0).UTC()
	case c.timeOfDay:
		return c.nextTimeOfDay(after)
	}
	return c.nextShown(after)
}

// turn counts the intervals from 1970 to an instant.
func (c *Calendar) turn(at time.Time) int64 {
	s := at.Unix()
	if s < 0 {
		s -= c.every - 1
	}
	return s / c.every
}

// nextShown returns the next instant at which the clock shows a time of the line.
// It goes through the spans between two changes of the clock: in each it runs like
// UTC with an offset.
func (c *Calendar) nextShown(after time.Time) time.Time {
	offset, end := c.span(after)
	shown, horizon := after.UTC().Add(offset), after.AddDate(5, 0, 0)
	for {
		if shown = c.line.Next(shown); shown.IsZero() {
			return shown
		}
		at := shown.Add(-offset)
		if end.IsZero() || at.Before(end) {
			return at
		}
		if end.After(horizon) {
			return time.Time{}
		}
		begin := end.UTC()
		offset, end = c.span(begin)
		shown = begin.Add(offset).Add(-time.Nanosecond) // the beginning itself may be a slot
	}
}

// nextTimeOfDay goes through the times of the line from what the clock shows on.
func (c *Calendar) nextTimeOfDay(after time.Time) time.Time {
	offset, _ := c.span(after)
	shown := after.UTC().Add(offset)
	for {
		if shown = c.line.Next(shown); shown.IsZero() {
			return shown
		}
		at, gap := c.first(shown)
		if at.After(after) && !(gap && c.skipGap) {
			return at
		}
	}
}

// maxOffset is more than any clock is ahead of UTC.
const maxOffset = 15 * time.Hour

// first returns the first instant at which the clock shows a time; if it never
// does, the end of the gap in which the time lies.
func (c *Calendar) first(shown time.Time) (at time.Time, gap bool) {
	for begin := shown.Add(-maxOffset); ; {
		offset, end := c.span(begin)
		at := shown.Add(-offset)
		switch {
		case at.Before(begin):
			return begin, true
		case end.IsZero(), at.Before(end):
			return at, false
		}
		begin = end.UTC()
	}
}

// span returns how far the clock is ahead of UTC at an instant, and until when at
// least; zero if for ever.
//
// Where a zone follows a rule rather than a table, [time.Time.ZoneBounds] takes a
// year for 365 days: on the last day of a leap year the end lies behind.
func (c *Calendar) span(at time.Time) (offset time.Duration, end time.Time) {
	local := at.In(c.zone)
	_, seconds := local.Zone()
	if _, end = local.ZoneBounds(); !end.IsZero() && !end.After(at) {
		end = at.UTC().Truncate(day).Add(day)
	}
	return time.Duration(seconds) * time.Second, end
}

// Last returns the last slot in (after, to]; zero if there is none.
func (c *Calendar) Last(after, to time.Time) time.Time {
	for back := time.Minute; ; back *= 8 {
		from := to.Add(-back)
		if from.Before(after) || back > 4*365*day {
			from = after
		}
		var last time.Time
		for next := c.Next(from); !next.IsZero() && !next.After(to); next = c.Next(next) {
			last = next
		}
		if !last.IsZero() || !from.After(after) {
			return last
		}
	}
}

const day = 24 * time.Hour

// Count returns how many slots there are in (after, to].
func (c *Calendar) Count(after, to time.Time) int {
	if !to.After(after) {
		return 0
	}
	if c.line == nil {
		return int(c.turn(to) - c.turn(after))
	}
	n := 0
	for {
		next := c.Next(after)
		if next.IsZero() || next.After(to) {
			return n
		}
		if end := c.plainDay(next); !end.IsZero() && !end.After(to) {
			n, after = n+c.perDay(), end.Add(-time.Nanosecond)
			continue
		}
		n, after = n+1, next
	}
}

// plainDay returns the end of the day that begins with a slot, if its clock is
// not set on that day or on the one before; else zero.
func (c *Calendar) plainDay(slot time.Time) (end time.Time) {
	local := slot.In(c.zone)
	_, seconds := local.Zone()
	offset := time.Duration(seconds) * time.Second
	shown := slot.UTC().Add(offset)
	midnight := shown.Truncate(day)
	if !c.line.Next(midnight.Add(-time.Nanosecond)).Equal(shown) {
		return time.Time{}
	}
	begin, until := local.ZoneBounds()
	end = midnight.Add(day - offset)
	if begin.After(end.Add(-2*day)) || !until.IsZero() && until.Before(end) {
		return time.Time{}
	}
	return end
}

// perDay is how many times of day the line has, on the days that it has.
func (c *Calendar) perDay() int {
	n := 1
	for _, field := range []uint64{c.line.Hour, c.line.Minute, c.line.Second} {
		n *= bits.OnesCount64(field &^ starBit)
	}
	return n
}

// starBit is how the cron library remembers a star.
const starBit = 1 << 63
