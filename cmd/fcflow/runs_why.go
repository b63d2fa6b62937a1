package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/why"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsWhyOptions struct {
	run, step string
	output    choice
}

func newRunsWhyCommand(a *app) *cobra.Command {
	o := runsWhyOptions{output: newChoice(string(formatText), string(formatJSON))}
	c := &cobra.Command{
		Use:   "why RUN [STEP[/KEY]]",
		Short: "Explain how a step came to be where it is",
		Long: `Prints the chain of evidence of a step, attempt by attempt: which request was
made when, what came back, and by which rule that decided. For one that waits it
says for what, since when, and what a person can do about it. Everything is read
from the history of the run; nothing is asked of the service. A part of a key will
do where only one instance has it, and no STEP where only one instance has failed.`,
		Example:           "  fcflow runs why last simulate\n  fcflow runs why K3X9QZ simulate --output json",
		ValidArgsFunction: a.completeRunAndUnit(nil),
	}
	addChoice(c, &o.output, "output", "what to print: text for people, json for programs")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		if len(args) > 1 {
			o.step = args[1]
		}
		return runRunsWhy(c.Context(), a, o)
	})
}

// explained is the chain of an instance as `runs why` prints it.
type explained struct {
	why.Chain
	Live        bool `json:"live"`        // a process drives the run now
	Interrupted bool `json:"interrupted"` // it is not over and none does
	// Next are the commands that can help, as one would type them.
	Next []string `json:"next,omitempty"`
}

func runRunsWhy(ctx context.Context, a *app, o runsWhyOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	// What the name means, only the run can tell: hence what it says is gathered, and
	// if it says only a part, all is read again.
	ref := unitNamed(o.step)
	witness := why.NewWitness(ref)
	run, driven, err := a.readRun(ctx, st, id, witness.Note)
	if err != nil {
		return err
	}
	if o.step == "" {
		view := run.Describe()
		v, err := oneFailure(&view)
		if err != nil {
			return err
		}
		o.step = unitRef(v).String()
	}
	u, err := unitOf(run, o.step)
	if err != nil {
		return err
	}
	if u.Ref() != ref {
		ref = u.Ref()
		witness = why.NewWitness(ref)
		if run, driven, err = a.readRun(ctx, st, id, witness.Note); err != nil {
			return err
		}
		if u, err = unitOf(run, ref.String()); err != nil {
			return err
		}
	}
	x := explained{Chain: witness.Explain(run, u), Live: driven && !run.State.Terminal(), Interrupted: !driven && !run.State.Terminal()}
	x.Next = a.helps(&x, isThere(ctx, st, x.Imported))
	if o.output.value == string(formatJSON) {
		return a.streams.Out.JSON(x)
	}
	a.printWhy(&x, time.Now())
	return nil
}

// isThere reports whether a run has not been deleted.
func isThere(ctx context.Context, st *store.Store, id workflow.RunID) bool {
	_, err := st.Summary(ctx, id)
	return !errors.Is(err, workflow.ErrNotFound)
}

// helps are the commands that can make an instance go on, or tell more of it. source:
// the run that it was imported from is still there.
func (a *app) helps(x *explained, source bool) []string {
	var next []string
	ref := shellQuote(workflow.UnitRef{Step: x.Step, Instance: x.Instance}.String())
	if x.Waiting != nil && x.Waiting.Unknown {
		for _, word := range []string{"--job ID", "--never-ran", "--failed"} {
			next = append(next, fmt.Sprintf("fcflow resolve %s %s %s", a.refer(x.Run), ref, word))
		}
	}
	if x.Waiting != nil && x.Waiting.Reason == workflow.WaitApproval {
		next = append(next, approveWith(a.refer(x.Run), workflow.UnitRef{Step: x.Step, Instance: x.Instance})+" [--reject]")
	}
	if x.Waiting != nil && x.Interrupted {
		next = append(next, "fcflow resume "+a.refer(x.Run))
	}
	if x.Root != nil {
		next = append(next, fmt.Sprintf("fcflow runs why %s %s", a.refer(x.Run), shellQuote(x.Root.String())))
	}
	if x.Imported != "" && source {
		next = append(next, fmt.Sprintf("fcflow runs why %s %s", a.refer(x.Imported), ref))
	}
	if n := len(x.Attempts); n > 0 && x.State == workflow.Failed && x.Attempts[n-1].JobID != "" {
		next = append(next, fmt.Sprintf("fcflow runs logs %s %s", a.refer(x.Run), ref))
	}
	if !x.Live && (x.State == workflow.Failed || x.State == workflow.Cancelled) {
		next = append(next, fmt.Sprintf("fcflow retry %s %s", a.refer(x.Run), ref))
	}
	return next
}

