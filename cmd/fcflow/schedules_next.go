package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/workflow"
)

type schedulesNextOptions struct {
	file   string
	count  int
	from   string
	output output
}

// maxNext bounds how many slots are shown.
const maxNext = 10000

func newSchedulesNextCommand(a *app) *cobra.Command {
	o := schedulesNextOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "next FILE",
		Short: "Show when the schedules of a workflow file are due next",
		Long: `Shows the next slots of each schedule of a file, on the clock of its time zone and
in UTC, without a server.`,
		Example: "  fcflow schedules next workflow.yaml\n  fcflow schedules next workflow.yaml -n 3 --from 2026-03-28",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	c.Flags().IntVarP(&o.count, "count", "n", 5, "how many slots of each: `N`")
	c.Flags().StringVar(&o.from, "from", "", "the slots after this `TIME`, not after now")
	o.output.add(c)
	return a.command(c, func(_ *cobra.Command, args []string) error {
		o.file = args[0]
		return runSchedulesNext(a, o)
	})
}

// nextSlots are the next slots of a schedule. Its JSON form is a contract that
// only grows.
type nextSlots struct {
	Workflow string     `json:"workflow"`
	ID       string     `json:"id"`
	Cron     string     `json:"cron"`
	Timezone string     `json:"timezone"`
	Jitter   string     `json:"jitter,omitempty"`
	Slots    []nextSlot `json:"slots"`
}

type nextSlot struct {
	Slot     time.Time `json:"slot"`
	Local    string    `json:"local"`
	StartsAt time.Time `json:"starts_at"`
}

func runSchedulesNext(a *app, o schedulesNextOptions) error {
	if o.count < 1 || o.count > maxNext {
		return fmt.Errorf("%w: --count %d: want 1 to %d", errUsage, o.count, maxNext)
	}
	s, err := a.settings("")
	if err != nil {
		return err
	}
	w, err := a.loadWorkflow(o.file, anySystem(s))
	if err != nil {
		return err
	}
	all := []nextSlots{}
	for _, def := range w.Schedules {
		next, err := upcoming(w.Name, def, o)
		if err != nil {
			return err
		}
		all = append(all, next)
	}
	switch o.output.format() {
	case formatJSON:
		return a.streams.Out.JSON(all)
	case formatName:
		for _, n := range all {
			for _, slot := range n.Slots {
				a.streams.Out.Printf("%s\n", slot.Slot.Format(time.RFC3339))
			}
		}
		return nil
	}
	if len(all) == 0 {
		a.note("%s has no schedule", o.file)
		return nil
	}
	var rows [][]console.Text
	for _, n := range all {
		for _, slot := range n.Slots {
			rows = append(rows, []console.Text{
				console.Say(n.Workflow + "/" + n.ID), console.Say(slot.Local), console.Say(slot.Slot.Format(time.RFC3339)), console.Say(n.Jitter),
			})
		}
	}
	a.streams.Out.Table([]string{"SCHEDULE", "LOCAL TIME", "UTC", "STARTS LATER BY"}, rows)
	return nil
}

// upcoming finds the next slots of a schedule.
func upcoming(name string, def *workflow.Schedule, o schedulesNextOptions) (nextSlots, error) {
	c, err := scheduler.NewCalendar(def)
	if err != nil {
		return nextSlots{}, err
	}
	after := time.Now()
	if o.from != "" {
		if after, err = parseInstant(o.from, c.Zone()); err != nil {
			return nextSlots{}, err
		}
		after = after.Add(-1) // that instant included
	}
	v, err := scheduler.Describe(name, def, after)
	if err != nil {
		return nextSlots{}, err
	}
	n := nextSlots{Workflow: v.Workflow, ID: v.ID, Cron: v.Cron, Timezone: v.Timezone, Jitter: v.Jitter, Slots: []nextSlot{}}
	jitter := v.StartsAt.Sub(v.Next)
	for slot := c.Next(after); !slot.IsZero() && len(n.Slots) < o.count; slot = c.Next(slot) {
		n.Slots = append(n.Slots, nextSlot{slot, scheduler.Local(slot, c.Zone()), slot.Add(jitter)})
	}
	return n, nil
}
