package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/workflow"
)

type validateOptions struct {
	files  []string
	output output
}

func newValidateCommand(a *app) *cobra.Command {
	o := validateOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check workflow files without running them",
		Long: `Finds every mistake that can be found without a run: keys, types, expressions,
references, cycles, schedules. Nothing is sent anywhere.`,
		Example: "  fcflow validate examples/workflows/*.yaml",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	o.output.add(c)
	return a.command(c, func(_ *cobra.Command, args []string) error {
		o.files = args
		return runValidate(a, o)
	})
}

// validated is a file with its problems. Its JSON form is a contract that only
// grows.
type validated struct {
	File     string             `json:"file"`
	OK       bool               `json:"ok"`
	Workflow string             `json:"workflow,omitempty"`
	Steps    int                `json:"steps,omitempty"`
	Problems []workflow.Problem `json:"problems,omitempty"`
}

func runValidate(a *app, o validateOptions) error {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	var errs []error
	var all []validated
	for _, file := range o.files {
		w, err := a.loadWorkflow(file, anySystem(s))
		v := validated{File: file, OK: err == nil}
		var invalid *problemsError
		if errors.As(err, &invalid) {
			v.Problems = invalid.problems
		}
		switch {
		case o.output.format() != formatText:
		case err != nil:
			a.printError(outcomeOf(err), err)
			err = &ended{err}
		default:
			a.streams.Out.Printf("%s: ok (%s, %s)\n", file, w.Name, count(len(w.AllSteps()), "step"))
		}
		if v.OK {
			v.Workflow, v.Steps = w.Name, len(w.AllSteps())
		}
		if v.OK && o.output.format() == formatName {
			a.streams.Out.Printf("%s\n", file)
		}
		errs = append(errs, err)
		all = append(all, v)
	}
	if o.output.format() == formatJSON {
		errs = append(errs, a.streams.Out.JSON(all))
	}
	return errors.Join(errs...)
}

// anySystem is the system of steps that name none, for commands to which it
// matters only that there is one: which, a file need not say.
func anySystem(s *settings.Settings) string {
	if system := s.Text("system"); system != "" {
		return system
	}
	return sandboxSystem
}
