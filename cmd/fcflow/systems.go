package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

type systemsOptions struct {
	sandbox string
	output  output
}

func newSystemsCommand(a *app) *cobra.Command {
	return newGroupCommand("systems", "Look at the systems of the service",
		"Asks the FirecREST service for the systems it offers, as they are now.",
		"  fcflow systems list\n  fcflow systems show daint",
		newSystemsListCommand(a), newSystemsShowCommand(a))
}

func newSystemsListCommand(a *app) *cobra.Command {
	o := systemsOptions{output: newOutput()}
	c := &cobra.Command{
		Use: "list", Short: "List the systems: scheduler, health, how files are moved",
		Example: "  fcflow systems list\n  fcflow systems list --sandbox --output name",
	}
	addSandbox(c, &o.sandbox)
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, _ []string) error { return runSystemsList(c.Context(), a, o) })
}

func runSystemsList(ctx context.Context, a *app, o systemsOptions) error {
	_, v, err := a.openService(ctx, o.sandbox)
	if err != nil {
		return err
	}
	systems, err := v.client.Status.Systems(ctx)
	if err := errors.Join(serviceError(v, err), v.close()); err != nil {
		return err
	}
	all := []shownSystem{}
	for i := range systems {
		all = append(all, describeSystem(&systems[i], v.client.ServerVersion()))
	}
	switch o.output.format() {
	case formatJSON:
		return a.streams.Out.JSON(all)
	case formatName:
		for _, s := range all {
			a.streams.Out.Printf("%s\n", s.Name)
		}
	default:
		var rows [][]console.Text
		for _, s := range all {
			rows = append(rows, []console.Text{
				console.Say(s.Name), console.Say(s.Scheduler.text()), healthText(&s),
				console.Say(console.Bytes(s.MaxUploadBytes)), console.Say(s.Transfer.text()),
			})
		}
		a.streams.Out.Table([]string{"SYSTEM", "SCHEDULER", "HEALTH", "DIRECT UP TO", "LARGER FILES"}, rows)
	}
	return nil
}

// serviceError adds to an error of a service what can be done about it.
func serviceError(v *service, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, firecrest.ErrUnauthenticated):
		return withHint(err, "check the login of %s; fcflow config show tells what is set, and fcflow doctor what is wrong", v.client.BaseURL())
	case errors.Is(err, firecrest.ErrUnavailable), errors.Is(err, firecrest.ErrUnsupported):
		return withHint(err, "is %s right? fcflow doctor looks closer", v.client.BaseURL())
	}
	return err
}

// findSystem returns a system by name, or says what it may have been meant to
// be.
func findSystem(systems []firecrest.System, name string) (*firecrest.System, error) {
	var names []string
	for i := range systems {
		if strings.EqualFold(systems[i].Name, name) {
			return &systems[i], nil
		}
		names = append(names, systems[i].Name)
	}
	err := fmt.Errorf("system %q: %w", name, workflow.ErrNotFound)
	if near := workflow.Suggest(name, names); near != "" {
		return nil, withHint(err, "did you mean %q?", near)
	}
	return nil, withHint(err, "the service offers %s", joinNames(names))
}

// joinNames reads "a, b", or "none".
func joinNames(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (s shownScheduler) text() string {
	text := s.Type
	if s.Version != "" {
		text += " " + s.Version
	}
	return text
}

func (t *shownTransfer) text() string {
	if t == nil {
		return "–"
	}
	return t.Method
}

// healthText names what is ill.
func healthText(s *shownSystem) console.Text {
	if len(s.Health) == 0 {
		return console.Text{S: "not probed", Style: console.Dim}
	}
	var ill []string
	for _, h := range s.Health {
		if !h.Healthy {
			ill = append(ill, h.name())
		}
	}
	if len(ill) > 0 {
		return console.Text{S: "✗ " + joinNames(ill), Style: console.Red}
	}
	return console.Text{S: "✓ healthy", Style: console.Green}
}

func (h *shownHealth) name() string {
	if h.Path != "" {
		return h.Service + " " + h.Path
	}
	return h.Service
}
