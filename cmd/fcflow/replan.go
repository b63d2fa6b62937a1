package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// replan is a change of the workflow of a run that is being prepared.
type replan struct {
	run      *workflow.Run // as it is
	workflow *workflow.Workflow
	settings *settings.Settings
	event    workflow.RunReplanned
	plan     *workflow.Replanning
	seq      int64
	ended    bool
	state    workflow.RunState
	number   int // of this change
	before   []byte
}

// shownReplan is what a change of the workflow comes to. Its JSON form is a contract
// that only grows.
type shownReplan struct {
	Run      workflow.RunID         `json:"run"`
	Workflow string                 `json:"workflow"`
	Plan     int                    `json:"plan"` // the first change of the run is 1
	PlanFile string                 `json:"plan_file,omitempty"`
	Steps    []workflow.PlannedStep `json:"steps"`
	// Units are what is done, in the order of the workflow, then what is dropped.
	Units []workflow.PlannedUnit `json:"units"`
}

// runReplan has a run that nobody drives go on with another workflow.
func runReplan(ctx context.Context, a *app, st *store.Store, id workflow.RunID, o resumeOptions) error {
	p, err := a.prepareReplan(ctx, st, id, o)
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
	if p.ended && p.plan.Idle() {
		a.note("nothing is to be done again: run %s of %s stays as it ended: %s", shortID(id), p.workflow.Name, p.state)
		return a.printReplan(view, o.output.format())
	}
	if o.dryRun {
		return a.printReplan(view, o.output.format())
	}
	if view.PlanFile, err = st.PutPlan(id, p.number, view); err != nil {
		return err
	}
	if o.output.format() == formatText {
		a.sayReplan(a.streams.Err, view)
		a.note("the plan is in %s", view.PlanFile)
	}
	return a.carryOut(ctx, p, id, o)
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
	if err := e.store.PutReplaced(id, p.number, p.before); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	if err := e.begin(x, func() error { return x.Replan(ctx, p.plan, p.seq) }); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	if err := e.store.PutWorkflow(id, p.workflow.Frozen()); err != nil {
		return errors.Join(err, x.Close(), e.close())
	}
	if o.output.format() == formatName {
		a.streams.Out.Printf("%s\n", id)
	}
	return errors.Join(e.finish(ctx, x, o.output.format()), e.close())
}

// prepareReplan reads the run and the new workflow, and makes the plan.
func (a *app) prepareReplan(ctx context.Context, st *store.Store, id workflow.RunID, o resumeOptions) (*replan, error) {
	run, err := a.stored(ctx, st, id)
	if err != nil {
		return nil, err
	}
	if parent := run.Created.Parent; parent != nil {
		return nil, withHint(fmt.Errorf("run %s belongs to run %s, which started it: %w", id, parent.Run, workflow.ErrConflict),
			"change the workflow of that one: fcflow resume %s --workflow FILE", shortID(parent.Run))
	}
	p := &replan{
		run: run, seq: run.Seq, ended: run.State.Terminal(), state: run.State, number: run.Replans + 1,
		before: run.Workflow.Frozen(), event: workflow.RunReplanned{By: whoami()},
	}
	profile := run.Created.Profile
	if p.settings, err = a.settings(profile.Name); err != nil {
		return nil, err
	}
	if err := checkPinned(p.settings, profile); err != nil {
		return nil, err
	}
	if p.workflow, err = a.loadRunnable(o.workflow, profile.System); err != nil {
		return nil, err
	}
	if needsService(p.workflow) && profile.URL == "" && profile.Sandbox == "" {
		return nil, withHint(fmt.Errorf("run %s has no FirecREST service, and the workflow needs one: %w", id, workflow.ErrConflict),
			"make a new run: fcflow run %s", o.workflow)
	}
	if err := p.bind(o); err != nil {
		return nil, err
	}
	if err := errors.Join(a.checkSecrets(p.settings, p.workflow), a.checkFiles(p.settings, p.workflow, p.created())); err != nil {
		return nil, err
	}
	return p, a.planReplan(ctx, st, p)
}

// bind gives the workflow the inputs of the run, with those that are given now.
func (p *replan) bind(o resumeOptions) error {
	file, err := filepath.Abs(o.workflow)
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	given, err := parseInputs(o.inputs)
	if err != nil {
		return err
	}
	p.event.Dir = filepath.Dir(file)
	var problems workflow.Problems
	p.event.Inputs, problems = p.workflow.BindInputs(given, workflow.BindOptions{
		WorkflowDir: p.event.Dir, CallerDir: here, Recorded: p.run.Created.Inputs,
	})
	if len(problems) > 0 {
		return &problemsError{o.workflow, p.workflow.Source, problems}
	}
	p.event.Files, err = fileFacts(p.workflow, p.event.Inputs)
	return err
}

// created is what the run was created with, as the new workflow has it.
func (p *replan) created() workflow.RunCreated {
	created := p.run.Created
	created.Inputs, created.Files, created.Dir = p.event.Inputs, p.event.Files, p.event.Dir
	return created
}

func (a *app) planReplan(ctx context.Context, st *store.Store, p *replan) error {
	scratch, err := a.stored(ctx, st, p.run.ID)
	if err != nil {
		return err
	}
	return st.ViewBlobs(ctx, p.run.ID, func(blobs workflow.BlobReader) error {
		p.plan, err = workflow.Replan(p.run, scratch, p.workflow, workflow.ReplanOptions{
			Replanned: p.event, At: time.Now().UTC().Truncate(time.Millisecond), Blobs: blobs, ReadFile: os.ReadFile,
			Changed: (&sources{}).changed,
		})
		return err
	})
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
	return errors.Join(err, e.store.PutSummary(id, x.Run().Summarize()), e.close())
}

func (p *replan) shown() *shownReplan {
	view := &shownReplan{Run: p.run.ID, Workflow: p.workflow.Name, Plan: p.number, Steps: p.plan.Steps, Units: p.plan.Units}
	if view.Units == nil {
		view.Units = []workflow.PlannedUnit{}
	}
	return view
}

func (a *app) printReplan(view *shownReplan, f format) error {
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
	return a.streams.Out.Err()
}

// sayReplan shows a plan to people: a line for each step.
func (a *app) sayReplan(out *console.Stream, view *shownReplan) {
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
