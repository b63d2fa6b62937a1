package workflow

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Fence says how a job makes sure that it is the only one to run the payload of
// its token.
type Fence string

const (
	// FenceClaim: the first thing a job does is to claim its token by a link that
	// only one can make. Who owns the token can be read by everybody.
	FenceClaim Fence = "claim"
	// FenceBlind: jobs claim as well, but nobody else can read or plant links
	// there; a job that lost says so by its exit code.
	FenceBlind Fence = "blind"
	// FenceOff: jobs claim nothing. They are found again by their name alone.
	FenceOff Fence = "off"
)

// Rule names what decided something about a submission.
type Rule string

const (
	RuleAnswer    Rule = "answer"    // the words of the answer to the submission prove it
	RuleClaim     Rule = "claim"     // the claim in the control directory names the job
	RuleShortCut  Rule = "short_cut" // one request, accepted, and that job ended COMPLETED 0:0
	RuleTombstone Rule = "tombstone" // fcflow claimed the token before any job did
	RuleMarker    Rule = "marker"    // the job's own exit marker says how its payload ended
	RuleState     Rule = "state"     // the scheduler says how the job that owns the token ended
	RuleExitCode  Rule = "exit_code" // a job that lost would have ended with 79
	RuleName      Rule = "name"      // no fence: the job that has the name
	RuleAbsent    Rule = "absent"    // looked for long enough, and found nowhere
	RuleGone      Rule = "gone"      // every witness was asked, and its time limit has passed
	RulePerson    Rule = "person"    // somebody said so with `fcflow resolve`
)

// SubmissionIntent: the job that is about to be submitted, before anything is
// sent. The token is the name that makes it findable.
type SubmissionIntent struct {
	Token   string `json:"token"`
	JobName string `json:"job_name"`
	System  string `json:"system"`
	WorkDir string `json:"work_dir"`
	// Control is the directory on the system where the token is claimed. Fence is
	// how; empty stands for off.
	Control string `json:"control,omitempty"`
	Fence   Fence  `json:"fence,omitempty"`
	// Script is the digest of the submitted text; for a remote script its path
	// is in RemoteScript.
	Script       string `json:"script,omitempty"`
	RemoteScript string `json:"remote_script,omitempty"`
	Account      string `json:"account,omitempty"`
	// Limit is the wall time that the job asks for, 0 if it leaves that to the
	// scheduler or its directives.
	LimitMS int64 `json:"limit_ms,omitempty"`
	// Requeue: the scheduler may run the same job again.
	Requeue bool `json:"requeue,omitempty"`
	// SecretFiles: files with secrets are put beside the claim for the job.
	SecretFiles bool `json:"secret_files,omitempty"`
}

// SubmissionSending is durable before the first byte of the K-th request.
type SubmissionSending struct {
	K int `json:"k"`
}

// SubmissionClass is what an answer to a submission proves.
type SubmissionClass string

const (
	Accepted  SubmissionClass = "accepted"
	NotSent   SubmissionClass = "not_sent"
	Rejected  SubmissionClass = "rejected"
	Ambiguous SubmissionClass = "ambiguous"
	// Adopted: no usable answer, but the job was found by its token. Only in
	// histories from before jobs claimed their tokens.
	Adopted SubmissionClass = "adopted"
)

