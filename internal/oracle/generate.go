package oracle

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// Family says what a random workflow may contain.
type Family struct {
	// Ordered workflows have fail_fast and cancels, so that how they end depends on
	// the order of what happens.
	Ordered bool
}

// Graph is a workflow with what its attempts do, and when the run is cancelled.
type Graph struct {
	Seed    uint64
	Source  string
	Script  Script
	Cancels []time.Duration
	Ordered bool
}

// Generate makes a random workflow. The same seed and family make the same.
func Generate(seed uint64, f Family) Graph {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), family: f, tempers: map[string]temper{}}
	graph := Graph{Seed: seed, Source: g.workflow(), Ordered: f.Ordered}
	graph.Script = func(step, key string, attempt int) Act {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s/%s/%d", step, key, attempt)
		return g.tempers[step].act(rand.New(rand.NewPCG(seed, h.Sum64())))
	}
	if f.Ordered && g.chance(0.6) {
		graph.Cancels = append(graph.Cancels, g.instant())
	}
	if len(graph.Cancels) > 0 && g.chance(0.3) {
		graph.Cancels = append(graph.Cancels, graph.Cancels[0]+g.instant())
	}
	return graph
}

// instant is early in a run or late, and none at which anything else happens.
func (g *generator) instant() time.Duration {
	return time.Duration(g.IntN(pick(g, 2_000, 20_000, 200_000, 2_000_000)))*time.Millisecond + 137*time.Microsecond
}

// Acts prints what the attempts of a unit do, up to the first that succeeds.
func (g Graph) Acts(step, key string) string {
	var list []string
	for n := 1; n <= defaultAttempts; n++ {
		act := g.Script(step, key, n)
		if list = append(list, act.String()); act.cause() == "" {
			break
		}
	}
	return strings.Join(list, ", ")
}

// temper is what the attempts of a step are like.
type temper struct {
	failing float64 // how many of them fail
	holding float64 // how many take time
	causes  []string
}

func (t temper) act(r *rand.Rand) Act {
	act := Act{Then: "ok"}
	if r.Float64() < t.failing {
		act.Then = t.causes[r.IntN(len(t.causes))]
	}
	if r.Float64() < t.holding {
		act.Hold = []Hold{Busy, Deaf, Timer, Job, Job, Stubborn}[r.IntN(6)]
		act.For = time.Duration(1+r.IntN(600_000)) * time.Millisecond
	}
	return act
}

// generator holds what a workflow has so far.
type generator struct {
	*rand.Rand
	family  Family
	tempers map[string]temper
	steps   []*drawn
}

// drawn is a step as the others must know it.
type drawn struct {
	id      string
	finally bool
	lines   []string
	fan     fan
}

// fan is what a step has of a fan-out: the integers that its expressions may name,
// and the comparisons that they may make.
type fan struct {
	kind     string // "", matrix, list, pair
	integers []string
	truths   []string
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) workflow() string {
	n := 1 + g.IntN(8)
	for i := range n {
		g.step(fmt.Sprintf("s%d", i), false)
	}
	for i := range max(0, g.IntN(5)-1) {
		g.step(fmt.Sprintf("f%d", i), true)
	}
	var b strings.Builder
	b.WriteString("version: 1\nname: random\n")
	b.WriteString("inputs:\n  k: { type: int, default: 2 }\n  xs: { type: \"list<int>\", default: " + g.integers() + " }\n")
	g.section(&b, "steps", false)
	g.section(&b, "finally", true)
	if g.chance(0.5) {
		b.WriteString("outputs:\n")
		for i := range 1 + g.IntN(2) {
			fmt.Fprintf(&b, "  o%d: %s\n", i, quote(g.output()))
		}
	}
	return b.String()
}

// section writes the steps of one part, in any order.
func (g *generator) section(b *strings.Builder, name string, finally bool) {
	var list []*drawn
	for _, s := range g.steps {
		if s.finally == finally {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return
	}
	g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	fmt.Fprintf(b, "%s:\n", name)
	for _, s := range list {
		fmt.Fprintf(b, "  - id: %s\n", s.id)
		for _, line := range s.lines {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}

func quote(expression string) string { return `"${{ ` + expression + ` }}"` }

// integers is a short list, with repeats now and then, or nothing in it.
func (g *generator) integers() string {
	var list []string
	for range g.IntN(5) {
		list = append(list, fmt.Sprint(1+g.IntN(6)))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// distinct is a list without repeats, and with something in it.
func distinct(g *generator, all ...string) string {
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return "[" + strings.Join(all[:1+g.IntN(len(all))], ", ") + "]"
}

// output is an expression over what the run came to.
func (g *generator) output() string {
	s := pick(g, g.steps...)
	if s.fan.kind == "" {
		return about(s, pick(g, "steps.ID.state", "steps.ID.outputs.n", "steps.ID.outputs?.n ?? 7", "steps.ID.outputs?.items ?? []"))
	}
	return about(s, pick(g, "steps.ID.state", "sum(map(steps.ID.instances, .outputs.n))", "len(steps.ID.instances)",
		"map(filter(steps.ID.instances, .state == 'failed'), .key)", "map(steps.ID.instances, .outputs?.n ?? 7)"))
}

// about puts the name of a step into an expression.
func about(s *drawn, expression string) string { return strings.ReplaceAll(expression, "ID", s.id) }
