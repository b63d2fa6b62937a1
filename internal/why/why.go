// Package why explains, from the history of a run alone, how one instance came
// to be where it is: which call was made when, what came back, and by which rule
// that decided.
package why

import (
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Chain is the chain of evidence of one instance. Its JSON form is a contract
// that only grows.
type Chain struct {
	Run      workflow.RunID    `json:"run"`
	Workflow string            `json:"workflow"`
	Step     string            `json:"step"`
	Instance string            `json:"instance,omitempty"`
	Uses     string            `json:"uses"`
	State    workflow.State    `json:"state"`
	Since    time.Time         `json:"since"`
	Cause    workflow.Cause    `json:"cause,omitempty"`
	Message  string            `json:"message,omitempty"`
	Root     *workflow.UnitRef `json:"root,omitempty"` // the unit where the trouble began
	// Imported is the run in which it was done, if not in this one.
	Imported workflow.RunID `json:"imported,omitempty"`
	// Facts are what happened to it before its first attempt.
	Facts    []Fact    `json:"facts,omitempty"`
	Attempts []Attempt `json:"attempts"`
	Waiting  *Waiting  `json:"waiting,omitempty"`
}

// Attempt is one try of the instance.
type Attempt struct {
	Attempt   int            `json:"attempt"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	State     workflow.State `json:"state,omitempty"` // once it ended
	Cause     workflow.Cause `json:"cause,omitempty"`
	System    string         `json:"system,omitempty"`
	Token     string         `json:"token,omitempty"`
	JobName   string         `json:"job_name,omitempty"`
	// JobID is the job that owns the token, or the one that is followed while that
	// is not known.
	JobID string         `json:"job_id,omitempty"`
	Fence workflow.Fence `json:"fence,omitempty"`
	Facts []Fact         `json:"facts"`
}

// Fact is something that is on record, in words.
type Fact struct {
	Seq  int64              `json:"seq"`
	At   time.Time          `json:"at"`
	Kind workflow.EventKind `json:"kind"`
	Text string             `json:"text"`
	// Means is what follows from it.
	Means string `json:"means,omitempty"`
	// Rule decided it, for the reason that Because gives.
	Rule    workflow.Rule `json:"rule,omitempty"`
	Because string        `json:"because,omitempty"`
	// Calls are the requests that it rests on.
	Calls []workflow.CallFact `json:"calls,omitempty"`
}

// Waiting is what an instance that is not done waits for.
type Waiting struct {
	Reason workflow.WaitReason `json:"reason,omitempty"`
	Since  time.Time           `json:"since"`
	Until  time.Time           `json:"next_look_at,omitzero"`
	Text   string              `json:"text"`
	// Unknown: nobody knows what became of a submission; a person who does may say
	// so.
	Unknown bool `json:"unknown,omitempty"`
}

// Witness gathers the events that bear on one instance, in their order.
type Witness struct {
	ref    workflow.UnitRef
	last   int64
	events []workflow.Event
}

// NewWitness gathers for an instance.
func NewWitness(ref workflow.UnitRef) *Witness { return &Witness{ref: ref} }

// Note takes an event. One that was seen before, or says nothing of the
// instance, is passed over.
func (w *Witness) Note(e workflow.Event) {
	if e.Seq <= w.last {
		return
	}
	w.last = e.Seq
	if bearsOnAll(&e) || e.Step == w.ref.Step && e.Instance == w.ref.Instance {
		w.events = append(w.events, e)
	}
}

// bearsOnAll reports whether an event says something of every instance.
func bearsOnAll(e *workflow.Event) bool {
	switch e.Data.(type) {
	case *workflow.RunOpened, *workflow.CancelRequested, *workflow.RunTimedOut, *workflow.UnitsReset, *workflow.RunReplanned:
		return true
	}
	return false
}

// Explain makes the chain of a unit of the run to which the events lead.
func (w *Witness) Explain(run *workflow.Run, u *workflow.Unit) Chain {
	c := Chain{
		Run: run.ID, Workflow: run.Workflow.Name, Step: w.ref.Step, Instance: w.ref.Instance, Uses: u.Step.Step.Uses,
		State: u.State, Since: u.Since, Cause: u.Cause, Message: u.Message, Attempts: []Attempt{},
	}
	if u.Root != nil && u.Root != u {
		ref := u.Root.Ref()
		c.Root = &ref
	}
	if u.Imported != nil {
		c.Imported = u.Imported.Run
	}
	t := teller{step: u.Step.Step}
	for i := range w.events {
		t.note(&c, &w.events[i])
	}
	if !u.State.Done() {
		t.goesOn(&c)
	}
	for i := range c.Attempts {
		if a := u.Attempts[i]; a.Submission != nil {
			c.Attempts[i].JobID = a.Submission.JobID
		} else if a.Job != nil {
			c.Attempts[i].JobID = a.Job.JobID
		}
	}
	c.Waiting = waiting(run, u, t.waitsSince)
	return c
}
