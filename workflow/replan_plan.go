package workflow

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// PlannedUnit is an instance that a new workflow has done, or does without.
type PlannedUnit struct {
	UnitRef
	// What is new, again (it was done), open (it was not done yet) or dropped.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
}

// What a new workflow means for an instance that it does not keep.
const (
	PlannedNew     = "new"
	PlannedAgain   = "again"
	PlannedOpen    = "open"
	PlannedDropped = "dropped"
)

// PlannedStep is what a new workflow means for a step, in numbers.
type PlannedStep struct {
	ID      string `json:"id"`
	Kept    int    `json:"kept"`
	Again   int    `json:"again"`
	New     int    `json:"new"`
	Open    int    `json:"open"`
	Dropped int    `json:"dropped"`
	// Unknown: which instances it has shows when steps before it are done.
	Unknown bool     `json:"unknown,omitempty"`
	Why     []string `json:"why,omitempty"`
}

// PlannedEvent is an event that carries a plan out. Step is that of events about one.
type PlannedEvent struct {
	Step string
	Data Payload
}

// ReplanOptions is what a plan depends on besides the two workflows.
type ReplanOptions struct {
	Replanned RunReplanned // Definition is filled in
	At        time.Time
	Blobs     BlobReader
	// ReadFile reads a script that the workflow names.
	ReadFile func(path string) ([]byte, error)
	// Changed reports whether local files, of a path or pattern, are others than they
	// were at an instant; the SHA-256 of one file is given if it is known. Nil =
	// nobody knows.
	Changed func(path string, since time.Time, sha256 string) bool
}

// Replanning is what it takes for a run to go on with another workflow.
type Replanning struct {
	Steps []PlannedStep
	// Units lists what is done, in the order of the workflow, then what is dropped.
	Units []PlannedUnit
	// Events carry it out, in one commit, once the run is not over.
	Events []PlannedEvent
	// InFlight are instances that are under way and would be done again or dropped.
	InFlight []UnitRef
	// OutputsChange: the outputs of the run would be others, whatever is done.
	OutputsChange bool
}

// Idle reports whether nothing is done or dropped.
func (p *Replanning) Idle() bool { return len(p.Units) == 0 && !p.OutputsChange }

// Replan says what going on with w comes to. run and scratch are two foldings of
// one history; both are changed, and of no use afterwards. It fails with
// [ErrConflict] if the run cannot go on with w.
func Replan(run, scratch *Run, w *Workflow, o ReplanOptions) (*Replanning, error) {
	switch {
	case w.Name != run.Workflow.Name:
		return nil, fmt.Errorf("the run is one of %s, not of %s: %w", run.Workflow.Name, w.Name, ErrConflict)
	case !run.State.Terminal() && (run.CancelRequests > 0 || run.TimedOut):
		return nil, fmt.Errorf("the run is being cancelled: wait for its end: %w", ErrConflict)
	}
	frozen := w.Frozen()
	o.Replanned.Definition = NewBlob(frozen).Digest
	p := &replanner{
		run: run, next: scratch, o: o, again: map[*Unit]string{}, kept: map[*Unit]bool{}, changed: map[*StepRun]string{},
		seen: map[*StepRun]bool{}, steps: map[string]*PlannedStep{}, plan: &Replanning{}, changedFiles: changedFiles(run, o.Replanned.Files),
	}
	if scratch.State.Terminal() {
		if err := p.try("", &RunReopened{Round: scratch.Round + 1}); err != nil {
			return nil, err
		}
	}
	events := append(definitionParts(frozen), &o.Replanned)
	for _, part := range append(events, cutFiles(&o.Replanned.Files)...) {
		if err := p.add("", part); err != nil {
			return nil, err
		}
	}
	for _, finally := range []bool{false, true} {
		for _, s := range p.next.Steps {
			if s.Step.Finally != finally {
				continue
			}
			if err := p.step(s); err != nil {
				return nil, err
			}
		}
		if !finally {
			p.leave(finally)
		}
	}
	p.leave(true)
	return p.plan, p.finish()
}

type replanner struct {
	run  *Run // with the workflow that it has
	next *Run // with the new one, all that is done taken over
	o    ReplanOptions
	plan *Replanning

	seen    map[*StepRun]bool
	again   map[*Unit]string    // units of next that are done, and why
	kept    map[*Unit]bool      // units of run that stay
	changed map[*StepRun]string // steps of next that do not stay as they are, and how to say so
	steps   map[string]*PlannedStep
	dropped []PlannedUnit
	main    bool // something of `steps` changes

	changedFiles []string
}

// try applies an event to the run with the new workflow.
func (p *replanner) try(step string, data Payload) error {
	r := p.next
	return Apply(r, &Event{Seq: r.Seq + 1, At: p.o.At, Epoch: r.Epoch, Step: step, Data: data})
}

// add makes an event one of the plan.
func (p *replanner) add(step string, data Payload) error {
	p.plan.Events = append(p.plan.Events, PlannedEvent{step, data})
	return p.try(step, data)
}

