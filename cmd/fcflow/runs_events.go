package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

type runsEventsOptions struct {
	run    string
	follow bool
	output choice
}

func newRunsEventsCommand(a *app) *cobra.Command {
	o := runsEventsOptions{output: newChoice(string(formatText), string(formatJSON))}
	c := &cobra.Command{
		Use:   "events RUN",
		Short: "Print the history of a run",
		Long: `Prints everything that is durable of a run, in order. As JSON each event is one
line: {seq, at, epoch, kind, v, step, instance, attempt, data}.`,
		Example:           "  fcflow runs events last\n  fcflow runs events last --follow --output json",
		ValidArgsFunction: a.completeRuns(nil),
	}
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what happens until the run ends")
	addChoice(c, &o.output, "output", "what to print: text for people, json for programs")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRunsEvents(c.Context(), a, o)
	})
}

func runRunsEvents(ctx context.Context, a *app, o runsEventsOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	show := a.printEvent
	if o.output.value == string(formatJSON) {
		show = func(e workflow.Event) error { return a.streams.Out.JSONLine(e) }
	}
	next := int64(1)
	print := func(e workflow.Event) error {
		next = e.Seq + 1
		if err := show(e); err != nil {
			return err
		}
		if a.streams.Out.Err() != nil { // nobody can read what comes
			return errEnough
		}
		return nil
	}
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return err
	}
	here := live == nil || live.client == nil
	if !here {
		defer live.close()
		err = live.client.Events(ctx, id, next, o.follow, print)
		here = errors.Is(err, server.ErrGone)
	}
	if here {
		err = a.events(st, id).Read(ctx, next, print)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (a *app) printEvent(e workflow.Event) error {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	about := workflow.UnitRef{Step: e.Step, Instance: e.Instance}.String()
	if e.Attempt > 0 {
		about += fmt.Sprintf(" #%d", e.Attempt)
	}
	text := string(data)
	if text == "{}" {
		text = ""
	}
	a.streams.Out.Println(
		console.Say(fmt.Sprintf("%5d  ", e.Seq)), console.Text{S: e.At.Local().Format(time.DateTime), Style: console.Dim},
		console.Text{S: fmt.Sprintf("  %-22s ", e.Data.Kind()), Style: console.Bold}, console.Say(fmt.Sprintf("%-16s ", about)), console.Text{S: text, Style: console.Dim})
	return nil
}
