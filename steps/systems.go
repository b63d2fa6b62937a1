package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type systemsIn struct{}

type systemsOut struct {
	Systems       []systemFacts `json:"systems" doc:"The systems, in the order of the service."`
	ServerVersion string        `json:"server_version" doc:"Release of the server; empty if it does not tell."`
}

type systemFacts struct {
	Name             string            `json:"name" doc:"What system: takes."`
	Scheduler        string            `json:"scheduler" doc:"slurm or pbs."`
	SchedulerVersion string            `json:"scheduler_version" doc:"Its release."`
	Healthy          bool              `json:"healthy" doc:"False if the last probe of any of its services failed."`
	FileSystems      []fileSystemFacts `json:"file_systems" doc:"Trees that paths must lie in."`
	MaxUploadBytes   int64             `json:"max_upload_bytes" unit:"bytes" doc:"Largest file that upload can send."`
	MaxDownloadBytes int64             `json:"max_download_bytes" unit:"bytes" doc:"Largest file that download can fetch."`
}

type fileSystemFacts struct {
	Path           string `json:"path" doc:"Its root."`
	DataType       string `json:"data_type" doc:"users, store, archive, apps, scratch or project."`
	DefaultWorkdir bool   `json:"default_workdir" doc:"Whether runs keep their remote files here."`
}

func systems() stepType {
	return define[systemsIn, systemsOut](workflow.StepSpec{
		Name: "systems", Group: groupStatus,
		Summary:    "Lists the systems that the service offers",
		Doc:        "Their file systems, limits, schedulers and health, as the service reports them at that moment.",
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: where
  uses: systems
`,
	}, operation(listSystems))
}

func listSystems(ctx context.Context, c *call, _ systemsIn) (systemsOut, error) {
	list, err := c.client().Status.Systems(ctx)
	if err != nil {
		return systemsOut{}, err
	}
	out := systemsOut{Systems: []systemFacts{}, ServerVersion: c.client().ServerVersion()}
	for _, s := range list {
		facts := systemFacts{
			Name: s.Name, Scheduler: s.Scheduler.Type, SchedulerVersion: s.Scheduler.Version, Healthy: true,
			MaxUploadBytes: s.MaxUpload(), MaxDownloadBytes: s.MaxDownload(),
		}
		for _, h := range s.Health {
			facts.Healthy = facts.Healthy && h.Healthy
		}
		for _, f := range s.FileSystems {
			facts.FileSystems = append(facts.FileSystems, fileSystemFacts{f.Path, f.DataType, f.DefaultWorkDir})
		}
		out.Systems = append(out.Systems, facts)
	}
	return out, nil
}
