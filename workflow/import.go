package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// UnitImported: the unit ended so in the run that this one was made of, and is not
// done here. Outputs are by value; paths in them lead to that run's directory.
type UnitImported struct {
	Run     RunID  `json:"run"`
	State   State  `json:"state"`
	Cause   Cause  `json:"cause,omitempty"`
	Message string `json:"message,omitempty"`
	// With is what the attempt was given that ended so. StartedAt is when it began and
	// SpecVersion the version of the step type, if it was not the first; histories from
	// before that was noted have neither.
	With        Body      `json:"with,omitzero"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	SpecVersion int       `json:"spec_version,omitempty"`
	Outputs     Body      `json:"outputs,omitzero"`
}

// Kind names the event.
func (*UnitImported) Kind() EventKind { return "unit.imported" }

func (p *UnitImported) apply(r *Run, e *Event) error {
	ref := UnitRef{Step: e.Step, Instance: e.Instance}
	u, ok := r.Unit(ref)
	switch {
	case r.State != RunQueued:
		return fmt.Errorf("the run is %s", r.State)
	case !ok:
		return fmt.Errorf("unknown unit %s", ref)
	}
	u.Imported, u.Cause, u.Message, u.Outputs = p, p.Cause, p.Message, p.Outputs
	if !slices.Contains(r.sources, p.Run) {
		r.sources = append(r.sources, p.Run)
	}
	if err := r.move(u, onImported, p.State, e.At); err != nil {
		return err
	}
	if !u.Good {
		return errors.New("what is bad cannot be imported")
	}
	return nil
}

// Import brings into a run that was just made of old what does not depend on a
// step, as events, which it applies: instances and ends. Later events take their
// sequence numbers from the run. It fails with [ErrNotFound] if there is no such
// step, and with [ErrConflict] if something to be imported was not done, is bad, or
// is made from an input that is another one now.
func (r *Run) Import(old *Run, from string, at time.Time) ([]Event, error) {
	again, err := old.dependingOn(from)
	if err != nil {
		return nil, err
	}
	i := &importer{run: r, old: old, again: again, at: at, seen: map[*StepRun]bool{}}
	if err := i.sameInputs(); err != nil {
		return nil, err
	}
	for _, s := range old.Steps {
		if err := i.instances(s); err != nil {
			return nil, err
		}
	}
	for _, s := range old.Steps {
		if err := i.step(s); err != nil {
			return nil, err
		}
	}
	return i.events, nil
}

// dependingOn finds the steps that are done again from a step on.
func (r *Run) dependingOn(from string) (map[*StepRun]bool, error) {
	first, ok := r.Step(from)
	if !ok {
		return nil, fmt.Errorf("the run has no step %q: %w", from, ErrNotFound)
	}
	again := map[*StepRun]bool{first: true}
	for next := []*StepRun{first}; len(next) > 0; next = next[1:] {
		for _, list := range [][]*StepRun{next[0].dependents, next[0].pairs} {
			for _, d := range list {
				if !again[d] {
					again[d] = true
					next = append(next, d)
				}
			}
		}
	}
	for _, s := range r.Steps {
		if s.Step.Finally && !first.Step.Finally {
			again[s] = true
		}
	}
	return again, nil
}

type importer struct {
	run, old *Run
	again    map[*StepRun]bool
	at       time.Time
	seen     map[*StepRun]bool
	events   []Event
}

func (i *importer) add(step, instance string, data Payload) error {
	e := Event{Seq: i.run.Seq + 1, At: i.at, Epoch: 1, Step: step, Instance: instance, Data: data}
	if err := Apply(i.run, &e); err != nil {
		return err
	}
	i.events = append(i.events, e)
	return nil
}

// sameInputs refuses inputs that changed and that something imported is made from:
// the run would not be what its inputs say.
func (i *importer) sameInputs() error {
	changed := changedInputs(&i.old.Created, &i.run.Created)
	for _, s := range i.old.Steps {
		if i.again[s] {
			continue
		}
		for _, name := range i.old.Workflow.inputsOf(s.Step) {
			if what := changed[name]; what != "" {
				return fmt.Errorf("%s is made from the input %q, %s, and would have to be imported: do more again, from it or before: %w", s.Step.ID, name, what, ErrConflict)
			}
		}
	}
	return nil
}

// changedInputs says what has changed of the inputs from one run to another, by
// their names. A file that has the same bytes has not changed.
func changedInputs(a, b *RunCreated) map[string]string {
	changed := map[string]string{}
	for key, now := range b.Files {
		was, both := a.Files[key]
		same := was.SizeBytes == now.SizeBytes && was.SHA256 == now.SHA256
		if now.SHA256 == "" {
			same = same && was.ModifiedAt.Equal(now.ModifiedAt)
		}
		if both && !same {
			name, _, _ := strings.Cut(key, "[")
			changed[name] = "whose file has changed"
		}
	}
	for name, now := range b.Inputs {
		if was, both := a.Inputs[name]; !both || !bytes.Equal(was, now) {
			changed[name] = "which is another one now"
		}
	}
	return changed
}

// instances tells those of a step whose ends are imported; pairs have those of
// their source.
func (i *importer) instances(s *StepRun) error {
	if i.again[s] || s.Step.Pair != nil || s.Step.Matrix == nil && s.Step.ForEach == nil {
		return nil
	}
	if !s.expanded {
		return fmt.Errorf("the instances of %s are not known: %w", s.Step.ID, ErrConflict)
	}
	x := &expansion{}
	var items []any
	for _, u := range s.Units {
		x.add(u.Instance, u.values)
		if s.list() && u.values != nil {
			items = append(items, u.values[0])
		}
	}
	chunks, err := chunked(items)
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		if err := i.add(s.Step.ID, "", &StepItems{Items: chunk}); err != nil {
			return err
		}
	}
	expanded := &StepExpanded{Count: len(x.keys), Digest: x.digest()}
	if len(s.Units) == 1 && s.Units[0].alone() {
		expanded = &StepExpanded{Count: 1, Alone: true}
	}
	if err := i.add(s.Step.ID, "", expanded); err != nil {
		return fmt.Errorf("%w: the inputs give it others: %w", err, ErrConflict)
	}
	return nil
}

// step imports the ends of a step, after those that it waits for.
func (i *importer) step(s *StepRun) error {
	if i.again[s] || i.seen[s] {
		return nil
	}
	i.seen[s] = true
	for _, b := range s.Step.WaitsFor() {
		if err := i.step(i.old.Steps[b]); err != nil {
			return err
		}
	}
	for _, u := range s.Units {
		switch {
		case !u.State.Done():
			return fmt.Errorf("%s is %s, and would have to be imported: do more again, from it or before, or wait: %w", u.Ref(), u.State, ErrConflict)
		case !u.Good:
			return fmt.Errorf("%s is %s, and would have to be imported: do more again, from it or before: %w", u.Ref(), u.State, ErrConflict)
		}
		p := &UnitImported{Run: i.old.ID, State: u.State, Cause: u.Cause, Message: u.Message, With: u.given(), Outputs: u.Outputs}
		if u.Imported != nil {
			p.Run = u.Imported.Run
		}
		if a := u.doneBy(); a != nil {
			p.StartedAt, p.SpecVersion = a.StartedAt, a.SpecVersion
		}
		if err := i.add(s.Step.ID, u.Instance, p); err != nil {
			return err
		}
	}
	return nil
}

// given is what the unit was given when it ended as it did.
func (u *Unit) given() Body {
	switch {
	case u.Imported != nil:
		return u.Imported.With
	case len(u.Attempts) > 0:
		return u.Attempt().With
	}
	return Body{}
}

// doneBy is the attempt by which the unit ended as it did, also if that was in another
// run; nil if there was none, or nothing is known of when it was.
func (u *Unit) doneBy() *Attempt {
	switch p := u.Imported; {
	case p == nil:
		return u.Attempt()
	case p.StartedAt.IsZero():
		return nil
	default:
		return &Attempt{StartedAt: p.StartedAt, SpecVersion: p.SpecVersion}
	}
}
