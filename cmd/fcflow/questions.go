package main

import (
	"fmt"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// question is what a step of a run asks a person: one or more of its instances.
type question struct {
	step  string
	asked []*workflow.UnitView
}

// questions are what is asked in a run and not answered yet.
func questions(v *workflow.RunView) []question {
	var all []question
	for i := range v.Steps {
		q := question{step: v.Steps[i].ID}
		for j := range v.Steps[i].Instances {
			if u := &v.Steps[i].Instances[j]; asks(u) {
				q.asked = append(q.asked, u)
			}
		}
		if len(q.asked) > 0 {
			all = append(all, q)
		}
	}
	return all
}

// asks reports whether an instance waits for an answer that is not there.
func asks(u *workflow.UnitView) bool {
	return u.Wait != nil && u.Wait.Reason == workflow.WaitApproval && u.Attempts[len(u.Attempts)-1].Approval == nil
}

// what is asked, in a line.
func (q *question) what() string {
	if len(q.asked) == 1 {
		return q.asked[0].Wait.Message
	}
	return fmt.Sprintf("%d instances ask: %s …", len(q.asked), q.asked[0].Wait.Message)
}

// ref names what asks: an instance, or all of the step that do.
func (q *question) ref() workflow.UnitRef {
	if len(q.asked) == 1 {
		return unitRef(q.asked[0])
	}
	return workflow.UnitRef{Step: q.step}
}

// approveWith is how to answer; run is how to name the run.
func approveWith(run string, ref workflow.UnitRef) string {
	return fmt.Sprintf("fcflow approve %s %s", run, shellQuote(ref.String()))
}

// shownQuestions bounds how many instances of a step are listed that ask.
const shownQuestions = 10

// printQuestions says what waits for an answer, and how to give it.
func (a *app) printQuestions(v *shownRun) {
	out := a.streams.Out
	for _, q := range questions(&v.RunView) {
		out.Println()
		out.Println(console.Text{S: "? " + q.ref().String(), Style: console.Yellow}, console.Say("  "+q.what()))
		for i, u := range q.asked {
			if len(q.asked) == 1 {
				break
			}
			if i == shownQuestions {
				out.Println(console.Say(fmt.Sprintf("    … and %d more", len(q.asked)-i)))
				break
			}
			out.Println(console.Say(fmt.Sprintf("    %s  %s", unitRef(u), u.Wait.Message)))
		}
		with := approveWith(a.refer(v.ID), q.ref())
		out.Println(console.Say("    yes        " + with))
		out.Println(console.Say("    no         " + with + " --reject"))
	}
}