// step judges the units of a step, after those that it depends on.
func (p *replanner) step(s *StepRun) error {
	if p.seen[s] {
		return nil
	}
	p.seen[s] = true
	for _, b := range s.Step.WaitsFor() {
		if err := p.step(p.next.Steps[b]); err != nil {
			return err
		}
	}
	if err := p.expand(s); err != nil {
		return err
	}
	line := &PlannedStep{ID: s.Step.ID, Unknown: !s.expanded}
	p.steps[s.Step.ID] = line
	p.plan.Steps = append(p.plan.Steps, PlannedStep{ID: s.Step.ID}) // in order; filled in at the end
	why, edited := p.dependencies(s), p.edited(s)
	if !s.expanded {
		line.because(edited)
		line.because(cmp.Or(why, "its instances are not known yet"))
		p.change(s)
	}
	for _, u := range s.Units {
		p.unit(line, u, edited, why)
	}
	if old, ok := p.run.Step(s.Step.ID); ok && slices.ContainsFunc(old.Units, func(u *Unit) bool { return s.byKey[u.Instance] == nil }) {
		p.change(s)
	}
	return nil
}

func (s *PlannedStep) because(why string) {
	if why != "" && !slices.Contains(s.Why, why) {
		s.Why = append(s.Why, why)
	}
}

// expand tells the instances of a step, if that can be done now.
func (p *replanner) expand(s *StepRun) error {
	if s.expanded || s.Step.Pair != nil {
		return nil
	}
	if s.Step.Matrix == nil {
		for _, b := range s.Step.Barriers {
			if dep := p.next.Steps[b]; p.changed[dep] != "" || !dep.over() {
				return nil
			}
		}
		if s.Step.Finally && (p.main || p.next.openMain > 0) {
			return nil
		}
	}
	payloads, _ := p.next.Expand(s, 0, p.o.Blobs)
	if end, ok := payloads[len(payloads)-1].(*StepExpanded); ok && end.Cause != "" {
		return nil // that is found again when it is its turn
	}
	for _, e := range payloads {
		if err := p.add(s.Step.ID, e); err != nil {
			return err
		}
	}
	return nil
}

// change notes that a step does not stay as it is.
func (p *replanner) change(s *StepRun) {
	p.changed[s] = "depends on " + s.Step.ID
	p.main = p.main || !s.Step.Finally
}

// dependencies says why every unit of a step is done; "" if what the step depends
// on stays as it is.
func (p *replanner) dependencies(s *StepRun) string {
	if s.Step.Finally && p.main {
		return "follows what is done again"
	}
	for _, b := range s.Step.Barriers {
		if why := p.changed[p.next.Steps[b]]; why != "" {
			return why
		}
	}
	old, ok := p.run.Step(s.Step.ID)
	if ok && !slices.Equal(waitsFor(p.run, old), waitsFor(p.next, s)) {
		return "waits for other steps"
	}
	return ""
}

// waitsFor names the steps that a step waits for.
func waitsFor(r *Run, s *StepRun) []string {
	var names []string
	for _, b := range s.Step.WaitsFor() {
		names = append(names, r.Steps[b].Step.ID)
	}
	slices.Sort(names)
	return names
}

// unit judges a unit. edited and why are what holds for every unit of its step.
func (p *replanner) unit(line *PlannedStep, u *Unit, edited, why string) {
	old, ok := p.run.Unit(u.Ref())
	what := PlannedAgain
	switch {
	case !ok:
		what, edited, why = PlannedNew, "", cmp.Or(why, "new")
	case old.live():
		edited, why = p.judge(old, u, edited, why)
	case !old.State.Done():
		what, why = PlannedOpen, cmp.Or(why, "is not done yet")
	case !old.Good, old.State == Failed && !u.Step.Step.ContinueOnError:
		why = cmp.Or(why, string(old.State)+" before")
	default:
		edited, why = p.judge(old, u, edited, why)
	}
	if why == "" {
		p.kept[old] = true
		line.Kept++
		return
	}
	p.again[u] = why
	p.change(u.Step)
	line.count(what)
	line.because(edited)
	line.because(why)
	if edited != "" {
		why = edited + "; " + why
	}
	if ok && old.live() {
		p.plan.InFlight = append(p.plan.InFlight, old.Ref())
	}
	p.plan.Units = append(p.plan.Units, PlannedUnit{UnitRef: u.Ref(), What: what, Why: why})
}

func (s *PlannedStep) count(what string) {
	switch what {
	case PlannedNew:
		s.New++
	case PlannedAgain:
		s.Again++
	case PlannedOpen:
		s.Open++
	case PlannedDropped:
		s.Dropped++
	}
}

// judge says why a unit that is done or under way does not stay so; "" if it does.
// What was edited of it is told besides a reason that is none of its own.
func (p *replanner) judge(old, u *Unit, edited, why string) (own, reason string) {
	if s := u.source; why == "" && s != nil && p.again[s] != "" {
		why = "depends on " + s.Step.Step.ID
	}
	switch {
	case why != "":
		return edited, why
	case old.State == Skipped:
		return "", p.judgeSkipped(old, u)
	}
	return "", p.compare(old, u)
}

