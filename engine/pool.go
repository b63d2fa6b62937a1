package engine

import "sync"

// pool holds what the runs of one process share: attempt slots, and places in
// the queues of systems. What it grants is never part of a history.
type pool struct {
	mu      sync.Mutex
	free    int
	perJobs int
	jobs    map[string]map[*Execution]int // system → run → places held
	starved []*Execution                  // wanted more than they got, oldest first
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

// give returns slots and pokes the run that has waited longest for one.
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

// wait has x poked when a slot or a place frees.
func (p *pool) wait(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.starved {
		if s == x {
			return
		}
	}
	p.starved = append(p.starved, x)
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
		waiting, p.starved = p.starved, nil
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
	for i, s := range p.starved {
		if s == x {
			p.starved = append(p.starved[:i], p.starved[i+1:]...)
			return
		}
	}
}
