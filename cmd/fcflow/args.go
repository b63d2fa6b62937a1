package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"
)

// fits checks the arguments of a command against the words of its usage line:
// WORD is needed, [WORD] may be missing, WORD… and [WORD…] may be repeated.
func fits(c *cobra.Command, args []string) error {
	words := strings.Fields(c.Use)[1:]
	least, most := 0, len(words)
	for _, w := range words {
		if !strings.HasPrefix(w, "[") {
			least++
		}
		if strings.HasSuffix(strings.TrimSuffix(w, "]"), "…") {
			most = math.MaxInt
		}
	}
	switch {
	case len(args) < least:
		return fmt.Errorf("%s is missing", strings.TrimSuffix(words[len(args)], "…"))
	case len(args) > most && most == 0:
		return fmt.Errorf("unexpected argument %q: %s takes none", args[0], c.CommandPath())
	case len(args) > most:
		return fmt.Errorf("unexpected argument %q after %q", args[most], args[most-1])
	}
	return nil
}

// oneRunOr wants one argument, or none with a flag.
func oneRunOr(flag string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		all, err := c.Flags().GetBool(flag)
		switch {
		case err != nil:
			return err
		case all && len(args) > 0:
			return fmt.Errorf("--%s takes no RUN", flag)
		case !all && len(args) != 1:
			return fmt.Errorf("want one RUN, or --%s", flag)
		}
		return nil
	}
}

// verbNamed finds the command of a group that a word would be a verb of:
// somebody writes "show", and means "runs show" where several have it.
func verbNamed(root *cobra.Command, word string) *cobra.Command {
	var found *cobra.Command
	for _, group := range root.Commands() {
		for _, verb := range group.Commands() {
			if !group.Hidden && verb.Name() == word && (found == nil || group.Name() == "runs") {
				found = verb
			}
		}
	}
	return found
}
