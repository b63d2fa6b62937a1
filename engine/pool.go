package engine

import (
	"slices"
	"sync"
)

// pool holds what the runs of one process share: attempt slots, and places in
// the queues of systems. What it grants is never part of a history.
type pool struct {
	mu      sync.Mutex
	free    int
	perJobs int
	jobs    map[string]map[*Execution]int // system → run → places held
	starved []*Execution                  // wanted more slots than they got, oldest first
	queued  []*Execution                  // have units that may not start yet
}

func newPool(slots, jobs int) *pool {
	return &pool{free: slots, perJobs: jobs, jobs: map[string]map[*Execution]int{}}
}

// take grants up to n slots.
func (p *pool) take(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = min(n, p.free)
	p.free -= n
	return n
}

// give returns slots and pokes the run that has waited longest for one. A run
// that gives back what it did not use is not among those, so this comes to an
// end.
func (p *pool) give(n int) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	p.free += n
	var next *Execution
	if len(p.starved) > 0 {
		next = p.starved[0]
		p.starved = p.starved[1:]
	}
	p.mu.Unlock()
	if next != nil {
		next.poke()
	}
}

// waitSlot has x poked when a slot frees.
func (p *pool) waitSlot(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.starved, x) {
		p.starved = append(p.starved, x)
	}
}

// waitPlace has x poked when a run gives up a place in a queue.
func (p *pool) waitPlace(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.queued, x) {
		p.queued = append(p.queued, x)
	}
}

// holds notes how many places x has in the queue of a system, and pokes those
// who wait when it has fewer than before.
func (p *pool) holds(x *Execution, system string, n int) {
	p.mu.Lock()
	runs := p.jobs[system]
	if runs == nil {
		runs = map[*Execution]int{}
		p.jobs[system] = runs
	}
	freed := n < runs[x]
	if n == 0 {
		delete(runs, x)
	} else {
		runs[x] = n
	}
	var waiting []*Execution
	if freed {
		waiting, p.queued = p.queued, nil
	}
	p.mu.Unlock()
	for _, w := range waiting {
		if w != x {
			w.poke()
		}
	}
}

// room is how many more units may enter the queue of a system.
func (p *pool) room(system string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.perJobs
	for _, held := range p.jobs[system] {
		n -= held
	}
	return n
}

// leave forgets a run that is no longer driven.
func (p *pool) leave(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, runs := range p.jobs {
		delete(runs, x)
	}
	mine := func(other *Execution) bool { return other == x }
	p.starved = slices.DeleteFunc(p.starved, mine)
	p.queued = slices.DeleteFunc(p.queued, mine)
}
