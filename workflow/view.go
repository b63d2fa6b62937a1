package workflow

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Summary is the small derived picture of a run that lists show and run.json
// keeps. Its JSON form is a contract that only grows.
type Summary struct {
	ID       RunID    `json:"id"`
	Workflow string   `json:"workflow"`
	State    RunState `json:"state"`
	Cause    Cause    `json:"cause,omitempty"`
	Message  string   `json:"message,omitempty"`
	Trigger  Trigger  `json:"trigger"`
	// Parent is the attempt of another run that started this one.
	Parent *ParentRef `json:"parent,omitempty"`
	// ImportedFrom are the runs in which instances were done that this one began with:
	// paths in their outputs lead there.
	ImportedFrom []RunID   `json:"imported_from,omitempty"`
	By           string    `json:"by,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
	StartedAt    time.Time `json:"started_at,omitzero"`
	EndedAt      time.Time `json:"ended_at,omitzero"`
	Seq          int64     `json:"seq"`
	Epoch        int64     `json:"epoch"`
	// Round is how often the run was begun, if more than once.
	Round int           `json:"round,omitempty"`
	Units map[State]int `json:"units"`
	// Waits is what those that wait do wait for, by [WaitReason.Word].
	Waits map[string]int `json:"waits,omitempty"`
	// Attention lists units that wait for a person.
	Attention []UnitRef `json:"attention,omitempty"`
	// FailedSteps are the steps that failed first, in that order: at most five, and none
	// with continue_on_error.
	FailedSteps []string `json:"failed_steps,omitempty"`
	// Concurrency are the groups that the run belongs to.
	Concurrency []Membership `json:"concurrency,omitempty"`
}

// listedFailures bounds FailedSteps: lists have room for a few, and the picture of the
// run has all steps.
const listedFailures = 5

// Summarize derives the summary. Its cost grows with the number of steps, not
// of events.
func (r *Run) Summarize() Summary {
	s := Summary{
		ID: r.ID, Workflow: r.Workflow.Name, State: r.State, Cause: r.Cause, Message: r.Message,
		Trigger: r.Created.Trigger, Parent: r.Created.Parent, ImportedFrom: slices.Clone(r.sources), By: r.Created.By,
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Seq: r.Seq, Epoch: r.Epoch, Units: map[State]int{}, Concurrency: r.Created.Concurrency,
		FailedSteps: slices.Clone(r.failedSteps[:min(len(r.failedSteps), listedFailures)]),
	}
	if r.Round > 1 {
		s.Round = r.Round
	}
	for _, step := range r.Steps {
		for state, n := range step.counts {
			if n > 0 {
				s.Units[state] += n
			}
		}
		if step.counts[Waiting] == 0 {
			continue
		}
		for _, u := range step.Units {
			if u.State == Waiting {
				s.waits(u)
			}
		}
	}
	return s
}

func (s *Summary) waits(u *Unit) {
	if u.Wait.Reason.Person() {
		s.Attention = append(s.Attention, u.Ref())
	}
	var job *JobObserved
	if a := u.Attempt(); a != nil {
		job = a.Job
	}
	if s.Waits == nil {
		s.Waits = map[string]int{}
	}
	s.Waits[u.Wait.Reason.Word(job)]++
}

// RunView is everything `runs show` prints. Its JSON form is a contract that
// only grows.
type RunView struct {
	Summary
	Dir       string         `json:"dir"`
	OutputDir string         `json:"output_dir"`
	RerunOf   RunID          `json:"rerun_of,omitempty"` // the run it was made of
	Profile   Profile        `json:"profile"`
	Inputs    map[string]any `json:"inputs,omitempty"`
	Sites     []RunBound     `json:"sites,omitempty"`
	// Requests are those to FirecREST that attempts have made, by operation.
	Requests map[string]int `json:"requests,omitempty"`
	// Outputs is null, as every value of a view is that takes more than 32 KiB and
	// therefore is kept apart.
	Outputs json.RawMessage `json:"outputs,omitempty"`
	Steps   []StepView      `json:"steps"`
	// Dropped are instances with attempts that are none of a step any more, or not yet
	// again while it is not expanded: what became of them and their attempts only.
	Dropped []UnitView `json:"dropped,omitempty"`
	// Replans is how often the run went on with another workflow.
	Replans int `json:"replans,omitempty"`
	// CancelRequests is how often somebody asked for the end of the run.
	CancelRequests int `json:"cancel_requests,omitempty"`
	// QueuedAt is when the run was created or last begun again. It is for the process
	// that drives the run.
	QueuedAt time.Time `json:"-"`
}

// StepView is a step of a run with its instances.
type StepView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name,omitempty"`
	Uses      string     `json:"uses"`
	Finally   bool       `json:"finally,omitempty"`
	Needs     []string   `json:"needs,omitempty"`
	State     State      `json:"state"`
	Instances []UnitView `json:"instances"`
}

