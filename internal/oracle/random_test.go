package oracle

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Flags for the long form, and to see one graph again.
var (
	graphs = flag.Int("graphs", 300, "how many random workflows to compare the engine with")
	seed   = flag.Uint64("seed", 1, "of the first random workflow")
)

// TestEngineAgrees has the engine execute random workflows, and the interpreter
// judge how they end.
func TestEngineAgrees(t *testing.T) {
	t.Parallel()
	for i := range *graphs {
		g := Generate(*seed+uint64(i), familyOf(*seed+uint64(i)))
		if failure := compare(t, g, semantics()); failure != "" {
			t.Fatalf("%s\nto see it again: go test ./internal/oracle -run TestEngineAgrees -seed %d -graphs 1", failure, g.Seed)
		}
	}
}

// familyOf: every other workflow has an order that matters.
func familyOf(seed uint64) Family { return Family{Ordered: seed%2 == 0} }

// compare has both execute a workflow; an empty text means that they agree.
func compare(t *testing.T, g Graph, l law) string {
	t.Helper()
	o, err := observe(t, g)
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, g.Source)
	}
	failure := agree(g, o, l)
	if failure == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", failure, g.Source)
	if len(g.Cancels) > 0 {
		fmt.Fprintf(&b, "cancels: %v\n", g.Cancels)
	}
	for _, name := range slices.Sorted(maps.Keys(o.final)) {
		if unit, ok := strings.CutPrefix(name, "unit "); ok {
			step, key, _ := strings.Cut(unit, "/")
			fmt.Fprintf(&b, "what %s does: %s\n", unit, g.Acts(step, key))
		}
	}
	fmt.Fprintf(&b, "the order: %v\n", o.order)
	return b.String()
}
