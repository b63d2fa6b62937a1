package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// runReplan has a run that nobody drives go on with another workflow.
func runReplan(ctx context.Context, a *app, st *store.Store, id workflow.RunID, o resumeOptions) error {
	c, err := o.change()
	if err != nil {
		return err
	}
	past, err := a.pastOf(ctx, st, id)
	if err != nil {
		return err
	}
	p, err := a.prepareReplan(ctx, past, c)
	if err != nil {
		return err
	}
	view := p.shown()
	switch n := len(p.plan.InFlight); {
	case n > 0 && o.dryRun && o.cancelRunning:
		a.note("to be ended first: %s", few(p.plan.InFlight))
	case n > 0 && o.cancelRunning:
		if err := a.endUnits(ctx, p, id); err != nil {
			return err
		}
		o.cancelRunning = false // nothing began meanwhile
		return runReplan(ctx, a, st, id, o)
	case n > 0 && o.dryRun:
		return errors.Join(a.printReplan(view, o.output.format()), a.inFlight(id, p.plan.InFlight))
	case n > 0:
		return a.inFlight(id, p.plan.InFlight)
	}
	if p.idle() {
		a.noteIdle(view, p.state)
		return a.printReplan(view, o.output.format())
	}
	if o.dryRun {
		return a.printReplan(view, o.output.format())
	}
	if view.PlanFile, err = st.PutPlan(id, p.number, view); err != nil {
		return err
	}
	a.sayPlan(view, o.output.format())
	return a.carryOut(ctx, p, id, o)
}

// noteIdle says that another workflow changes nothing of a run that has ended.
func (a *app) noteIdle(view *server.Plan, state workflow.RunState) {
	a.note("nothing is to be done again: run %s of %s stays as it ended: %s", shortID(view.Run), view.Workflow, state)
}

// sayPlan shows people the plan that is carried out.
func (a *app) sayPlan(view *server.Plan, f format) {
	if f == formatText {
		a.sayReplan(a.streams.Err, view)
		a.note("the plan is in %s", view.PlanFile)
	}
}

// carryOut takes the run over, changes its workflow and drives it to its end.
func (a *app) carryOut(ctx context.Context, p *replan, id workflow.RunID, o resumeOptions) error {
	e, err := a.openSession(p.settings, o.output.format() == formatJSON)
	if err != nil {
		return err
	}
	e.attention.wanted = o.exitOnAttention
	x, err := e.reopenWith(ctx, id, systemsOf(p.workflow, p.created())...)
	if err != nil {
		return errors.Join(err, e.close())
	}
	if err := e.replace(ctx, x, p); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	if o.output.format() == formatName {
		a.streams.Out.Printf("%s\n", id)
	}
	return errors.Join(e.finish(ctx, x, o.output.format()), e.close())
}

// replace changes the workflow of a run that was just taken over.
func (e *session) replace(ctx context.Context, x *engine.Execution, p *replan) error {
	if err := e.store.PutReplaced(x.ID(), p.number, p.before); err != nil {
		return err
	}
	if err := e.begin(x, func() error { return x.Replan(ctx, p.plan, p.seq) }); err != nil {
		return err
	}
	return e.store.PutWorkflow(x.ID(), p.workflow.Frozen())
}

// inFlight refuses a change of what is under way.
func (a *app) inFlight(id workflow.RunID, units []workflow.UnitRef) error {
	return withHint(fmt.Errorf("run %s: under way, and changed by the workflow: %s: %w", id, few(units), workflow.ErrConflict),
		"let them end with fcflow resume %s, or end them with --cancel-running", a.refer(id))
}

// few names the first of many instances.
func few(units []workflow.UnitRef) string {
	const most = 5
	var names []string
	for _, u := range units[:min(most, len(units))] {
		names = append(names, u.String())
	}
	if n := len(units) - most; n > 0 {
		names = append(names, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(names, ", ")
}

// endUnits ends what is in the way of the new workflow. The plan is made again then.
func (a *app) endUnits(ctx context.Context, p *replan, id workflow.RunID) error {
	e, err := a.openSession(p.settings, false)
	if err != nil {
		return err
	}
	x, err := e.reopen(ctx, id)
	if err != nil {
		return errors.Join(err, e.close())
	}
	e.progress.say(console.Say("ending " + few(p.plan.InFlight)))
	e.owned.add(x)
	err = x.EndUnits(ctx, p.plan.InFlight)
	return errors.Join(err, putSummary(e.store, x), e.close())
}

func (p *replan) shown() *server.Plan {
	view := &server.Plan{Run: p.run.ID, Workflow: p.workflow.Name, Plan: p.number, Steps: p.plan.Steps, Units: p.plan.Units}
	if view.Units == nil {
		view.Units = []workflow.PlannedUnit{}
	}
	return view
}

func (a *app) printReplan(view *server.Plan, f format) error {
	switch f {
	case formatJSON:
		return a.streams.Out.JSON(view)
	case formatName:
		for _, u := range view.Units {
			if u.What != workflow.PlannedDropped {
				a.streams.Out.Printf("%s\n", u.UnitRef)
			}
		}
	default:
		a.sayReplan(a.streams.Out, view)
	}
	return nil
}

// sayReplan shows a plan to people: a line for each step.
func (a *app) sayReplan(out *console.Stream, view *server.Plan) {
	var rows [][]console.Text
	for _, s := range view.Steps {
		counts := []console.Text{console.Say(s.ID)}
		for _, n := range []int{s.Kept, s.Again, s.New, s.Open, s.Dropped} {
			text := fmt.Sprint(n)
			if s.Unknown {
				text = "?"
			}
			counts = append(counts, console.Say(text))
		}
		rows = append(rows, append(counts, console.Say(strings.Join(s.Why, "; "))))
	}
	out.Table([]string{"STEP", "KEPT", "AGAIN", "NEW", "OPEN", "DROPPED", "WHY"}, rows)
}
