package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// completed is how many runs are offered.
const completed = 30

func unfinished(l store.Listed) bool { return !l.State.Terminal() }

// completeRuns offers the ends of the ids of recent runs, and the names of
// workflows. Whatever goes wrong means no completions.
func (a *app) completeRuns(keep func(store.Listed) bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a.given = func(flag string) bool { return c.Flags().Changed(flag) }
		runs := a.recentRuns(c.Context(), keep)
		if len(runs) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		offers := []string{cobra.CompletionWithDesc("last", "the newest run")}
		seen := map[string]bool{}
		for _, l := range runs {
			offers = append(offers, cobra.CompletionWithDesc(shortID(l.ID), fmt.Sprintf("%s, %s", l.Workflow, displayed(l))))
			if !seen[l.Workflow] {
				seen[l.Workflow] = true
				offers = append(offers, cobra.CompletionWithDesc(l.Workflow, "its newest run"))
			}
		}
		return withPrefix(offers, text), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

func (a *app) recentRuns(ctx context.Context, keep func(store.Listed) bool) []store.Listed {
	if ctx == nil {
		ctx = context.Background()
	}
	st, err := a.existingStore()
	if err != nil {
		return nil
	}
	runs, _, err := st.Recent(ctx, completed, keep)
	if err != nil {
		return nil
	}
	return runs
}

// existingStore is readStore without making what is not there: completing a
// command line leaves no trace.
func (a *app) existingStore() (*store.Store, error) {
	s, err := a.settings("")
	if err != nil {
		return nil, err
	}
	dir, err := s.Path("state_dir")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return a.openStore(s, store.Options{})
}

// completeWorkflows offers the names of workflows that ran.
func (a *app) completeWorkflows(c *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	a.given = func(flag string) bool { return c.Flags().Changed(flag) }
	var names []string
	seen := map[string]bool{}
	for _, l := range a.recentRuns(c.Context(), nil) {
		if !seen[l.Workflow] {
			seen[l.Workflow] = true
			names = append(names, l.Workflow)
		}
	}
	return withPrefix(names, text), cobra.ShellCompDirectiveNoFileComp
}

// completeUnits offers the steps of a run.
func (a *app) completeUnits(ctx context.Context, ref string) ([]string, cobra.ShellCompDirective) {
	if ctx == nil {
		ctx = context.Background()
	}
	none := cobra.ShellCompDirectiveNoFileComp
	st, err := a.existingStore()
	if err != nil {
		return nil, none
	}
	id, err := st.Resolve(ctx, ref)
	if err != nil {
		return nil, none
	}
	view, err := a.view(ctx, st, id)
	if err != nil {
		return nil, none
	}
	units, err := namedUnits(&view.RunView, "")
	if err != nil {
		return nil, none
	}
	var names []string
	for _, u := range units {
		names = append(names, cobra.CompletionWithDesc(unitRef(u).String(), string(u.State)))
	}
	return names, none
}

// completeRunAndUnit offers runs, and for the second argument steps of the run.
func (a *app) completeRunAndUnit(keep func(store.Listed) bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			a.given = func(flag string) bool { return c.Flags().Changed(flag) }
			names, directive := a.completeUnits(c.Context(), args[0])
			return withPrefix(names, text), directive
		}
		return a.completeRuns(keep)(c, args, text)
	}
}

// completeRunAndUnits offers runs, and then steps of the run.
func (a *app) completeRunAndUnits(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	return a.completeRunAndUnit(nil)(c, args[:min(1, len(args))], text)
}

// completeSteps offers the steps of the run on the command line.
func (a *app) completeSteps(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.given = func(flag string) bool { return c.Flags().Changed(flag) }
	units, directive := a.completeUnits(c.Context(), args[0])
	var names []string
	for _, unit := range units {
		name, _, _ := strings.Cut(unit, "\t")
		if step := unitNamed(name).Step; !slices.Contains(names, step) {
			names = append(names, step)
		}
	}
	return withPrefix(names, text), directive
}

// completeInputs offers the inputs of the workflow on the command line.
func (a *app) completeInputs(_ *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) == 0 || strings.Contains(text, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	source, err := readWorkflow(args[0])
	if err != nil {
		return nil, directive
	}
	w, _ := workflow.Parse(args[0], source) // one with mistakes has inputs, too
	if w == nil {
		return nil, directive
	}
	var names []string
	for _, in := range w.Inputs {
		names = append(names, cobra.CompletionWithDesc(in.Name+"=", strings.TrimSpace(in.Type.String()+" "+in.Description)))
	}
	return withPrefix(names, text), directive
}

// completeProfiles offers the profiles of the configuration file.
func (a *app) completeProfiles(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	names, err := settings.Profiles(a.sources())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return withPrefix(names, text), cobra.ShellCompDirectiveNoFileComp
}

// completeStepTypes offers the step types.
func (a *app) completeStepTypes(_ *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, spec := range a.catalogue.All() {
		names = append(names, cobra.CompletionWithDesc(spec.Name, spec.Summary))
	}
	return withPrefix(names, text), cobra.ShellCompDirectiveNoFileComp
}

func withPrefix(offers []string, prefix string) []string {
	var fitting []string
	for _, o := range offers {
		if strings.HasPrefix(strings.ToLower(o), strings.ToLower(prefix)) {
			fitting = append(fitting, o)
		}
	}
	return fitting
}

// completeSystems offers the systems of the service, if it answers soon.
func (a *app) completeSystems(o *systemsOptions) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 || o.sandbox != "" { // which would be started by being asked
			return nil, none
		}
		a.given = func(flag string) bool { return c.Flags().Changed(flag) }
		ctx := c.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionPatience)
		defer cancel()
		_, v, err := a.openService(ctx, "")
		if err != nil {
			return nil, none
		}
		systems, err := v.client.Status.Systems(ctx)
		if errors.Join(err, v.close()) != nil {
			return nil, none
		}
		var names []string
		for _, s := range systems {
			names = append(names, cobra.CompletionWithDesc(s.Name, s.Scheduler.Type))
		}
		return withPrefix(names, text), none
	}
}

// completionPatience is how long a person who pressed a key waits for a service.
const completionPatience = 2 * time.Second
