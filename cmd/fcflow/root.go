package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/settings"
)

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "fcflow",
		Short: "Run workflows on supercomputers through FirecREST",
		Long: `fcflow runs the steps of a YAML workflow on supercomputers through FirecREST v2:
files, batch jobs, transfers and local commands. It keeps the history of every
run on disk, so that an interrupted run continues where it was, and it has a
sandbox built in, on which the same file runs with no supercomputer at all.`,
		Example: `  fcflow init demo
  fcflow run --sandbox demo/workflow.yaml
  fcflow runs list`,
		SilenceErrors: true, SilenceUsage: true, DisableFlagsInUseLine: true, DisableSuggestions: true,
		SuggestionsMinimumDistance: 2,
		PersistentPreRun: func(c *cobra.Command, _ []string) {
			a.started = true
			a.given = func(flag string) bool { return c.Flags().Changed(flag) }
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	for _, s := range settings.All() {
		if s.Flag == "" {
			continue
		}
		help := s.Help
		if s.Env != "" {
			help += " (environment " + s.Env + ")"
		}
		value := placeholder{word: "NAME", text: new(string)}
		if s.Kind == settings.Path {
			value.word = "DIR"
		}
		a.flags[s.Flag] = value.text
		root.PersistentFlags().Var(value, s.Flag, help)
	}
	completeFlag(root, "profile", a.completeProfiles)
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log what happens, each request included")
	root.PersistentFlags().Var(&a.logFormat, "log-format", "how to log on stderr")
	completeFlag(root, "log-format", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return a.logFormat.choices, cobra.ShellCompDirectiveNoFileComp
	})
	root.AddGroup(&cobra.Group{ID: groupRuns, Title: "Runs:"}, &cobra.Group{ID: groupFiles, Title: "Workflow files:"}, &cobra.Group{ID: groupMore, Title: "More:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRuns, newRunCommand(a), newServeCommand(a), newResumeCommand(a), newRetryCommand(a), newRerunCommand(a), newCancelCommand(a), newApproveCommand(a), newResolveCommand(a),
		newRunsCommand(a), newSchedulesCommand(a), newCheckCommand(a))
	add(groupFiles, newInitCommand(a), newValidateCommand(a), newPlanCommand(a), newGraphCommand(a), newStepsCommand(a), newSchemaCommand(a))
	add(groupMore, newSystemsCommand(a), newDoctorCommand(a), newSandboxCommand(a), newConfigCommand(a), newCompletionCommand(a), newVersionCommand(a))
	root.AddCommand(newDocsCommand(a))
	root.SetHelpCommandGroupID(groupMore)
	return root
}

const (
	groupRuns  = "runs"
	groupFiles = "files"
	groupMore  = "more"
)

// newGroupCommand is a noun whose verbs are commands.
func newGroupCommand(use, short, long, example string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, DisableFlagsInUseLine: true,
		SuggestionsMinimumDistance: 2,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(verbs...)
	return c
}
