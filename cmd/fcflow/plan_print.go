package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/plan"
	"github.com/fcflow/fcflow/workflow"
)

// printPlan shows a plan to people: a line for each step, then what was found.
func (a *app) printPlan(p *shownPlan) {
	out := a.streams.Out
	where := "with no service"
	switch {
	case p.Sandbox != "":
		where = "on the sandbox in " + p.Sandbox
	case p.URL != "":
		where = "on " + p.URL
	}
	title := fmt.Sprintf("  %s %s", count(len(p.Steps), "step"), where)
	if p.Live {
		title += ", FirecREST " + p.ServerVersion + ", asked just now"
	}
	out.Println(console.Text{S: p.Workflow, Style: console.Bold}, console.Say(title))
	out.Println()
	var rows [][]console.Text
	for _, s := range p.Steps {
		rows = append(rows, []console.Text{
			console.Say(s.ID), console.Say(s.Uses), console.Say(systemOf(s)), console.Say(strings.Join(s.Needs, ", ")), console.Say(whatOf(s)),
		})
	}
	out.Table([]string{"STEP", "TYPE", "SYSTEM", "AFTER", "WHAT"}, rows)
	a.printVaried(p.Plan)
	a.printTotals(p.Plan)
	for _, severity := range []plan.Severity{plan.Unknown, plan.Warning, plan.Error} {
		a.printFindings(severity, p.Of(severity))
	}
	switch wrong := len(p.Of(plan.Error)); {
	case wrong > 0:
	case p.Live:
		out.Printf("\nno errors\n")
	default:
		out.Printf("\nno errors on this machine; --live asks the service, too\n")
	}
}

func systemOf(s *plan.Step) string {
	if s.System == "" {
		return "–"
	}
	return s.System
}

// whatOf reads "4 nodes, 6h0m0s, partition normal" or "notes.txt (1.2 KiB),
// direct".
func whatOf(s *plan.Step) string {
	var facts []string
	if s.Finally {
		facts = append(facts, "in the end, whatever happens")
	}
	switch {
	case s.Runs == plan.No:
		return "does not run: " + s.If + " is false"
	case s.If != "":
		facts = append(facts, "if "+s.If)
	}
	if s.Instances != nil {
		facts = append(facts, instancesFact(s.Instances))
	}
	if j := s.Job; j != nil {
		facts = append(facts, jobFacts(j)...)
	}
	for _, r := range s.Reads {
		facts = append(facts, sourceFact(r))
	}
	if t := s.Transfer; t != nil {
		switch {
		case t.Method != "":
			facts = append(facts, t.Method)
		case t.Asked != "" && t.Asked != "auto":
			facts = append(facts, t.Asked)
		}
	}
	return strings.Join(facts, ", ")
}

// instancesFact reads "60 instances (dt=1; dt=2; dt=3; … and 57 more)".
func instancesFact(in *plan.Instances) string {
	text := "instances known at run time"
	if in.Known {
		text = count(in.Count, "instance")
	}
	switch {
	case in.Of != "":
		text += ", those of " + in.Of
	case len(in.Keys) > 0:
		named := strings.Join(in.Keys, "; ")
		if more := in.Count - len(in.Keys); more > 0 {
			named += fmt.Sprintf("; … and %d more", more)
		}
		text += " (" + named + ")"
	}
	return text
}

// printVaried shows what differs between the instances of steps.
func (a *app) printVaried(p *plan.Plan) {
	out, begun := a.streams.Out, false
	for _, s := range p.Steps {
		if s.Instances == nil {
			continue
		}
		for _, v := range s.Instances.Varies {
			if !begun {
				out.Println()
				out.Println(console.Text{S: "values that differ between instances", Style: console.Bold})
				begun = true
			}
			out.Printf("  %s: %s\n", s.ID, variedFact(v))
		}
		if n := s.Instances.Evaluated; n > 0 {
			out.Printf("  %s: the first %d of %s were looked at\n", s.ID, n, count(s.Instances.Count, "instance"))
		}
	}
}

// variedFact reads "resources.nodes 1; 2; 4; … and 57 more".
func variedFact(v plan.Varied) string {
	var shown []string
	for _, value := range v.Values {
		shown = append(shown, valueText(value))
	}
	text := v.Input + " " + strings.Join(shown, "; ")
	if more := v.Count - len(v.Values); more > 0 {
		text += fmt.Sprintf("; … and %d more", more)
	}
	return text
}

// valueText is a value in one short line.
func valueText(v any) string {
	text, ok := v.(string)
	if !ok {
		encoded, _ := json.Marshal(v) // it came from JSON
		text = string(encoded)
	}
	const most = 40
	text = firstLine(text)
	if long := []rune(text); len(long) > most {
		text = string(long[:most]) + "…"
	}
	return text
}

// printTotals says how much all instances together are, if there are several.
func (a *app) printTotals(p *plan.Plan) {
	fans := slices.ContainsFunc(p.Steps, func(s *plan.Step) bool { return s.Instances != nil })
	jobs, transfers, known := p.Totals()
	if fans && known && jobs+transfers > 0 {
		a.streams.Out.Printf("\nin all %s and %s\n", count(jobs, "job"), count(transfers, "transfer"))
	}
}

func jobFacts(j *plan.Job) []string {
	var facts []string
	if j.Nodes > 0 {
		facts = append(facts, count(int(j.Nodes), "node"))
	}
	for _, f := range [][2]string{
		{"", j.Walltime}, {"partition ", j.Partition}, {"account ", j.Account}, {"reservation ", j.Reservation}, {"qos ", j.QOS},
	} {
		if f[1] != "" {
			facts = append(facts, f[0]+f[1])
		}
	}
	return facts
}

func sourceFact(r *plan.Source) string {
	text := r.Given
	switch {
	case r.Seen == nil || r.Seen.Problem != "":
		return text
	case !r.Seen.Exists:
		return text + " (not there)"
	case r.Seen.Dir && r.Side == workflow.LocalPath:
		return fmt.Sprintf("%s (%s, %s)", text, count(r.Seen.Files, "file"), console.Bytes(r.Seen.SizeBytes))
	case r.Seen.Dir:
		return text + " (directory)"
	}
	return fmt.Sprintf("%s (%s)", text, console.Bytes(r.Seen.SizeBytes))
}

var severities = map[plan.Severity]struct {
	title, symbol string
	style         console.Style
}{
	plan.Unknown: {"not checkable before the run", "?", console.Dim},
	plan.Warning: {"warnings", "!", console.Yellow},
	plan.Error:   {"errors", "✗", console.Red},
}

func (a *app) printFindings(severity plan.Severity, findings []plan.Finding) {
	if len(findings) == 0 {
		return
	}
	out, look := a.streams.Out, severities[severity]
	out.Println()
	out.Println(console.Text{S: look.title, Style: console.Bold})
	for _, f := range findings {
		place := ""
		if f.Step != "" {
			place = f.Step + ": "
		}
		if f.Pos != nil && severity != plan.Unknown {
			place = fmt.Sprintf("line %d, %s", f.Pos.Line, place)
			if f.File != "" {
				place = f.File + " " + place
			}
		}
		out.Println(console.Text{S: "  " + look.symbol + " ", Style: look.style}, console.Say(place+f.Message))
		if f.Hint != "" {
			out.Println(console.Text{S: "    hint: ", Style: console.Dim}, console.Say(f.Hint))
		}
	}
}
