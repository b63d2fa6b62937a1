package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

func newStepsCommand(a *app) *cobra.Command {
	return newGroupCommand("steps", "Look up step types",
		"Lists and describes what `uses:` can name.",
		"  fcflow steps list\n  fcflow steps show job",
		newStepsListCommand(a), newStepsShowCommand(a))
}

func newStepsListCommand(a *app) *cobra.Command {
	o := newOutput()
	c := &cobra.Command{
		Use: "list", Short: "List the step types", Example: "  fcflow steps list --output name",
	}
	o.add(c)
	return a.command(c, func(*cobra.Command, []string) error { return runStepsList(a, o.format()) })
}

func runStepsList(a *app, f format) error {
	var rows [][]console.Text
	all := []stepType{}
	for _, spec := range a.catalogue.All() {
		all = append(all, describeStepType(spec))
		rows = append(rows, []console.Text{console.Say(spec.Name), console.Say(spec.Group), console.Say(spec.Summary)})
		if f == formatName {
			a.streams.Out.Printf("%s\n", spec.Name)
		}
	}
	switch f {
	case formatJSON:
		return a.streams.Out.JSON(all)
	case formatText:
		a.streams.Out.Table([]string{"TYPE", "GROUP", "WHAT IT DOES"}, rows)
	}
	return nil
}

func newStepsShowCommand(a *app) *cobra.Command {
	o := newOutput()
	c := &cobra.Command{
		Use: "show TYPE", Short: "Describe a step type: inputs, outputs, causes of failure, an example",
		Example: "  fcflow steps show job", ValidArgsFunction: a.completeStepTypes,
	}
	o.add(c)
	return a.command(c, func(_ *cobra.Command, args []string) error { return runStepsShow(a, args[0], o.format()) })
}

func runStepsShow(a *app, name string, f format) error {
	spec, ok := a.catalogue.Step(name)
	if !ok {
		err := fmt.Errorf("step type %q: %w", name, workflow.ErrNotFound)
		if near := workflow.Suggest(name, a.catalogue.Names()); near != "" {
			return withHint(err, "did you mean %q?", near)
		}
		return withHint(err, "see fcflow steps list")
	}
	t := describeStepType(spec)
	switch f {
	case formatJSON:
		return a.streams.Out.JSON(t)
	case formatName:
		a.streams.Out.Printf("%s\n", t.Name)
	default:
		a.printStepType(&t)
	}
	return nil
}

// stepType is a step type as it is described to people and programs. Its JSON
// form is a contract that only grows.
type stepType struct {
	Name       string           `json:"name"`
	Group      string           `json:"group"`
	Summary    string           `json:"summary"`
	Doc        string           `json:"doc,omitempty"`
	Version    int              `json:"version"`
	Remote     bool             `json:"remote"` // runs on a system
	Idempotent bool             `json:"idempotent"`
	Resumable  bool             `json:"resumable"`
	Fenced     bool             `json:"fenced"`
	Inputs     []stepField      `json:"inputs"`
	Outputs    []stepField      `json:"outputs"`
	Dynamic    bool             `json:"dynamic_outputs"` // something declares more outputs
	Causes     []workflow.Cause `json:"causes"`
	Example    string           `json:"example"`

	declares string // whose further outputs there are, with its verb
}

type stepField struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Unit     string          `json:"unit,omitempty"`
	Required bool            `json:"required"`
	Default  json.RawMessage `json:"default,omitempty"`
	// FromDefaults: the workflow's `defaults` stand in.
	FromDefaults bool        `json:"from_defaults,omitempty"`
	Secret       bool        `json:"secret,omitempty"`
	Literal      bool        `json:"literal,omitempty"`
	Enum         []string    `json:"enum,omitempty"`
	Path         string      `json:"path,omitempty"` // local or remote
	Doc          string      `json:"doc"`
	Fields       []stepField `json:"fields,omitempty"` // of a mapping
}

func describeStepType(s workflow.StepSpec) stepType {
	declares := "its inputs declare"
	if s.SubWorkflow {
		declares = "the other file declares"
	}
	return stepType{
		Name: s.Name, Group: s.Group, Summary: s.Summary, Doc: s.Doc, Version: s.Version, Remote: s.Remote,
		Idempotent: s.Idempotent, Resumable: s.Resumable, Fenced: s.Fenced,
		Inputs: describeFields(s.Inputs), Outputs: describeFields(s.Outputs), Dynamic: s.DynamicOutputs != nil || s.SubWorkflow,
		Causes: append([]workflow.Cause{}, s.Causes...), Example: s.Example,
		declares: declares,
	}
}