// UnitView is an instance of a step.
type UnitView struct {
	Step     string `json:"step"`
	Instance string `json:"instance,omitempty"`
	// Parameters are the values that make the instance what it is: those of its
	// matrix by name, or item.
	Parameters map[string]any  `json:"parameters,omitempty"`
	State      State           `json:"state"`
	Since      time.Time       `json:"since"`
	Cause      Cause           `json:"cause,omitempty"`
	Message    string          `json:"message,omitempty"`
	Root       *UnitRef        `json:"root,omitempty"` // the unit where the trouble began
	Wait       *WaitView       `json:"wait,omitempty"`
	Outputs    json.RawMessage `json:"outputs,omitempty"`
	// Imported is the run in which the instance was done, if not in this one.
	Imported RunID `json:"imported,omitempty"`
	// With is what it was given there.
	With     json.RawMessage `json:"with,omitempty"`
	Attempts []AttemptView   `json:"attempts,omitempty"`
	// Unknown: nobody knows what became of a submission; `fcflow resolve` takes the
	// word of a person.
	Unknown bool `json:"unknown,omitempty"`
}

// WaitView is what a waiting instance waits for.
type WaitView struct {
	Reason  WaitReason `json:"reason"`
	Until   time.Time  `json:"until,omitzero"`
	Message string     `json:"message,omitempty"`
}

