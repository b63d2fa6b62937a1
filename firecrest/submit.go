package firecrest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// JobSpec is a batch job to be submitted. The API could also take environment
// variables; they are left out on purpose, because they end up on a command
// line of the login node, cut at commas. Export them in the script.
type JobSpec struct {
	// Name of the job; wins over a directive in the script. Keep to letters,
	// digits and . _ -: a name with a | disappears from job lists.
	Name string
	// WorkingDirectory is required, and must exist when the job starts.
	WorkingDirectory string
	// Script is the text of the batch script, beginning with #!. Exactly one of
	// Script and ScriptPath is required.
	Script string
	// ScriptPath is a script on the system (servers ≥ 2.2.6).
	ScriptPath string
	// Account (≥ 2.2.6), Partition and Reservation (both ≥ 2.5.4) are ignored
	// by servers before; directives in the script work with all.
	Account, Partition, Reservation string
	// StandardInput, StandardOutput and StandardError are paths; relative ones
	// are in the working directory, and %j is the job's id.
	StandardInput, StandardOutput, StandardError string
}

func (s JobSpec) check() error {
	if err := CheckPath(s.WorkingDirectory); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	switch {
	case (s.Script == "") == (s.ScriptPath == ""):
		return errors.New("a job needs either a script or a script path")
	case s.Script != "" && !strings.HasPrefix(s.Script, "#!"):
		return errors.New(`the script does not begin with "#!"`)
	case s.ScriptPath != "":
		if err := CheckPath(s.ScriptPath); err != nil {
			return fmt.Errorf("script: %w", err)
		}
	}
	for _, p := range []string{s.StandardInput, s.StandardOutput, s.StandardError, s.Name, s.Account, s.Partition, s.Reservation} {
		if err := checkQuoting(p); err != nil {
			return err
		}
	}
	return nil
}

// SubmitClass is what is known about a submission.
type SubmitClass int

const (
	// SubmitAmbiguous: the job may exist, or come into existence within
	// minutes. Sending the submission again may run it twice.
	SubmitAmbiguous SubmitClass = iota
	// SubmitAccepted: the scheduler has the job, and its id is known.
	SubmitAccepted
	// SubmitNotSent: nothing has reached the scheduler, nor will it.
	SubmitNotSent
	// SubmitRejected: the scheduler was asked and said no. There is no job.
	SubmitRejected
)

// String returns the class as one lower-case word.
func (c SubmitClass) String() string {
	switch c {
	case SubmitAccepted:
		return "accepted"
	case SubmitNotSent:
		return "not_sent"
	case SubmitRejected:
		return "rejected"
	}
	return "ambiguous"
}

// SubmitError is a submission without a job id.
type SubmitError struct {
	// Class says what is known; it is never SubmitAccepted.
	Class SubmitClass
	// Permanent says that the same submission will not succeed later: the
	// request or the job is wrong. Otherwise the trouble may pass.
	Permanent bool
	// JobLimit says that a limit on the number or size of jobs was hit, which
	// clears as others end.
	JobLimit bool
	// Err is the [*Error] of the request, or what was wrong with the [JobSpec].
	Err error
}

// Error returns the class and the reason.
func (e *SubmitError) Error() string {
	word := map[SubmitClass]string{SubmitNotSent: "not sent", SubmitRejected: "rejected"}[e.Class]
	if word == "" {
		word = "outcome unknown"
	}
	return "submit: " + word + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *SubmitError) Unwrap() error { return e.Err }

// SubmitClassOf returns what is known after Submit returned err.
func SubmitClassOf(err error) SubmitClass {
	if err == nil {
		return SubmitAccepted
	}
	var submit *SubmitError
	if errors.As(err, &submit) {
		return submit.Class
	}
	return SubmitAmbiguous
}

// Submit hands a job to the scheduler and returns its id. The request is sent
// once, on a connection of its own, and never repeated by anything here: not
// after a redirect, not with a new token, not because the connection broke.
//
// The error is always a [*SubmitError]. A failure is ambiguous unless its very
// words are known to mean otherwise: a server that gives up after its few
// seconds does not stop the scheduler's command, which may accept the job
// minutes later. A token that was refused is forgotten, so that submitting
// again, which is safe then, uses another.
//
//firecrest:operation POST /compute/{system_name}/jobs
func (s *ComputeService) Submit(ctx context.Context, system string, spec JobSpec) (JobID, error) {
	if err := spec.check(); err != nil {
		return "", &SubmitError{Class: SubmitNotSent, Permanent: true, Err: err}
	}
	// Releases up to 2.3.1 know the working directory in this spelling only.
	type job struct {
		Name             string `json:"name,omitempty"`
		Account          string `json:"account,omitempty"`
		Partition        string `json:"partition,omitempty"`
		Reservation      string `json:"reservation,omitempty"`
		WorkingDirectory string `json:"working_directory"`
		StandardInput    string `json:"standardInput,omitempty"`
		StandardOutput   string `json:"standardOutput,omitempty"`
		StandardError    string `json:"standardError,omitempty"`
		Script           string `json:"script,omitempty"`
		ScriptPath       string `json:"scriptPath,omitempty"`
	}
	body, err := jsonBody(map[string]job{"job": {
		spec.Name, spec.Account, spec.Partition, spec.Reservation, spec.WorkingDirectory,
		spec.StandardInput, spec.StandardOutput, spec.StandardError, spec.Script, spec.ScriptPath,
	}})
	if err != nil {
		return "", &SubmitError{Class: SubmitNotSent, Permanent: true, Err: err}
	}
	var answer struct {
		ID text `json:"jobId"`
	}
	err = s.client.run(ctx, &call{
		method: http.MethodPost, template: jobsTemplate, system: system,
		body: body, replay: replayNever, unsigned: true, want: http.StatusCreated, into: &answer,
	})
	if err != nil {
		return "", classifySubmit(err)
	}
	id, ok := acceptedID(answer.ID)
	if !ok {
		return "", &SubmitError{Err: fmt.Errorf("the server accepted the job but gave %q as its id", clean(string(answer.ID)))}
	}
	return id, nil
}

