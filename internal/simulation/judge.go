package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rule is something that a program must keep.
type Rule string

// The rules.
const (
	Once       Rule = "once"       // the payload of a token starts once, requeues of one job apart
	OneAttempt Rule = "attempt"    // attempts of a unit never overlap, and none follows a success
	Order      Rule = "order"      // a submission is on record before its first byte leaves
	Dependency Rule = "dependency" // a payload starts after its parents have succeeded
	Lost       Rule = "lost"       // what ended well is known to have ended well
	Invented   Rule = "invented"   // and nothing else is
	AfterEnd   Rule = "after end"  // when the work is over, nothing of it starts
	Orphan     Rule = "orphan"     // nor runs on
	Harm       Rule = "harm"       // the program ends no payload that nobody wants it to
	Stuck      Rule = "stuck"      // the work ends
)

// Violation is a rule that was broken.
type Violation struct {
	Rule Rule
	At   time.Duration
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s (at %s)", v.Rule, v.Text, v.At) }

// judgeStart looks at a payload that has just started; its line is the last of
// the ledger.
func (w *World) judgeStart(j *job) {
	for _, line := range w.ledger[:len(w.ledger)-1] {
		if line.Token == j.token && line.Job != j.id {
			w.wrong(Once, "the payload of %s starts in job %s; it started in job %s at %s", j.name, j.id, line.Job, line.At)
			break
		}
	}
	for _, other := range w.batch.jobs {
		if other.unit != j.unit || other.token == j.token || !other.paid {
			continue
		}
		switch {
		case !other.terminal():
			w.wrong(OneAttempt, "%s starts in job %s while an attempt of it runs in job %s", j.unit, j.id, other.id)
		case other.done && other.result == 0:
			w.wrong(OneAttempt, "%s starts in job %s; it succeeded in job %s", j.unit, j.id, other.id)
		case other.attempt > j.attempt:
			w.wrong(OneAttempt, "attempt %d of %s starts in job %s after attempt %d did", j.attempt, j.unit, j.id, other.attempt)
		}
	}
	for _, parent := range j.payload.after {
		if !w.succeeded(parent) {
			w.wrong(Dependency, "%s starts before %s has succeeded", j.unit, parent)
		}
	}
	if w.account != nil {
		w.wrong(AfterEnd, "%s starts in job %s when the work is over", j.unit, j.id)
	}
}

// judgeStop looks at a job that the program has cancelled while it runs. Nobody
// wants that who has not cancelled the work, or given the task a time.
func (w *World) judgeStop(j *job) {
	i := slices.IndexFunc(w.schedule.Plan.Tasks, func(t Task) bool { return t.Unit == j.unit })
	if i < 0 || w.schedule.Plan.Tasks[i].Timeout > 0 || w.schedule.Cancel > 0 || !j.paid || j.done {
		return
	}
	w.wrong(Harm, "job %s of %s is cancelled while it does its work", j.id, j.name)
}

// succeeded reports whether the payload of a unit has ended with 0.
func (w *World) succeeded(unit string) bool {
	return slices.ContainsFunc(w.batch.jobs, func(j *job) bool { return j.unit == unit && j.done && j.result == 0 })
}

// judgeEnd looks at what a program says in the end, as it says it.
func (w *World) judgeEnd() {
	for _, j := range w.batch.jobs {
		if unit := w.account.Units[j.unit]; j.paid && !j.terminal() && unit.Job != j.id {
			w.wrong(Orphan, "job %s of %s runs on when the work is over", j.id, j.name)
		}
	}
	for _, unit := range sortedUnits(w.account) {
		if w.account.Units[unit].State == "succeeded" && w.isJob(unit) && !w.succeeded(unit) {
			w.wrong(Invented, "%s is said to have succeeded", unit)
		}
	}
}

// isJob reports whether a job was ever accepted for a unit; if not, a unit that
// is a task of the plan still is one.
func (w *World) isJob(unit string) bool {
	return len(w.batch.tokens[unit]) > 0 || slices.ContainsFunc(w.schedule.Plan.Tasks, func(t Task) bool { return t.Unit == unit })
}

// judgeRest looks at what is left when nothing happens any more.
func (w *World) judgeRest() {
	if w.account == nil {
		return
	}
	for _, j := range w.batch.jobs {
		said := cmp.Or(w.account.Units[j.unit].State, "unknown")
		if j.done && j.result == 0 && w.evident(j) && said != "succeeded" {
			w.wrong(Lost, "job %s of %s ended with 0, and the unit is %s", j.id, j.name, said)
		}
	}
}

// evident reports whether anybody can still see that a payload ended with 0.
func (w *World) evident(j *job) bool {
	at := fenceOf(j.script)
	return j.state == completed && !j.forgotten || at != "" && w.disk.readlink(at+".x") != ""
}

// sortedUnits are the units of an account, in order.
func sortedUnits(a *Account) []string { return slices.Sorted(maps.Keys(a.Units)) }
