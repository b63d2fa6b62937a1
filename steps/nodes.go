package steps

import (
	"context"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

type nodesIn struct {
	onSystem
	Partition string `json:"partition" doc:"Only nodes of this partition."`
}

type nodesOut struct {
	Nodes []nodeFacts `json:"nodes" doc:"The nodes, in the order of the scheduler."`
	Idle  int64       `json:"idle" unit:"nodes" doc:"How many of them are idle and nothing else."`
}

type nodeFacts struct {
	Name       string   `json:"name" doc:"Its name."`
	States     []string `json:"states" doc:"Words such as IDLE, ALLOCATED, MIXED, DOWN, DRAIN, RESERVED."`
	Partitions []string `json:"partitions" doc:"Partitions it is in."`
	Features   []string `json:"features" doc:"What constraints can ask for."`
	CPUs       int64    `json:"cpus" doc:"How many it has."`
	IdleCPUs   int64    `json:"idle_cpus" doc:"How many of them no job has; 0 if the scheduler does not tell."`
}

func nodes() stepType {
	return define[nodesIn, nodesOut](workflow.StepSpec{
		Name: "nodes", Group: groupStatus,
		Summary:    "Lists the compute nodes of a system",
		Doc:        "As the scheduler shows them at that moment.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: machine
  uses: nodes
`,
	}, operation(listNodes))
}

func listNodes(ctx context.Context, c *call, in nodesIn) (nodesOut, error) {
	list, err := c.client().Status.Nodes(ctx, c.system())
	if err != nil {
		return nodesOut{}, err
	}
	out := nodesOut{Nodes: []nodeFacts{}}
	for _, n := range list {
		if in.Partition != "" && !slices.Contains(n.Partitions, in.Partition) {
			continue
		}
		facts := nodeFacts{Name: n.Name, States: listed(n.States), Partitions: listed(n.Partitions), Features: listed(n.Features), CPUs: n.CPUs}
		if n.IdleCPUs != nil {
			facts.IdleCPUs = *n.IdleCPUs
		}
		if slices.Equal(n.States, []string{"IDLE"}) {
			out.Idle++
		}
		out.Nodes = append(out.Nodes, facts)
	}
	return out, nil
}

// listed is a list as an output: never null.
func listed(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}
