package sandbox

import (
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

type jobsReply struct {
	Jobs []jobReply `json:"jobs"`
}

// jobReply is a job as the accounting of the scheduler shows it.
type jobReply struct {
	JobID            string      `json:"jobId"`
	Name             string      `json:"name"`
	Status           jobStatus   `json:"status"`
	Tasks            []taskReply `json:"tasks"`
	Time             jobTime     `json:"time"`
	Account          string      `json:"account"`
	AllocationNodes  int         `json:"allocationNodes"`
	Cluster          string      `json:"cluster"`
	Group            string      `json:"group"`
	Nodes            string      `json:"nodes"`
	Partition        string      `json:"partition"`
	KillRequestUser  *string     `json:"killRequestUser"`
	User             string      `json:"user"`
	WorkingDirectory string      `json:"workingDirectory"`
	Priority         int         `json:"priority"`
}

type taskReply struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Status jobStatus `json:"status"`
	Time   jobTime   `json:"time"`
}

type jobStatus struct {
	State           string  `json:"state"`
	StateReason     *string `json:"stateReason"`
	ExitCode        *int    `json:"exitCode"`
	InterruptSignal *int    `json:"interruptSignal"`
}

// jobTime is in seconds, points in time since the epoch.
type jobTime struct {
	Elapsed   int64  `json:"elapsed"`
	Start     *int64 `json:"start"`
	End       *int64 `json:"end"`
	Suspended *int64 `json:"suspended"`
	Limit     *int64 `json:"limit"`
}

func (s *Server) describeJob(job batch.Job) jobReply {
	u, _ := s.users.find(job.Spec.User)
	out := jobReply{
		JobID:            job.ID,
		Name:             job.Spec.Name,
		Status:           jobStatus{State: string(job.State), StateReason: &job.Reason},
		Tasks:            []taskReply{},
		Account:          job.Spec.Account,
		AllocationNodes:  job.Nodes,
		Cluster:          job.Spec.System,
		Nodes:            job.NodeList,
		Partition:        job.Spec.Partition,
		User:             job.Spec.User,
		WorkingDirectory: job.Spec.WorkingDir,
		Priority:         1000,
	}
	if len(u.groups) > 0 {
		out.Group = u.groups[0].name
	}
	if job.TimeLimit > 0 {
		out.Time.Limit = ptr(int64(job.TimeLimit.Seconds()))
	}
	if job.State == batch.Pending {
		return out // known to squeue only: no exit code, no times, no steps
	}
	out.Status.ExitCode, out.Status.InterruptSignal = &job.ExitCode, &job.Signal
	out.Time.Suspended = ptr[int64](0)
	started, ended := job.Started, job.Ended
	if started.IsZero() { // cancelled before it began
		started, out.Nodes = ended, "None assigned"
	}
	out.Time.Start = ptr(started.Unix())
	until := time.Now()
	if job.State.Terminal() {
		until = ended
		out.Time.End = ptr(ended.Unix())
	}
	out.Time.Elapsed = max(0, until.Unix()-started.Unix())

	step := taskReply{ID: job.ID + ".batch", Name: "batch", Status: out.Status, Time: out.Time}
	step.Status.StateReason, step.Time.Limit = nil, nil
	out.Tasks = append(out.Tasks, step)
	if job.State == batch.Cancelled && job.CancelledBy != "" {
		out.Status.State += " by " + job.CancelledBy
	}
	return out
}

func ptr[T any](v T) *T { return &v }
