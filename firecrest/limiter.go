package firecrest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter makes requests wait for their turn: a slot, the rate, and the gate
// that an answer 429 closes for everybody. Every client has one of its own
// unless it is given one with [WithLimiter].
type Limiter struct {
	slots chan struct{}
	bulk  chan struct{} // those of the slots that files may take
	rate  *rate.Limiter // nil: none

	mu   sync.Mutex
	gate time.Time // closed until then
}

// NewLimiter returns a limiter for at most inFlight requests at a time, at least
// 1, of which no more than perMinute start in a minute; 0 is no such limit. The
// bytes of files never take the last of several slots: a slow upload must not
// keep everything else waiting.
func NewLimiter(inFlight, perMinute int) *Limiter {
	inFlight = max(inFlight, 1)
	l := &Limiter{slots: make(chan struct{}, inFlight), bulk: make(chan struct{}, max(inFlight-1, 1))}
	if perMinute > 0 {
		l.rate = rate.NewLimiter(rate.Limit(float64(perMinute)/60), 1)
	}
	return l
}

// maxGateWait is how long a request waits at the closed gate by itself. If it
// would be longer, it fails and says for how long.
const maxGateWait = time.Minute

// acquire waits for a turn. The caller gives it back with release.
func (l *Limiter) acquire(ctx context.Context, bulk bool) (wait time.Duration, err error) {
	for {
		if wait, err := l.pass(ctx); err != nil {
			return wait, err
		}
		if l.rate != nil {
			if err := l.rate.Wait(ctx); err != nil {
				return 0, err
			}
		}
		if err := l.take(ctx, bulk); err != nil {
			return 0, err
		}
		if l.closedFor() <= 0 {
			return 0, nil
		}
		l.release(bulk) // the gate was closed while this waited for its slot
	}
}

// take waits for a slot, and for one that a file may have if it is for a file.
func (l *Limiter) take(ctx context.Context, bulk bool) error {
	if bulk {
		select {
		case l.bulk <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if bulk {
			<-l.bulk
		}
		return context.Cause(ctx)
	}
}

// pass waits until the gate is open. If that would take too long it fails at
// once, and says how long.
func (l *Limiter) pass(ctx context.Context) (wait time.Duration, err error) {
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

func (l *Limiter) release(bulk bool) {
	<-l.slots
	if bulk {
		<-l.bulk
	}
}

func (l *Limiter) closedFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.gate)
}

func (l *Limiter) close(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.gate) {
		l.gate = until
	}
}

// withLimits holds a request until it may start, and closes the gate for all
// when the service says that there are too many.
func withLimits(l *Limiter, next exchange) exchange {
	return func(ctx context.Context, c *call) *Error {
		if wait, err := l.acquire(ctx, c.bulk); err != nil {
			failure := c.fail(err)
			failure.retryAfter, failure.local = wait, wait == 0
			return failure
		}
		defer l.release(c.bulk)
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
