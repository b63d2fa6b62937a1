package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

type jobsReply struct {
	Jobs []jobReply `json:"jobs"`
}

// jobReply is a job as the commands of a scheduler show it.
type jobReply struct {
	JobID            string      `json:"jobId"`
	Name             string      `json:"name"`
	Status           jobStatus   `json:"status"`
	Tasks            []taskReply `json:"tasks"`
	Time             jobTime     `json:"time"`
	Account          string      `json:"account"`
	AllocationNodes  int         `json:"allocationNodes"`
	Cluster          string      `json:"cluster"`
	Group            *string     `json:"group"`
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
	Elapsed   *int64 `json:"elapsed"`
	Start     *int64 `json:"start"`
	End       *int64 `json:"end"`
	Suspended *int64 `json:"suspended"`
	Limit     *int64 `json:"limit"`
}

// noNode stands for the nodes of a job that has none.
const noNode = "None assigned"

// slurmJobs are jobs as the reference server merges what the accounting and the
// queue say: the accounting first, except that the queue knows better what
// waits. The two name the parts of an array differently, so that live parts
// are there twice.
func (s *Server) slurmJobs(jobs []batch.Job) jobsReply {
	slices.SortStableFunc(jobs, func(a, b batch.Job) int { return cmp.Compare(accepted(a), accepted(b)) })
	out := jobsReply{Jobs: []jobReply{}}
	var queued []jobReply // rows of the queue that the accounting has not, or not under that id
	for len(jobs) > 0 {
		if jobs[0].Array == nil {
			out.Jobs = append(out.Jobs, s.describeJob(jobs[0]))
			jobs = jobs[1:]
			continue
		}
		end := slices.IndexFunc(jobs, func(job batch.Job) bool { return job.Array == nil || job.Array.Job != jobs[0].Array.Job })
		if end < 0 {
			end = len(jobs)
		}
		accounted, waiting := s.describeArray(jobs[:end])
		out.Jobs, queued, jobs = append(out.Jobs, accounted...), append(queued, waiting...), jobs[end:]
	}
	if !s.release.has(asksAccounting) {
		out.Jobs = append(out.Jobs, queued...)
	}
	return out
}

// accepted orders jobs by the number they were accepted under, parts of an array
// by their indices.
func accepted(job batch.Job) uint64 {
	id, index := job.ID, 0
	if job.Array != nil {
		id, index = job.Array.Job, job.Array.Task
	}
	n, _ := strconv.ParseUint(id, 10, 64)
	return n<<16 | uint64(index)
}

// describeArray is the rows for parts of one array: those of the accounting,
// with one for all parts that wait, and those of the queue.
func (s *Server) describeArray(parts []batch.Job) (accounted, queued []jobReply) {
	var waiting []batch.Job
	for _, part := range parts {
		if part.State == batch.Pending {
			waiting = append(waiting, part)
			continue
		}
		accounted = append(accounted, s.describeJob(part))
	}
	if len(waiting) > 0 {
		row := s.queueRow(waiting[0])
		row.JobID = waiting[0].Array.Job
		queued = append(queued, row)
		row.JobID = fmt.Sprintf("%s_[%s]", row.JobID, indices(waiting))
		row.Status.ExitCode, row.Status.InterruptSignal = new(0), new(0)
		row.Time.Suspended, row.Nodes = new(int64(0)), noNode
		accounted = append(accounted, row)
	}
	for _, part := range parts {
		if part.State == batch.Running && !(len(waiting) > 0 && part.ID == part.Array.Job) {
			queued = append(queued, s.queueRow(part))
		}
	}
	return accounted, queued
}

// indices are those of parts that wait, with the limit of their array.
func indices(waiting []batch.Job) string {
	text := batch.Indices(waiting)
	if limit := waiting[0].Array.Limit; limit > 0 {
		text += "%" + strconv.Itoa(limit)
	}
	return text
}

// queueRow is a job as squeue alone shows it: no exit code, no steps, and the
// end it will have at the latest.
func (s *Server) queueRow(job batch.Job) jobReply {
	out := s.describeBasics(job)
	out.Status.State = string(job.State)
	out.Time.Elapsed = new(int64(0))
	if job.State == batch.Running {
		out.Time.Elapsed = new(max(0, time.Now().Unix()-job.Started.Unix()))
		out.Time.Start = new(job.Started.Unix())
		if job.TimeLimit > 0 {
			out.Time.End = new(job.Started.Add(job.TimeLimit).Unix())
		}
	}
	return out
}

// describeBasics is what every command shows of a job.
func (s *Server) describeBasics(job batch.Job) jobReply {
	out := jobReply{
		JobID:            job.ID,
		Name:             job.Spec.Name,
		Status:           jobStatus{StateReason: &job.Reason},
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
	if u, _ := s.users.find(job.Spec.User); len(u.groups) > 0 {
		out.Group = &u.groups[0].name
	}
	if job.TimeLimit > 0 {
		out.Time.Limit = new(int64(job.TimeLimit.Seconds()))
	}
	return out
}

// describeJob is one job, or one part of an array, as the accounting shows it
// once it has begun, and as the queue does before.
func (s *Server) describeJob(job batch.Job) jobReply {
	if job.State == batch.Pending {
		return s.queueRow(job)
	}
	out := s.describeBasics(job)
	out.JobID, out.Status.State = job.Label(), string(job.State)
	out.Status.ExitCode, out.Status.InterruptSignal = &job.ExitCode, &job.Signal
	out.Time.Suspended = new(int64(0))
	started, ended := job.Started, job.Ended
	if started.IsZero() { // cancelled before it began
		started, out.Nodes = ended, noNode
	}
	out.Time.Start = new(started.Unix())
	until := time.Now()
	if job.State.Terminal() {
		until = ended
		out.Time.End = new(ended.Unix())
	}
	out.Time.Elapsed = new(max(0, until.Unix()-started.Unix()))

	step := taskReply{ID: out.JobID + ".batch", Name: "batch", Status: out.Status, Time: out.Time}
	step.Status.StateReason, step.Time.Limit = nil, nil
	out.Tasks = append(out.Tasks, step)
	if job.State == batch.Cancelled && job.CancelledBy != "" {
		out.Status.State += " by " + job.CancelledBy
	}
	return out
}
