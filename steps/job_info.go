package steps

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

type jobInfoIn struct {
	onSystem
	JobID    string `json:"job_id" doc:"Id of a job. Without it, all jobs that wait or run and those that ended lately are listed."`
	AllUsers bool   `json:"all_users" default:"false" doc:"List jobs of others too, if the scheduler shows them."`
	Account  string `json:"account" doc:"List only jobs of this account."`
	Window   string `json:"window" enum:"1h 8h 24h 3d 7d" default:"24h" doc:"How far back finished jobs are listed. Servers before 2.5.7 have their own idea of it."`
}

type jobInfoOut struct {
	Jobs []jobFacts `json:"jobs" doc:"The jobs, in the order of the scheduler; one entry per task of an array."`
}

type jobFacts struct {
	JobID     string   `json:"job_id" doc:"Id of the job."`
	Name      string   `json:"name" doc:"Its name."`
	State     string   `json:"state" doc:"Its state, in the scheduler's words."`
	Reason    string   `json:"reason" doc:"Why it waits or ended; may be empty."`
	Terminal  bool     `json:"terminal" doc:"Whether it has ended."`
	ExitCode  int64    `json:"exit_code" doc:"Exit code; 0 while it is not known."`
	Partition string   `json:"partition" doc:"Partition."`
	Account   string   `json:"account" doc:"Account."`
	User      string   `json:"user" doc:"Owner."`
	Nodes     int64    `json:"nodes" unit:"nodes" doc:"How many nodes it has."`
	Elapsed   duration `json:"elapsed" doc:"How long it has run."`
	Workdir   string   `json:"workdir" doc:"Directory it runs in."`
	StartedAt string   `json:"started_at" doc:"Start, RFC 3339 in UTC; empty while it is not known."`
	EndedAt   string   `json:"ended_at" doc:"End, likewise."`
}

func jobInfo() stepType {
	return define[jobInfoIn, jobInfoOut](workflow.StepSpec{
		Name: "job_info", Group: groupJobs,
		Summary:    "Describes a job, or lists jobs",
		Doc:        "As the scheduler shows them at that moment. A job id that it does not know fails with rejected.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: info
  uses: job_info
  with: { job_id: "${{ steps.finish.outputs.job_id }}" }
`,
	}, operation(readJobs))
}

func readJobs(ctx context.Context, c *call, in jobInfoIn) (jobInfoOut, error) {
	rows, err := c.jobRows(ctx, in)
	if err != nil {
		return jobInfoOut{}, err
	}
	out := jobInfoOut{Jobs: []jobFacts{}}
	for _, j := range rows {
		facts := jobFacts{
			JobID: string(j.ID), Name: j.Name, State: string(j.Status.State), Reason: j.Status.Reason,
			Terminal: j.Status.State.IsTerminal(), Partition: j.Partition, Account: j.Account, User: j.User,
			Nodes: j.AllocationNodes, Elapsed: duration(j.Time.Elapsed), Workdir: j.WorkingDirectory,
			StartedAt: timeText(j.Time.Start), EndedAt: timeText(j.Time.End),
		}
		if code := j.Status.ExitCode; code != nil {
			facts.ExitCode = *code
		}
		out.Jobs = append(out.Jobs, facts)
	}
	return out, nil
}

func (c *call) jobRows(ctx context.Context, in jobInfoIn) ([]firecrest.Job, error) {
	if in.JobID != "" {
		return c.client().Compute.Get(ctx, c.system(), firecrest.JobID(in.JobID))
	}
	return c.client().Compute.List(ctx, c.system(), &firecrest.JobListOptions{
		AllUsers: in.AllUsers, Account: in.Account, Window: firecrest.Window(in.Window),
	})
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
