package workflow

import (
	"slices"
	"strings"
)

// checkCycles reports each group of steps that wait for each other, once, with
// a shortest way round.
func (c *checker) checkCycles() {
	for _, group := range c.cyclic() {
		path := shortestCycle(group)
		c.report(CodeCycle, edgeTo(path[0], path[1]), "", "steps wait for each other: %s", cycleText(path))
	}
}

// cycleText names the way round; of a long one its ends.
func cycleText(path []*stepCheck) string {
	const most = 12
	var names []string
	for i, s := range path {
		if i < most-1 || i == len(path)-1 {
			names = append(names, s.step.ID)
		} else if i == most-1 {
			names = append(names, "…")
		}
	}
	return strings.Join(append(names, path[0].step.ID), " → ")
}

func edgeTo(from, to *stepCheck) Pos {
	for _, e := range from.edges {
		if e.to == to {
			if e.in != nil {
				return e.in.at(e.offset)
			}
			return e.pos
		}
	}
	return from.step.Pos
}

// cyclic returns the strongly connected groups of more than one step (Tarjan),
// each with its members in file order.
func (c *checker) cyclic() [][]*stepCheck {
	var (
		groups [][]*stepCheck
		stack  []int
		next   int
		order  = make([]int, len(c.steps)) // 0 = not visited
		low    = make([]int, len(c.steps))
		on     = make([]bool, len(c.steps))
		visit  func(i int)
	)
	visit = func(i int) {
		next++
		order[i], low[i], on[i] = next, next, true
		stack = append(stack, i)
		for _, e := range c.steps[i].edges {
			to := e.to.step.Index
			if order[to] == 0 {
				visit(to)
				low[i] = min(low[i], low[to])
			} else if on[to] {
				low[i] = min(low[i], order[to])
			}
		}
		if low[i] != order[i] {
			return
		}
		member := make(map[int]bool)
		for done := false; !done; {
			last := stack[len(stack)-1]
			stack, on[last], member[last], done = stack[:len(stack)-1], false, true, last == i
		}
		if len(member) == 1 {
			return
		}
		var group []*stepCheck
		for k, s := range c.steps {
			if member[k] {
				group = append(group, s)
			}
		}
		groups = append(groups, group)
	}
	for i := range c.steps {
		if order[i] == 0 {
			visit(i)
		}
	}
	return groups
}

// shortestCycle finds a shortest way from the first step of a group back to it.
func shortestCycle(group []*stepCheck) []*stepCheck {
	inside := make(map[*stepCheck]bool, len(group))
	for _, s := range group {
		inside[s] = true
	}
	start := group[0]
	from := map[*stepCheck]*stepCheck{}
	for queue := []*stepCheck{start}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		for _, e := range s.edges {
			if e.to == start {
				path := []*stepCheck{s}
				for s != start {
					s = from[s]
					path = append(path, s)
				}
				slices.Reverse(path)
				return path
			}
			if inside[e.to] && from[e.to] == nil {
				from[e.to] = s
				queue = append(queue, e.to)
			}
		}
	}
	return group
}

// Levels returns the indexes of [Workflow.AllSteps] by depth: a step stands one
// level below the deepest step that it waits for, and finally steps below all
// others. It is for drawing a checked workflow without problems.
func (w *Workflow) Levels() [][]int {
	steps := w.AllSteps()
	depth := make([]int, len(steps))
	for i := range depth {
		depth[i] = -1
	}
	var of func(i int) int
	of = func(i int) int {
		if depth[i] >= 0 {
			return depth[i]
		}
		depth[i] = 0
		deepest := -1
		for _, b := range steps[i].WaitsFor() {
			deepest = max(deepest, of(b))
		}
		depth[i] = deepest + 1
		return depth[i]
	}
	below := 0
	for i, s := range steps {
		if !s.Finally {
			below = max(below, of(i)+1)
		}
	}
	var levels [][]int
	for i, s := range steps {
		level := of(i)
		if s.Finally {
			level += below
		}
		for len(levels) <= level {
			levels = append(levels, nil)
		}
		levels[level] = append(levels[level], i)
	}
	return levels
}

// WaitsFor lists the indexes of the steps that the step waits for, wholly or
// instance by instance, sorted.
func (s *Step) WaitsFor() []int {
	if s.Pair == nil || slices.Contains(s.Barriers, s.Pair.Index) {
		return s.Barriers
	}
	all := append(slices.Clone(s.Barriers), s.Pair.Index)
	slices.Sort(all)
	return all
}
