package engine

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/fcflow/fcflow/workflow"
)

// shape says what a random workflow may contain.
type shape struct {
	most    int // steps, without those of finally
	uses    []string
	scripts []string
	timeout bool // deadlines of all kinds
	outputs bool
	fanOut  bool
	fast    bool // fail_fast, whose result depends on which end comes first

	fanned map[string]bool // steps with many instances
}

// drawWorkflow writes a random workflow as YAML and loads it, so that random
// tests take the same way as users do.
func drawWorkflow(t *rapid.T, lib *scripted, s shape) *workflow.Workflow {
	s.fanned = map[string]bool{}
	var b strings.Builder
	b.WriteString("version: 1\nname: random\n")
	if s.timeout && rapid.IntRange(0, 4).Draw(t, "run timeout") == 0 {
		b.WriteString("timeout: 20m\n")
	}
	steps := rapid.IntRange(1, s.most).Draw(t, "steps")
	b.WriteString("steps:\n")
	for i := range steps {
		drawStep(t, &b, s, "s", i)
	}
	if finally := rapid.IntRange(0, 2).Draw(t, "finally"); finally > 0 {
		b.WriteString("finally:\n")
		for i := range finally {
			drawStep(t, &b, s, "f", i)
		}
	}
	if s.outputs && !s.fanned["s0"] && rapid.Bool().Draw(t, "outputs") {
		b.WriteString("outputs: { n: \"${{ steps.s0.outputs.n }}\" }\n")
	}
	w, problems := workflow.Load("random.yaml", []byte(b.String()), lib, workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, b.String())
	}
	return w
}

func drawStep(t *rapid.T, b *strings.Builder, s shape, prefix string, i int) {
	uses := rapid.SampledFrom(s.uses).Draw(t, "uses")
	fmt.Fprintf(b, "  - id: %s%d\n    uses: %s\n", prefix, i, uses)
	var needs, values []string
	for j := range i {
		id := fmt.Sprintf("%s%d", prefix, j)
		switch edge := rapid.IntRange(0, 5).Draw(t, "edge"); {
		case edge <= 1:
			needs = append(needs, id)
		case edge == 2 && !s.fanned[id]:
			values = append(values, fmt.Sprintf(`"${{ steps.%s.outputs.n }}"`, id))
		case edge == 2:
			values = append(values, fmt.Sprintf(`"${{ len(steps.%s.instances) }}"`, id))
		}
	}
	if s.fanOut {
		drawFanOut(t, b, s, prefix, i)
	}
	if len(needs) > 0 {
		fmt.Fprintf(b, "    needs: [%s]\n", strings.Join(needs, ", "))
	}
	if i > 0 {
		conditions := []string{
			"", "", "", "failure()", "always()", "success()", "cancelled()", "false", "failure() || success()",
			fmt.Sprintf("steps.%s%d.state == 'failed'", prefix, rapid.IntRange(0, i-1).Draw(t, "about")),
		}
		if c := rapid.SampledFrom(conditions).Draw(t, "if"); c != "" {
			fmt.Fprintf(b, "    if: ${{ %s }}\n", c)
		}
	}
	if s.fast && s.fanned[fmt.Sprintf("%s%d", prefix, i)] && rapid.IntRange(0, 3).Draw(t, "fast") == 0 {
		b.WriteString("    fail_fast: true\n")
	}
	if rapid.IntRange(0, 5).Draw(t, "continue") == 0 {
		b.WriteString("    continue_on_error: true\n")
	}
	if s.timeout && rapid.IntRange(0, 3).Draw(t, "timeout") == 0 {
		b.WriteString("    timeout: 5m\n")
	}
	if s.timeout && uses == "fenced" && rapid.Bool().Draw(t, "queue_timeout") {
		b.WriteString("    queue_timeout: 3m\n")
	}
	if rapid.IntRange(0, 3).Draw(t, "most") == 0 {
		fmt.Fprintf(b, "    max_attempts: %d\n", rapid.IntRange(1, 3).Draw(t, "max_attempts"))
	}
	if rapid.IntRange(0, 2).Draw(t, "retry") == 0 {
		fmt.Fprintf(b, "    retry:\n      - { cause: [exit, node_fail], max: %d }\n", rapid.IntRange(1, 3).Draw(t, "max"))
	}
	b.WriteString("    with:\n      do:\n")
	for range rapid.IntRange(1, 3).Draw(t, "attempts") {
		fmt.Fprintf(b, "        - %s\n", rapid.SampledFrom(s.scripts).Draw(t, "script"))
	}
	fmt.Fprintf(b, "      n: %d\n", i)
	if len(values) > 0 {
		fmt.Fprintf(b, "      from: [%s]\n", strings.Join(values, ", "))
	}
}

// drawFanOut may give a step many instances: a matrix, a list, or a pair for each
// instance of a step before it.
func drawFanOut(t *rapid.T, b *strings.Builder, s shape, prefix string, i int) {
	before := ""
	if i > 0 {
		before = fmt.Sprintf("%s%d", prefix, rapid.IntRange(0, i-1).Draw(t, "source"))
	}
	switch kind := rapid.IntRange(0, 7).Draw(t, "fan-out"); {
	case kind == 0:
		b.WriteString("    matrix: { x: [1, 2], y: [a, b], exclude: [{ x: 2, y: b }] }\n")
	case kind == 1 && before != "" && !s.fanned[before]:
		fmt.Fprintf(b, "    for_each: \"${{ [steps.%s.outputs.n, 1, 1] }}\"\n", before)
	case kind == 2:
		b.WriteString("    for_each: [x, y]\n")
	case kind >= 3 && s.fanned[before]:
		fmt.Fprintf(b, "    for_each: %s\n", before)
	default:
		return
	}
	s.fanned[fmt.Sprintf("%s%d", prefix, i)] = true
}
