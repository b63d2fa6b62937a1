package why

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// submission tells a fact about the submission of a job, or the job.
func (t *teller) submission(f *Fact, p workflow.Payload) {
	switch p := p.(type) {
	case *workflow.SubmissionIntent:
		t.fence = p.Fence
		what := "script " + short(p.Script)
		if p.RemoteScript != "" {
			what = p.RemoteScript
		}
		f.Text = fmt.Sprintf("will submit job %s to %s (%s, %s)", p.JobName, p.System, what, fenceWords(p))
	case *workflow.SubmissionSending:
		t.looks, t.sentAt = 0, f.At
		f.Text = fmt.Sprintf("request %d is about to be sent", p.K)
	case *workflow.SubmissionOutcome:
		t.outcome(f, p)
	case *workflow.SubmissionLooked:
		t.looked(f, p)
	case *workflow.SubmissionAbsent:
		f.Rule = workflow.RuleAbsent
		f.Text = fmt.Sprintf("verdict: looked for %s over %s, and found nowhere", times(p.Votes), console.Duration(f.At.Sub(t.sentAt)))
		f.Means = "another request with the same token may be sent; if there is a job after all, only one of the two can run the payload"
	case *workflow.SubmissionOwner:
		t.owner(f, p)
	case *workflow.SubmissionResolved:
		f.Rule = workflow.RulePerson
		f.Text = p.By + " said: " + resolutionWords(p)
	case *workflow.JobObserved:
		t.obvious = workflow.WaitJob
		f.Text = observed(p)
	}
}

// outcome tells what an answer to a submission proves.
func (t *teller) outcome(f *Fact, p *workflow.SubmissionOutcome) {
	said := strings.TrimPrefix(p.Message, "submit: outcome unknown: ")
	if p.RequestID != "" && !strings.Contains(said, p.RequestID) {
		said += fmt.Sprintf(" (request %s)", p.RequestID)
	}
	switch p.Class {
	case workflow.Accepted:
		t.obvious = workflow.WaitJob
		f.Text, f.Rule = fmt.Sprintf("request %d: accepted as job %s", p.K, p.JobID), workflow.RuleAnswer
	case workflow.NotSent:
		f.Text, f.Rule = fmt.Sprintf("request %d was not carried out: %s", p.K, said), workflow.RuleAnswer
		f.Means = "there is no job of it"
	case workflow.Rejected:
		f.Text, f.Rule = fmt.Sprintf("request %d: refused: %s", p.K, said), workflow.RuleAnswer
		f.Means = "there is no job of it"
	case workflow.Adopted:
		f.Text, f.Rule = fmt.Sprintf("request %d: no usable answer, but job %s has the name", p.K, p.JobID), workflow.RuleName
	default:
		f.Text = fmt.Sprintf("request %d: no usable answer: %s", p.K, said)
		f.Means = "nobody knows whether there is a job"
	}
}

// looked tells one look for the job, with those of its requests that were not
// shown before: attempts share them.
func (t *teller) looked(f *Fact, p *workflow.SubmissionLooked) {
	t.obvious = workflow.WaitOutage
	f.Calls = t.fresh(p.Calls)
	if len(p.Jobs) > 0 {
		t.obvious = workflow.WaitJob
		f.Text = "looked: " + jobs(p.Jobs) + " the token"
		f.Means = "it is followed; who owns the token, its claim tells"
		if t.fence != workflow.FenceClaim {
			f.Means = "it is followed"
		}
		return
	}
	f.Text = "looked, and found no job with the token"
	if !slices.ContainsFunc(p.Calls, func(c workflow.CallFact) bool { return strings.HasSuffix(c.Operation, "/jobs") }) {
		f.Text = "looked at the job list that is read for all steps, and found no job with the token"
	}
	if !p.Vote {
		return
	}
	t.looks++
	f.Means = fmt.Sprintf("counts towards its absence, %d so far", t.looks)
	switch {
	case p.Witness:
	case t.looks == 1:
		f.Means += " (without a witness: no other job that is known to exist was listed)"
	default:
		f.Means += " (without a witness)"
	}
}

// fresh are the calls that were not told before.
func (t *teller) fresh(calls []workflow.CallFact) []workflow.CallFact {
	var kept []workflow.CallFact
	for _, c := range calls {
		if c.RequestID != "" && t.read[c.RequestID] {
			continue
		}
		if t.read == nil {
			t.read = map[string]bool{}
		}
		t.read[c.RequestID] = true
		kept = append(kept, c)
	}
	return kept
}

// owner tells who may run the payload, once and for all.
func (t *teller) owner(f *Fact, p *workflow.SubmissionOwner) {
	f.Rule, f.Calls = p.Rule, t.fresh(p.Calls)
	f.Text = "no job of this attempt can run any more"
	if p.JobID != "" {
		f.Text = fmt.Sprintf("job %s owns the token", p.JobID)
	}
	if p.Evidence != "" {
		f.Text += ": " + p.Evidence
	}
}

func resolutionWords(p *workflow.SubmissionResolved) string {
	switch p.As {
	case workflow.ResolvedJob:
		return fmt.Sprintf("job %s is the one", p.JobID)
	case workflow.ResolvedNeverRan:
		return "no job of it ever ran"
	}
	return "it has failed"
}

// observed reads "job 12 is RUNNING (Priority)", or how it ended.
func observed(p *workflow.JobObserved) string {
	text := fmt.Sprintf("job %s is %s", p.JobID, p.State)
	if p.Reason != "" && p.Reason != "None" {
		text += fmt.Sprintf(" (%s)", p.Reason)
	}
	if !p.Terminal {
		return text
	}
	if p.ExitCode != nil {
		text += fmt.Sprintf(", exit code %d", *p.ExitCode)
	}
	if p.Signal != 0 {
		text += fmt.Sprintf(", signal %d", p.Signal)
	}
	if !p.StartedAt.IsZero() && p.EndedAt.After(p.StartedAt) {
		text += fmt.Sprintf(", ran for %s", console.Duration(p.EndedAt.Sub(p.StartedAt)))
	}
	return text
}

// jobs reads "job 12 carries" or "jobs 12, 13 carry".
func jobs(ids []string) string {
	if len(ids) == 1 {
		return "job " + ids[0] + " carries"
	}
	return "jobs " + strings.Join(ids, ", ") + " carry"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
