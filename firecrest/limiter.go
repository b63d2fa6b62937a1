package firecrest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter makes requests wait for their turn: a slot, the rate, and the gate
// that an answer 429 closes for everybody.
type limiter struct {
	slots chan struct{}
	rate  *rate.Limiter // nil: none

	mu   sync.Mutex
	gate time.Time // closed until then
}

func newLimiter(inFlight, perMinute int) *limiter {
	l := &limiter{slots: make(chan struct{}, inFlight)}
	if perMinute > 0 {
		l.rate = rate.NewLimiter(rate.Limit(float64(perMinute)/60), 1)
	}
	return l
}

// maxGateWait is how long a request waits at the closed gate by itself. If it
// would be longer, it fails and says for how long.
const maxGateWait = time.Minute

// acquire waits for a turn. The caller gives it back with release.
func (l *limiter) acquire(ctx context.Context) (wait time.Duration, err error) {
	for {
		if wait, err := l.pass(ctx); err != nil {
			return wait, err
		}
		if l.rate != nil {
			if err := l.rate.Wait(ctx); err != nil {
				return 0, err
			}
		}
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if l.closedFor() <= 0 {
			return 0, nil
		}
		l.release() // the gate was closed while this waited for its slot
	}
}

// pass waits until the gate is open. If that would take too long it fails at
// once, and says how long.
func (l *limiter) pass(ctx context.Context) (wait time.Duration, err error) {
	for {
		wait := l.closedFor()
		switch {
		case wait <= 0:
			return 0, nil
		case wait > maxGateWait:
			return wait, fmt.Errorf("the service asked for a pause of %s", wait.Round(time.Second))
		}
		if err := sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
}

func (l *limiter) release() { <-l.slots }

func (l *limiter) closedFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.gate)
}

func (l *limiter) close(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.gate) {
		l.gate = until
	}
}

// withLimits holds a request until it may start, and closes the gate for all
// when the service says that there are too many.
func withLimits(l *limiter, next exchange) exchange {
	return func(ctx context.Context, c *call) *Error {
		if wait, err := l.acquire(ctx); err != nil {
			failure := c.fail(err)
			failure.retryAfter, failure.local = wait, wait == 0
			return failure
		}
		defer l.release()
		failure := next(ctx, c)
		if failure != nil && failure.Status == http.StatusTooManyRequests {
			l.close(max(failure.retryAfter, minRetryAfter))
		}
		return failure
	}
}

// sleep waits for d or for the end of the context.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
