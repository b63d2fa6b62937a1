package why

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// waiting says what a unit that is not done waits for; since is when it began to
// wait for the reason that it has now.
func waiting(run *workflow.Run, u *workflow.Unit, since time.Time) *Waiting {
	w := &Waiting{Since: u.Since}
	switch {
	case u.State.Done():
		return nil
	case u.State == workflow.Pending:
		w.Text = pendingFor(run, u)
	case u.State == workflow.Ready:
		w.Text = "for a free place: so many attempts at once, or jobs on its system, are allowed"
	case u.State == workflow.Running:
		w.Text = "for nothing: the attempt is executed"
		if u.Unknown() {
			w.Text = "for nothing: its job is being looked for"
		}
	default:
		if !since.IsZero() {
			w.Since = since
		}
		w.Reason, w.Until = u.Wait.Reason, u.Wait.Until
		w.Text = cmp.Or(u.Wait.Message, reasonWords[w.Reason])
	}
	w.Unknown = u.Unknown() && !followed(u)
	return w
}

// followed reports whether a person has named the job that the unit waits for.
func followed(u *workflow.Unit) bool {
	word := u.Attempt().Submission.Resolved
	return word != nil && word.As == workflow.ResolvedJob && u.Wait.Reason == workflow.WaitJob
}

// pendingFor names what has to be done before a unit is judged.
func pendingFor(run *workflow.Run, u *workflow.Unit) string {
	var names []string
	if u.Step.Step.Finally {
		names = append(names, "all of `steps` to end")
	}
	for _, b := range u.Step.Step.Barriers {
		if s := run.Steps[b]; !s.State().Done() {
			names = append(names, fmt.Sprintf("%s (%s)", s.Step.ID, s.State()))
		}
	}
	if source := u.Source(); source != nil && !source.State.Done() {
		names = append(names, fmt.Sprintf("%s (%s)", source.Ref(), source.State))
	}
	if len(names) == 0 {
		return "for its condition to be judged"
	}
	return "for " + strings.Join(names, ", ")
}

// reasonWords say what a wait is for.
var reasonWords = map[workflow.WaitReason]string{
	workflow.WaitJob:       "for a job to end",
	workflow.WaitApproval:  "for a person to approve",
	workflow.WaitTimer:     "for an instant",
	workflow.WaitBackoff:   "for the next attempt",
	workflow.WaitOutage:    "for an outage to end",
	workflow.WaitAttention: "for a person",
	workflow.WaitChild:     "for another run to end",
}
