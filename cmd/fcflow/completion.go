package main

import (
	"fmt"

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
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
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
