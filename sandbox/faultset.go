package sandbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// faultSet is the fault switches that are on. Chance comes from the seed: each
// switch has its own sequence, so that the n-th request that a switch applies to
// fares the same in every run.
type faultSet struct {
	mu       sync.Mutex
	seed     uint64
	switches []*faultSwitch
}

// replace switches on these faults and no others, and counts from the start.
func (set *faultSet) replace(seed uint64, texts []string) error {
	var switches []*faultSwitch
	for i, text := range texts {
		f, err := parseFault(text)
		if err != nil {
			return err
		}
		f.chance = rand.New(rand.NewPCG(seed, uint64(i)))
		switches = append(switches, f)
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	set.seed, set.switches = seed, switches
	return nil
}

func (set *faultSet) states() (seed uint64, states []FaultState) {
	set.mu.Lock()
	defer set.mu.Unlock()
	states = []FaultState{}
	for _, f := range set.switches {
		states = append(states, FaultState{f.text, f.seen, f.fired})
	}
	return set.seed, states
}

// SetFaults switches on these faults and no others. Chance follows from seed; 0
// takes a new one.
func (s *Server) SetFaults(seed uint64, faults ...string) error {
	for seed == 0 {
		seed = rand.Uint64() >> 12 // JavaScript and jq keep 52 bits of a number
	}
	if err := s.faults.replace(seed, faults); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// Faults are the fault switches that are on, with the seed of their chance.
func (s *Server) Faults() (seed uint64, faults []FaultState) { return s.faults.states() }

// each shows the switches that are wanted, apply and hit, until one was enough.
func (set *faultSet) each(to subject, wanted, more func(*faultSwitch) bool) {
	set.mu.Lock()
	defer set.mu.Unlock()
	for _, f := range set.switches {
		if wanted(f) && f.applies(to) && f.hits() && !more(f) {
			return
		}
	}
}

// named is a switch of that kind, as it is, that hits; nil if there is none.
func (set *faultSet) named(kind string, to subject) (found *faultSwitch) {
	set.each(to, func(f *faultSwitch) bool { return f.kind.name == kind }, func(f *faultSwitch) bool {
		copied := *f
		found = &copied
		return false
	})
	return found
}

// any says whether a switch that is wanted hits.
func (set *faultSet) any(to subject, wanted func(*faultSwitch) bool) (hit bool) {
	set.each(to, wanted, func(*faultSwitch) bool {
		hit = true
		return false
	})
	return hit
}

// seemsBroken is broken for whoever only looks: it counts as no hit.
func (set *faultSet) seemsBroken(system, service string) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	return slices.ContainsFunc(set.switches, func(f *faultSwitch) bool { return f.breaks(system, service) && !f.exhausted() })
}
