package engine

import (
	"slices"
	"sync"
)

// pool holds what the runs of one process share: attempt slots, and places in
// the queues of systems. What it grants is never part of a history.
type pool struct {
	// turn is held by the run that decides, so that two runs never take the same
	// place.
	turn sync.Mutex

	mu        sync.Mutex
	free      int // slots; negative while runs that were taken over hold too many
	perSystem int
	places    map[string]map[*Execution]int // system → run → places held
	starved   []*Execution                  // wanted more slots than they got, oldest first
	queued    []*Execution                  // have units that may not start yet
}

func newPool(slots, perSystem int) *pool {
	return &pool{free: slots, perSystem: perSystem, places: map[string]map[*Execution]int{}}
}

// take grants x every free slot, unless others have waited longer.
func (p *pool) take(x *Execution) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.starved) > 0 {
		if p.starved[0] != x {
			return 0
		}
		p.starved = p.starved[1:]
	}
	n := max(p.free, 0)
	p.free -= n
	return n
}

// force takes a slot whether or not one is free, for an attempt that runs
// already.
func (p *pool) force() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free--
}

// give returns slots.
func (p *pool) give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free += n
	p.offer()
}

// offer pokes the run that has waited longest for a slot, if one is free. It
// keeps its turn until it takes the slot or stops waiting.
func (p *pool) offer() {
	if p.free > 0 && len(p.starved) > 0 {
		p.starved[0].poke()
	}
}

// waitSlot has x poked when a slot frees and it is its turn.
func (p *pool) waitSlot(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.starved, x) {
		p.starved = append(p.starved, x)
	}
	p.offer()
}

// waitPlace has x poked when another run gives up a place in a queue.
func (p *pool) waitPlace(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.queued, x) {
		p.queued = append(p.queued, x)
	}
}

// stopWaiting forgets what x waits for.
func (p *pool) stopWaiting(x *Execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := func(other *Execution) bool { return other == x }
	p.starved = slices.DeleteFunc(p.starved, mine)
	p.queued = slices.DeleteFunc(p.queued, mine)
	p.offer()
}

// holds notes how many places x has in the queue of a system, and pokes those
// who wait when it has fewer than before.
func (p *pool) holds(x *Execution, system string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	runs := p.places[system]
	if runs == nil {
		runs = map[*Execution]int{}
		p.places[system] = runs
	}
	freed := n < runs[x]
	if n == 0 {
		delete(runs, x)
	} else {
		runs[x] = n
	}
	if freed {
		for _, w := range p.queued {
			w.poke()
		}
		p.queued = nil
	}
}

// room is how many more units may enter the queue of a system.
func (p *pool) room(system string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.perSystem
	for _, held := range p.places[system] {
		n -= held
	}
	return n
}
