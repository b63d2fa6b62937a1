package workflow

import (
	"encoding/json"
	"time"
)

// payloads makes an empty payload of each kind. Adding a kind is one line here
// and one type with its apply.
var payloads = map[EventKind]func() Payload{
	"run.created":          func() Payload { return new(RunCreated) },
	"run.files":            func() Payload { return new(RunFiles) },
	"run.opened":           func() Payload { return new(RunOpened) },
	"run.started":          func() Payload { return new(RunStarted) },
	"run.bound":            func() Payload { return new(RunBound) },
	"run.cancel_requested": func() Payload { return new(CancelRequested) },
	"run.timed_out":        func() Payload { return new(RunTimedOut) },
	"run.finished":         func() Payload { return new(RunFinished) },
	"step.items":           func() Payload { return new(StepItems) },
	"step.expanded":        func() Payload { return new(StepExpanded) },
	"run.reopened":         func() Payload { return new(RunReopened) },
	"run.definition":       func() Payload { return new(DefinitionPart) },
	"run.replanned":        func() Payload { return new(RunReplanned) },
	"units.reset":          func() Payload { return new(UnitsReset) },
	"unit.imported":        func() Payload { return new(UnitImported) },
	"unit.ready":           func() Payload { return new(UnitReady) },
	"unit.skipped":         func() Payload { return new(UnitSkipped) },
	"unit.failed":          func() Payload { return new(UnitFailed) },
	"attempt.started":      func() Payload { return new(AttemptStarted) },
	"attempt.waiting":      func() Payload { return new(AttemptWaiting) },
	"attempt.woken":        func() Payload { return new(AttemptWoken) },
	"attempt.expired":      func() Payload { return new(AttemptExpired) },
	"attempt.checkpoint":   func() Payload { return new(Checkpoint) },
	"attempt.finished":     func() Payload { return new(AttemptFinished) },
	"backoff.ended":        func() Payload { return new(BackoffEnded) },
	"submission.intent":    func() Payload { return new(SubmissionIntent) },
	"submission.sending":   func() Payload { return new(SubmissionSending) },
	"submission.outcome":   func() Payload { return new(SubmissionOutcome) },
	"submission.looked":    func() Payload { return new(SubmissionLooked) },
	"submission.absent":    func() Payload { return new(SubmissionAbsent) },
	"submission.owner":     func() Payload { return new(SubmissionOwner) },
	"submission.resolved":  func() Payload { return new(SubmissionResolved) },
	"job.observed":         func() Payload { return new(JobObserved) },
	"approval.given":       func() Payload { return new(ApprovalGiven) },
}

// RunCreated is the first event of every run: what it executes and against
// what, for good.
type RunCreated struct {
	ID       RunID  `json:"id"`
	Workflow string `json:"workflow"`
	// Definition is the SHA-256 of the frozen text: of the file, or of the file with
	// those that its steps run.
	Definition string `json:"definition"`
	// Nonce makes the tokens of this run unlike those of any other, also of
	// another state directory.
	Nonce   string  `json:"nonce"`
	Trigger Trigger `json:"trigger"`
	// RerunOf is the run whose workflow and inputs this one was made of.
	RerunOf RunID `json:"rerun_of,omitempty"`
	// Parent is the attempt that started the run, and waits for it.
	Parent      *ParentRef                 `json:"parent,omitempty"`
	ScheduledAt time.Time                  `json:"scheduled_at,omitzero"`
	Inputs      map[string]json.RawMessage `json:"inputs,omitempty"`
	// Files are those that inputs name. Many are in [RunFiles] instead.
	Files map[string]FileFacts `json:"files,omitempty"`
	// Dir is the directory of the workflow file, OutputDir where downloads go.
	Dir       string  `json:"dir"`
	OutputDir string  `json:"output_dir"`
	Profile   Profile `json:"profile"`
	// Concurrency are the groups whose places the run takes, by name.
	Concurrency []Membership `json:"concurrency,omitempty"`
	// By is user@host, Version that of fcflow.
	By      string `json:"by,omitempty"`
	Version string `json:"version"`
}

// ParentRef names an attempt of another run.
type ParentRef struct {
	Run      RunID  `json:"run"`
	Step     string `json:"step"`
	Instance string `json:"instance,omitempty"`
	Attempt  int    `json:"attempt"`
}

// Unit is the instance of the step in the other run.
func (p *ParentRef) Unit() UnitRef { return UnitRef{Step: p.Step, Instance: p.Instance} }

