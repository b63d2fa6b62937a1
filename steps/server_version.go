package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type serverVersionIn struct{}

type serverVersionOut struct {
	Version string `json:"version" doc:"Release of the server, such as 2.5.6. Development builds say 2.x.x, 2.1 whatever its deployment chose."`
}

func serverVersion() stepType {
	return define[serverVersionIn, serverVersionOut](workflow.StepSpec{
		Name: "server_version", Group: groupStatus,
		Summary:    "Tells the release of the service",
		Doc:        "As the service writes it on every answer.",
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: release
  uses: server_version
`,
	}, operation(readVersion))
}

func readVersion(ctx context.Context, c *call, _ serverVersionIn) (serverVersionOut, error) {
	if _, err := c.client().Status.Systems(ctx); err != nil {
		return serverVersionOut{}, err
	}
	return serverVersionOut{c.client().ServerVersion()}, nil
}
