package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// printEnd says how a run ended: on stderr what happened, with everything
// needed to look into a failure, and on stdout the outputs of the workflow.
func (a *app) printEnd(v *workflow.RunView, now time.Time) {
	err := a.streams.Err
	a.printFailures(err, v, func() {})
	took := ""
	if !v.StartedAt.IsZero() {
		end := v.EndedAt
		if end.IsZero() {
			end = now
		}
		took = " in " + console.Duration(end.Sub(v.StartedAt))
	}
	why := ""
	if v.Cause != "" {
		why += fmt.Sprintf(" (%s)", v.Cause)
	}
	if v.Message != "" {
		why += ": " + v.Message
	}
	err.Println(console.State(string(v.State)), console.Say(fmt.Sprintf("  run %s of %s%s%s: %s", shortID(v.ID), v.Workflow, took, why, tally(v.Units))))
	if v.OutputDir != "" && exists(v.OutputDir) {
		err.Println(console.Say("  files in " + v.OutputDir))
	}
	if v.State == workflow.RunFailed {
		a.noteRetry(v)
	}
	a.printOutputs(v)
}

// noteRetry says how to do again what failed. A job that ran well and whose outputs
// were not found would fail in the same way.
func (a *app) noteRetry(v *workflow.RunView) {
	missing := func(u *workflow.UnitView) bool { return u.Cause == workflow.CauseOutputMissing }
	if !slices.ContainsFunc(failures(v), missing) {
		a.note("do again what failed: fcflow retry %s", a.refer(v.ID))
		return
	}
	a.note("if `outputs` look for what was not written, correct them, then: fcflow resume %s --workflow FILE", a.refer(v.ID))
	a.note("do again what failed as it is: fcflow retry %s", a.refer(v.ID))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tally reads "5 succeeded, 1 failed".
func tally(units map[workflow.State]int) string {
	var parts []string
	for _, s := range workflow.States() {
		if n := units[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return "no steps"
	}
	return strings.Join(parts, ", ")
}

// printOutputs prints the outputs of the workflow, one a line.
func (a *app) printOutputs(v *workflow.RunView) {
	var outputs map[string]json.RawMessage
	if json.Unmarshal(v.Outputs, &outputs) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		value := string(outputs[name])
		var text string
		if json.Unmarshal(outputs[name], &text) == nil {
			value = text
		}
		a.streams.Out.Printf("%s: %s\n", name, value)
	}
}

// failures are the instances that failed, in the order of the file.
func failures(v *workflow.RunView) []*workflow.UnitView {
	var failed []*workflow.UnitView
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			if u := &v.Steps[i].Instances[j]; u.State == workflow.Failed {
				failed = append(failed, u)
			}
		}
	}
	return failed
}

const shownFailureLines = 20

// printFailure says of one instance why it failed, and where to look.
func (a *app) printFailure(out *console.Stream, v *workflow.RunView, u *workflow.UnitView) {
	ref := unitRef(u)
	why := string(u.Cause)
	if u.Message != "" {
		why += ": " + u.Message
	}
	out.Println(console.Text{S: "✗ " + ref.String() + " failed", Style: console.Red}, console.Say("  "+firstLine(why)))
	for line := range strings.SplitSeq(strings.TrimPrefix(why, firstLine(why)), "\n") {
		if line != "" {
			out.Println(console.Say("    " + line))
		}
	}
	fact := func(label, text string) {
		out.Println(console.Say(fmt.Sprintf("    %-10s %s", label, text)))
	}
	if len(u.Attempts) > 0 {
		last := u.Attempts[len(u.Attempts)-1]
		if len(u.Attempts) > 1 {
			fact("attempts", fmt.Sprint(len(u.Attempts)))
		}
		if last.JobID != "" {
			fact("job", jobFact(&last))
		}
		if last.Evidence != "" {
			fact("evidence", last.Evidence)
		}
		printTail(out, last.Tail)
	}
	if n := len(u.Attempts); n > 0 && (u.Attempts[n-1].JobID != "" || u.Attempts[n-1].Tail != "") {
		fact("next", fmt.Sprintf("fcflow runs logs %s %s", a.refer(v.ID), shellQuote(ref.String())))
	}
	if n := len(u.Attempts); n > 0 && u.Attempts[n-1].Child != "" {
		fact("next", "fcflow runs show "+a.refer(u.Attempts[n-1].Child))
	}
}

