package engine

import (
	"strings"
	"sync"

	"github.com/fcflow/fcflow/workflow"
)

// kids are the runs that this process drives for one parent.
type kids struct {
	mu      sync.Mutex
	runs    map[workflow.RunID]*kid
	closed  bool
	driving sync.WaitGroup
}

// kid is one of them. run is there once done is closed, if it is over.
type kid struct {
	x    *Execution
	done chan struct{}
	run  *ChildRun
}

func (k *kid) stands() *ChildRun {
	select {
	case <-k.done:
		if k.run != nil {
			return k.run
		}
	default:
	}
	return &ChildRun{ID: k.x.id, State: workflow.RunRunning}
}

func (s *kids) find(id workflow.RunID) *kid {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

// add reports false when the parent is being left.
func (s *kids) add(k *kid) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.runs == nil {
		s.runs = map[workflow.RunID]*kid{}
	}
	s.runs[k.x.id] = k
	s.driving.Add(1)
	return true
}

func (s *kids) forget(id workflow.RunID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
}

// wait lets no more begin, and returns when none is driven any more.
func (s *kids) wait() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.driving.Wait()
}

// watchTopic has fire called when a topic has news.
func (x *Execution) watchTopic(u *workflow.Unit, topic string, fire func()) (stop func()) {
	id, ok := ChildOf(topic)
	if !ok {
		return x.engine.cfg.Watcher.Watch(topic, u.Attempt().StartedAt, fire)
	}
	if k := x.kids.find(id); k != nil {
		stopped := make(chan struct{})
		go func() {
			select {
			case <-k.done:
				fire()
			case <-stopped:
			}
		}()
		return sync.OnceFunc(func() { close(stopped) })
	}
	if elsewhere := x.engine.cfg.Children.Elsewhere; elsewhere != nil {
		return elsewhere.Watch(id, fire)
	}
	return func() {}
}

// canWatch reports whether news of a topic can be had.
func (x *Execution) canWatch(topic string) bool {
	return strings.HasPrefix(topic, childTopic) || topic != "" && x.engine.cfg.Watcher != nil
}
