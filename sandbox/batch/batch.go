// Package batch is the batch system of the sandbox: a durable table of jobs in
// the manner of Slurm or PBS and a Runner that executes their scripts.
//
// What Submit has accepted is on disk. A table that is closed, or whose
// process is killed at any moment, is opened again on the same folder: jobs
// that ran meanwhile are picked up, the ends of those that finished are read,
// time limits keep being enforced, and a job that was accepted but not begun
// is begun exactly once. Only the loss of the machine is different: a job
// that ran when it went down ends as NODE_FAIL.
//
// The table writes below Config.Dir and Config.Bin and nowhere else. Scripts
// run with the rights of the sandbox's own process.
package batch

import (
	"syscall"
	"time"
)

// Spec is one submission: what the arguments of sbatch and its script say.
// A field that is set wins over the directive of the script for the same thing.
type Spec struct {
	System string `json:"system"`
	User   string `json:"user"`
	// Name defaults to the directive --job-name, else "sbatch".
	Name        string `json:"name"`
	Account     string `json:"account,omitempty"`
	Partition   string `json:"partition,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	Constraints string `json:"constraints,omitempty"`
	QOS         string `json:"qos,omitempty"`
	// WorkingDir is an absolute path on this machine. A folder that does not
	// exist when the job starts fails the job, not the submission.
	WorkingDir string `json:"working_dir"`
	// Script is the text of the batch script, in whatever encoding.
	Script string `json:"-"`
	// Stdin defaults to /dev/null, Stdout to slurm-%j.out (slurm-%A_%a.out in
	// an array), Stderr to Stdout. Relative paths are below WorkingDir; the
	// patterns %j %x %u and their like are replaced. With PBS the defaults are
	// NAME.oID and NAME.eID.
	Stdin  string `json:"stdin,omitempty"`
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
	// Env is what the job sees besides the variables every job gets;
	// nil stands for {"F7T_version": "v2.0.0"}.
	Env map[string]string `json:"env,omitempty"`
	// Builtin, if set, is carried out in the place of Script.
	Builtin *BuiltinCall `json:"builtin,omitempty"`
}

// State is a job state in the words of Slurm.
type State string

// The states this batch system uses. A job only moves forward: from Pending to
// Running to one of the others, or from Pending straight to Cancelled. One that
// asked to be requeued goes back to Pending when its node fails or it is
// preempted.
const (
	Pending   State = "PENDING"   // accepted, waits for a slot; a restart keeps its place
	Running   State = "RUNNING"   // its payload was, or is just being, started; a restart picks it up
	Completed State = "COMPLETED" // the script ended with 0
	Failed    State = "FAILED"    // the script ended otherwise, or could not be started
	Timeout   State = "TIMEOUT"   // stopped at its time limit
	Cancelled State = "CANCELLED" // stopped by Cancel
	NodeFail  State = "NODE_FAIL" // vanished without an end record, or by Config.Doom

	// Only Config.Doom makes these: there is no memory limit and nobody to give way to.
	OutOfMemory State = "OUT_OF_MEMORY"
	Preempted   State = "PREEMPTED"
	BootFail    State = "BOOT_FAIL"
)

// Terminal reports whether a job in this state never changes again.
func (s State) Terminal() bool { return s != Pending && s != Running }

// Job is one row of the table. Table hands out copies; the map in Spec.Env is
// shared and must not be changed.
type Job struct {
	// ID is a decimal number, larger than that of any job accepted before in
	// the same Dir, on any system.
	ID string `json:"id"`
	// Array is set for a part of a job array.
	Array *ArrayTask `json:"array,omitempty"`
	// Spec has its defaults filled in: name, partition and so on from the
	// directives, and absolute paths with their patterns replaced.
	Spec  Spec  `json:"spec"`
	State State `json:"state"`
	// Reason is Slurm's word for why the job is in its state; "None" is common.
	Reason string `json:"reason"`
	// ExitCode and Signal are what the script ended with; at most one is not 0.
	ExitCode int    `json:"exit_code"`
	Signal   int    `json:"signal"`
	Nodes    int    `json:"nodes"`
	NodeList string `json:"node_list,omitempty"` // "" until the job has started
	// Restarts is how often the job was requeued.
	Restarts int `json:"restarts,omitempty"`
	// Tasks and CPUsPerTask are 0 unless the script asked for them.
	Tasks       int `json:"tasks,omitempty"`
	CPUsPerTask int `json:"cpus_per_task,omitempty"`
	// TimeLimit is 0 for a job without a limit.
	TimeLimit time.Duration `json:"time_limit_ns,omitempty"`
	// Stopping is true while the processes of a running job are being ended.
	Stopping bool `json:"stopping,omitempty"`
	// CancelledBy is the user id given to Cancel.
	CancelledBy string    `json:"cancelled_by,omitempty"`
	Submitted   time.Time `json:"submitted"`
	Started     time.Time `json:"started,omitzero"`
	Ended       time.Time `json:"ended,omitzero"`
	// Detail is what the log of the node would tell an administrator about a
	// job that could not be started, or whose Builtin panicked.
	Detail string `json:"detail,omitempty"`
}

// RejectedError is the scheduler's refusal of a submission. Stderr is what
// sbatch or qsub prints, possibly several lines, without the last line feed,
// and Status what it exits with; 0 stands for 1.
type RejectedError struct {
	Stderr string
	Status int
}

// Error returns the text of the command unchanged.
func (e *RejectedError) Error() string { return e.Stderr }

// Config describes a table. Dir and Runner are required.
type Config struct {
	// Dir is where the table lives. One process at a time can open it.
	Dir    string
	Runner Runner
	// Builtins are the payloads that a Spec may name instead of bringing one.
	Builtins map[string]Builtin
	// Cluster says what a system is like; nil stands for the zero Cluster. It
	// is asked again and again, and may change its answer.
	Cluster func(system string) Cluster
	// Slots is how many jobs run at once over all systems; 0 stands for 8.
	// Builtins, which wait more than they work, need none.
	Slots int
	// Bin is the folder put first in PATH of every job. Open writes the
	// stand-ins srun, sbatch, scontrol, squeue, qsub, qstat and module into it.
	// "" stands for Dir/bin.
	Bin string
	// UID gives the numeric id of a user, as text. With nil everybody is
	// "1000" and may cancel every job.
	UID func(user string) string
	// Home gives the home directory of a user; nil stands for the job's
	// working directory.
	Home func(user string) string
	// Admit, if set, sees each submission with its directives and the defaults
	// of its Cluster applied but before paths are resolved. It may change it,
	// and refuse with a *RejectedError.
	Admit func(*Spec) error
	// Doom, if set, is asked about each job that starts how it ends although its
	// script does nothing wrong: as NODE_FAIL, OUT_OF_MEMORY, PREEMPTED or
	// BOOT_FAIL, that long after its start; "" lets it run. Its processes are killed
	// at once. One that asked to be requeued is, unless it used too much memory.
	Doom func(Job) (State, time.Duration)
	// KillWait is the time between SIGTERM and SIGKILL for a job that is
	// cancelled or over its limit; 0 stands for 5 s.
	KillWait time.Duration
	// Interval is how often running jobs are looked at, which bounds how late the
	// end of a job of an earlier process, a time limit or a KillWait is noticed;
	// 0 stands for 100 ms.
	Interval time.Duration
	// NoSync leaves it to the machine when to write what to its disk. Nothing is
	// lost by it unless the machine goes down.
	NoSync bool
	// Now is the clock; nil stands for time.Now.
	Now func() time.Time
}

// Runner executes payloads. Dir is the folder of one job, which belongs to the
// runner alone and outlives the process.
type Runner interface {
	// Start begins the payload and returns without waiting for it. An error
	// means that it did not begin and never will. Started again in the same
	// folder, by whatever process, a payload that has once begun does not
	// begin a second time.
	Start(Launch) error
	// Poll reports whether the payload is over, and how. It answers for
	// payloads started by an earlier process too.
	Poll(job Job, dir string) (End, bool)
	// Kill sends a signal to the part of the job that target names.
	Kill(job Job, dir string, target Target, sig syscall.Signal) error
}

// Launch is what a Runner gets to start a payload.
type Launch struct {
	Job Job
	Dir string
	// Cwd is where the payload starts, Env its whole environment.
	Cwd string
	Env []string
	// Ended should be called once when the payload is over, from any
	// goroutine. It only saves the table waiting for its next poll.
	Ended func()
}

// End says how a payload ended.
type End struct {
	Kind     EndKind
	ExitCode int
	Signal   int
	At       time.Time
	Detail   string // for Job.Detail
}

// EndKind tells an ordinary end from the disappearance of a payload.
type EndKind int

const (
	Exited       EndKind = iota // ExitCode, Signal and At are known
	Lost                        // it had begun, and is gone without a trace of how
	NeverStarted                // it never began, and will not unless Start is called
)

// Target is the part of a job that a signal is for.
type Target int

const (
	WholeJob   Target = iota // every process of the job
	BatchShell               // the process that interprets the script
	JobSteps                 // what srun started
)