var digits = regexp.MustCompile(`^[0-9]{1,20}$`)

// acceptedID reads the id of a new job. PBS appends its server's name.
func acceptedID(raw text) (JobID, bool) {
	id, _, _ := strings.Cut(string(raw), ".")
	return JobID(id), digits.MatchString(id)
}

// classifySubmit says what is known after a submission failed.
func classifySubmit(err error) *SubmitError {
	result := &SubmitError{Err: err}
	var failure *Error
	if !errors.As(err, &failure) { // refused before a request was made of it
		result.Class, result.Permanent = SubmitNotSent, true
		return result
	}
	if failure.NotExecuted() {
		result.Class = SubmitNotSent
		result.Permanent = failure.refusedForGood()
		return result
	}
	switch reply := readScheduler(failure); reply {
	case replyLimit:
		result.Class, result.JobLimit = SubmitRejected, true
	case replyInvalid:
		result.Class, result.Permanent = SubmitRejected, true
	}
	return result
}

// refusedForGood tells, of an answer that refused before doing anything,
// whether it will be the same later.
func (e *Error) refusedForGood() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusNotImplemented:
		return true
	case http.StatusForbidden:
		return e.condition() == ErrForbidden
	}
	return e.condition() == ErrUnsupported
}

// reply is what the scheduler said to a submission.
type reply int

const (
	replyUnknown reply = iota
	replyInvalid       // this job will never do
	replyLimit         // not now
)

const slurmPrefix = "Unexpected Slurm command response. exit_status:1 std_err:"

// policyText is what sbatch says when a limit on the number or size of jobs is
// hit, after the name of the limit. Servers since 2.5.5 turn it into a 403.
const policyText = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"

// readScheduler recognises the words with which sbatch refuses a job. Slurm
// sends them only before it has a job; anything that is not on the list, above
// all trouble between sbatch and the controller, may leave a job behind.
func readScheduler(e *Error) reply {
	if !e.FromServer() {
		return replyUnknown
	}
	switch {
	case e.Status == http.StatusForbidden &&
		strings.HasPrefix(e.Message, "Job submission rejected: accounting/QOS policy limit exceeded."):
		return replyLimit
	case e.Status != http.StatusInternalServerError || !strings.HasPrefix(e.Message, slurmPrefix):
		return replyUnknown
	}
	words := strings.TrimRight(strings.TrimPrefix(e.Message, slurmPrefix), "\n ")
	for _, sign := range troubleSigns {
		if strings.Contains(words, sign) {
			return replyUnknown
		}
	}
	last := words[strings.LastIndexByte(words, '\n')+1:]
	reason, failed := strings.CutPrefix(last, "sbatch: error: Batch job submission failed: ")
	switch {
	case failed && reason == policyText:
		return replyLimit
	case failed && jobErrors[reason]:
		return replyInvalid
	case strings.HasPrefix(words, notAScript), emptyScripts[words]:
		return replyInvalid
	case strings.HasPrefix(words, cannotOpen) && !strings.Contains(words, "\n"):
		return replyInvalid
	}
	return replyUnknown
}

// troubleSigns void every other reading: sbatch could not talk to the
// controller, or tried more than once.
var troubleSigns = []string{
	"Socket timed out", "Unable to contact slurm controller", "sleeping and retrying", "Connection refused",
	"Submitted batch job", "Zero Bytes were transmitted or received", "Communication connection failure",
}

// What sbatch says of a script before it contacts the controller.
const (
	notAScript = "sbatch: error: This does not look like a batch script."
	cannotOpen = "sbatch: error: Unable to open file "
)

var emptyScripts = map[string]bool{
	"sbatch: error: Batch script is empty!":                 true,
	"sbatch: error: Batch script contains only whitespace!": true,
}

// jobErrors are the controller's refusals that are about the job itself and
// will be the same however often it is submitted.
var jobErrors = map[string]bool{
	"Access denied to requested reservation":                          true,
	"CPU count specification invalid":                                 true,
	"Invalid account or account/partition combination specified":      true,
	"Invalid feature specification":                                   true,
	"Invalid generic resource (gres) specification":                   true,
	"Invalid job array specification":                                 true,
	"Invalid license specification":                                   true,
	"Invalid node name specified":                                     true,
	"Invalid partition name specified":                                true,
	"Invalid qos specification":                                       true,
	"Invalid time specified":                                          true,
	"Invalid wckey specification":                                     true,
	"Memory required by task is not available":                        true,
	"More processors requested than permitted":                        true,
	"No partition specified or system default partition":              true,
	"Node count specification invalid":                                true,
	"Requested node configuration is not available":                   true,
	"Requested nodes not in this partition":                           true,
	"Requested reservation is invalid":                                true,
	"Requested time limit is invalid (missing or exceeds some limit)": true,
	"Task count specification invalid":                                true,
	"User's group not permitted to use this partition":                true,
}
