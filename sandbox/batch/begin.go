package batch

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// parseBegin reads the forms of --begin: now, now+N with a unit (seconds if
// none), an hour of the day, today or tomorrow, a date, or a date and an hour.
// An hour that has passed today is tomorrow's.
func parseBegin(s string, now time.Time) (time.Time, bool) {
	s = strings.ToLower(s)
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		return parseOffset(rest, now)
	}
	now = now.Local()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.Local)
	switch s {
	case "today":
		return now, true
	case "tomorrow":
		return midnight.AddDate(0, 0, 1), true
	case "midnight":
		return midnight.AddDate(0, 0, 1), true
	case "noon":
		return next(midnight.Add(12*time.Hour), now), true
	case "teatime":
		return next(midnight.Add(16*time.Hour), now), true
	}
	for _, layout := range []string{"2006-01-02t15:04:05", "2006-01-02t15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{"15:04:05", "15:04", "3:04pm", "3:04:05pm"} {
		if t, err := time.Parse(layout, s); err == nil {
			return next(midnight.Add(t.Sub(t.Truncate(24*time.Hour))), now), true
		}
	}
	return time.Time{}, false
}

// next is an hour of today, or the same of tomorrow if it has passed.
func next(t, now time.Time) time.Time {
	if t.Before(now) {
		return t.AddDate(0, 0, 1)
	}
	return t
}

func parseOffset(s string, now time.Time) (time.Time, bool) {
	if s == "" {
		return now, true
	}
	count, ok := strings.CutPrefix(s, "+")
	unit := strings.TrimLeft(count, "0123456789")
	n, err := strconv.ParseUint(count[:len(count)-len(unit)], 10, 31)
	units := map[string]time.Duration{
		"": time.Second, "second": time.Second, "minute": time.Minute, "hour": time.Hour,
		"day": 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}
	by, known := units[strings.TrimSuffix(unit, "s")]
	if !ok || err != nil || !known || time.Duration(n) > math.MaxInt64/by {
		return time.Time{}, false
	}
	return now.Add(time.Duration(n) * by), true
}
