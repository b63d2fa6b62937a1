package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletionCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell",
		Long: `Prints a script for bash, zsh, fish or powershell that completes commands,
flags, runs, steps and step types.`,
		Example: `  source <(fcflow completion bash)
  fcflow completion zsh > "${fpath[1]}/_fcflow"`,
		Args: func(c *cobra.Command, args []string) error {
			if err := fits(c, args); err != nil || slices.Contains(c.ValidArgs, args[0]) {
				return err
			}
			return withHint(fmt.Errorf("no completion for %q", args[0]), "want %s", strings.Join(c.ValidArgs, ", "))
		},
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
	}
	return a.command(c, func(c *cobra.Command, args []string) error {
		root, out := c.Root(), a.streams.Out
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(out, true)
		case "zsh":
			return root.GenZshCompletion(out)
		case "fish":
			return root.GenFishCompletion(out, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(out)
		}
		return fmt.Errorf("%w: shell %q", errUsage, args[0])
	})
}
