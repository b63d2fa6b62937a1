package firecrest

import (
	"encoding/json"
	"strings"
	"time"
)

// JobID is the scheduler's id of a job. Releases before 2.5.0 write it as a
// number; here it is always text.
type JobID string

// Base returns the id of the submission that a row belongs to: 123 for the
// array task 123_4, the bundle 123_[5-9], the component 123+0, the step
// 123.batch and the PBS id 123.server.
func (id JobID) Base() JobID {
	if i := strings.IndexAny(string(id), "_+.["); i > 0 {
		return id[:i]
	}
	return id
}

// Job is one row of the scheduler about a job. Slurm may account for the end of
// a job that lasts a few seconds before it does for the beginning. Until then a
// row that was asked for by id has the name "allocation" and neither partition
// nor working directory, while its state and exit code are right; and a list of
// jobs does not have it at all.
type Job struct {
	ID     JobID
	Name   string
	Status JobStatus
	// Tasks are the steps of the job that the scheduler has accounted for; none
	// while it is pending.
	Tasks []JobTask
	Time  JobTime

	Account, Group, User, Cluster, Partition string
	// Nodes are the nodes allocated, as the scheduler abbreviates them. Pending
	// jobs have "" or "None assigned".
	Nodes           string
	AllocationNodes int64
	// KillRequestUser is who cancelled the job, if the scheduler knows.
	KillRequestUser string
	// WorkingDirectory is where it runs. Servers before 2.5.5 may cut it short.
	WorkingDirectory string
	Priority         *int64
}

// JobStatus is where a job, or a step of it, is.
type JobStatus struct {
	State  JobState
	Reason string // why it waits or ended; "" and "None" mean nothing
	// ExitCode and Signal are nil if only the queue knows the job. They are 0
	// while it runs, and may be 0 for jobs that timed out or were cancelled.
	ExitCode *int64
	Signal   *int64
}

// JobTime holds the times of a job.
type JobTime struct {
	Start, End time.Time // zero if unknown; estimates in the future for some pending jobs
	Elapsed    time.Duration
	Suspended  time.Duration
	// Limit is the wall time asked for, 0 if unlimited or unknown.
	Limit time.Duration
}

// JobTask is one step of a job, such as its batch script.
type JobTask struct {
	ID     string // "123.batch"; Slurm over REST leaves out the job
	Name   string
	Status JobStatus
	Time   JobTime
}

// Succeeded reports whether the job completed with exit code 0 and no signal,
// and the scheduler says all of that. PBS jobs never satisfy it: their
// exit code is 0 when it is unknown.
func (j Job) Succeeded() bool { return j.Status.succeeded() }

func (s JobStatus) succeeded() bool {
	return s.State.Name() == "COMPLETED" &&
		s.ExitCode != nil && *s.ExitCode == 0 && (s.Signal == nil || *s.Signal == 0)
}

// Aggregate makes one job of the rows of one submission: the tasks of an
// array, the components of a heterogeneous job. It reports false for no rows.
//
// Its id is [JobID.Base] of the first row. It is terminal only when every row
// is: before, its status is that of an active row if there is one, else of a
// waiting one. At the end it is that of the first row that did not succeed, or
// the first. Times span all rows; Tasks are those of all rows. Rows that have
// not appeared yet cannot count: an array is not over before its tasks are all
// there.
func Aggregate(rows []Job) (Job, bool) {
	if len(rows) == 0 {
		return Job{}, false
	}
	chosen := rows[0]
	for _, row := range rows[1:] {
		if weight(row.Status) > weight(chosen.Status) {
			chosen = row
		}
	}
	job := chosen
	job.ID = rows[0].ID.Base()
	job.Tasks = nil
	for _, row := range rows {
		job.Tasks = append(job.Tasks, row.Tasks...)
		if start := row.Time.Start; !start.IsZero() && (job.Time.Start.IsZero() || start.Before(job.Time.Start)) {
			job.Time.Start = start
		}
		if row.Time.End.After(job.Time.End) {
			job.Time.End = row.Time.End
		}
	}
	if !job.Status.State.IsTerminal() {
		job.Time.End = time.Time{}
	}
	return job, true
}

