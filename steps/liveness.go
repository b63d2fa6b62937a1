package steps

import (
	"context"
	"maps"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

type livenessIn struct{}

type livenessOut struct {
	Age    duration     `json:"age" doc:"How long ago the oldest of the last probes was; 0s if nothing is probed. More than 15m mean that the service is not well."`
	Probes []probeFacts `json:"probes" doc:"The systems that are probed, by name."`
}

type probeFacts struct {
	System   string `json:"system" doc:"Name of the system."`
	ProbedAt string `json:"probed_at" doc:"Its last probe, RFC 3339 in UTC."`
}

func liveness() stepType {
	return define[livenessIn, livenessOut](workflow.StepSpec{
		Name: "liveness", Group: groupStatus,
		Summary:    "Tells whether the service runs",
		Doc:        "Succeeds when the service answers, and says when it last looked at its systems. Needs no login. Servers before 2.2.3 do not offer it.",
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: alive
  uses: liveness
`,
	}, operation(readLiveness))
}

func readLiveness(ctx context.Context, c *call, _ livenessIn) (livenessOut, error) {
	l, err := c.client().Status.Liveness(ctx)
	if err != nil {
		return livenessOut{}, err
	}
	out := livenessOut{Age: duration(l.Age), Probes: []probeFacts{}}
	for _, name := range slices.Sorted(maps.Keys(l.Probed)) {
		out.Probes = append(out.Probes, probeFacts{name, timeText(l.Probed[name])})
	}
	return out, nil
}