// judgeSkipped looks at a unit that was skipped for a good reason.
func (p *replanner) judgeSkipped(old, u *Unit) string {
	if old.Cause != CauseConditionFalse {
		return ""
	}
	verdict, err := p.next.Workflow.EvalIf(u.Step.Step, p.next.Scope(u, p.o.Blobs))
	if err != nil || verdict {
		return "if changed"
	}
	return ""
}

// leave counts what the new workflow has no more, of `steps` or of `finally`.
func (p *replanner) leave(finally bool) {
	for _, s := range p.run.Steps {
		if s.Step.Finally != finally {
			continue
		}
		next, ok := p.next.Step(s.Step.ID)
		for _, u := range s.Units {
			if p.kept[u] || ok && next.byKey[u.Instance] != nil {
				continue
			}
			p.drop(u, next)
		}
	}
}

func (p *replanner) drop(u *Unit, next *StepRun) {
	p.main = p.main || !u.Step.Step.Finally
	if u.live() {
		p.plan.InFlight = append(p.plan.InFlight, u.Ref())
	}
	why := "is not in the workflow any more"
	if next != nil && !next.expanded {
		return // perhaps it is told again
	}
	if next != nil {
		p.steps[next.Step.ID].count(PlannedDropped)
	} else {
		line := p.steps[u.Step.Step.ID]
		if line == nil {
			line = &PlannedStep{ID: u.Step.Step.ID, Why: []string{why}}
			p.steps[line.ID] = line
			p.plan.Steps = append(p.plan.Steps, PlannedStep{ID: line.ID})
		}
		line.count(PlannedDropped)
	}
	p.dropped = append(p.dropped, PlannedUnit{UnitRef: u.Ref(), What: PlannedDropped, Why: why})
}

// finish puts the plan together, and tries it.
func (p *replanner) finish() error {
	for i := range p.plan.Steps {
		p.plan.Steps[i] = *p.steps[p.plan.Steps[i].ID]
	}
	slices.SortStableFunc(p.plan.Steps, func(a, b PlannedStep) int { return p.place(a.ID) - p.place(b.ID) })
	slices.SortStableFunc(p.plan.Units, func(a, b PlannedUnit) int { return p.place(a.Step) - p.place(b.Step) })
	p.plan.Units = append(p.plan.Units, p.dropped...)
	p.plan.OutputsChange = p.outputsChange()
	p.plan.Events = append(p.resets(), p.plan.Events...)
	if len(p.plan.InFlight) > 0 {
		return nil // it is not to be carried out
	}
	return p.rehearse()
}

// place orders steps as the new workflow has them, then those that it has no more.
func (p *replanner) place(id string) int {
	if s, ok := p.next.Step(id); ok {
		return s.Step.Index
	}
	return len(p.next.Steps)
}

// outputsChange reports whether the new workflow gives a run that succeeded other
// outputs.
func (p *replanner) outputsChange() bool {
	switch {
	case p.main || !p.run.State.Terminal():
		return false
	case p.run.State != RunSucceeded:
		return p.run.Cause == CauseExpression // of the outputs
	}
	text, err := p.next.Workflow.EvalOutputs(p.next.Scope(nil, p.o.Blobs))
	before, fail := p.run.Outputs.Load(p.o.Blobs)
	return err != nil || fail != nil || !bytes.Equal(text, before)
}

// resets has everything that does not stay as it is done again, in events of
// bearable size.
func (p *replanner) resets() []PlannedEvent {
	var events []PlannedEvent
	var names []UnitRef
	size := 0
	flush := func() {
		if len(names) > 0 {
			events = append(events, PlannedEvent{Data: &UnitsReset{Units: names, Exact: true, By: p.o.Replanned.By}})
		}
		names, size = nil, 0
	}
	for _, s := range p.run.Steps {
		for _, u := range s.Units {
			if p.kept[u] || u.live() || u.State == Pending {
				continue
			}
			ref := u.Ref()
			if size += len(ref.String()) + len(`{"step":"","instance":""},`) + 16; size > maxResetNames {
				flush()
			}
			names = append(names, ref)
		}
	}
	flush()
	return events
}

// rehearse carries the plan out on the run as it was, so that what is written
// down can be carried out.
func (p *replanner) rehearse() error {
	r := p.run
	apply := func(step string, data Payload) error {
		return Apply(r, &Event{Seq: r.Seq + 1, At: p.o.At, Epoch: r.Epoch, Step: step, Data: data})
	}
	if r.State.Terminal() {
		if err := apply("", &RunReopened{Round: r.Round + 1}); err != nil {
			return err
		}
	}
	for _, e := range p.plan.Events {
		if err := apply(e.Step, e.Data); err != nil {
			if errors.Is(err, ErrConflict) {
				return err
			}
			return fmt.Errorf("the plan cannot be carried out, please report this: %w", err)
		}
	}
	return nil
}
