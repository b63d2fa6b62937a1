package steps

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
)

// watcher implements engine.Watcher for everything that steps wait for.
type watcher struct{ library *Library }

// Watch implements engine.Watcher.
func (w watcher) Watch(topic string, since time.Time, fire func()) (stop func()) {
	switch {
	case strings.HasPrefix(topic, fileTopicPrefix):
		return w.library.files.watch(topic, fire)
	case w.library.config.Client == nil: // jobs are elsewhere
		return func() {}
	}
	return w.library.jobs.Watch(topic, since, fire)
}

var _ engine.Watcher = watcher{}

const fileTopicPrefix = "file:"

// fileTopic names what an attempt waits for, by its token: where a file is may be
// a matter of keys, which are not written down.
func fileTopic(token string) string { return fileTopicPrefix + token }

// fileWatcher looks for files that attempts wait for, so that looking in vain
// takes neither a slot nor a place in the history.
type fileWatcher struct {
	pause    pauses // between looks at a service
	nearby   pauses // and on this machine
	ctx      context.Context
	cancel   context.CancelFunc
	watching sync.WaitGroup

	mu     sync.Mutex
	closed bool
	waits  map[string]*fileWait // by topic
	turns  map[string]time.Time // by system: before when nobody may look next
}

// pauses between looks: half as long again each time.
type pauses struct{ first, longest time.Duration }

func (p pauses) next(last time.Duration) time.Duration { return min(last+last/2, p.longest) }

func newFileWatcher(poll firecrest.PollSettings) *fileWatcher {
	first := cmp.Or(poll.Min, 20*time.Second)
	w := &fileWatcher{
		pause:  pauses{first, max(first, cmp.Or(poll.Max, 5*time.Minute))},
		nearby: pauses{min(first, time.Second), min(first, time.Second)},
		waits:  map[string]*fileWait{}, turns: map[string]time.Time{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// turn returns when somebody may look at a system next, and takes that turn. All
// attempts together look once a second at a real site: the more wait, the longer
// each waits for its turn.
func (w *fileWatcher) turn(system string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Now()
	if next := w.turns[system]; next.After(at) {
		at = next
	}
	w.turns[system] = at.Add(w.pause.first / 20)
	return at
}

// begin returns what an attempt waits for: as it was left, if this process knows
// of it.
func (w *fileWatcher) begin(topic string, wait *fileWait) *fileWait {
	w.mu.Lock()
	defer w.mu.Unlock()
	if left := w.waits[topic]; left != nil {
		return left
	}
	w.waits[topic] = wait
	return wait
}

// forget drops a wait that is over.
func (w *fileWatcher) forget(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waits, topic)
}

// watch looks until the attempt should look itself. An attempt of which this
// process knows nothing yet should at once.
func (w *fileWatcher) watch(topic string, fire func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := w.waits[topic]
	switch {
	case w.closed:
		return func() {}
	case wait == nil:
		fire()
		return func() {}
	}
	ctx, cancel := context.WithCancel(w.ctx)
	var told atomic.Bool
	w.watching.Go(func() {
		defer cancel()
		if wait.until(ctx) {
			told.Store(true)
			fire()
		}
	})
	return func() {
		cancel()
		if !told.Load() { // nobody will come back for it
			w.forget(topic)
		}
	}
}

func (w *fileWatcher) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.watching.Wait()
}

// foundFile is a file as it was seen.
type foundFile struct {
	path     string
	size     int64
	modified time.Time
}

// fileWait is what one attempt waits for.
type fileWait struct {
	look      func(ctx context.Context) (*foundFile, error) // nil if there is none
	minSize   int64
	stableFor time.Duration
	pauses    pauses
	turn      func() time.Time // when to look next at the earliest; nil = any time

	mu    sync.Mutex
	pause time.Duration
	last  *foundFile // as it was seen last, if large enough
	since time.Time  // since when it is the same
}

// ready looks once, and returns the file if it is as it should be.
func (f *fileWait) ready(ctx context.Context) (*foundFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now() // what is seen is not older than this
	found, err := f.look(ctx)
	if err != nil {
		return nil, err
	}
	if found == nil || found.size < f.minSize {
		f.last = nil
		return nil, nil
	}
	if f.last == nil || f.last.size != found.size || !f.last.modified.Equal(found.modified) {
		f.since = now
	}
	f.last = found
	if now.Sub(f.since) < f.stableFor {
		return nil, nil
	}
	return found, nil
}

// until looks until there is something to tell: the file, or an error.
func (f *fileWait) until(ctx context.Context) bool {
	for {
		if !pauseFor(ctx, f.nextPause()) || f.turn != nil && !pauseFor(ctx, time.Until(f.turn())) {
			return false
		}
		if found, err := f.ready(ctx); found != nil || err != nil {
			return ctx.Err() == nil
		}
	}
}

// pauseFor reports false if the context ends before the time is over.
func pauseFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// nextPause is how long to wait before the next look. A file that is there is
// looked at again when it may count as complete.
func (f *fileWait) nextPause() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil {
		f.pause = f.pauses.first
		return min(max(time.Until(f.since.Add(f.stableFor)), f.pauses.first), f.pauses.longest)
	}
	if f.pause == 0 {
		f.pause = f.pauses.first
		return f.pause
	}
	f.pause = f.pauses.next(f.pause)
	return f.pause
}
