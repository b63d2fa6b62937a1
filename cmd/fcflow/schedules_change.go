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

func newSchedulesPauseCommand(a *app) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "pause SCHEDULE",
		Short: "Skip the slots of a schedule until it is resumed",
		Long: `SCHEDULE is WORKFLOW/ID as "fcflow schedules list" shows it, or one of the two where
that is enough. Slots that come while the schedule is paused are skipped; runs that
go on are not touched.`,
		Example:           "  fcflow schedules pause sweep/nightly --why 'maintenance on Wednesday'",
		ValidArgsFunction: a.completeSchedules,
	}
	c.Flags().StringVar(&why, "why", "", "`TEXT` to keep with the pause")
	return a.command(c, func(c *cobra.Command, args []string) error {
		if len(why) > workflow.MaxNote {
			return fmt.Errorf("%w: --why takes %d bytes; at most %d are kept", errUsage, len(why), workflow.MaxNote)
		}
		return a.onSchedule(c.Context(), args[0], func(s schedules, v *workflow.ScheduleView, _ bool) error {
			if p := v.Paused; p != nil {
				a.note("%s is paused already, by %s", scheduleName(v), p.By)
				return nil
			}
			if err := s.PauseSchedule(c.Context(), v.Workflow, v.ID, whoami(), why); err != nil {
				return err
			}
			a.note("%s is paused: fcflow schedules resume %s", scheduleName(v), scheduleName(v))
			return nil
		})
	})
}

func newSchedulesResumeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume SCHEDULE",
		Short: "Have a paused schedule start runs again",
		Long: `Ends a pause, and forgets the failures in a row that may have led to it. Slots that
were skipped stay skipped: "fcflow schedules backfill" runs them.`,
		Example:           "  fcflow schedules resume sweep/nightly",
		ValidArgsFunction: a.completeSchedules,
	}
	return a.command(c, func(c *cobra.Command, args []string) error {
		return a.onSchedule(c.Context(), args[0], func(s schedules, v *workflow.ScheduleView, _ bool) error {
			if v.Paused == nil {
				a.note("%s is not paused", scheduleName(v))
				return nil
			}
			if err := s.ResumeSchedule(c.Context(), v.Workflow, v.ID); err != nil {
				return err
			}
			a.note("%s starts runs again; the next slot is %s", scheduleName(v), v.NextLocal)
			return nil
		})
	})
}

func newSchedulesRunCommand(a *app) *cobra.Command {
	o := newOutput()
	c := &cobra.Command{
		Use:   "run SCHEDULE",
		Short: "Start a run now, as the schedule would",
		Long: `Starts a run with the inputs of the schedule, and does not watch it. The slots of the
schedule, and its pause, stay as they are.`,
		Example:           "  fcflow schedules run sweep/nightly",
		ValidArgsFunction: a.completeSchedules,
	}
	o.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		return a.onSchedule(c.Context(), args[0], func(s schedules, v *workflow.ScheduleView, _ bool) error {
			id, err := s.RunSchedule(c.Context(), v.Workflow, v.ID, whoami())
			if err != nil {
				return err
			}
			return a.printHandedOver(id, o.format())
		})
	})
}

type backfillOptions struct {
	name, from, to string
	output         output
}

func newSchedulesBackfillCommand(a *app) *cobra.Command {
	o := backfillOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "backfill SCHEDULE",
		Short: "Run the slots of a span of time that have no run",
		Long: `Starts a run for each slot from one time to another, both included, that was missed
or skipped or that came before there was a schedule. A slot that had its run is left
alone. The runs go one after the other, but for a schedule with overlap: allow.

A time is one on the clock of the schedule, such as 2026-03-29T02:30 or 2026-03-29, or
an instant such as 2026-03-29T00:30:00Z.`,
		Example:           "  fcflow schedules backfill sweep/nightly --from 2026-03-01 --to 2026-03-07",
		ValidArgsFunction: a.completeSchedules,
	}
	c.Flags().StringVar(&o.from, "from", "", "the first `TIME`")
	c.Flags().StringVar(&o.to, "to", "", "the last `TIME`; a day means its end")
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.name = args[0]
		return runBackfill(c.Context(), a, o)
	})
}

func runBackfill(ctx context.Context, a *app, o backfillOptions) error {
	if o.from == "" || o.to == "" {
		return fmt.Errorf("%w: want --from and --to", errUsage)
	}
	return a.onSchedule(ctx, o.name, func(s schedules, v *workflow.ScheduleView, served bool) error {
		from, to, err := o.span(v)
		if err != nil {
			return err
		}
		filled, err := s.Backfill(ctx, v.Workflow, v.ID, from, to)
		if errors.Is(err, scheduler.ErrSpan) {
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		if err != nil {
			return err
		}
		return a.printBackfilled(o, v, filled, served)
	})
}

// span reads the times on the clock of the schedule.
func (o backfillOptions) span(v *workflow.ScheduleView) (from, to time.Time, err error) {
	zone, err := time.LoadLocation(v.Timezone)
	if err != nil {
		return from, to, err
	}
	if from, err = parseInstant(o.from, zone); err != nil {
		return from, to, err
	}
	if to, err = parseInstant(o.to, zone); err != nil {
		return from, to, err
	}
	if len(o.to) == len(time.DateOnly) {
		to = to.AddDate(0, 0, 1).Add(-time.Second)
	}
	return from, to, nil
}

func (a *app) printBackfilled(o backfillOptions, v *workflow.ScheduleView, filled workflow.Backfilled, served bool) error {
	switch o.output.format() {
	case formatJSON:
		return a.streams.Out.JSON(filled)
	case formatName:
		for _, r := range filled.Runs {
			if r.Run != "" {
				a.streams.Out.Printf("%s\n", r.Run)
			}
		}
		return nil
	}
	var rows [][]console.Text
	zone := zoneOf(v)
	for _, r := range filled.Runs {
		rows = append(rows, []console.Text{
			console.Say(scheduler.Local(r.Slot, zone)), console.Say(r.Slot.Format(time.RFC3339)), console.Say(string(r.Run) + r.Reason),
		})
	}
	if len(rows) > 0 {
		a.streams.Out.Table([]string{"LOCAL TIME", "UTC", "RUN"}, rows)
	}
	if filled.Already > 0 {
		a.note("%s had a run before", count(filled.Already, "slot"))
	}
	if len(rows) == 0 {
		a.note("there is nothing to fill")
	} else if !served {
		a.note("no server is running: the next one starts them")
	}
	return nil
}

// onSchedule does something with the schedule of a name.
func (a *app) onSchedule(ctx context.Context, name string, f func(s schedules, v *workflow.ScheduleView, served bool) error) error {
	s, served, release, err := a.openSchedules(ctx)
	if err != nil {
		return err
	}
	all, err := s.Schedules(ctx)
	if err != nil {
		return errors.Join(err, release())
	}
	v, err := findSchedule(all, name)
	if err != nil {
		return errors.Join(err, release())
	}
	return errors.Join(f(s, v, served), release())
}

// completeSchedules completes the names of schedules.
func (a *app) completeSchedules(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, _, release, err := a.openSchedules(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = release() }()
	all, _ := s.Schedules(c.Context())
	var names []string
	for i := range all {
		names = append(names, scheduleName(&all[i]))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
