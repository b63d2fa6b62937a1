package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// wait blocks until a job is as a transfer wants it. It returns nil when it is
// time to look again.
func (m *Mover) wait(ctx context.Context, p *Pending) (*Seen, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan Seen, 1)
	m.watch(watching, p.Job, func(seen Seen) {
		if seen.Over() || p.Running && seen.State.IsActive() {
			select {
			case news <- seen:
			default: // one is enough
			}
		}
	})
	var again <-chan time.Time
	if p.Again > 0 {
		timer := time.NewTimer(p.Again)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case seen := <-news:
		return &seen, nil
	case <-again:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watch tells about a job until ctx ends.
func (m *Mover) watch(ctx context.Context, job firecrest.TransferJob, tell func(Seen)) {
	m.settings.Poller(job.System).Watch(ctx, firecrest.Query{ID: job.ID}, func(o firecrest.Observation) {
		tell(Seen{job.ID, o.Job.Status.State, o.Unknown})
	})
}

// afterwards is how long this side of a direct connection may go on after the job
// has ended: what it has sent may still be on its way.
const afterwards = 30 * time.Second

var errJobEnded = errors.New("the transfer's job ended")

// whileLive returns a context that ends some time after a job has.
func (m *Mover) whileLive(ctx context.Context, job firecrest.TransferJob) (context.Context, func()) {
	live, cancel := context.WithCancelCause(ctx)
	m.watch(live, job, func(seen Seen) {
		if !seen.Over() {
			return
		}
		timer := time.AfterFunc(afterwards, func() { cancel(errJobEnded) })
		context.AfterFunc(live, func() { timer.Stop() })
	})
	return live, func() { cancel(nil) }
}

// cutShort says why a direct connection ended, with what the job knows of it.
func (m *Mover) cutShort(live context.Context, job firecrest.TransferJob, err error) error {
	if errors.Is(context.Cause(live), errJobEnded) {
		return &ConnectionError{fmt.Errorf("%w before the file was through: %w", errJobEnded, err)}
	}
	if live.Err() != nil {
		return context.Cause(live)
	}
	return &ConnectionError{fmt.Errorf("transfer job %s: %w", job.ID, err)}
}

// ConnectionError is a direct connection to a job over which the file did not
// get through.
type ConnectionError struct{ Err error }

// Error returns the reason.
func (e *ConnectionError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ConnectionError) Unwrap() error { return e.Err }

// dismissal is how long a transfer that failed takes to tell its job.
const dismissal = 10 * time.Second

// dismiss asks for the end of the job of a transfer that is given up; nothing
// waits for that.
func (m *Mover) dismiss(ctx context.Context, job *firecrest.TransferJob) {
	if job == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dismissal)
	defer cancel()
	_ = m.client.Compute.Cancel(ctx, job.System, job.ID) // it ends by itself, later
}
