package steps

import (
	"context"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// reading is something that an answer of the server told at a time.
type reading interface {
	// since says when the request began; ok is false if there was no good answer.
	since() (began time.Time, ok bool)
}

// shared is a reading that many attempts ask for at the same time. Each gets one
// that began late enough for it, and as few requests are made as that takes.
type shared[R reading] struct {
	turn chan struct{} // holds a value while nobody reads
	last R
	any  bool
}

// get returns a reading that began at an instant or later.
func (s *shared[R]) get(ctx context.Context, since time.Time, read func(context.Context) R) R {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return read(ctx) // which fails at once
	}
	if s.any {
		if began, ok := s.last.since(); ok && !began.Before(since) {
			return s.last
		}
	}
	s.last, s.any = read(ctx), true
	return s.last
}

// readings are the shared readings of a process, by what is read.
type readings[R reading] struct {
	mu    sync.Mutex
	byKey map[string]*shared[R]
}

func (r *readings[R]) reading(key string) *shared[R] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[string]*shared[R]{}
	}
	s := r.byKey[key]
	if s == nil {
		s = &shared[R]{turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		r.byKey[key] = s
	}
	return s
}

// listing is what a directory held.
type listing struct {
	began   time.Time
	entries []firecrest.FileEntry
	calls   []workflow.CallFact
	err     error
}

func (l *listing) since() (time.Time, bool) { return l.began, l.err == nil }

// jobList is what the scheduler listed.
type jobList struct {
	listing
	jobs []firecrest.Job
}