// SubmissionOutcome is what the K-th request came to.
type SubmissionOutcome struct {
	K         int             `json:"k"`
	Class     SubmissionClass `json:"class"`
	JobID     string          `json:"job_id,omitempty"`
	Status    int             `json:"status,omitempty"`
	Message   string          `json:"message,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
}

// CallFact is a request that was made for evidence, and what came back.
type CallFact struct {
	Operation string    `json:"operation"` // "GET /compute/daint/jobs"
	At        time.Time `json:"at"`
	Status    int       `json:"status,omitempty"` // 0 if no answer came
	RequestID string    `json:"request_id,omitempty"`
	Said      string    `json:"said,omitempty"` // what of it matters, in words
}

// SubmissionLooked is one look for the job of a submission whose fate is not
// known.
type SubmissionLooked struct {
	// Jobs are those that carry the token: in the job list, or by an output file
	// that they left. They are candidates, no more.
	Jobs []string `json:"jobs,omitempty"`
	// Vote: nothing was found where the job would show, so that this counts
	// towards its absence. Witness: the list showed another job that exists.
	Vote    bool       `json:"vote,omitempty"`
	Witness bool       `json:"witness,omitempty"`
	Calls   []CallFact `json:"calls,omitempty"`
}

// SubmissionAbsent is the verdict that the requests so far have made no job. It
// may be wrong: that costs a place in the queue, never a second execution.
type SubmissionAbsent struct {
	K     int `json:"k"` // the last of the requests
	Votes int `json:"votes"`
}

// SubmissionOwner says, once and for all, who may run the payload: a job, or
// nobody.
type SubmissionOwner struct {
	JobID    string     `json:"job_id,omitempty"` // "" = nobody: the token is fenced off
	Rule     Rule       `json:"rule"`
	Evidence string     `json:"evidence,omitempty"`
	Calls    []CallFact `json:"calls,omitempty"`
}

// Resolution is what a person says became of a submission.
type Resolution string

const (
	ResolvedJob      Resolution = "job"       // this is the job
	ResolvedNeverRan Resolution = "never_ran" // there is none: fence the token off and try again
	ResolvedFailed   Resolution = "failed"    // the attempt has failed
)

// SubmissionResolved is the word of a person.
type SubmissionResolved struct {
	As    Resolution `json:"as"`
	JobID string     `json:"job_id,omitempty"` // for ResolvedJob
	By    string     `json:"by"`
}

// Kind names the event.
func (*SubmissionIntent) Kind() EventKind   { return "submission.intent" }
func (*SubmissionSending) Kind() EventKind  { return "submission.sending" }
func (*SubmissionOutcome) Kind() EventKind  { return "submission.outcome" }
func (*SubmissionLooked) Kind() EventKind   { return "submission.looked" }
func (*SubmissionAbsent) Kind() EventKind   { return "submission.absent" }
func (*SubmissionOwner) Kind() EventKind    { return "submission.owner" }
func (*SubmissionResolved) Kind() EventKind { return "submission.resolved" }

// SubmissionFact is an event about a submission after its intent.
type SubmissionFact interface {
	Payload
	note(s *Submission, at time.Time) error
}

// Submission is what is durable of the submission of one job.
type Submission struct {
	Intent SubmissionIntent
	Sent   int // how many requests were about to be sent
	SentAt time.Time
	// FirstSentAt is when the first of them was.
	FirstSentAt time.Time
	Outcomes    []SubmissionOutcome
	// Candidates are the jobs that carry the token, as they became known.
	Candidates []string
	// AcceptedAt is when the first of them became known.
	AcceptedAt time.Time
	// Votes are the looks since the last request that found nothing, the last one
	// at VotedAt; Witnessed of them saw that the list was not blind.
	Votes, Witnessed int
	VotedAt          time.Time
	Absent           int // requests up to this one made no job, by the verdict
	Owner            *SubmissionOwner
	Resolved         *SubmissionResolved
	// JobID is the job to follow: the owner, else the first candidate, else "".
	JobID string
}

// Note adds a fact. It refuses one that the protocol does not allow: that is a
// programming error, and the run must not be driven any further.
func (s *Submission) Note(f SubmissionFact, at time.Time) error { return f.note(s, at) }

// InFlight reports whether a request was sent whose outcome is not on record.
func (s *Submission) InFlight() bool {
	return s != nil && s.Owner == nil && s.Sent > 0 && !s.answered(s.Sent)
}

func (s *Submission) answered(k int) bool {
	return slices.ContainsFunc(s.Outcomes, func(o SubmissionOutcome) bool { return o.K == k })
}

// Doubtful reports whether a request may have made a job that is not known, so
// that the token must be fenced off before another is used. The verdict of
// absence does not settle that. Where a token can be fenced off, that is done after
// a refusal too: somebody on the way may have sent the request twice.
func (s *Submission) Doubtful() bool {
	return s != nil && s.Owner == nil && (s.InFlight() || slices.ContainsFunc(s.Outcomes, func(o SubmissionOutcome) bool {
		never := o.Class == NotSent && o.Status == 0 // not a byte has left
		return o.Class == Ambiguous || s.Intent.Fence == FenceClaim && o.Class != Accepted && !never
	}))
}

// Unsettled reports whether a request is of unknown fate: whether it made a job
// must be found out before another is sent.
func (s *Submission) Unsettled() bool {
	return s.InFlight() || slices.ContainsFunc(s.Outcomes, func(o SubmissionOutcome) bool {
		return o.Class == Ambiguous && o.K > s.Absent
	})
}

// MaySend reports whether another request may be sent: every one before is known
// to have made no job, or believed so by the verdict.
func (s *Submission) MaySend() bool {
	return s.Owner == nil && len(s.Candidates) == 0 && !s.Unsettled()
}

// Over reports whether another token may be used: no job of this one can run any
// more but the owner, whose end the attempt has recorded.
func (s *Submission) Over() bool {
	switch {
	case s == nil, s.Sent == 0, s.Owner != nil, s.Resolved != nil && s.Resolved.As != ResolvedJob:
		return true
	case len(s.Candidates) > 0:
		return s.Intent.Fence == "" // from before there were fences
	}
	return !s.Doubtful() || s.Intent.Fence == ""
}

// add keeps the id of a job that carries the token.
func (s *Submission) add(id string, at time.Time) {
	if id == "" || slices.Contains(s.Candidates, id) {
		return
	}
	s.Candidates = append(s.Candidates, id)
	if s.JobID == "" {
		s.JobID, s.AcceptedAt = id, at
	}
}

func (p *SubmissionSending) note(s *Submission, at time.Time) error {
	switch {
	case p.K != s.Sent+1:
		return fmt.Errorf("request %d after request %d", p.K, s.Sent)
	case !s.MaySend():
		return fmt.Errorf("request %d while the fate of the one before is not settled", p.K)
	}
	s.Sent, s.SentAt = p.K, at
	if p.K == 1 {
		s.FirstSentAt = at
	}
	s.Votes, s.Witnessed, s.VotedAt = 0, 0, time.Time{}
	return nil
}

func (p *SubmissionOutcome) note(s *Submission, at time.Time) error {
	if p.K > s.Sent {
		return fmt.Errorf("outcome of request %d, which was not sent", p.K)
	}
	s.Outcomes = append(s.Outcomes, *p)
	s.add(p.JobID, at)
	return nil
}

func (p *SubmissionLooked) note(s *Submission, at time.Time) error {
	for _, id := range p.Jobs {
		s.add(id, at)
	}
	if p.Vote {
		s.Votes++
		s.VotedAt = at
		if p.Witness {
			s.Witnessed++
		}
	}
	return nil
}

func (p *SubmissionAbsent) note(s *Submission, _ time.Time) error {
	switch {
	case p.K != s.Sent:
		return fmt.Errorf("a verdict on request %d, the last is %d", p.K, s.Sent)
	case len(s.Candidates) > 0 || s.Owner != nil:
		return errors.New("a verdict of absence, and a job is known")
	}
	s.Absent = p.K
	return nil
}

func (p *SubmissionOwner) note(s *Submission, at time.Time) error {
	if s.Owner != nil {
		return fmt.Errorf("job %q owns the token after %q did", p.JobID, s.Owner.JobID)
	}
	s.Owner = p
	if p.JobID != "" {
		s.add(p.JobID, at)
		s.JobID = p.JobID
	}
	return nil
}

func (p *SubmissionResolved) note(s *Submission, at time.Time) error {
	s.Resolved = p
	s.add(p.JobID, at)
	if p.JobID != "" && s.Owner == nil {
		s.JobID = p.JobID
	}
	return nil
}

func (p *SubmissionIntent) apply(r *Run, e *Event) error {
	return r.onAttempt(e, func(_ *Unit, a *Attempt) error {
		if a.Submission != nil {
			return errors.New("the attempt has an intent already")
		}
		a.Submission = &Submission{Intent: *p}
		if p.Control != "" {
			r.controls[p.Control] = true
		}
		return nil
	})
}

func (p *SubmissionSending) apply(r *Run, e *Event) error { return r.onSubmission(e, p, nil) }
func (p *SubmissionAbsent) apply(r *Run, e *Event) error  { return r.onSubmission(e, p, nil) }
func (p *SubmissionOutcome) apply(r *Run, e *Event) error { return r.onSubmission(e, p, r.known) }
func (p *SubmissionLooked) apply(r *Run, e *Event) error  { return r.onSubmission(e, p, r.known) }
func (p *SubmissionOwner) apply(r *Run, e *Event) error   { return r.onSubmission(e, p, r.known) }

func (p *SubmissionResolved) apply(r *Run, e *Event) error {
	return r.onSubmission(e, p, func(u *Unit, at time.Time) {
		r.known(u, at)
		if u.State == Waiting {
			r.wakes.push(wake{u, u.gen, WakeResolved})
		} else {
			u.Attempt().unheard = true // it may have looked before
		}
	})
}

// known starts the time that a job may wait in its queue, once there is one.
func (r *Run) known(u *Unit, at time.Time) {
	if u.Attempt().Submission.JobID != "" {
		r.queued(u, at)
	}
}

// onSubmission notes a fact of the newest attempt of a unit.
func (r *Run) onSubmission(e *Event, f SubmissionFact, then func(*Unit, time.Time)) error {
	return r.onAttempt(e, func(u *Unit, a *Attempt) error {
		if a.Submission == nil {
			return errors.New("the attempt has no intent")
		}
		if err := a.Submission.Note(f, e.At); err != nil {
			return err
		}
		if then != nil {
			then(u, e.At)
		}
		return nil
	})
}

// UsesControl reports whether a token of the run was to be claimed in that
// directory before.
func (r *Run) UsesControl(dir string) bool { return r.controls[dir] }

// SubmissionOf finds the submission in this run that a job belongs to, and
// copies it; nil if there is none.
func (r *Run) SubmissionOf(system, jobID string) *Submission {
	for _, s := range r.Steps {
		if spec := s.Step.Spec(); spec == nil || !spec.Fenced {
			continue
		}
		for _, u := range s.Units {
			for _, a := range u.Attempts {
				if sub := a.Submission; sub != nil && sub.Intent.System == system && slices.Contains(sub.Candidates, jobID) {
					return sub.Clone()
				}
			}
		}
	}
	return nil
}

// Clone copies a submission, which may be nil, for another goroutine.
func (s *Submission) Clone() *Submission {
	if s == nil {
		return nil
	}
	c := *s
	c.Outcomes, c.Candidates = slices.Clone(s.Outcomes), slices.Clone(s.Candidates)
	return &c
}