// FileFacts are what is known of a file input when the run is created.
type FileFacts struct {
	Path       string    `json:"path"`
	SizeBytes  int64     `json:"size_bytes"`
	ModifiedAt time.Time `json:"modified_at"`
	// SHA256 of a small file; that of a large one is taken when it is read.
	SHA256 string `json:"sha256,omitempty"`
}

// Profile says which FirecREST server a run talks to. A run never changes it.
type Profile struct {
	Name string `json:"name,omitempty"`
	// URL of the server; empty for a sandbox, which is named by its root,
	// because its port changes.
	URL     string `json:"url,omitempty"`
	Sandbox string `json:"sandbox,omitempty"`
	// System is where steps run that name none.
	System string `json:"system,omitempty"`
	// Insecure says that the certificates of the server are not verified.
	Insecure bool `json:"insecure,omitempty"`
}

// RunOpened records that a process took the run over.
type RunOpened struct {
	Owner   Owner  `json:"owner"`
	Version string `json:"version"`
}

// RunStarted moves the run from queued to running.
type RunStarted struct{}

// RunBound records, once per system, who we are there and where the run works.
type RunBound struct {
	System string `json:"system"`
	User   string `json:"user"`
	// RemoteDir is run.remote_dir on that system; it exists.
	RemoteDir string `json:"remote_dir"`
	Version   string `json:"version,omitempty"` // of the server
	Scheduler string `json:"scheduler,omitempty"`
	// SchedulerVersion is its version, as the server tells it.
	SchedulerVersion string `json:"scheduler_version,omitempty"`
	// Fence says how jobs of the run make sure there that each runs once: claim
	// if the control directory is claimed for the run, blind if links cannot be
	// made or read there. Empty for runs from before there were fences.
	Fence Fence `json:"fence,omitempty"`
	// SubmitDir is where jobs are submitted from if RemoteDir could not be made:
	// the jobs make it.
	SubmitDir string `json:"submit_dir,omitempty"`
}

// CancelRequested asks the run to end. A second one also skips `finally`; so does
// the first one of a run that has not started.
type CancelRequested struct {
	By string `json:"by"` // user@host, or what asked
}

// RunTimedOut does to the units what a cancel does; the run ends failed.
type RunTimedOut struct{}

// RunFinished ends a round of the run.
type RunFinished struct {
	State   RunState `json:"state"`
	Cause   Cause    `json:"cause,omitempty"`
	Message string   `json:"message,omitempty"`
	Outputs Body     `json:"outputs,omitzero"`
}

// UnitReady: the unit's condition was judged true. Units without a condition
// become ready by themselves when their dependencies are met.
type UnitReady struct{}

// UnitSkipped: the unit was judged and will not run.
type UnitSkipped struct {
	Cause   Cause    `json:"cause"`
	Root    *UnitRef `json:"root,omitempty"` // where the trouble began
	Message string   `json:"message,omitempty"`
}

// UnitFailed: the unit failed without an attempt (an expression could not be
// evaluated).
type UnitFailed struct {
	Cause   Cause  `json:"cause"`
	Message string `json:"message"`
}

// AttemptStarted is durable before the step runs.
type AttemptStarted struct {
	// With is the evaluated input, secrets as {"secret":"NAME"}.
	With   Body   `json:"with,omitzero"`
	System string `json:"system,omitempty"`
	// Deadline is when the step's timeout expires.
	Deadline time.Time `json:"deadline,omitzero"`
	// SpecVersion is the version of the step type, if it is not the first.
	SpecVersion int `json:"spec_version,omitempty"`
}

// AttemptWaiting: the attempt gave its slot back until a topic fires or an
// instant passes.
type AttemptWaiting struct {
	Reason  WaitReason `json:"reason"`
	Topic   string     `json:"topic,omitempty"`
	Until   time.Time  `json:"until,omitzero"`
	Message string     `json:"message,omitempty"`
	// Requests are those to FirecREST that the attempt has made since it was
	// entered, by operation.
	Requests map[string]int `json:"requests,omitempty"`
}

// WakeReason tells an attempt why it is entered.
type WakeReason string

