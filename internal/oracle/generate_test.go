package oracle

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestGenerate: what is generated passes the check of workflows, the interpreter
// comes to an end with it, and every kind of end occurs.
func TestGenerate(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	word := regexp.MustCompile(`^(\S+) (\S*) after (\d+)`)
	for seed := range uint64(300) {
		g := Generate(seed, familyOf(seed))
		if _, err := load(g.Source, library{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w, err := Read(g.Source)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g.Source)
		}
		f, err := Play(w, g.Script, g.Cancels...)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, g.Source)
		}
		for name, line := range f {
			kind, _, _ := strings.Cut(name, " ")
			state, _, _ := strings.Cut(line, " ")
			seen[kind+" "+state]++
			if m := word.FindStringSubmatch(line); m != nil {
				seen[m[1]+" "+m[2]]++
				seen["attempts "+m[3]]++
			}
		}
	}
	for _, end := range []string{
		"run succeeded", "run failed", "run cancelled",
		"step succeeded", "step failed", "step skipped", "step cancelled",
		"succeeded ", "cancelled ", "skipped upstream_failed", "skipped source_missing", "skipped condition_false",
		"failed expression", "failed exit(1)", "failed exit(75)", "failed node_fail", "failed api", "failed transfer",
		"failed panic", "failed output_missing", "attempts 0", "attempts 1", "attempts 2", "attempts 3", "attempts 4",
	} {
		if seen[end] < 5 {
			t.Errorf("%s occurs %d times", end, seen[end])
		}
	}
}

// TestOrderDoesNotMatter: without fail_fast and cancels a run ends the same in
// whatever order things happen.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		g := Generate(seed, Family{})
		w, err := Read(g.Source)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Play(w, g.Script)
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(5) {
			got, order, err := wander(newWorld(w, g.Script, semantics()), rand.New(rand.NewPCG(seed, n)))
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, g.Source)
			}
			if diff := want.Diff(got); len(diff) > 0 {
				t.Fatalf("seed %d, order %v:\n%s\n%s", seed, order, strings.Join(diff, "\n"), g.Source)
			}
		}
	}
}

// wander has anything happen that may, at random.
func wander(w *world, r *rand.Rand) (Final, []Happening, error) {
	w.settle()
	var order []Happening
	for {
		var may []Happening
		for _, s := range w.steps {
			for _, u := range s.units {
				switch {
				case u.state == Ready && w.room(s):
					may = append(may, Happening{Starts, u.name()})
				case u.state == Running:
					may = append(may, Happening{Ends, u.name()})
				case u.state == Waiting:
					may = append(may, Happening{Wakes, u.name()})
				}
			}
		}
		if len(may) == 0 {
			f, err := w.final()
			return f, order, err
		}
		h := may[r.IntN(len(may))]
		order = append(order, h)
		if err := w.happen(h); err != nil {
			return nil, order, fmt.Errorf("%v: %w", order, err)
		}
	}
}
