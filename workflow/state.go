package workflow

import (
	"fmt"
	"strings"
)

// RunState says where a run is. Why it is there is a [Cause].
type RunState string

const (
	// RunQueued: created or begun again, nothing started since. A restart leaves it
	// queued.
	RunQueued RunState = "queued"
	// RunRunning: from the first decision until the last unit is done.
	RunRunning RunState = "running"
	// RunSucceeded, RunFailed, RunCancelled are terminal.
	RunSucceeded RunState = "succeeded"
	RunFailed    RunState = "failed"
	RunCancelled RunState = "cancelled"
)

// RunStates lists every run state.
func RunStates() []RunState {
	return []RunState{RunQueued, RunRunning, RunSucceeded, RunFailed, RunCancelled}
}

// Terminal reports whether no event but a new round can follow.
func (s RunState) Terminal() bool {
	return s == RunSucceeded || s == RunFailed || s == RunCancelled
}

// State says where a unit is.
type State string

const (
	// Pending: its dependencies are not all done, or it was not judged yet. A
	// restart leaves it pending.
	Pending State = "pending"
	// Ready: judged, may start as soon as there is a slot. A restart leaves it
	// ready.
	Ready State = "ready"
	// Running: an attempt is executing in the owner's process. After a restart
	// the same attempt is entered again, or fails with [CauseInterrupted],
	// depending on the step type.
	Running State = "running"
	// Waiting: the attempt yielded its slot until a topic fires or an instant
	// passes; see [WaitReason]. A restart arms the wait again.
	Waiting State = "waiting"
	// Succeeded, Failed, Skipped, Cancelled are done; nothing moves a unit out of
	// them but a reset.
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
)

// States lists every unit state.
func States() []State {
	return []State{Pending, Ready, Running, Waiting, Succeeded, Failed, Skipped, Cancelled}
}

// Done reports whether the state is final for this round of the run.
func (s State) Done() bool {
	switch s {
	case Succeeded, Failed, Skipped, Cancelled:
		return true
	}
	return false
}

// WaitReason says what a waiting unit waits for.
type WaitReason string

const (
	WaitJob       WaitReason = "job"       // a batch job to end
	WaitApproval  WaitReason = "approval"  // a person
	WaitTimer     WaitReason = "timer"     // an instant: a sleep, a poll, a job limit
	WaitBackoff   WaitReason = "backoff"   // the pause before the next attempt
	WaitOutage    WaitReason = "outage"    // an API that gives no usable answer
	WaitAttention WaitReason = "attention" // a person: the fate of a submission is unknown
	WaitChild     WaitReason = "child"     // a run of a sub-workflow
)

// Remote reports whether work may be going on outside this process while the
// unit waits, so that only evidence can end it.
func (r WaitReason) Remote() bool {
	switch r {
	case WaitJob, WaitOutage, WaitAttention, WaitChild:
		return true
	}
	return false
}

// Person reports whether only a person can end the wait.
func (r WaitReason) Person() bool { return r == WaitAttention || r == WaitApproval }

// Words for a unit that waits for a job whose state is known.
const (
	waitJobQueued  = "job_queued"
	waitJobRunning = "job_running"
)

// Word is what is waited for: the reason, or what the job does.
func (r WaitReason) Word(job *JobObserved) string {
	switch {
	case r != WaitJob || job == nil || job.Terminal: // not seen yet, or over
		return string(r)
	case job.Active:
		return waitJobRunning
	}
	return waitJobQueued
}

// Cause says why a unit failed or was skipped, or why a run ended as it did.
type Cause string

const (
	CauseWalltime       Cause = "walltime"
	CauseOutOfMemory    Cause = "out_of_memory"
	CauseNodeFail       Cause = "node_fail"
	CausePreempted      Cause = "preempted"
	CauseExit           Cause = "exit"     // the payload ended with a non-zero code; also written exit(N)
	CauseKilled         Cause = "killed"   // cancelled by somebody else
	CauseRejected       Cause = "rejected" // the server said no for good
	CauseDiskQuota      Cause = "disk_quota"
	CauseLost           Cause = "lost"
	CauseQueueTimeout   Cause = "queue_timeout"
	CauseTimedOut       Cause = "timed_out"
	CauseAPI            Cause = "api" // no usable answer while patience lasted
	CauseTransfer       Cause = "transfer"
	CauseInterrupted    Cause = "interrupted" // the owner died while the attempt ran
	CauseInputChanged   Cause = "input_changed"
	CauseExpression     Cause = "expression"
	CausePanic          Cause = "panic"
	CauseOutputMissing  Cause = "output_missing"
	CauseOutputTooLarge Cause = "output_too_large"
	CauseAssertion      Cause = "assertion"
	CauseChild          Cause = "child"

	// Skip causes.
	CauseUpstreamFailed Cause = "upstream_failed"
	CauseSourceMissing  Cause = "source_missing"
	CauseConditionFalse Cause = "condition_false"
	CauseConcurrency    Cause = "concurrency"
)

// FailureCauses lists what a failed attempt may carry and a retry rule may
// name (besides exit(N)).
func FailureCauses() []Cause {
	return []Cause{
		CauseWalltime, CauseOutOfMemory, CauseNodeFail, CausePreempted, CauseExit, CauseKilled,
		CauseRejected, CauseDiskQuota, CauseLost, CauseQueueTimeout, CauseTimedOut, CauseAPI,
		CauseTransfer, CauseInterrupted, CauseInputChanged, CauseExpression, CausePanic,
		CauseOutputMissing, CauseOutputTooLarge, CauseAssertion, CauseChild,
	}
}

// Trigger says why a run began.
type Trigger string

const (
	TriggerManual   Trigger = "manual"
	TriggerSchedule Trigger = "schedule"
	TriggerCatchup  Trigger = "catchup"
	TriggerBackfill Trigger = "backfill"
	TriggerAPI      Trigger = "api"
	TriggerRerun    Trigger = "rerun"
	TriggerParent   Trigger = "parent"
)

// Covers reports whether a cause named in a retry rule applies to the cause of
// a failure: `exit` covers every exit(N).
func (c Cause) Covers(actual Cause) bool {
	return c == actual || c == CauseExit && strings.HasPrefix(string(actual), "exit(")
}

// ExitCause is the cause of a payload that ended with a non-zero code.
func ExitCause(code int) Cause { return Cause(fmt.Sprintf("exit(%d)", code)) }
