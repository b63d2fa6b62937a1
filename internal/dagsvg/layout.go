// Package dagsvg draws a directed acyclic graph as an SVG: layers from left to
// right, few crossings, edges that bend smoothly between layers. The drawing is
// a function of the graph alone, so equal graphs give equal bytes.
//
// It holds no script and no outside reference, follows the reader's light or
// dark setting, and tells the state of a node by symbol and word as well as by
// colour.
package dagsvg

import (
	"cmp"
	"slices"
)

// Graph is what to draw. Edges lead from a node to one that depends on it, by
// index. Edges of a cycle, of which there should be none, are not all drawn.
type Graph struct {
	Title string
	Nodes []Node
	Edges [][2]int
}

// Node is one box.
type Node struct {
	ID    string // set as data-step, for pages that update the drawing
	Label string
	Note  string // second line, such as the step type
	State string // "" for a graph that does not run
	// Faint draws the box with a dashed border, for steps of `finally`.
	Faint bool
}

// cell is a place in a layer: a node, or a bend of an edge that passes by.
type cell struct {
	node   int // index into Graph.Nodes; -1 for a bend
	layer  int
	row    int
	before []*cell
	after  []*cell
	weight float64
	y      float64
}

// route is the cells an edge passes, its two ends included.
type route []*cell

type layout struct {
	layers [][]*cell
	routes []route
}

// arrange places the nodes in layers and orders each layer.
func arrange(g Graph) layout {
	edges := within(len(g.Nodes), g.Edges)
	layerOf := longestPaths(len(g.Nodes), edges)
	var l layout
	nodes := make([]*cell, len(g.Nodes))
	for i := range g.Nodes {
		nodes[i] = l.place(&cell{node: i, layer: layerOf[i]})
	}
	for _, e := range edges {
		if from, to := nodes[e[0]], nodes[e[1]]; from.layer < to.layer {
			l.routes = append(l.routes, l.connect(from, to))
		}
	}
	l.untangle()
	return l
}

func (l *layout) place(c *cell) *cell {
	for len(l.layers) <= c.layer {
		l.layers = append(l.layers, nil)
	}
	c.row = len(l.layers[c.layer])
	l.layers[c.layer] = append(l.layers[c.layer], c)
	return c
}

// connect makes a bend in every layer that the edge passes.
func (l *layout) connect(from, to *cell) route {
	r := route{from}
	for layer := from.layer + 1; layer < to.layer; layer++ {
		r = append(r, l.place(&cell{node: -1, layer: layer}))
	}
	r = append(r, to)
	for i := 1; i < len(r); i++ {
		r[i-1].after = append(r[i-1].after, r[i])
		r[i].before = append(r[i].before, r[i-1])
	}
	return r
}

// untangle orders each layer by the average place of its neighbours, forth and
// back, and keeps the order with the fewest crossings.
func (l *layout) untangle() {
	best, crossings := l.order(), l.crossings()
	for round := 0; round < 12 && crossings > 0; round++ {
		if round%2 == 0 {
			for _, layer := range l.layers[1:] {
				sortLayer(layer, func(c *cell) []*cell { return c.before })
			}
		} else {
			for i := len(l.layers) - 2; i >= 0; i-- {
				sortLayer(l.layers[i], func(c *cell) []*cell { return c.after })
			}
		}
		if n := l.crossings(); n < crossings {
			best, crossings = l.order(), n
		}
	}
	for i, layer := range best {
		l.layers[i] = layer
		number(layer)
	}
}

func sortLayer(layer []*cell, neighbours func(*cell) []*cell) {
	for _, c := range layer {
		c.weight = float64(c.row)
		if near := neighbours(c); len(near) > 0 {
			sum := 0
			for _, n := range near {
				sum += n.row
			}
			c.weight = float64(sum) / float64(len(near))
		}
	}
	slices.SortStableFunc(layer, func(a, b *cell) int { return cmp.Compare(a.weight, b.weight) })
	number(layer)
}

func number(layer []*cell) {
	for row, c := range layer {
		c.row = row
	}
}

func (l *layout) order() [][]*cell {
	kept := make([][]*cell, len(l.layers))
	for i, layer := range l.layers {
		kept[i] = slices.Clone(layer)
	}
	return kept
}

// crossings counts pairs of edges between neighbouring layers that cross: the
// inversions of the target rows in the order of the source rows.
func (l *layout) crossings() int {
	total := 0
	for _, layer := range l.layers {
		var rows []int
		for _, c := range layer {
			targets := make([]int, len(c.after))
			for i, to := range c.after {
				targets[i] = to.row
			}
			slices.Sort(targets)
			rows = append(rows, targets...)
		}
		total += inversions(rows)
	}
	return total
}

// inversions counts by insertion into a sorted prefix, which is quick enough
// for the few hundred edges a person can look at.
func inversions(rows []int) int {
	n := 0
	var sorted []int
	for _, row := range rows {
		at, _ := slices.BinarySearch(sorted, row+1)
		n += len(sorted) - at
		sorted = slices.Insert(sorted, at, row)
	}
	return n
}

// within drops edges that name no node.
func within(n int, edges [][2]int) [][2]int {
	return slices.DeleteFunc(slices.Clone(edges), func(e [2]int) bool {
		return e[0] < 0 || e[1] < 0 || e[0] >= n || e[1] >= n
	})
}

// longestPaths puts each node one layer behind its last predecessor. Nodes of a
// cycle stay where their predecessors outside of it put them.
func longestPaths(n int, edges [][2]int) []int {
	layer, waiting := make([]int, n), make([]int, n)
	after := make([][]int, n)
	for _, e := range edges {
		after[e[0]] = append(after[e[0]], e[1])
		waiting[e[1]]++
	}
	var queue []int
	for i := range n {
		if waiting[i] == 0 {
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range after[at] {
			layer[next] = max(layer[next], layer[at]+1)
			if waiting[next]--; waiting[next] == 0 {
				queue = append(queue, next)
			}
		}
	}
	return layer
}
