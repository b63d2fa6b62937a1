package steps

import (
	"context"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type partitionsIn struct {
	onSystem
	ShowHidden bool `json:"show_hidden" default:"false" doc:"List hidden ones too. Servers before 2.5.4 always do."`
}

type partitionsOut struct {
	Partitions []partitionFacts `json:"partitions" doc:"The partitions, in the order of the scheduler."`
}

type partitionFacts struct {
	Name   string   `json:"name" doc:"Its name."`
	Up     bool     `json:"up" doc:"Whether it starts jobs."`
	States []string `json:"states" doc:"Words such as UP, DOWN, DRAIN."`
	Nodes  int64    `json:"nodes" unit:"nodes" doc:"How many nodes it has; 0 if the scheduler does not tell."`
	CPUs   int64    `json:"cpus" doc:"How many processors, likewise."`
}

func partitions() stepType {
	return define[partitionsIn, partitionsOut](workflow.StepSpec{
		Name: "partitions", Group: groupStatus,
		Summary:    "Lists the partitions of a system",
		Doc:        "As the scheduler shows them at that moment; with PBS they are its queues.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: queues
  uses: partitions
`,
	}, operation(listPartitions))
}

func listPartitions(ctx context.Context, c *call, in partitionsIn) (partitionsOut, error) {
	list, err := c.client().Status.Partitions(ctx, c.system(), &firecrest.PartitionOptions{ShowHidden: in.ShowHidden})
	if err != nil {
		return partitionsOut{}, err
	}
	out := partitionsOut{Partitions: []partitionFacts{}}
	for _, p := range list {
		out.Partitions = append(out.Partitions, partitionFacts{p.Name, p.IsUp(), listed(p.States), p.Nodes, p.CPUs})
	}
	return out, nil
}
