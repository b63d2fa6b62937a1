package datatransfer

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// storeCall is one thing to be asked of an object store. It can be tried any
// number of times.
type storeCall struct {
	action string // for errors
	link   link
	method string
	header http.Header
	// body returns the bytes to send, from their beginning; nil: none.
	body func() (io.Reader, int64)
	// read takes a good answer; an error makes it a bad one.
	read func(resp *http.Response) error
	// moved is how many bytes have come to stay; trying again counts from there.
	moved func() int64
}

const longestBackoff = 20 * time.Second

// ask carries a call out, again after failures that may pass.
func (m *Mover) ask(ctx context.Context, c *storeCall) *StoreError {
	moved, without, unsure := int64(0), 0, false
	for n := 1; ; n++ {
		failure := m.once(ctx, c)
		if failure == nil {
			return nil
		}
		failure.Attempts, failure.unsure = n, unsure
		unsure = unsure || failure.Status == 0 || failure.Status >= 500 || failure.Status < 300
		without++
		if c.moved != nil {
			if now := c.moved(); now > moved {
				moved, without = now, 1
			}
		}
		if ctx.Err() != nil || without >= m.settings.Tries || !failure.Retryable() {
			return failure
		}
		if pause(ctx, m.backoff(without)) != nil {
			return failure
		}
	}
}

// backoff is a random pause after a number of failures in a row, so that
// connections do not march in step.
func (m *Mover) backoff(failures int) time.Duration {
	d := longestBackoff
	if failures < 16 {
		d = min(m.settings.Backoff<<(failures-1), d)
	}
	return d/2 + rand.N(d/2+1)
}

// once makes one request, when it is its turn.
func (m *Mover) once(ctx context.Context, c *storeCall) *StoreError {
	failure := &StoreError{Action: c.action, Host: hostName(c.link.host)}
	slot := m.slot(c.link.host)
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		failure.cause = context.Cause(ctx)
		return failure
	}
	ctx, watch := watchStall(ctx, m.settings.Stall)
	defer watch.stop()
	req, err := c.request(ctx, watch)
	if err != nil {
		failure.cause = err
		return failure
	}
	resp, err := m.http.Do(req)
	if err != nil {
		failure.cause = explain(ctx, err)
		return failure
	}
	defer resp.Body.Close()
	watch.moved()
	resp.Body = &watchedReader{resp.Body, watch}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		failure.Status = resp.StatusCode
		_, failure.Code, failure.Message, _ = readAnswer(resp.Body) // whatever it says, the status counts
		return failure
	}
	err = c.read(resp)
	var told *StoreError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		told.Action, told.Host = failure.Action, failure.Host
		return told
	}
	failure.cause = explain(ctx, err)
	return failure
}

// request builds one try. Nothing of the service's login goes along.
func (c *storeCall) request(ctx context.Context, watch *stallWatch) (*http.Request, error) {
	var body io.Reader
	var size int64
	if c.body != nil {
		body, size = c.body()
		body = &watchedReader{io.NopCloser(body), watch}
	}
	req, err := http.NewRequestWithContext(ctx, c.method, c.link.url, body)
	if err != nil {
		return nil, errors.New("the address cannot be used")
	}
	req.ContentLength = size
	for name, values := range c.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "fcflow-datatransfer")
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// explain takes the address out of an error, and says why a request was ended.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

var errStalled = errors.New("no byte moved for too long")

// stallWatch ends a request on which nothing moves.
type stallWatch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
}

func watchStall(ctx context.Context, limit time.Duration) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stallWatch{limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	return ctx, w
}

// moved postpones the end.
func (w *stallWatch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

func (w *stallWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.timer = nil
	w.cancel(nil)
}

// watchedReader tells a watch about every byte.
type watchedReader struct {
	io.ReadCloser
	watch *stallWatch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.watch.moved()
	}
	return n, err
}

// pause waits, and returns why the context ended if it did.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
