package server

import "sync"

// News passes on what changes to whoever listens. Of what one thing did since a
// reader last took it, the newest is kept: who is slow misses steps on the way and
// not the last one, and costs no more than one change for each thing.
type News struct {
	mu      sync.Mutex
	readers map[*newsReader]bool
}

// newsReader is what one reader has not taken.
type newsReader struct {
	mu      sync.Mutex
	waiting map[subject]Change
	order   []subject
}

// subject is what a change is about.
type subject struct{ kind, run, workflow, schedule string }

func (c *Change) subject() subject {
	if c.Kind == ChangedRun {
		return subject{kind: c.Kind, run: string(c.Run)}
	}
	return subject{kind: c.Kind, workflow: c.Workflow, schedule: c.Schedule}
}

// Tell passes a change on. It waits for nobody.
func (n *News) Tell(c Change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for r := range n.readers {
		r.add(c)
	}
}

func (n *News) listen() *newsReader {
	r := &newsReader{waiting: map[subject]Change{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.readers == nil {
		n.readers = map[*newsReader]bool{}
	}
	n.readers[r] = true
	return r
}

func (n *News) leave(r *newsReader) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.readers, r)
}

func (r *newsReader) add(c Change) {
	about := c.subject()
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.waiting[about]
	if !known {
		r.order = append(r.order, about)
	}
	if c.Seq == 0 {
		c.Seq = before.Seq
	}
	r.waiting[about] = c
}

// take returns what has changed since the last time, what changed first first.
func (r *newsReader) take() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Change
	for _, about := range r.order {
		list = append(list, r.waiting[about])
	}
	clear(r.waiting)
	r.order = nil
	return list
}
