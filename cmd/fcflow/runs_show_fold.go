package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

// Bounds of what is shown of a step with many instances, and of failures.
const (
	foldAbove     = 20 // instances
	shownOfFolded = 10
)

// stepRows are the lines of a table of steps. A step with many instances is folded
// to one line with their number in each state, and those that want a look.
func stepRows(v *shownRun, all bool, now time.Time) [][]console.Text {
	var rows [][]console.Text
	for _, s := range v.Steps {
		switch n := len(s.Instances); {
		case n == 0:
			note := "its instances are not known yet"
			if s.State.Done() {
				note = "no instances"
			}
			rows = append(rows, stepRow(&s, note))
		case n <= foldAbove || all:
			rows = append(rows, unitRows(v, &s, s.Instances, all, now)...)
		default:
			rows = append(rows, stepRow(&s, fmt.Sprintf("%d instances: %s", n, tally(states(s.Instances)))))
			looked := slices.DeleteFunc(slices.Clone(s.Instances), func(u workflow.UnitView) bool { return !wantsALook(&u) })
			rows = append(rows, unitRows(v, &s, looked[:min(len(looked), shownOfFolded)], all, now)...)
		}
	}
	return rows
}

// indented moves rows in.
func indented(rows [][]console.Text) [][]console.Text {
	for _, row := range rows {
		row[0].S = "  " + row[0].S
	}
	return rows
}

func stepRow(s *workflow.StepView, note string) []console.Text {
	return []console.Text{
		console.Say(s.ID), console.Say(s.Uses), console.State(string(s.State)), console.Say(""), console.Say(""), console.Say(note),
	}
}

// wantsALook reports whether a person should see an instance among thousands.
func wantsALook(u *workflow.UnitView) bool {
	return u.State == workflow.Failed || u.Wait != nil && (u.Unknown || loud(u.Wait.Reason))
}

// states counts the instances in each state.
func states(units []workflow.UnitView) map[workflow.State]int {
	counts := map[workflow.State]int{}
	for i := range units {
		counts[units[i].State]++
	}
	return counts
}

// printFailures says why instances failed, of the first ones, and how to see more.
func (a *app) printFailures(out *console.Stream, v *workflow.RunView, before func()) {
	all := failures(v)
	for _, u := range all[:min(len(all), shownOfFolded)] {
		before()
		a.printFailure(out, v, u)
	}
	if more := len(all) - shownOfFolded; more > 0 {
		before()
		out.Println(console.Say(fmt.Sprintf("… and %d more failed: fcflow runs results %s --failed", more, a.refer(v.ID))))
	}
}
