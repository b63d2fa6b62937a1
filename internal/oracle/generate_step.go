package oracle

import (
	"fmt"
	"strings"
)

// step draws a step, which may depend on those before it.
func (g *generator) step(id string, finally bool) {
	s := &drawn{id: id, finally: finally}
	add := func(format string, args ...any) { s.lines = append(s.lines, fmt.Sprintf(format, args...)) }
	add("uses: %s", pick(g, "act", "act", "act", "once"))
	g.tempers[id] = temper{
		failing: pick(g, 0, 0, 0.1, 0.3, 0.7), holding: pick(g, 0, 0.5, 0.9),
		causes: pick(g,
			[]string{"fail exit(1)"}, []string{"fail exit(1)", "fail node_fail", "fail exit(75)"},
			[]string{"fail api", "fail transfer"}, []string{"mute", "panic"}),
	}
	if needs := g.needs(finally); needs != "" {
		add("needs: %s", needs)
	}
	g.fanOut(s, add)
	if condition := g.condition(s); condition != "" {
		add("if: %s", quote(condition))
	}
	if g.chance(0.2) {
		add("continue_on_error: true")
	}
	if g.chance(0.2) {
		add("max_attempts: %d", 1+g.IntN(3))
	}
	if g.chance(0.4) {
		add("retry:")
		s.lines = append(s.lines, g.retry()...)
	}
	if with := g.with(s); len(with) > 0 {
		add("with:")
		s.lines = append(s.lines, with...)
	}
	g.steps = append(g.steps, s)
}

// before are the steps that a step of that part may name.
func (g *generator) before(finally bool, match func(*drawn) bool) []*drawn {
	var list []*drawn
	for _, s := range g.steps {
		if (finally || !s.finally) && match(s) {
			list = append(list, s)
		}
	}
	return list
}

func plainStep(s *drawn) bool { return s.fan.kind == "" }

func fannedOut(s *drawn) bool { return s.fan.kind != "" }