func describeFields(fields []workflow.Field) []stepField {
	described := []stepField{}
	for _, f := range fields {
		d := stepField{
			Name: f.Name, Type: f.Type.String(), Unit: f.Unit, Required: f.Required, Default: f.Default,
			FromDefaults: f.FromDefaults, Secret: f.Secret, Literal: f.Literal, Enum: f.Enum, Path: string(f.Path), Doc: f.Doc,
		}
		members := f.Type.Fields
		if f.Type.Elem != nil {
			members = f.Type.Elem.Fields
		}
		if len(members) > 0 {
			d.Fields = describeFields(members)
		}
		described = append(described, d)
	}
	return described
}

// value says what an output is.
func (f *stepField) value() string {
	if f.Unit == "" {
		return f.Type
	}
	return f.Type + ", in " + f.Unit
}

// wanted says what an input must be.
func (f *stepField) wanted() string {
	facts := []string{f.value()}
	if f.Path != "" {
		facts = append(facts, f.Path+" path")
	}
	switch {
	case f.Required:
		facts = append(facts, "required")
	case f.FromDefaults:
		facts = append(facts, "default: that of the workflow")
	case f.Default != nil:
		facts = append(facts, "default "+string(f.Default))
	default:
		facts = append(facts, "optional")
	}
	if f.Secret {
		facts = append(facts, "may hold secrets")
	}
	if f.Literal {
		facts = append(facts, "no expressions")
	}
	return strings.Join(facts, ", ")
}

// guarantees says what happens to an attempt that was interrupted.
func (t *stepType) guarantees() string {
	var g []string
	switch {
	case t.Idempotent && t.Resumable:
		g = append(g, "idempotent and resumable: goes on from its last checkpoint, and does no harm if it repeats what came after")
	case t.Idempotent:
		g = append(g, "idempotent: runs again from its start")
	case t.Resumable:
		g = append(g, "resumable: goes on from its last checkpoint")
	}
	if t.Fenced {
		g = append(g, "fenced: its effect happens once")
	}
	if len(g) == 0 {
		return "fails with the cause interrupted"
	}
	return strings.Join(g, "; ")
}

func (a *app) printStepType(t *stepType) {
	out := a.streams.Out
	out.Println(console.Text{S: t.Name, Style: console.Bold}, console.Say("  "+t.Summary))
	if t.Doc != "" {
		out.Printf("\n%s\n", strings.TrimSpace(t.Doc))
	}
	a.printFields("inputs", t.Inputs, (*stepField).wanted)
	a.printFields("outputs", t.Outputs, (*stepField).value)
	if t.Dynamic {
		out.Println(console.Say("  and those that " + t.declares))
	}
	out.Println()
	out.Println(console.Text{S: "after an interruption  ", Style: console.Bold}, console.Say(t.guarantees()))
	out.Println(console.Text{S: "can fail with          ", Style: console.Bold}, console.Say(t.causes()))
	out.Println()
	out.Println(console.Text{S: "example", Style: console.Bold})
	for line := range strings.Lines(strings.TrimRight(t.Example, "\n")) {
		out.Println(console.Say("  " + line))
	}
}

func (t *stepType) causes() string {
	words := make([]string, len(t.Causes))
	for i, c := range t.Causes {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}

func (a *app) printFields(title string, fields []stepField, facts func(*stepField) string) {
	out := a.streams.Out
	out.Println()
	out.Println(console.Text{S: title, Style: console.Bold})
	if len(fields) == 0 {
		out.Println(console.Say("  none"))
		return
	}
	a.printFieldList("  ", fields, facts)
}

func (a *app) printFieldList(indent string, fields []stepField, facts func(*stepField) string) {
	for _, f := range fields {
		a.streams.Out.Println(console.Say(indent), console.Text{S: f.Name, Style: console.Bold}, console.Text{S: "  " + facts(&f), Style: console.Dim})
		if f.Doc != "" {
			a.streams.Out.Println(console.Say(indent + "    " + f.Doc))
		}
		if len(f.Enum) > 0 {
			a.streams.Out.Println(console.Say(indent + "    one of " + strings.Join(f.Enum, ", ")))
		}
		a.printFieldList(indent+"    ", f.Fields, facts)
	}
}
