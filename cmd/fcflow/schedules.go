package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/workflow"
)

func newSchedulesCommand(a *app) *cobra.Command {
	return newGroupCommand("schedules", "Look at schedules, pause and fill them",
		`A server starts runs when the schedules of its workflow files are due. These
commands ask the server of the state directory. Without one they read what the last
one left, and what they change counts as soon as there is one again.`,
		"  fcflow schedules list\n  fcflow schedules next workflow.yaml\n  fcflow schedules pause sweep/nightly --why maintenance",
		newSchedulesListCommand(a), newSchedulesNextCommand(a), newSchedulesPauseCommand(a), newSchedulesResumeCommand(a),
		newSchedulesRunCommand(a), newSchedulesBackfillCommand(a))
}

func newSchedulesListCommand(a *app) *cobra.Command {
	o := newOutput()
	c := &cobra.Command{
		Use: "list", Short: "List the schedules: the next slot, and what became of the last",
		Example: "  fcflow schedules list\n  fcflow schedules list --output json",
	}
	o.add(c)
	return a.command(c, func(c *cobra.Command, _ []string) error { return runSchedulesList(c.Context(), a, o) })
}

func runSchedulesList(ctx context.Context, a *app, o output) error {
	s, served, release, err := a.openSchedules(ctx)
	if err != nil {
		return err
	}
	all, err := s.Schedules(ctx)
	if err := errors.Join(err, release()); err != nil {
		return err
	}
	switch o.format() {
	case formatJSON:
		return a.streams.Out.JSON(all)
	case formatName:
		for i := range all {
			a.streams.Out.Printf("%s\n", scheduleName(&all[i]))
		}
		return nil
	}
	if len(all) == 0 {
		a.note("there are no schedules here: fcflow serve takes them from its workflow files")
		return nil
	}
	var rows [][]console.Text
	for i := range all {
		v := &all[i]
		rows = append(rows, []console.Text{
			console.Say(scheduleName(v)), console.Say(v.Cron), nextText(v), lastText(v), noteText(v, served),
		})
	}
	a.streams.Out.Table([]string{"SCHEDULE", "CRON", "NEXT", "LAST", ""}, rows)
	if !served {
		a.note("no server is running: nothing is started")
	}
	return nil
}

func nextText(v *workflow.ScheduleView) console.Text {
	switch {
	case v.Paused != nil:
		return console.Text{S: "paused", Style: console.Yellow}
	case v.Next.IsZero():
		return console.Text{S: "–", Style: console.Dim}
	}
	text := v.NextLocal
	if v.StartsAt.After(v.Next) {
		text += " +" + v.Jitter
	}
	return console.Say(text)
}

// lastText says what became of the last slot, on the clock that nextText has.
func lastText(v *workflow.ScheduleView) console.Text {
	r := v.Last
	if r == nil {
		return console.Text{S: "–", Style: console.Dim}
	}
	at, text, style := r.Slot, string(r.Outcome), console.Regular
	if r.N > 1 {
		at, text = r.To, fmt.Sprintf("%s (%d)", r.Outcome, r.N)
	}
	switch {
	case r.Pending:
		text, style = "not started yet", console.Yellow
	case r.Run != "":
		text = shortID(r.Run)
		if r.State != "" {
			text += " " + string(r.State)
		}
	default:
		style = console.Yellow
	}
	return console.Text{S: scheduler.Local(at, zoneOf(v)) + " " + text, Style: style}
}

// zoneOf is whose clock a schedule goes by.
func zoneOf(v *workflow.ScheduleView) *time.Location {
	zone, err := time.LoadLocation(v.Timezone)
	if err != nil { // that of a server which knows more zones
		return time.UTC
	}
	return zone
}

// noteText says what a person should know of a schedule.
func noteText(v *workflow.ScheduleView, served bool) console.Text {
	switch {
	case served && !v.Active:
		return console.Text{S: "no workflow file has it now", Style: console.Yellow}
	case v.Paused != nil:
		return console.Say(v.Paused.String())
	case v.Last != nil && v.Last.Pending && v.Last.Reason != "":
		return console.Text{S: v.Last.Reason, Style: console.Yellow}
	case v.FileError != "":
		return console.Text{S: "its file has a mistake, and the version before counts: " + firstLine(v.FileError), Style: console.Yellow}
	case v.Failures > 0:
		return console.Text{S: count(v.Failures, "failure") + " in a row", Style: console.Red}
	case v.Last != nil && v.Last.Reason != "":
		return console.Text{S: v.Last.Reason, Style: console.Dim}
	}
	return console.Text{}
}

// parseInstant reads an instant, or a time or a day on the clock of a zone.
func parseInstant(text string, zone *time.Location) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q is no time: write 2026-03-29T02:30 for the clock of the schedule, or 2026-03-29T00:30:00Z", errUsage, text)
}
