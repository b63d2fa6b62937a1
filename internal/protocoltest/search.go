package protocoltest

import (
	"fmt"
	"slices"
)

// Bounds say how large the world is.
type Bounds struct {
	Jobs     int   // that the batch system accepts
	Crashes  uint8 // of fcflow
	Restores uint8 // of the record from a backup
	Repeats  uint8 // of requests, by a proxy
	Cuts     uint8 // of scripts on their way
	Cancels  uint8 // of the run; at most one makes sense
	// Plain looks at states one by one that one could stand for.
	Plain bool
	// Tolerated are promises that need not hold in this world.
	Tolerated []harm
}

// Report is what a search found.
type Report struct {
	States, Transitions int
	// Harm is none if every promise holds, and Path then empty.
	Harm harm
	Path []string
}

// move is something that may happen, and the state it leads to.
type move struct {
	state
	text  string
	about any
}

func (m *move) String() string {
	if m.about == nil {
		return m.text
	}
	return fmt.Sprintf(m.text, m.about)
}

// moves are all that may happen in a state.
type moves []move

// to adds a move and returns the state after it, a copy of s still to be changed.
func (m *moves) to(s *state, text string, about ...any) *state {
	*m = append(*m, move{state: *s, text: text})
	added := &(*m)[len(*m)-1]
	if len(about) > 0 {
		added.about = about[0]
	}
	return &added.state
}

// search is a graph of states in the order in which they were found, so that the
// first with a property is one of the nearest.
type search struct {
	rules  Rules
	bounds Bounds

	states []state
	number map[state]uint32
	from   []uint32 // where each was found
	next   []uint32 // the moves of all states, one after the other
	ends   []int    // where those of each end in next
}

// Explore looks at every state, unless one breaks a promise. The function is
// called with each; nil if nobody wants to know.
func Explore(r Rules, b Bounds, seen func(*state)) Report {
	g := search{rules: r, bounds: b, number: map[state]uint32{}}
	g.add(state{left: left{
		crashes: b.Crashes, restores: b.Restores, repeats: b.Repeats, cuts: b.Cuts, cancels: b.Cancels,
	}}, 0)
	var found moves
	for i := 0; i < len(g.states); i++ {
		if seen != nil {
			seen(&g.states[i])
		}
		found = g.moves(&g.states[i], found[:0])
		for m := range found {
			n := g.add(found[m].state, uint32(i))
			g.next = append(g.next, n)
			if h := found[m].harm; h != none {
				return g.report(h, n)
			}
		}
		g.ends = append(g.ends, len(g.next))
	}
	return g.liveness()
}

func (g *search) moves(s *state, into moves) moves {
	g.rules.engine(s, &into)
	g.rules.world(s, &into, g.bounds)
	for i := range into {
		if slices.Contains(g.bounds.Tolerated, into[i].harm) {
			into[i].harm = none
		}
		if !g.bounds.Plain {
			into[i].state = into[i].canonical()
		}
	}
	return into
}

func (g *search) add(s state, from uint32) uint32 {
	n, known := g.number[s]
	if !known {
		n = uint32(len(g.states))
		g.number[s] = n
		g.states = append(g.states, s)
		g.from = append(g.from, from)
	}
	return n
}

// liveness looks for a state from which something good cannot come about any
// more: the record of a success that happened, the end of the run.
func (g *search) liveness() Report {
	back := g.reversed()
	ended := g.reach(back, (*state).ended)
	var recorded [tokens][]bool
	for t := range tokens {
		recorded[t] = g.reach(back, func(s *state) bool { return s.end[t] == succeeded })
	}
	for i := range g.states {
		for t := range tokens {
			if g.states[i].proven(t) && !recorded[t][i] && !slices.Contains(g.bounds.Tolerated, lostResult) {
				return g.report(lostResult, uint32(i))
			}
		}
	}
	for i := range g.states {
		if !ended[i] {
			return g.report(stuck, uint32(i))
		}
	}
	return g.report(none, 0)
}

// reversed is the graph with its arrows turned round: for each state those that
// lead to it, one list after the other, and where each list ends.
type reversed struct {
	from []uint32
	ends []int
}

func (g *search) reversed() reversed {
	r := reversed{from: make([]uint32, len(g.next)), ends: make([]int, len(g.states)+1)}
	for _, n := range g.next {
		r.ends[n+1]++
	}
	for i := range g.states {
		r.ends[i+1] += r.ends[i]
	}
	// Now ends[n] is where the list of n begins; filling moves it to its end.
	at := 0
	for i, end := range g.ends {
		for ; at < end; at++ {
			n := g.next[at]
			r.from[r.ends[n]] = uint32(i)
			r.ends[n]++
		}
	}
	return r
}

func (r reversed) of(n uint32) []uint32 {
	if n == 0 {
		return r.from[:r.ends[0]]
	}
	return r.from[r.ends[n-1]:r.ends[n]]
}

// reach returns for each state whether one that is good can follow.
func (g *search) reach(back reversed, good func(*state) bool) []bool {
	can := make([]bool, len(g.states))
	var todo []uint32
	for i := range g.states {
		if good(&g.states[i]) {
			can[i] = true
			todo = append(todo, uint32(i))
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, from := range back.of(n) {
			if !can[from] {
				can[from] = true
				todo = append(todo, from)
			}
		}
	}
	return can
}

func (g *search) report(h harm, n uint32) Report {
	r := Report{States: len(g.states), Transitions: len(g.next), Harm: h}
	if h != none {
		r.Path = g.path(n)
	}
	return r
}

// path is a shortest way into a state, in words.
func (g *search) path(n uint32) []string {
	var steps []string
	for n != 0 {
		from := g.from[n]
		found := g.moves(&g.states[from], nil)
		i := slices.IndexFunc(found, func(m move) bool { return m.state == g.states[n] })
		steps = append(steps, found[i].String())
		n = from
	}
	slices.Reverse(steps)
	return steps
}
