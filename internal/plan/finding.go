package plan

import (
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Severity says how bad a finding is.
type Severity string

const (
	// Error: as things stand the step fails, or its job never starts.
	Error Severity = "error"
	// Warning: it works, though perhaps not as expected, or not now.
	Warning Severity = "warning"
	// Unknown: it cannot be checked before the run.
	Unknown Severity = "unknown"
)

// Code names a kind of finding, for programs.
type Code string

// The codes of findings.
const (
	NoService          Code = "no_service"           // no service is configured
	SecretMissing      Code = "secret_missing"       // a secret has no value
	UnknownSystem      Code = "unknown_system"       // the service has no such system
	SystemAtRunTime    Code = "system_at_run_time"   // only the run knows the system
	SystemUnhealthy    Code = "unhealthy"            // a service of the system is down
	WrongScheduler     Code = "wrong_scheduler"      // jobs cannot be submitted to it
	UnknownPartition   Code = "unknown_partition"    // the system has no such partition
	PartitionDown      Code = "partition_down"       // it starts no jobs
	PartitionTooSmall  Code = "partition_too_small"  // it has fewer nodes than asked for
	UnknownAccount     Code = "unknown_account"      // the user has no such account
	AccountRequired    Code = "account_required"     // moving the file needs an account
	UnknownReservation Code = "unknown_reservation"  // the system has no such reservation
	ReservationOver    Code = "reservation_over"     // it ends before the job can
	ReservationLater   Code = "reservation_later"    // it has not begun
	Maintenance        Code = "maintenance"          // the job would run into a maintenance
	OutsideFileSystems Code = "outside_file_systems" // a path that the service will refuse
	LocalMissing       Code = "local_missing"        // a local file is not there
	LocalUnreadable    Code = "local_unreadable"     // it is there and cannot be read
	RemoteMissing      Code = "remote_missing"       // a remote file is not there
	RemoteUnreadable   Code = "remote_unreadable"    // it cannot be looked at
	TooLarge           Code = "too_large"            // a file that the system cannot move
	MethodMissing      Code = "method_missing"       // another transfer method than the system has
	AtRunTime          Code = "at_run_time"          // only the run knows the value
	NoValue            Code = "no_value"             // an expression that gives no value
	NotTold            Code = "not_told"             // the service does not tell
)

// Codes lists every code.
func Codes() []Code {
	return []Code{
		NoService, SecretMissing, UnknownSystem, SystemAtRunTime, SystemUnhealthy, WrongScheduler, UnknownPartition,
		PartitionDown, PartitionTooSmall, UnknownAccount, AccountRequired, UnknownReservation, ReservationOver, ReservationLater,
		Maintenance, OutsideFileSystems, LocalMissing, LocalUnreadable, RemoteMissing, RemoteUnreadable, TooLarge,
		MethodMissing, AtRunTime, NoValue, NotTold,
	}
}

// Finding is something to know before the run.
type Finding struct {
	Severity Severity `json:"severity"`
	Code     Code     `json:"code"`
	Step     string   `json:"step,omitempty"` // empty: of the whole workflow
	// Input is the input of the step that it is about; Pos where that stands in
	// the file, which is that of another workflow if File names one.
	Input   string        `json:"input,omitempty"`
	File    string        `json:"file,omitempty"`
	Pos     *workflow.Pos `json:"pos,omitempty"`
	Message string        `json:"message"`
	Hint    string        `json:"hint,omitempty"`
}

// Add appends a finding about the whole workflow.
func (p *Plan) Add(f Finding) { p.Findings = append(p.Findings, f) }

// add appends a finding about an input of a step that may run.
func (p *Plan) add(s *Step, input string, f Finding) {
	if s.Runs == No {
		return
	}
	f.Step, f.Input, f.File = s.ID, input, s.file
	pos := s.step.Pos
	at := s.step.With
	for name := range strings.SplitSeq(input, ".") {
		m, ok := at.Member(name)
		if !ok {
			break
		}
		at, pos = m.Value, m.Value.Pos
	}
	f.Pos = &pos
	p.Findings = append(p.Findings, f)
}

// Of returns the findings of one severity, in the order of the plan.
func (p *Plan) Of(severity Severity) []Finding {
	return slices.DeleteFunc(slices.Clone(p.Findings), func(f Finding) bool { return f.Severity != severity })
}

// list reads "a, b", or "none".
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// meant is the hint for a name that is not among those known.
func meant(name string, known []string, what string) string {
	if near := workflow.Suggest(name, known); near != "" {
		return "did you mean \"" + near + "\"?"
	}
	return what + ": " + list(known)
}
