package steps

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// jobEnd is how a job ended, for the step.
type jobEnd struct {
	cause    workflow.Cause // "" = success
	message  string
	evidence string
	rule     workflow.Rule
	code     int64
}

// judge says how the payload of a job ended. The exit marker is the payload's own
// word and counts before anything the scheduler says. Without one, success is
// COMPLETED with exit code 0 and no signal, if the scheduler is to be trusted with
// that: if the job leaves no marker, or none was read.
func (c *call) judge(j *firecrest.Job, k claim, trusted bool) jobEnd {
	status := j.Status
	var code, signal int64
	if status.ExitCode != nil {
		code = *status.ExitCode
	}
	if status.Signal != nil {
		signal = *status.Signal
	}
	end := jobEnd{code: code, rule: workflow.RuleState, evidence: fmt.Sprintf("job %s: %s, exit code %d, signal %d", j.ID, status.State, code, signal)}
	switch {
	case status.State == "":
		end.evidence = fmt.Sprintf("job %s: the scheduler does not know it any more", j.ID)
	case status.ExitCode == nil:
		end.evidence = fmt.Sprintf("job %s: %s", j.ID, status.State)
	}
	if k.marked {
		code, end.code, end.rule = int64(k.code), int64(k.code), workflow.RuleMarker
		end.evidence += fmt.Sprintf("; exit marker %d", k.code)
		if code == 0 {
			return end
		}
	}
	switch {
	case !k.marked && trusted && endsWell(status) && code == 0 && signal == 0 && (j.Succeeded() || !j.Time.Start.IsZero()):
		return end
	case !k.marked && endsWell(status) && code == 0 && signal == 0:
		end.cause = workflow.CauseLost
		end.message = fmt.Sprintf("job %s on %s ended %s, but its payload left no exit marker: nobody can tell whether it did its work", j.ID, c.system(), status.State)
		return end
	}
	if status.State == "" && !k.marked {
		end.cause, end.rule = workflow.CauseLost, workflow.RuleGone
		end.message = fmt.Sprintf("job %s on %s is lost: the scheduler does not know it any more, and it left no exit marker", j.ID, c.system())
		return end
	}
	end.cause = jobCause(j, code, signal)
	if toldToEnd(status, code) && c.cancelled() {
		end.cause = workflow.CauseKilled
	}
	end.message = strings.TrimSpace(fmt.Sprintf("job %s on %s ended %s", j.ID, c.system(), status.State))
	switch {
	case !k.marked && code == exitUnusable:
		end.message += " with exit code 78: it could not use its working directory, or the run's control directory"
	case code != 0:
		end.message += fmt.Sprintf(" with exit code %d", code)
	case signal != 0:
		end.message += fmt.Sprintf(" by signal %d", signal)
	}
	if reason := status.Reason; reason != "" && reason != "None" && reason != "NonZeroExitCode" {
		end.message += " (" + reason + ")"
	}
	return end
}

// endsWell reports whether the scheduler's words would be those of a success.
func endsWell(s firecrest.JobStatus) bool {
	name := s.State.Name()
	return name == "COMPLETED" || name == "F"
}

// jobCause is the cause of a job's end, by the scheduler's word for it. That a
// step of the job ran out of memory may show in the step alone.
func jobCause(j *firecrest.Job, code, signal int64) workflow.Cause {
	switch j.Status.State.Name() {
	case "TIMEOUT", "DEADLINE":
		return workflow.CauseWalltime
	case "OUT_OF_MEMORY":
		return workflow.CauseOutOfMemory
	case "NODE_FAIL", "BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL":
		return workflow.CauseNodeFail
	case "PREEMPTED":
		return workflow.CausePreempted
	case "CANCELLED", "REVOKED":
		return workflow.CauseKilled
	case "F":
		switch pbsExit(j.Status) {
		case pbsWalltime:
			return workflow.CauseWalltime
		case pbsTerminated:
			return workflow.CauseKilled
		}
	}
	for _, task := range j.Tasks {
		if task.Status.State.Name() == "OUT_OF_MEMORY" {
			return workflow.CauseOutOfMemory
		}
	}
	switch {
	case code != 0:
		return workflow.ExitCause(int(code))
	case signal != 0:
		return workflow.ExitCause(int(128 + signal)) // as shells count
	}
	return workflow.CauseExit
}

// PBS has one state for all ends; its exit status tells some of them apart. It is 256
// and the signal for a job whose shell was ended by one, and a payload that the shell
// has passed the signal on to ends with 128 and the signal.
const (
	pbsWalltime   = -29
	pbsTerminated = 256 + int64(syscall.SIGTERM)
)

// pbsExit is the exit status that PBS shows, 0 if it shows none.
func pbsExit(s firecrest.JobStatus) int64 {
	if s.ExitCode == nil {
		return 0
	}
	return *s.ExitCode
}

// toldToEnd reports whether a job on PBS, or its payload, ended as those do that are
// told to. Of a job that was not, PBS may show the same.
func toldToEnd(s firecrest.JobStatus, code int64) bool {
	const term, kill = int64(syscall.SIGTERM), int64(syscall.SIGKILL)
	told := []int64{128 + term, 128 + kill, 256 + term, 256 + kill}
	return s.State.Name() == "F" && (slices.Contains(told, code) || slices.Contains(told, pbsExit(s)))
}
