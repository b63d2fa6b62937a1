package firecrest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// replay says what may be repeated without asking the caller.
type replay int

const (
	// replayAlways: reads, and writes that end the same however often they run.
	replayAlways replay = iota
	// replayUnsent: writes that must not run twice. They are repeated if it is
	// certain that the last try did not run.
	replayUnsent
	// replayNever: submissions.
	replayNever
)

// RetryPolicy is how a request is repeated. Zero fields take the defaults.
type RetryPolicy struct {
	// MaxAttempts is how often a request is sent in all. Default 4; 1 repeats
	// nothing.
	MaxAttempts int
	// Base is the wait before the second try; it doubles with every further
	// one. A random part of up to half of it is taken off. Default 500 ms.
	Base time.Duration
	// MaxWait is the longest wait. If the server asks for more, the error is
	// returned at once, with [Error.RetryAfter]. Default 30 s.
	MaxWait time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.MaxAttempts < 1 {
		p.MaxAttempts = 4
	}
	if p.Base <= 0 {
		p.Base = 500 * time.Millisecond
	}
	if p.MaxWait <= 0 {
		p.MaxWait = 30 * time.Second
	}
	return p
}

// wait is the pause after a number of tries.
func (p RetryPolicy) wait(attempt int, asked time.Duration, luck *chance) time.Duration {
	d := p.MaxWait
	if attempt < 30 {
		d = min(p.Base<<(attempt-1), p.MaxWait)
	}
	if d > 1 {
		d -= luck.below(d / 2)
	}
	if asked > 0 { // not before the time asked for, and not all at that time
		d = asked + luck.below(asked/5+1)
	}
	return d
}

// withRetry repeats a call as its kind allows.
func withRetry(policy RetryPolicy, luck *chance, next exchange) exchange {
	return func(ctx context.Context, c *call) *Error {
		attempts := policy.MaxAttempts
		if c.replay == replayNever || ctx.Value(noRetryKey) != nil {
			attempts = 1
		}
		for c.attempt = 1; ; c.attempt++ {
			failure := next(ctx, c)
			if failure == nil || c.attempt >= attempts || !mayRepeat(c, failure) {
				return failure
			}
			if failure.retryAfter > policy.MaxWait {
				return failure
			}
			if sleep(ctx, policy.wait(c.attempt, failure.retryAfter, luck)) != nil {
				return failure
			}
		}
	}
}

func mayRepeat(c *call, failure *Error) bool {
	if c.sunk || !failure.Retryable() {
		return false
	}
	return c.replay == replayAlways || c.replay == replayUnsent && failure.NotExecuted()
}

// Limits of what a server may ask for.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 15 * time.Minute
)

// retryAfter reads how long a server asks to wait: Retry-After in seconds or
// as a date, of its own clock if it tells that, else RateLimit-Reset in seconds.
// It is between 1 s and 15 min; 0 if there is no such header or it makes no
// sense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, value := range []string{h.Get("Retry-After"), h.Get("RateLimit-Reset")} {
		value = strings.TrimSpace(value)
		if value == "" {
			continue
		}
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds == seconds {
			seconds = min(max(seconds, minRetryAfter.Seconds()), maxRetryAfter.Seconds())
			return time.Duration(seconds * float64(time.Second))
		}
		if date, err := http.ParseTime(value); err == nil {
			if there, err := http.ParseTime(h.Get("Date")); err == nil {
				now = there
			}
			return min(max(date.Sub(now), minRetryAfter), maxRetryAfter)
		}
	}
	return 0
}
