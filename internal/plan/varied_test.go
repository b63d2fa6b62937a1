package plan_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/plan"
)

// TestVaries: what differs between instances is evaluated for each, also in the
// pairs of them; what the run makes is left to it.
func TestVaries(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
steps:
  - id: sim
    uses: job
    matrix: { dt: [1, 2, 3, 4], size: [1] }
    if: "${{ matrix.dt != 4 }}"
    with:
      script: "#!/bin/sh\ntrue\n"
      resources: { nodes: "${{ matrix.dt * 2 }}", time: 1h }
      env: { DT: "${{ matrix.dt }}", SIZE: "${{ matrix.size }}" }
  - id: get
    uses: download
    for_each: sim
    with: { from: "${{ each.outputs.workdir }}/x", to: "out/${{ each.matrix.dt }}" }
`, plan.Options{})
	var got []string
	for _, s := range p.Steps {
		for _, v := range s.Instances.Varies {
			text, err := json.Marshal(v.Values)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s of %d", s.ID, v.Input, text, v.Count))
		}
	}
	want := []string{
		`sim resources.nodes [2,4,6] of 3`, `sim env.DT ["1","2","3"] of 3`,
		`get to ["out/1","out/2","out/3"] of 4`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"unknown at_run_time get from"}, said(p)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestInstanceErrors: an expression that fails in some instances is one error.
func TestInstanceErrors(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
inputs: { names: { type: list<string> } }
steps:
  - id: sim
    uses: run
    matrix: { n: [0, 1, 2] }
    with: { script: "true", env: { X: "${{ inputs.names[matrix.n] }}" } }
`, plan.Options{Inputs: map[string]json.RawMessage{"names": json.RawMessage(`["x"]`)}})
	wrong := p.Of(plan.Error)
	if len(wrong) != 1 || wrong[0].Input != "env" || !strings.HasPrefix(wrong[0].Message, "instance n=1 and 1 more: with.env: ") {
		t.Errorf("%+v", wrong)
	}
	p = planOf(t, `
inputs: { n: { type: int }, names: { type: list<string> } }
steps:
  - id: sim
    uses: run
    matrix: { k: "${{ [inputs.names[inputs.n]] }}" }
    with: { script: "true" }
`, plan.Options{Inputs: map[string]json.RawMessage{"n": json.RawMessage(`7`), "names": json.RawMessage(`["x"]`)}})
	wrong = p.Of(plan.Error)
	if len(wrong) != 1 || wrong[0].Code != plan.NoValue || wrong[0].Pos == nil || wrong[0].Pos.Line != 8 {
		t.Errorf("a matrix that cannot be made: %+v", wrong)
	}
}

// TestInstanceJobs: what the jobs of instances ask for is held against the system,
// each kind of mistake once.
func TestInstanceJobs(t *testing.T) {
	t.Parallel()
	p := planOf(t, `
steps:
  - id: sim
    uses: job
    matrix: { n: [1, 8, 9, 10] }
    with: { script: "#!/bin/sh\ntrue\n", resources: { partition: normal, nodes: "${{ matrix.n }}" } }
`, plan.Options{})
	p.SeeSites(plan.Sites{
		Offered: []string{"daint"}, Now: time.Unix(0, 0),
		ByName: map[string]*plan.Site{"daint": {Name: "daint", Scheduler: "slurm", Partitions: []plan.Partition{{Name: "normal", Nodes: 8, Up: true}}}},
	})
	wrong := p.Of(plan.Error)
	const want = "partition normal of daint has 8 of the 9 nodes that the job asks for (instance n=9 and 1 more)"
	if len(wrong) != 1 || wrong[0].Message != want || wrong[0].Input != "resources.nodes" {
		t.Errorf("%+v", wrong)
	}
}

// BenchmarkInstances plans a campaign of ten thousand.
func BenchmarkInstances(b *testing.B) {
	var list []string
	for i := range 10_000 {
		list = append(list, fmt.Sprint(i))
	}
	text := fmt.Sprintf(`
steps:
  - id: sim
    uses: job
    matrix: { n: [%s] }
    with: { script: "#!/bin/sh\ntrue\n", resources: { nodes: "${{ matrix.n + 1 }}" }, env: { N: "${{ matrix.n }}" } }
`, strings.Join(list, ", "))
	w := workflowOf(b, text, "daint")
	for b.Loop() {
		plan.Make(w, plan.Options{System: "daint", Dir: "/w"})
	}
}