func unitRef(u *workflow.UnitView) workflow.UnitRef {
	return workflow.UnitRef{Step: u.Step, Instance: u.Instance}
}

// jobFact reads "12 on daint, FAILED, exit code 3".
func jobFact(t *workflow.AttemptView) string {
	text := t.JobID
	if t.System != "" {
		text += " on " + t.System
	}
	if j := t.Job; j != nil && j.JobID == t.JobID { // not of one that has lost
		text += ", " + j.State
		if j.ExitCode != nil {
			text += fmt.Sprintf(", exit code %d", *j.ExitCode)
		}
		if j.Signal != 0 {
			text += fmt.Sprintf(", signal %d", j.Signal)
		}
	}
	return text
}

// printTail prints the last lines of an output.
func printTail(out *console.Stream, tail string) {
	if strings.TrimSpace(tail) == "" {
		return
	}
	lines := strings.Split(strings.TrimRight(tail, "\n"), "\n")
	if len(lines) > shownFailureLines {
		lines = lines[len(lines)-shownFailureLines:]
	}
	out.Println(console.Say("    last lines of its output:"))
	for _, line := range lines {
		out.Println(console.Text{S: "    │ ", Style: console.Dim}, console.Say(line))
	}
}

// sayInterrupted says what goes on although this process stops.
func (a *app) sayInterrupted(v *workflow.RunView) {
	a.note("interrupted: run %s of %s stays as it is", shortID(v.ID), v.Workflow)
	jobs := 0
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			u := &v.Steps[i].Instances[j]
			if u.State.Done() || len(u.Attempts) == 0 {
				continue
			}
			last := u.Attempts[len(u.Attempts)-1]
			if last.JobID == "" && last.Child == "" || !last.EndedAt.IsZero() {
				continue
			}
			switch jobs++; {
			case jobs > shownOfFolded:
			case last.Child != "":
				a.note("  %s stays as it is, too: run %s, whose jobs go on", unitRef(u), shortID(last.Child))
			default:
				a.note("  %s goes on: job %s", unitRef(u), jobFact(&last))
			}
		}
	}
	if more := jobs - shownOfFolded; more > 0 {
		a.note("  … and %d more jobs go on", more)
	}
	a.note("  continue it: fcflow resume %s", a.refer(v.ID))
	a.note("  cancel it, with its jobs: fcflow cancel %s", a.refer(v.ID))
}

// sayAttention lists what waits for a person.
func (a *app) sayAttention(v *workflow.RunView) {
	a.note("run %s of %s waits for a person", shortID(v.ID), v.Workflow)
	for _, q := range questions(v) {
		a.note("  %s: %s", q.ref(), q.what())
		a.note("    answer it: %s [--reject]", approveWith(a.refer(v.ID), q.ref()))
	}
	for i := range v.Steps {
		for j := range v.Steps[i].Instances {
			u := &v.Steps[i].Instances[j]
			if u.Wait != nil && u.Wait.Reason == workflow.WaitChild {
				a.note("  %s: %s; look at it: fcflow runs show %s", unitRef(u), u.Wait.Message, a.refer(u.Attempts[len(u.Attempts)-1].Child))
			}
			if u.Wait != nil && u.Wait.Reason == workflow.WaitAttention {
				a.note("  %s: %s", unitRef(u), u.Wait.Message)
				a.note("    the evidence: fcflow runs why %s %s", a.refer(v.ID), shellQuote(unitRef(u).String()))
				if u.Unknown {
					a.note("    say what became of it: %s", a.resolveWith(v.ID, u))
				}
			}
		}
	}
	a.note("  look at it: fcflow runs show %s", a.refer(v.ID))
}

// resolveWith is how to say what became of a submission.
func (a *app) resolveWith(id workflow.RunID, u *workflow.UnitView) string {
	return fmt.Sprintf("fcflow resolve %s %s --job ID | --never-ran | --failed", a.refer(id), shellQuote(unitRef(u).String()))
}

// shellQuote makes a text one word of a command line.
func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:@+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
