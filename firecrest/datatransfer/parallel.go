package datatransfer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// inParallel does every item of a list, some at a time, and hands what was done
// to keep, one by one and on the caller's own goroutine. In between it calls
// tick now and then. The first error ends it; it returns when nothing is under
// way any more.
func inParallel[T any](ctx context.Context, width int, items []int, every time.Duration,
	do func(ctx context.Context, item int) (T, error), keep func(item int, done T) error, tick func() error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		item int
		done T
		err  error
	}
	work, results := make(chan int), make(chan result)
	var workers sync.WaitGroup
	for range min(width, len(items)) {
		workers.Go(func() {
			for item := range work {
				done, err := do(ctx, item)
				results <- result{item, done, err}
			}
		})
	}
	go func() {
		defer close(results)
		defer workers.Wait()
		defer close(work)
		for _, item := range items {
			select {
			case work <- item:
			case <-ctx.Done():
				return
			}
		}
	}()
	clock := time.NewTicker(every)
	defer clock.Stop()
	var first error
	fail := func(err error) {
		if err != nil && first == nil {
			first = err
			cancel()
		}
	}
	for {
		select {
		case r, open := <-results:
			if !open {
				if first == nil {
					first = context.Cause(ctx)
				}
				return first
			}
			if r.err == nil { // also after a failure: it need not be done again
				r.err = keep(r.item, r.done)
			}
			fail(r.err)
		case <-clock.C:
			if first == nil {
				fail(tick())
			}
		}
	}
}

// meter counts the bytes of a transfer, from many goroutines. Bytes that have to
// be moved again are taken off.
type meter struct{ bytes atomic.Int64 }

func (m *meter) add(n int64) { m.bytes.Add(n) }