const (
	WakeStart     WakeReason = "start"    // for the first time
	WakeTopic     WakeReason = "woken"    // what it waited for has come: its topic fired, a person answered
	WakeDue       WakeReason = "due"      // its instant passed
	WakeExpired   WakeReason = "expired"  // a deadline passed: end the remote work
	WakeCancelled WakeReason = "cancel"   // the run is being cancelled: end the remote work
	WakeReopened  WakeReason = "reopened" // another process took the run over
	WakeResolved  WakeReason = "resolved" // a person said what became of its job
)

// AttemptWoken: a waiting attempt runs again.
type AttemptWoken struct {
	Why WakeReason `json:"why"`
}

// AttemptExpired: a deadline passed; from now on the attempt only ends what it
// began. Evidence that it succeeded in time still counts.
type AttemptExpired struct {
	// Cause is timed_out or queue_timeout, or killed if the attempt is in the way of
	// another workflow.
	Cause Cause `json:"cause"`
}

// Checkpoint keeps a value for the same attempt after a restart.
type Checkpoint struct {
	Key   string `json:"key"`
	Value Body   `json:"value"`
}

// AttemptFinished is the outcome of an attempt; durable before anything that
// depends on it starts.
type AttemptFinished struct {
	State   State  `json:"state"` // succeeded, failed or cancelled
	Cause   Cause  `json:"cause,omitempty"`
	Message string `json:"message,omitempty"`
	Outputs Body   `json:"outputs,omitzero"`
	// Evidence says what proves it: the job's end, an answer of the server.
	// Rule is by which rule that was decided.
	Evidence string `json:"evidence,omitempty"`
	Rule     Rule   `json:"rule,omitempty"`
	// Tail holds the last lines of the output of what failed.
	Tail string `json:"tail,omitempty"`
	// Retry is set when another attempt will follow.
	Retry *Retry `json:"retry,omitempty"`
	// Requests are those to FirecREST that the attempt has made since it was last
	// entered, by operation.
	Requests map[string]int `json:"requests,omitempty"`
}

// Retry says when and by which rule the next attempt comes.
type Retry struct {
	At   time.Time `json:"at"`
	Rule int       `json:"rule"` // index into Step.Retry; -1 = the step type's own rule
	// Grow holds the resources of the next attempt that a rule raised.
	Grow map[string]json.RawMessage `json:"grow,omitempty"`
}

// BackoffEnded: the pause before the next attempt is over.
type BackoffEnded struct{}

// JobObserved is a job as the scheduler last showed it.
type JobObserved struct {
	JobID     string    `json:"job_id"`
	State     string    `json:"state"`
	Active    bool      `json:"active,omitempty"`   // left the queue
	Terminal  bool      `json:"terminal,omitempty"` // will not change again
	Reason    string    `json:"reason,omitempty"`
	ExitCode  *int      `json:"exit_code,omitempty"`
	Signal    int       `json:"signal,omitempty"`
	Nodes     int       `json:"nodes,omitempty"`
	ElapsedMS int64     `json:"elapsed_ms,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// AskedAt is when the request began whose answer showed this.
	AskedAt time.Time `json:"asked_at,omitzero"`
	Stdout  string    `json:"stdout,omitempty"` // path on the system
	Stderr  string    `json:"stderr,omitempty"`
}

// Kind names the event.
func (*RunCreated) Kind() EventKind      { return "run.created" }
func (*RunOpened) Kind() EventKind       { return "run.opened" }
func (*RunStarted) Kind() EventKind      { return "run.started" }
func (*RunBound) Kind() EventKind        { return "run.bound" }
func (*CancelRequested) Kind() EventKind { return "run.cancel_requested" }
func (*RunTimedOut) Kind() EventKind     { return "run.timed_out" }
func (*RunFinished) Kind() EventKind     { return "run.finished" }
func (*UnitReady) Kind() EventKind       { return "unit.ready" }
func (*UnitSkipped) Kind() EventKind     { return "unit.skipped" }
func (*UnitFailed) Kind() EventKind      { return "unit.failed" }
func (*AttemptStarted) Kind() EventKind  { return "attempt.started" }
func (*AttemptWaiting) Kind() EventKind  { return "attempt.waiting" }
func (*AttemptWoken) Kind() EventKind    { return "attempt.woken" }
func (*AttemptExpired) Kind() EventKind  { return "attempt.expired" }
func (*Checkpoint) Kind() EventKind      { return "attempt.checkpoint" }
func (*AttemptFinished) Kind() EventKind { return "attempt.finished" }
func (*BackoffEnded) Kind() EventKind    { return "backoff.ended" }
func (*JobObserved) Kind() EventKind     { return "job.observed" }
