package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	// maxPictures bounds how many runs are kept; one of 10,000 instances takes some
	// ten megabytes.
	maxPictures = 4
	// pictureIdle is how long one that nobody asks for is kept.
	pictureIdle = time.Minute
	// elsewhereAge is how old the picture of a run may be that this process does not
	// drive, hence does not see change.
	elsewhereAge = 5 * time.Second
	// pictureShare is which part of its time the owner of a run gives to pictures of
	// it at most: one in so many.
	pictureShare = 5
)

// pictures keeps what runs look like, since many readers ask for the same at the
// same time, and to make one costs time of its owner. Of a run that this process
// drives, what was there when somebody asked is in what they get.
type pictures struct {
	host Host

	mu   sync.Mutex
	kept map[workflow.RunID]*picture
}

// picture is what a run looks like, or will once it is made.
type picture struct {
	owner   Run // nil: this process does not drive the run
	changed <-chan struct{}
	made    chan struct{} // closed when the rest is set
	run     ShownRun
	err     error
	at      time.Time // when it was begun
	cost    time.Duration

	used time.Time // guarded by the mutex of pictures
}

func newPictures(host Host) *pictures {
	return &pictures{host: host, kept: map[workflow.RunID]*picture{}}
}

// show returns what a run looks like, not to be changed.
func (p *pictures) show(ctx context.Context, id workflow.RunID) (ShownRun, error) {
	asked := time.Now()
	for {
		run, err := p.host.Find(ctx, id)
		if err != nil {
			return ShownRun{}, err
		}
		one, mine := p.get(id, run)
		if mine {
			one.make(ctx, p.host, id)
		}
		select {
		case <-one.made:
		case <-ctx.Done():
			return ShownRun{}, context.Cause(ctx)
		}
		if mine || one.err == nil && (one.fresh() || !one.at.Before(asked)) {
			return one.run, one.err
		}
		if err := one.rest(ctx); err != nil {
			return ShownRun{}, err
		}
		p.forget(id, one)
	}
}

// get returns the picture of a run, and whether the caller has to make it.
func (p *pictures) get(id workflow.RunID, run Run) (one *picture, mine bool) {
	changed := run.Changed() // before it is made, so that nothing is missed between
	if changed == nil {
		run = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	one, known := p.kept[id]
	if !known || one.owner != run {
		one, mine = &picture{owner: run, changed: changed, made: make(chan struct{})}, true
		p.kept[id] = one
	}
	one.used = now
	p.trim(now)
	return one, mine
}

// trim forgets what was not asked for lately.
func (p *pictures) trim(now time.Time) {
	for len(p.kept) > 0 {
		var oldest workflow.RunID
		for id, one := range p.kept {
			if oldest == "" || one.used.Before(p.kept[oldest].used) {
				oldest = id
			}
		}
		if len(p.kept) <= maxPictures && now.Sub(p.kept[oldest].used) < pictureIdle {
			return
		}
		delete(p.kept, oldest)
	}
}

func (p *pictures) forget(id workflow.RunID, one *picture) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[id] == one {
		delete(p.kept, id)
	}
}

// make makes the picture. Others wait for it: whoever asked first may go.
func (p *picture) make(ctx context.Context, host Host, id workflow.RunID) {
	defer close(p.made)
	p.at, p.err = time.Now(), errNotMade
	p.run, p.err = host.Show(context.WithoutCancel(ctx), id)
	p.cost = time.Since(p.at)
}

// errNotMade is what others see of a picture whose making panicked.
var errNotMade = errors.New("the picture of the run could not be made")

// fresh reports whether the picture shows the run as it is.
func (p *picture) fresh() bool {
	if p.changed == nil {
		return time.Since(p.at) < elsewhereAge
	}
	select {
	case <-p.changed:
		return false
	default:
		return true
	}
}

// rest waits until the next picture may be made.
func (p *picture) rest(ctx context.Context) error {
	wait := time.NewTimer(time.Until(p.at.Add(pictureShare * p.cost)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