// weight orders rows by how much they say about the whole.
func weight(s JobStatus) int {
	switch {
	case s.State.IsActive():
		return 4
	case !s.State.IsTerminal() && !s.State.IsPending():
		return 3 // a state we do not know
	case s.State.IsPending():
		return 2
	case !s.succeeded():
		return 1
	}
	return 0
}

// jobWire is a row as it is sent.
type jobWire struct {
	ID     json.RawMessage `json:"jobId"`
	Name   text            `json:"name"`
	Status statusWire      `json:"status"`
	Tasks  []struct {
		ID     text       `json:"id"`
		Name   text       `json:"name"`
		Status statusWire `json:"status"`
		Time   timeWire   `json:"time"`
	} `json:"tasks"`
	Time             timeWire `json:"time"`
	Account          text     `json:"account"`
	AllocationNodes  number   `json:"allocationNodes"`
	Cluster          text     `json:"cluster"`
	Group            text     `json:"group"`
	Nodes            text     `json:"nodes"`
	Partition        text     `json:"partition"`
	KillRequestUser  text     `json:"killRequestUser"`
	User             text     `json:"user"`
	WorkingDirectory text     `json:"workingDirectory"`
	Priority         number   `json:"priority"`
}

type statusWire struct {
	State  JobState `json:"state"`
	Reason text     `json:"stateReason"`
	Exit   number   `json:"exitCode"`
	Signal number   `json:"interruptSignal"`
}

type timeWire struct {
	Elapsed   number `json:"elapsed"`
	Start     number `json:"start"`
	End       number `json:"end"`
	Suspended number `json:"suspended"`
	Limit     number `json:"limit"`
}

// UnmarshalJSON reads the shape of every release since 2.1.3.
func (j *Job) UnmarshalJSON(b []byte) error {
	var w jobWire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	var id text
	if len(w.ID) > 0 {
		if err := json.Unmarshal(w.ID, &id); err != nil {
			return err
		}
	}
	// Releases that write ids as numbers (≤ 2.4.2) give the limit in minutes.
	limitUnit := time.Second
	if len(w.ID) > 0 && w.ID[0] != '"' {
		limitUnit = time.Minute
	}
	*j = Job{
		ID: JobID(id), Name: string(w.Name), Status: w.Status.status(), Time: w.Time.times(limitUnit),
		Account: string(w.Account), Group: string(w.Group), User: string(w.User), Cluster: string(w.Cluster),
		Partition: string(w.Partition), Nodes: string(w.Nodes), AllocationNodes: w.AllocationNodes.n,
		KillRequestUser: string(w.KillRequestUser), WorkingDirectory: string(w.WorkingDirectory), Priority: w.Priority.ptr(),
	}
	if limitUnit == time.Minute && len(w.Tasks) > 0 {
		j.ID = arrayTaskID(j.ID, string(w.Tasks[0].ID))
	}
	for _, t := range w.Tasks {
		j.Tasks = append(j.Tasks, JobTask{string(t.ID), string(t.Name), t.Status.status(), t.Time.times(limitUnit)})
	}
	return nil
}

// arrayTaskID repairs the id of an array task, which releases that write ids as
// numbers send without its underscore: 1230 for 123_0. The id of its first
// step, 123_0.batch, still has it.
func arrayTaskID(id JobID, step string) JobID {
	task, _, _ := strings.Cut(step, ".")
	if strings.Replace(task, "_", "", 1) == string(id) {
		return JobID(task)
	}
	return id
}

func (w statusWire) status() JobStatus {
	return JobStatus{w.State, clean(string(w.Reason)), w.Exit.ptr(), w.Signal.ptr()}
}

func (w timeWire) times(limitUnit time.Duration) JobTime {
	return JobTime{
		Start: unix(w.Start), End: unix(w.End),
		Elapsed: span(w.Elapsed, time.Second), Suspended: span(w.Suspended, time.Second), Limit: span(w.Limit, limitUnit),
	}
}

func unix(n number) time.Time {
	if n.n <= 0 {
		return time.Time{}
	}
	return time.Unix(n.n, 0).UTC()
}

// span bounds what it multiplies: schedulers write huge numbers for no limit.
func span(n number, unit time.Duration) time.Duration {
	const century = 100 * 365 * 24 * time.Hour
	if n.n <= 0 || n.n > int64(century/unit) {
		return 0
	}
	return time.Duration(n.n) * unit
}
