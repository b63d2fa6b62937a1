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

	mu      sync.Mutex
	gate    time.Time // closed until then
	refused int       // how often it was closed since a request was let in
}

// NewLimiter returns a limiter for at most inFlight requests at a time, at least
// 1, of which no more than perMinute start in a minute; 0 is no such limit. The
// bytes of files never take the last of several slots: a slow upload must not
// keep everything else waiting.
func NewLimiter(inFlight, perMinute int) *Limiter {
	inFlight = max(inFlight, 1)
	l := &Limiter{slots: make(chan struct{}, inFlight), bulk: make(chan struct{}, max(inFlight-1, 1))}
	if perMinute > 0 {
		l.rate = rate.NewLimiter(rate.Every(pace(perMinute)), 1)
	}
	return l
}

// pace is the time between two requests. It is a twentieth longer than it would
// have to be: the server counts when they arrive, and some take up to three
// seconds longer on their way than the others.
func pace(perMinute int) time.Duration {
	return 21 * time.Minute / 20 / time.Duration(perMinute)
}

// maxGateWait is how long a request waits at the closed gate by itself. If it
// would be longer, it fails and says for how long.
const maxGateWait = time.Minute

// acquire waits for a slot. The caller gives it back with release.
func (l *Limiter) acquire(ctx context.Context, bulk bool) (wait time.Duration, err error) {
	if wait, err := l.pass(ctx); err != nil {
		return wait, err
	}
	return 0, l.take(ctx, bulk)
}

// start waits until the holder of a slot may start.
func (l *Limiter) start(ctx context.Context) (wait time.Duration, err error) {
	for {
		if wait, err := l.pass(ctx); err != nil {
			return wait, err
		}
		if err := l.keepPace(ctx); err != nil {
			return 0, err
		}
		if l.closedFor() <= 0 {
			return 0, nil
		}
	}
}

// keepPace waits until the next request may start.
func (l *Limiter) keepPace(ctx context.Context) error {
	if l.rate == nil {
		return nil
	}
	turn := l.rate.Reserve()
	err := sleep(ctx, turn.Delay())
	if err != nil {
		turn.Cancel()
	}
	return err
}

// take waits for a slot, and for one that a file may have if it is for a file.
// Who is gone when his turn comes gets none.
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
		if ctx.Err() == nil {
			return nil
		}
		<-l.slots
	case <-ctx.Done():
	}
	if bulk {
		<-l.bulk
	}
	return context.Cause(ctx)
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

// close shuts the gate for the time that the server asked for. If it refuses
// whoever comes next, too, that was not long enough: then it stays shut for twice
// as long each time, up to maxGateWait.
func (l *Limiter) close(asked time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := max(asked, minRetryAfter)
	if time.Until(l.gate) <= 0 { // else this request was on its way already
		d = max(d, min(minRetryAfter<<min(l.refused, 10), maxGateWait))
		l.refused++
	}
	if until := time.Now().Add(d); until.After(l.gate) {
		l.gate = until
	}
}

// letIn notes that the server does not refuse everybody.
func (l *Limiter) letIn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Until(l.gate) <= 0 {
		l.refused = 0
	}
}

// withLimits holds a request until it has a slot, and closes the gate for all
// when the service says that there are too many.
func withLimits(l *Limiter, next exchange) exchange {
	return func(ctx context.Context, c *call) *Error {
		if wait, err := l.acquire(ctx, c.bulk); err != nil {
			return c.held(wait, err)
		}
		defer l.release(c.bulk)
		failure := next(ctx, c)
		switch {
		case failure != nil && failure.Status == http.StatusTooManyRequests:
			l.close(failure.retryAfter)
		case failure == nil || failure.Status != 0:
			l.letIn()
		}
		return failure
	}
}

// withPace holds a request that has all it needs until it may start: nothing must
// come between, or those that had to wait would start at once.
func withPace(l *Limiter, next exchange) exchange {
	return func(ctx context.Context, c *call) *Error {
		if wait, err := l.start(ctx); err != nil {
			return c.held(wait, err)
		}
		return next(ctx, c)
	}
}

// held is the failure of a request that was not let go.
func (c *call) held(wait time.Duration, err error) *Error {
	failure := c.fail(err)
	failure.retryAfter, failure.local = wait, wait == 0
	return failure
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
