package gentletest

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"
)

// limit is a gateway that lets 60 requests a minute through.
type limit struct {
	// sliding counts those of the last 60 seconds, and not of a minute of the
	// clock.
	sliding bool
	// tells how long to wait: "seconds", "date", or not at all.
	tells string

	mu     sync.Mutex
	passed []time.Time // in the last minute, or this
}

const perMinute = 60

// refuses answers 429 in the place of the site.
func (l *limit) refuses(now time.Time, w http.ResponseWriter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.passed) > 0 && !now.Before(l.ends(l.passed[0])) {
		l.passed = l.passed[1:]
	}
	if len(l.passed) < perMinute {
		l.passed = append(l.passed, now)
		return false
	}
	again := l.ends(l.passed[0])
	switch l.tells {
	case "seconds":
		w.Header().Set("Retry-After", fmt.Sprint(math.Ceil(again.Sub(now).Seconds())))
	case "date":
		w.Header().Set("Retry-After", again.Add(time.Second-1).UTC().Format(http.TimeFormat))
	}
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, "too many requests")
	return true
}

// ends is when a request stops counting.
func (l *limit) ends(passed time.Time) time.Time {
	if l.sliding {
		return passed.Add(time.Minute)
	}
	return passed.Truncate(time.Minute).Add(time.Minute)
}
