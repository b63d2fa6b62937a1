package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fcflow/fcflow/internal/plan"
)

// TestInstances: a matrix has its combinations, a pair those of its source; a
// list that the run makes is not known.
func TestInstances(t *testing.T) {
	t.Parallel()
	const fanned = `
steps:
  - id: sim
    uses: job
    matrix: { dt: [1, 2, 3, 4], exclude: [{ dt: 4 }], include: [{ dt: 9 }] }
    with: { script: "#!/bin/sh\ntrue\n", env: { DT: "${{ matrix.dt }}" } }
  - id: get
    uses: download
    for_each: sim
    with: { from: "${{ each.outputs.workdir }}/x" }
`
	p := planOf(t, fanned, plan.Options{})
	keys := []string{"dt=1", "dt=2", "dt=3"}
	want := []*plan.Instances{{Known: true, Count: 4, Keys: keys}, {Known: true, Count: 4, Keys: keys, Of: "sim"}}
	if diff := cmp.Diff(want, []*plan.Instances{p.Steps[0].Instances, p.Steps[1].Instances},
		cmpopts.IgnoreUnexported(plan.Instances{}), cmpopts.IgnoreFields(plan.Instances{}, "Varies")); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	if jobs, transfers, known := p.Totals(); jobs != 4 || transfers != 4 || !known {
		t.Errorf("%d jobs, %d transfers, known %v", jobs, transfers, known)
	}
	p = planOf(t, fanned+`
  - id: each
    uses: run
    for_each: "${{ map(steps.sim.instances, #.key) }}"
    with: { script: "true" }
`, plan.Options{})
	if last := p.Steps[len(p.Steps)-1]; last.Instances == nil || last.Instances.Known {
		t.Errorf("%s has %+v", last.ID, last.Instances)
	}
	if _, _, known := p.Totals(); known {
		t.Error("a total is known without the list")
	}
}