func (g *generator) needs(finally bool) string {
	var ids []string
	for _, s := range g.steps {
		if s.finally == finally && g.chance(0.15) {
			ids = append(ids, s.id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return "[" + strings.Join(ids, ", ") + "]"
}

// fanOut gives a step instances, or leaves it one.
func (g *generator) fanOut(s *drawn, add func(string, ...any)) {
	sources := g.before(s.finally, func(o *drawn) bool { return fannedOut(o) && o.finally == s.finally })
	producers := g.before(s.finally, plainStep)
	switch n := g.IntN(20); {
	case n < 4:
		g.matrix(s, add)
	case n < 6:
		s.fan = fan{kind: "list", integers: []string{"each.item", "each.index"}, truths: []string{"each.item == 2", "each.index < 2"}}
		add("for_each: %s", pick(g, quote("inputs.xs"), g.nonEmpty(), quote("[3, 1, 3]"), quote("filter(inputs.xs, # > 2)")))
	case n < 9 && len(producers) > 0:
		s.fan = fan{kind: "list", integers: []string{"each.index"}, truths: []string{"each.item == 2", "each.item in [1, 'a']", "each.index < 2"}}
		add("for_each: %s", quote(about(pick(g, producers...), pick(g, "steps.ID.outputs.items", "steps.ID.outputs.items", "steps.ID.outputs?.items ?? [1, 2]"))))
	case n < 14 && len(sources) > 0:
		source := pick(g, sources...)
		add("for_each: %s", source.id)
		s.fan = pairOf(source.fan)
	default:
		return
	}
	if g.chance(0.4) {
		add("max_parallel: %d", 1+g.IntN(3))
	}
	if g.family.Ordered && g.chance(0.5) {
		add("fail_fast: true")
	}
}

// pairOf is what a pair has of its source: matrix and item go down a chain of pairs,
// the rest is each.origin's.
func pairOf(source fan) fan {
	f := fan{
		kind: "pair", integers: []string{"each.outputs.n", "(each.outputs?.n ?? 7)"},
		truths: []string{"each.state == 'failed'", "each.outputs.n > 3", "(each.outputs?.n ?? 7) > 3", "each.key != 'd=1'"},
	}
	for _, name := range source.integers {
		switch {
		case strings.HasPrefix(name, "matrix."):
			f.integers = append(f.integers, "each."+name)
			f.truths = append(f.truths, "each."+name+" in [2, 5]")
		case strings.HasPrefix(name, "each.matrix."), name == "each.item":
			f.integers = append(f.integers, name, "each.origin."+strings.TrimPrefix(name, "each."))
			f.truths = append(f.truths, name+" in [2, 5]")
		case name == "each.index":
			f.integers = append(f.integers, "each.origin.index")
		}
	}
	return f
}

func (g *generator) nonEmpty() string {
	if list := g.integers(); list != "[]" {
		return list
	}
	return "[4]"
}

func (g *generator) matrix(s *drawn, add func(string, ...any)) {
	s.fan = fan{kind: "matrix", integers: []string{"matrix.d"}, truths: []string{"matrix.d == 2", "matrix.d in [1, 3]"}}
	two := g.chance(0.5)
	add("matrix:")
	if g.chance(0.8) {
		add("  d: %s", distinct(g, "1", "2", "3", "4"))
	} else {
		add("  d: %s", quote(pick(g, "inputs.xs", "filter(inputs.xs, # > 4)")))
	}
	if two {
		add("  e: %s", distinct(g, "p", "q", "r"))
		s.fan.truths = append(s.fan.truths, "matrix.e == 'p'", "matrix.e != 'q' && matrix.d < 3")
	}
	if g.chance(0.3) {
		one := fmt.Sprintf("{ d: %d }", 1+g.IntN(4))
		if two {
			one = pick(g, one, "{ e: p }", fmt.Sprintf("{ e: q, d: %d }", 1+g.IntN(4)))
		}
		add("  exclude: [%s]", one)
	}
	if g.chance(0.3) {
		one := pick(g, "{ d: 5 }", "{ d: 5 }, { d: 1 }")
		if two {
			one = pick(g, "{ e: s, d: 5 }", "{ d: 1, e: p }, { d: 6, e: p }")
		}
		add("  include: [%s]", one)
	}
}

// condition is an expression, "" for none.
func (g *generator) condition(s *drawn) string {
	if g.chance(0.5) {
		return ""
	}
	c := g.truth(s)
	for g.chance(0.3) {
		c = fmt.Sprintf("(%s) %s (%s)", c, pick(g, "&&", "||", "and", "or"), g.truth(s))
	}
	return c
}

func (g *generator) truth(s *drawn) string {
	atoms := []string{
		"success()", "failure()", "always()", "cancelled()", "!failure()", "always()",
		"true", "false", "inputs.k == 2", "inputs.k in inputs.xs", "[1, 2][inputs.k] == 2",
	}
	atoms = append(atoms, s.fan.truths...)
	atoms = append(atoms, s.fan.truths...)
	for _, o := range g.before(s.finally, plainStep) {
		atoms = append(atoms, about(o, pick(g, "steps.ID.state == 'failed'", "steps.ID.outputs.n > 3", "(steps.ID.outputs?.n ?? 7) < 5", "steps.ID.state in ['succeeded', 'skipped']")))
	}
	for _, o := range g.before(s.finally, fannedOut) {
		atoms = append(atoms, about(o, pick(g, "steps.ID.state == 'failed'", "steps.ID.state != 'skipped'", "len(steps.ID.instances) > 2", "any(steps.ID.instances, .state == 'failed')", "all(steps.ID.instances, .outputs.n > 2)")))
	}
	return pick(g, atoms...)
}

func (g *generator) retry() []string {
	rules := []string{"cause: exit(75), max: 2", "cause: [exit, node_fail], max: 1", "cause: transfer, max: 1", "cause: output_missing, max: 3"}
	var lines []string
	for _, rule := range rules { // in this order no rule takes what a later one is for
		if g.chance(0.5) {
			lines = append(lines, "  - { "+rule+" }")
		}
	}
	if lines == nil {
		lines = append(lines, "  - cause: [node_fail, exit]", fmt.Sprintf("    max: %d", 1+g.IntN(3)))
	}
	return lines
}

// with draws the inputs of a step: n, from and items.
func (g *generator) with(s *drawn) []string {
	var lines []string
	integers := append([]string{"inputs.k", "attempt", "[5, 6, 7][attempt]"}, s.fan.integers...)
	integers = append(integers, s.fan.integers...)
	if g.chance(0.5) {
		lines = append(lines, "  n: "+pick(g, fmt.Sprint(g.IntN(5)), quote(pick(g, integers...))))
	}
	var from []string
	for _, o := range g.before(s.finally, plainStep) {
		if g.chance(0.15) {
			from = append(from, quote(about(o, pick(g, "steps.ID.outputs.n", "steps.ID.outputs.n", "steps.ID.outputs?.n ?? 7"))))
		}
	}
	for _, o := range g.before(s.finally, fannedOut) {
		if g.chance(0.15) {
			from = append(from, quote(about(o, pick(g, "sum(map(steps.ID.instances, .outputs.n))", "len(steps.ID.instances)",
				"sum(map(filter(steps.ID.instances, .state == 'succeeded'), .outputs.n))"))))
		}
	}
	if len(from) > 0 {
		lines = append(lines, "  from: ["+strings.Join(from, ", ")+"]")
	}
	if plainStep(s) && g.chance(0.5) {
		lines = append(lines, "  items: "+pick(g, g.integers(), quote("inputs.xs"), "[a, b, a]", `["1", 1, x y, true]`, "[{ x: 1, w: q }, [2, 3]]"))
	}
	return lines
}
