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
}

// drawWorkflow writes a random workflow as YAML and loads it, so that random
// tests take the same way as users do.
func drawWorkflow(t *rapid.T, lib *scripted, s shape) *workflow.Workflow {
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
	if s.outputs && rapid.Bool().Draw(t, "outputs") {
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
		switch rapid.IntRange(0, 5).Draw(t, "edge") {
		case 0, 1:
			needs = append(needs, fmt.Sprintf("%s%d", prefix, j))
		case 2:
			values = append(values, fmt.Sprintf(`"${{ steps.%s%d.outputs.n }}"`, prefix, j))
		}
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