// AttemptView is one try of an instance.
type AttemptView struct {
	Attempt   int             `json:"attempt"`
	StartedAt time.Time       `json:"started_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	State     State           `json:"state,omitempty"` // once it ended
	Cause     Cause           `json:"cause,omitempty"`
	Message   string          `json:"message,omitempty"`
	Evidence  string          `json:"evidence,omitempty"`
	Tail      string          `json:"tail,omitempty"`
	System    string          `json:"system,omitempty"`
	With      json.RawMessage `json:"with,omitempty"` // secrets as {"secret":"NAME"}
	Token     string          `json:"token,omitempty"`
	JobID     string          `json:"job_id,omitempty"`
	Job       *JobObserved    `json:"job,omitempty"`
	Approval  *Approval       `json:"approval,omitempty"`
	// Child is the run of another workflow that the attempt starts.
	Child RunID `json:"child,omitempty"`
	// Submission is what is known of how the job was submitted.
	Submission *SubmissionView `json:"submission,omitempty"`
}

// SubmissionView is what is known of the submission of a job.
type SubmissionView struct {
	JobName  string `json:"job_name"`
	Fence    Fence  `json:"fence,omitempty"`
	Requests int    `json:"requests"`
	// AcceptedAt is when a job that carries the token became known.
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	// Answer is what came back of the last request, if it was no acceptance.
	Answer string `json:"answer,omitempty"`
	// Looks are how often the job was looked for in vain since then, the last time
	// at LookedAt.
	Looks    int       `json:"looks"`
	LookedAt time.Time `json:"looked_at,omitzero"`
	// Candidates are the jobs that carry the token; Owner is which of them, or that
	// none of them, may run the payload.
	Candidates []string            `json:"candidates,omitempty"`
	Owner      *SubmissionOwner    `json:"owner,omitempty"`
	Resolved   *SubmissionResolved `json:"resolved,omitempty"`
}

// Describe derives the full picture of the run.
func (r *Run) Describe() RunView {
	v := RunView{
		Summary: r.Summarize(), Dir: r.Created.Dir, OutputDir: r.Created.OutputDir, RerunOf: r.Created.RerunOf,
		QueuedAt: r.QueuedAt, Profile: r.Created.Profile, Inputs: r.inputs, Outputs: r.Outputs.shown(), CancelRequests: r.CancelRequests, Replans: r.Replans,
	}
	v.Requests = maps.Clone(r.Requests)
	for _, system := range slices.Sorted(maps.Keys(r.Sites)) {
		v.Sites = append(v.Sites, r.Sites[system])
	}
	for _, s := range r.Steps {
		step := StepView{
			ID: s.Step.ID, Name: s.Step.Name, Uses: s.Step.Uses, Finally: s.Step.Finally, State: s.State(),
		}
		for _, b := range s.Step.WaitsFor() {
			step.Needs = append(step.Needs, r.Steps[b].Step.ID)
		}
		for _, u := range s.Units {
			step.Instances = append(step.Instances, r.DescribeUnit(u))
		}
		v.Steps = append(v.Steps, step)
	}
	v.Dropped = r.dropped()
	return v
}

// DescribeUnit derives the picture of one instance, with the runs that it started.
func (r *Run) DescribeUnit(u *Unit) UnitView {
	v := u.Describe()
	if spec := u.Step.Step.Spec(); spec != nil && spec.SubWorkflow {
		for i := range v.Attempts {
			a := &v.Attempts[i]
			a.Child = ChildID(r.Created.Nonce, u.Ref(), a.Attempt, a.StartedAt)
		}
	}
	return v
}

// Describe derives the picture of one instance.
func (u *Unit) Describe() UnitView {
	v := UnitView{
		Step: u.Step.Step.ID, Instance: u.Instance, Parameters: u.Parameters(), State: u.State, Since: u.Since,
		Cause: u.Cause, Message: u.Message, Outputs: u.Outputs.shown(), Unknown: u.Unknown(),
	}
	if u.Imported != nil {
		v.Imported, v.With = u.Imported.Run, u.Imported.With.shown()
	}
	if u.Root != nil && u.Root != u {
		ref := u.Root.Ref()
		v.Root = &ref
	}
	if u.State == Waiting {
		v.Wait = &WaitView{Reason: u.Wait.Reason, Until: u.Wait.Until, Message: u.Wait.Message}
	}
	for _, a := range u.Attempts {
		v.Attempts = append(v.Attempts, a.describe())
	}
	return v
}

func (a *Attempt) describe() AttemptView {
	v := AttemptView{
		Attempt: a.Number, StartedAt: a.StartedAt, EndedAt: a.EndedAt,
		System: a.System, With: a.With.shown(), Job: a.Job, Approval: a.Approval,
	}
	if a.End != nil {
		v.State, v.Cause, v.Message = a.End.State, a.End.Cause, a.End.Message
		v.Evidence, v.Tail = a.End.Evidence, a.End.Tail
	}
	if s := a.Submission; s != nil {
		v.Token, v.JobID, v.Submission = s.Intent.Token, s.JobID, s.describe()
	}
	if v.JobID == "" && a.Job != nil {
		v.JobID = a.Job.JobID
	}
	return v
}

func (s *Submission) describe() *SubmissionView {
	v := &SubmissionView{
		JobName: s.Intent.JobName, Fence: s.Intent.Fence, Requests: s.Sent, AcceptedAt: s.AcceptedAt, Looks: s.Votes, LookedAt: s.VotedAt,
		Candidates: slices.Clone(s.Candidates), Owner: s.Owner, Resolved: s.Resolved,
	}
	if n := len(s.Outcomes); n > 0 {
		v.Answer = s.Outcomes[n-1].Message
	}
	return v
}

// shown is a value as views hold it: null if it is kept apart.
func (b Body) shown() json.RawMessage {
	if b.Blob != "" {
		return json.RawMessage("null")
	}
	return b.JSON
}