// whyPrinter prints a chain of evidence.
type whyPrinter struct {
	out  *console.Stream
	day  string // of the line before
	told map[workflow.Rule]bool
}

func (a *app) printWhy(x *explained, now time.Time) {
	p := whyPrinter{out: a.streams.Out, told: map[workflow.Rule]bool{}}
	head := console.Line{{S: workflow.UnitRef{Step: x.Step, Instance: x.Instance}.String(), Style: console.Bold}, console.Say("  "), console.State(string(x.State))}
	if x.Cause != "" || x.Message != "" {
		head = append(head, console.Say("  "+strings.Trim(fmt.Sprintf("%s: %s", x.Cause, x.Message), ": ")))
	}
	p.out.Println(head...)
	p.facts(x.Facts)
	for i := range x.Attempts {
		p.attempt(&x.Attempts[i], len(x.Attempts))
	}
	if w := x.Waiting; w != nil {
		p.waiting(w, x, now)
	}
	if len(x.Next) > 0 {
		p.out.Println(console.Say("next"))
	}
	for _, command := range x.Next {
		p.out.Println(console.Say("  " + command))
	}
}

func (p *whyPrinter) attempt(t *why.Attempt, of int) {
	head := fmt.Sprintf("attempt %d of %d", t.Attempt, of)
	if t.System != "" {
		head += " on " + t.System
	}
	for _, part := range [][2]string{{"token", t.Token}, {"job", t.JobID}} {
		if part[1] != "" {
			head += fmt.Sprintf(", %s %s", part[0], part[1])
		}
	}
	p.out.Println(console.Text{S: head, Style: console.Bold})
	p.facts(t.Facts)
}

func (p *whyPrinter) facts(facts []why.Fact) {
	for i := range facts {
		f := &facts[i]
		for _, call := range f.Calls {
			p.line(call.At, console.Text{S: callWords(&call), Style: console.Dim})
		}
		line := console.Line{console.Say(f.Text)}
		if f.Means != "" {
			line = append(line, console.Say("  → "+f.Means))
		}
		if f.Rule != "" {
			line = append(line, console.Text{S: "  [rule " + p.rule(f) + "]", Style: console.Dim})
		}
		p.line(f.At, line...)
	}
}

// rule names a rule, and the first time says what it is.
func (p *whyPrinter) rule(f *why.Fact) string {
	if p.told[f.Rule] || f.Because == "" {
		return string(f.Rule)
	}
	p.told[f.Rule] = true
	return fmt.Sprintf("%s: %s", f.Rule, f.Because)
}

// line prints a fact with its time, below its day when that is another.
func (p *whyPrinter) line(at time.Time, text ...console.Text) {
	at = at.Local()
	if day := at.Format(time.DateOnly); day != p.day {
		p.day = day
		p.out.Println(console.Text{S: "  " + day, Style: console.Dim})
	}
	p.out.Println(append(console.Line{{S: "  " + at.Format(time.TimeOnly) + "  ", Style: console.Dim}}, text...)...)
}

// callWords reads "GET /compute/daint/jobs: 200 (request 7f3…): 12 jobs, …".
func callWords(c *workflow.CallFact) string {
	text := c.Operation + ": "
	if c.Status == 0 {
		text += "no answer"
	} else {
		text += fmt.Sprint(c.Status)
	}
	if c.RequestID != "" {
		text += fmt.Sprintf(" (request %s)", c.RequestID)
	}
	if c.Said != "" {
		text += ": " + c.Said
	}
	return text
}

// waiting says what the instance waits for now.
func (p *whyPrinter) waiting(w *why.Waiting, x *explained, now time.Time) {
	reason := ""
	if w.Reason != "" {
		reason = fmt.Sprintf(" (%s)", w.Reason)
	}
	p.out.Println(console.Text{S: "waits" + reason, Style: console.Bold}, console.Say("  "+w.Text))
	since := w.Since.Local().Format(time.DateTime)
	if !x.Interrupted {
		since += ", " + console.Duration(now.Sub(w.Since))
	}
	p.out.Println(console.Say("  since      " + since))
	switch {
	case x.Interrupted:
		p.out.Println(console.Say("  next look  when somebody drives the run: it is interrupted"))
	case !w.Until.IsZero():
		p.out.Println(console.Say("  next look  " + w.Until.Local().Format(time.DateTime) + ", or when there is news"))
	case w.Reason != "":
		p.out.Println(console.Say("  next look  when there is news"))
	}
}
