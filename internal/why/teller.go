package why

import (
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// teller turns events into facts, one after another.
type teller struct {
	step *workflow.Step
	// done: the instance has ended. underWay: an attempt has begun and not ended.
	done, underWay bool
	// again is a request to do things again since the instance has ended; whether
	// it is one of them shows by what follows.
	again *workflow.Event
	// said is the reason and message of the last wait that was told; waits that
	// only repeat it are passed over.
	said       workflow.AttemptWaiting
	waitsSince time.Time
	fence      workflow.Fence
	sentAt     time.Time
	looks      int // that found nothing, since the last request
	// obvious is what is waited for after the last fact, as everybody expects.
	obvious workflow.WaitReason
	read    map[string]bool // requests that were shown already, by their id
}

// note adds what an event says to the chain.
func (t *teller) note(c *Chain, e *workflow.Event) {
	switch e.Data.(type) {
	case *workflow.UnitsReset, *workflow.RunReplanned:
		if t.done {
			t.again = e
		}
		return
	case *workflow.UnitReady, *workflow.UnitSkipped, *workflow.UnitFailed, *workflow.AttemptStarted:
		t.goesOn(c)
	}
	if start, ok := e.Data.(*workflow.AttemptStarted); ok {
		c.Attempts = append(c.Attempts, Attempt{Attempt: e.Attempt, StartedAt: e.At, System: start.System, Facts: []Fact{}})
		t.said, t.waitsSince, t.looks, t.sentAt = workflow.AttemptWaiting{}, time.Time{}, 0, time.Time{}
		t.underWay = true
	}
	f := Fact{Seq: e.Seq, At: e.At, Kind: e.Data.Kind()}
	t.tell(&f, e.Data)
	if n := len(c.Attempts); n > 0 {
		a := &c.Attempts[n-1]
		switch p := e.Data.(type) {
		case *workflow.SubmissionIntent:
			a.Token, a.JobName, a.Fence = p.Token, p.JobName, p.Fence
		case *workflow.AttemptFinished:
			if a.EndedAt.IsZero() {
				a.EndedAt, a.State, a.Cause = e.At, p.State, p.Cause
			}
		}
	}
	if f.Text == "" {
		return
	}
	f.Because = f.Rule.Sentence()
	c.add(f)
}

// add puts a fact where it belongs: to the newest attempt, or before the first.
func (c *Chain) add(f Fact) {
	facts := &c.Facts
	if n := len(c.Attempts); n > 0 {
		facts = &c.Attempts[n-1].Facts
	}
	*facts = append(*facts, f)
}

// goesOn tells that an instance that had ended is done again.
func (t *teller) goesOn(c *Chain) {
	if !t.done || t.again == nil {
		return
	}
	t.done = false
	f := Fact{Seq: t.again.Seq, At: t.again.At, Kind: t.again.Data.Kind()}
	t.tell(&f, t.again.Data)
	c.add(f)
	t.again = nil
}

// tell says an event in words; it leaves the text empty where there is nothing
// to say.
func (t *teller) tell(f *Fact, p workflow.Payload) {
	if t.done {
		return // what follows does not touch the instance any more
	}
	switch p := p.(type) {
	case *workflow.RunOpened:
		if !t.underWay {
			return
		}
		f.Text = fmt.Sprintf("process %d on %s took the run over (epoch %d)", p.Owner.PID, p.Owner.Host, p.Owner.Epoch)
	case *workflow.CancelRequested:
		f.Text = p.By + " asked for the end of the run"
	case *workflow.UnitsReset:
		f.Text = p.By + " asked for things to be done again, and this is one of them"
		f.Means = "its attempts are kept, and the rules of retries count anew"
	case *workflow.RunReplanned:
		f.Text = p.By + " gave the run another workflow, and this is done by that one"
		f.Means = "its attempts are kept, and the rules of retries count anew"
	case *workflow.RunTimedOut:
		f.Text = "the timeout of the run passed"
	case *workflow.ApprovalGiven:
		f.Text = p.By + " approved"
		if p.Rejected {
			f.Text = p.By + " rejected it"
		}
		if p.Note != "" {
			f.Text += ": " + p.Note
		}
	case *workflow.UnitReady:
		f.Text = "its condition is true: it may start"
	case *workflow.UnitSkipped:
		t.skipped(f, p)
	case *workflow.UnitImported:
		t.imported(f, p)
	case *workflow.UnitFailed:
		t.done = true
		f.Text = fmt.Sprintf("failed before anything was tried: %s: %s", p.Cause, p.Message)
	case *workflow.AttemptStarted:
		f.Text = "the attempt began"
		if !p.Deadline.IsZero() {
			f.Text += ", with time until " + clock(p.Deadline)
		}
	case *workflow.AttemptWaiting:
		t.waits(f, p)
	case *workflow.AttemptWoken:
		f.Text = wakeWords[p.Why]
	case *workflow.AttemptExpired:
		f.Text, f.Means = expiry(p.Cause), "what is under way is ended; evidence that it succeeded in time still counts"
	case *workflow.Checkpoint:
		f.Text = checkpointWords[p.Key]
	case *workflow.AttemptFinished:
		t.finished(f, p)
	default:
		t.submission(f, p)
	}
}

// skipped tells why a unit does not run.
func (t *teller) skipped(f *Fact, p *workflow.UnitSkipped) {
	t.done = true
	f.Text = "skipped: " + string(p.Cause)
	if words := skipWords[p.Cause]; words != "" {
		f.Text = "skipped: " + words
	}
	switch {
	case p.Root != nil:
		f.Means = fmt.Sprintf("the trouble began with %s", p.Root)
	case p.Message != "":
		f.Text += ": " + p.Message
	}
}

// imported tells where a unit was done that stands as it ended in another run.
func (t *teller) imported(f *Fact, p *workflow.UnitImported) {
	t.done = true
	f.Text = fmt.Sprintf("imported from run %s: %s", p.Run, outcome(p.State, p.Cause, p.Message))
	f.Means = "it was not done in this run; that one says how it went"
}

// waits tells what an attempt waits for, unless that was just said.
func (t *teller) waits(f *Fact, p *workflow.AttemptWaiting) {
	if p.Reason != t.said.Reason || t.waitsSince.IsZero() {
		t.waitsSince = f.At
	}
	repeated := p.Reason == t.said.Reason && p.Message == t.said.Message || p.Reason == t.obvious
	t.said, t.obvious = *p, ""
	if repeated {
		return
	}
	f.Text = "waits " + reasonWords[p.Reason]
	if p.Message != "" {
		f.Text += ": " + p.Message
	}
}

// finished tells how an attempt ended, and what follows.
func (t *teller) finished(f *Fact, p *workflow.AttemptFinished) {
	t.said, t.waitsSince = workflow.AttemptWaiting{Reason: workflow.WaitBackoff}, f.At
	t.underWay = false
	f.Rule = p.Rule
	f.Text = "ended " + outcome(p.State, p.Cause, p.Message)
	if p.Evidence != "" {
		f.Text += "; evidence: " + p.Evidence
	}
	if p.Retry == nil {
		t.done = true
		return
	}
	f.Means = "the next attempt is made at " + clock(p.Retry.At) + ", " + t.ruleOf(p)
}

// outcome reads "failed: exit(3): the command says why".
func outcome(state workflow.State, cause workflow.Cause, message string) string {
	text := string(state)
	for _, part := range []string{string(cause), message} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// ruleOf names what allows another attempt.
func (t *teller) ruleOf(p *workflow.AttemptFinished) string {
	i := p.Retry.Rule
	switch {
	case p.Rule == workflow.RulePerson:
		return "because a person said so"
	case i < 0 || i >= len(t.step.Retry):
		return "by the step type's own rule"
	}
	rule := t.step.Retry[i]
	var causes []string
	for _, c := range rule.Causes {
		causes = append(causes, string(c))
	}
	text := fmt.Sprintf("by retry rule %d (%s, at most %d times)", i+1, strings.Join(causes, ", "), rule.Max)
	if grown := grownWords(p.Retry.Grow); grown != "" {
		text += ", with " + grown
	}
	return text
}
