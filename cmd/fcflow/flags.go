package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag with a closed set of values, which are completed and named
// in errors.
type choice struct {
	value   string
	choices []string
}

// newChoice has its first value as default.
func newChoice(choices ...string) choice { return choice{choices[0], choices} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.choices, "|") }

func (c *choice) Set(text string) error {
	if !slices.Contains(c.choices, text) {
		return fmt.Errorf("want one of %s", strings.Join(c.choices, ", "))
	}
	c.value = text
	return nil
}

// placeholder is a text flag for which help shows a word that says what the text
// is.
type placeholder struct {
	word string
	text *string
}

func (p placeholder) String() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

func (p placeholder) Type() string { return p.word }

func (p placeholder) Set(text string) error {
	*p.text = text
	return nil
}

// addChoice declares a choice as a flag of a command.
func addChoice(c *cobra.Command, value *choice, name, help string) {
	c.Flags().Var(value, name, help)
	completeFlag(c, name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return value.choices, cobra.ShellCompDirectiveNoFileComp
	})
}

// format is how a command prints what it found.
type format string

const (
	formatText format = "text"
	formatJSON format = "json"
	formatName format = "name"
)

// output is the --output flag.
type output struct{ choice }

func newOutput() output {
	return output{newChoice(string(formatText), string(formatJSON), string(formatName))}
}

func (o *output) format() format { return format(o.value) }

func (o *output) add(c *cobra.Command) {
	addChoice(c, &o.choice, "output", "what to print: text for people, json for programs, name for names only")
}

// addSandbox declares --sandbox, whose directory may be left out.
func addSandbox(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "sandbox", "", "use the sandbox as the service: that in the state directory, or with --sandbox=`DIR` that in DIR")
	c.Flags().Lookup("sandbox").NoOptDefVal = here
}

// addTakeOver declares --take-over.
func (a *app) addTakeOver(c *cobra.Command) {
	c.Flags().BoolVar(&a.takesOver, "take-over", false, "take the run from a process on another host that is known to be dead")
}

// completeFlag registers a completion; that can only fail for a flag that does
// not exist.
func completeFlag(c *cobra.Command, name string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(name, f); err != nil {
		panic(err)
	}
}
