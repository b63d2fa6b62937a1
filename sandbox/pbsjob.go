package sandbox

import (
	"slices"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// pbsJobs are jobs as the reference server makes them out of what qstat prints:
// an array is one row, and its parts are not to be had.
func pbsJobs(jobs []batch.Job) jobsReply {
	out := jobsReply{Jobs: []jobReply{}}
	arrays := map[string][]batch.Job{}
	for _, job := range jobs {
		if job.Array != nil {
			arrays[job.Array.Job] = append(arrays[job.Array.Job], job)
		}
	}
	for _, job := range jobs {
		switch {
		case job.Array == nil:
			out.Jobs = append(out.Jobs, describePBSJob(job))
		case job.Array.Job == job.ID:
			out.Jobs = append(out.Jobs, describePBSArray(job, arrays[job.ID]))
		}
	}
	return out
}

func describePBSJob(job batch.Job) jobReply {
	account := job.Spec.Account
	if account == "" {
		account = "_pbs_project_default"
	}
	out := jobReply{
		JobID:            job.ID,
		Name:             job.Spec.Name,
		Status:           jobStatus{State: pbsState(job), ExitCode: new(pbsExit(job))},
		Account:          account,
		AllocationNodes:  job.Nodes,
		Cluster:          job.Spec.System,
		Nodes:            noNode,
		Partition:        job.Spec.Partition,
		User:             job.Spec.User,
		WorkingDirectory: job.Spec.WorkingDir,
	}
	if job.TimeLimit > 0 {
		out.Time.Limit = new(int64(job.TimeLimit.Seconds()))
	}
	if job.Started.IsZero() {
		return out
	}
	out.Time.Start = new(job.Started.Unix())
	until := time.Now()
	if job.State.Terminal() {
		until = job.Ended
	}
	out.Time.Elapsed = new(max(0, until.Unix()-job.Started.Unix()))
	return out
}

// describePBSArray is an array by its last part. It is begun once a part is.
func describePBSArray(last batch.Job, parts []batch.Job) jobReply {
	out := describePBSJob(last)
	out.JobID += "[]"
	ended := func(job batch.Job) bool { return job.State.Terminal() }
	begun := func(job batch.Job) bool { return job.State != batch.Pending }
	switch {
	case !slices.ContainsFunc(parts, func(job batch.Job) bool { return !ended(job) }):
		out.Status.State = "F"
		for _, part := range parts {
			if pbsExit(part) != 0 {
				out.Status.ExitCode = new(1)
			}
		}
	case slices.ContainsFunc(parts, begun):
		out.Status.State, out.Status.ExitCode = "B", new(0)
	}
	return out
}

// pbsState is the letter of PBS for the state of a job.
func pbsState(job batch.Job) string {
	switch {
	case job.State.Terminal():
		return "F"
	case job.Stopping:
		return "E"
	case job.State == batch.Running:
		return "R"
	case job.Reason == "BeginTime":
		return "W"
	case job.Reason == "JobHeldUser", job.Reason == "Dependency", job.Reason == "DependencyNeverSatisfied":
		return "H"
	}
	return "Q"
}

// pbsExit is the exit status of PBS, which the reference server shows as 0
// while there is none.
func pbsExit(job batch.Job) int {
	switch {
	case !job.State.Terminal():
		return 0
	case job.State == batch.Timeout:
		return -29
	case job.State == batch.Cancelled:
		return 271
	case job.State == batch.NodeFail, job.State == batch.BootFail, job.State == batch.Preempted:
		return -1
	case job.Signal != 0:
		return 256 + job.Signal
	}
	return job.ExitCode
}
