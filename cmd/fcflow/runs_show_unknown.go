package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// printUnknown says of each instance that waits to learn what became of its
// submission what is known, when it looks again, and what a person can do.
func (a *app) printUnknown(v *shownRun, now time.Time) {
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			if u := &v.Steps[i].Instances[j]; u.Unknown && len(u.Attempts) > 0 {
				a.streams.Out.Println()
				a.printUnknownUnit(v, u, now)
			}
		}
	}
}

func (a *app) printUnknownUnit(v *shownRun, u *workflow.UnitView, now time.Time) {
	out := a.streams.Out
	fact := func(label, text string) {
		if text != "" {
			out.Println(console.Say(fmt.Sprintf("    %-10s %s", label, text)))
		}
	}
	what := "looks for its job"
	if u.Wait != nil {
		what = u.Wait.Message
	}
	out.Println(console.Text{S: "? " + unitRef(u).String(), Style: console.Yellow}, console.Say("  "+what))
	if s := u.Attempts[len(u.Attempts)-1].Submission; s != nil {
		fact("job", s.JobName)
		fact("answer", unanswered(s))
		fact("seen", strings.Join(s.Candidates, ", "))
		if s.Resolved != nil {
			fact("word", fmt.Sprintf("%s, of %s; not in effect yet", strings.ReplaceAll(string(s.Resolved.As), "_", " "), s.Resolved.By))
		}
		if s.Looks > 0 {
			fact("looked", fmt.Sprintf("%s, last %s, and found nothing", count(s.Looks, "time"), s.LookedAt.Local().Format(time.DateTime)))
		}
	}
	switch {
	case v.Interrupted:
		fact("next look", "when somebody drives the run")
	case u.Wait != nil && !u.Wait.Until.IsZero():
		fact("next look", fmt.Sprintf("in %s, or when there is news", console.Duration(u.Wait.Until.Sub(now))))
	case u.Wait != nil:
		fact("next look", "when there is news")
	}
	fact("evidence", fmt.Sprintf("fcflow runs why %s %s", a.refer(v.ID), shellQuote(unitRef(u).String())))
	fact("way out", a.resolveWith(v.ID, u))
}

// unanswered is what came back of the last request, if it proved nothing.
func unanswered(s *workflow.SubmissionView) string {
	switch {
	case s.Answer != "":
		return fmt.Sprintf("to request %d: %s", s.Requests, strings.TrimPrefix(s.Answer, "submit: outcome unknown: "))
	case len(s.Candidates) > 0:
		return ""
	}
	return fmt.Sprintf("to request %d: none is on record", s.Requests)
}
