package steps

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// jobWatcher implements engine.Watcher with one poller per system. It keeps
// what a poller told until the attempt that it woke takes it, so that a job
// costs no request of its own, and wakes nobody for what the attempt knows.
type jobWatcher struct {
	client   *firecrest.Client
	settings firecrest.PollSettings

	mu      sync.Mutex
	closed  bool
	pollers map[string]*firecrest.Poller
	news    map[string]firecrest.Observation // by topic: not taken yet
	known   map[string]firecrest.Observation // by topic: taken
}

func newJobWatcher(config Config) *jobWatcher {
	return &jobWatcher{
		client: config.Client, settings: config.Poll, pollers: map[string]*firecrest.Poller{},
		news: map[string]firecrest.Observation{}, known: map[string]firecrest.Observation{},
	}
}

// jobTopic names a job for the engine: by its token, its id, or both.
func jobTopic(system, token string, id firecrest.JobID) string {
	topic := "job:" + system + ":" + token
	if id != "" {
		topic += "/" + string(id)
	}
	return topic
}

// query reads a topic back.
func query(topic string, since time.Time) (system string, q firecrest.Query, ok bool) {
	rest, ok := strings.CutPrefix(topic, "job:")
	system, name, found := strings.Cut(rest, ":")
	token, id, _ := strings.Cut(name, "/")
	return system, firecrest.Query{Token: token, ID: firecrest.JobID(id), Since: since}, ok && found && name != ""
}

// Watch implements engine.Watcher.
func (w *jobWatcher) Watch(topic string, since time.Time, fire func()) (stop func()) {
	system, q, ok := query(topic, since)
	if !ok {
		return func() {}
	}
	poller := w.poller(system)
	if poller == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	poller.Watch(ctx, q, func(o firecrest.Observation) {
		if w.told(topic, o) {
			once.Do(fire)
		}
	})
	return cancel
}

// poller returns the one of a system; nil after close.
func (w *jobWatcher) poller(system string) *firecrest.Poller {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	p := w.pollers[system]
	if p == nil {
		p = firecrest.NewPoller(w.client.Compute, system, w.settings)
		w.pollers[system] = p
	}
	return p
}

// intervals are the pauses between lists of jobs, by system, as they are now; of
// systems whose jobs nobody waits for there are none.
func (w *jobWatcher) intervals() map[string]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]time.Duration{}
	for system, p := range w.pollers {
		if pause, asks := p.Interval(); asks {
			all[system] = pause
		}
	}
	return all
}

// told keeps an observation and reports whether it is news to the attempt.
func (w *jobWatcher) told(topic string, o firecrest.Observation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.known[topic]; ok && !o.Absent && sameObservation(known, o) {
		return false
	}
	w.news[topic] = o
	return true
}

// take hands out what a poller told since the last time.
func (w *jobWatcher) take(topic string) (firecrest.Observation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.news[topic]
	if ok {
		delete(w.news, topic)
		w.known[topic] = o
	}
	return o, ok
}

// ended hands out once more that a job has ended, to an attempt that waits for
// evidence of how.
func (w *jobWatcher) ended(topic string) (firecrest.Observation, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.known[topic]
	o.At = time.Now().Add(-freshness)
	return o, ok && o.Job.Status.State.IsTerminal()
}

// witness reports whether a list shows a job of a system that was seen before.
func (w *jobWatcher) witness(system string, rows []firecrest.Job) bool {
	listed := map[firecrest.JobID]bool{}
	for _, row := range rows {
		listed[row.ID.Base()] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, o := range w.known {
		if o.Job.ID != "" && listed[o.Job.ID] && strings.HasPrefix(topic, "job:"+system+":") {
			return true
		}
	}
	return false
}

// learn notes what an attempt found out by itself.
func (w *jobWatcher) learn(topic string, o firecrest.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.news, topic)
	w.known[topic] = o
}

// forget drops a topic that nobody waits for any more.
func (w *jobWatcher) forget(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.news, topic)
	delete(w.known, topic)
}

func (w *jobWatcher) close() {
	w.mu.Lock()
	w.closed = true
	pollers := slices.Collect(maps.Values(w.pollers))
	w.mu.Unlock() // a poller that is telling something needs it before it ends
	for _, p := range pollers {
		p.Close()
	}
}

// defaultGrace is how long a job may be unknown after it was submitted.
const defaultGrace = 2 * time.Minute

// grace is how long a job that should be there may be missing.
func (l *Library) grace() time.Duration { return cmp.Or(l.config.Poll.Grace, defaultGrace) }

// lookupEvery is how often the poller asks for a job that it misses.
func (l *Library) lookupEvery() time.Duration {
	return cmp.Or(l.config.Poll.LookupEvery, 5*time.Minute)
}

func sameObservation(a, b firecrest.Observation) bool {
	return a.Unknown == b.Unknown && (a.Outage == nil) == (b.Outage == nil) &&
		a.Job.ID == b.Job.ID && a.Job.Status.State == b.Job.Status.State && a.Job.Status.Reason == b.Job.Status.Reason
}
