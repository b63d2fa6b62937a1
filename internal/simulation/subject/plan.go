package subject

import (
	"fmt"
	"strings"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/workflow"
)

// LoadPlan writes a plan down as a workflow and reads it.
func LoadPlan(p simulation.Plan) (*workflow.Workflow, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\nsteps:\n", p.Name)
	for _, t := range p.Tasks {
		fmt.Fprintf(&b, "  - id: %s\n    uses: job\n", t.Unit)
		if len(t.After) > 0 {
			fmt.Fprintf(&b, "    needs: [%s]\n", strings.Join(t.After, ", "))
		}
		if len(t.Retry) > 0 {
			fmt.Fprintf(&b, "    retry: [{ cause: [%s], max: %d }]\n", strings.Join(t.Retry, ", "), t.Max)
		}
		if t.Timeout > 0 {
			fmt.Fprintf(&b, "    timeout: %s\n", t.Timeout)
		}
		b.WriteString("    with:\n      resources: { time: 30m }\n")
		if t.Requeue {
			b.WriteString("      requeue: true\n")
		}
		if t.Fence != "" {
			fmt.Fprintf(&b, "      fence: %q\n", t.Fence)
		}
		b.WriteString("      script: |\n")
		for line := range strings.Lines(t.Script()) {
			b.WriteString("        " + line)
		}
	}
	return Load(p.Name+".yaml", []byte(b.String()))
}
