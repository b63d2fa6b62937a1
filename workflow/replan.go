package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// DefinitionPart is a piece of the workflow text that the run executes from the
// next [RunReplanned] on. The text is in the history, in pieces of bearable size,
// so that whoever reads the events needs nothing else to fold them.
type DefinitionPart struct {
	// From is where it begins, in bytes. The first piece begins at 0.
	From int    `json:"from,omitempty"`
	Text string `json:"text"`
}

// RunReplanned has the run go on with another workflow. Units are known again by
// their step and key: those that are done or under way stay so, all others are
// judged by the new workflow. What was to be done again was reset before, by exact
// resets; the instances of steps follow, where they are known.
type RunReplanned struct {
	// Definition is the SHA-256 of the text that the pieces before it make.
	Definition string                     `json:"definition"`
	Inputs     map[string]json.RawMessage `json:"inputs,omitempty"`
	// Files are those that inputs name. Many are in [RunFiles] instead.
	Files map[string]FileFacts `json:"files,omitempty"`
	// Dir is the directory of the workflow file.
	Dir string `json:"dir"`
	By  string `json:"by"`
}

// Kind names the event.
func (*DefinitionPart) Kind() EventKind { return "run.definition" }
func (*RunReplanned) Kind() EventKind   { return "run.replanned" }

// maxPart bounds the text of one piece: with its line ends and quotes escaped, an
// event of it can be stored.
const maxPart = 24 << 10

// definitionParts cuts a workflow text into pieces, between characters.
func definitionParts(text []byte) []Payload {
	var parts []Payload
	for from := 0; from < len(text); {
		end := min(from+maxPart, len(text))
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		parts = append(parts, &DefinitionPart{From: from, Text: string(text[from:end])})
		from = end
	}
	return parts
}

func (p *DefinitionPart) apply(r *Run, _ *Event) error {
	if p.From == 0 {
		r.definition = nil
	}
	if p.From != len(r.definition) {
		return fmt.Errorf("a piece at %d follows %d bytes: %w", p.From, len(r.definition), ErrCorrupt)
	}
	r.definition = append(r.definition, p.Text...)
	return nil
}

func (p *RunReplanned) apply(r *Run, e *Event) error {
	text := r.definition
	r.definition = nil
	switch {
	case r.State.Terminal():
		return fmt.Errorf("the run is %s", r.State)
	case r.CancelRequests > 0, r.State == RunRunning && r.TimedOut:
		return errors.New("the run is being cancelled")
	case NewBlob(text).Digest != p.Definition:
		return fmt.Errorf("the text of the workflow is another one: %w", ErrCorrupt)
	}
	w, err := r.successor(text)
	if err != nil {
		return err
	}
	r.Replans++
	r.Created.Definition, r.Created.Inputs, r.Created.Files, r.Created.Dir = p.Definition, p.Inputs, p.Files, p.Dir
	r.adopt(w, e.At)
	if err := r.decodeInputs(p.Inputs); err != nil {
		return err
	}
	r.Result, r.TimedOut = "", false
	return r.settle(e.At)
}

// successor reads a workflow that the run may go on with.
func (r *Run) successor(text []byte) (*Workflow, error) {
	if r.Workflow.index == nil {
		return nil, ErrNotChecked
	}
	w, problems := Load(r.Workflow.File, text, r.Workflow.index.catalogue, CheckOptions{DefaultSystem: r.Created.Profile.System})
	if len(problems) > 0 {
		return nil, fmt.Errorf("this version of fcflow refuses the workflow: %w", problems)
	}
	return w, nil
}

// adopt has the run go on with the steps of another workflow.
func (r *Run) adopt(w *Workflow, at time.Time) {
	next := NewRun(w)
	if r.gone == nil {
		r.gone = map[string]map[string]*Unit{}
	}
	for _, s := range r.Steps {
		r.gone[s.Step.ID] = s.retire()
	}
	r.Workflow, r.Steps, r.byID = w, next.Steps, next.byID
	for _, s := range r.Steps {
		s.former = r.gone[s.Step.ID]
		delete(r.gone, s.Step.ID)
		if s.Step.Matrix == nil && s.Step.ForEach == nil {
			s.addUnit("", at)
			s.expanded = true
		}
	}
}

// retire hands on the units of a step that is replaced, with those that it had
// before: the ends of its own, and what is under way, may be kept.
func (s *StepRun) retire() map[string]*Unit {
	for _, u := range s.former {
		u.kept = false
	}
	if s.former == nil {
		s.former = make(map[string]*Unit, len(s.Units))
	}
	for _, u := range s.Units {
		u.kept = u.State.Done() || u.State == Running || u.State == Waiting
		s.former[u.Instance] = u
	}
	return s.former
}

// claims reports whether the step, or one that goes through its instances, may
// keep units of the workflow before.
func (s *StepRun) claims() bool {
	for _, u := range s.former {
		if u.kept {
			return true
		}
	}
	for _, p := range s.pairs {
		if p.claims() {
			return true
		}
	}
	return false
}

// take makes a unit of the workflow before one of the step.
func (s *StepRun) take(u *Unit) {
	delete(s.former, u.Instance)
	u.kept = false
	u.Step, u.values, u.source, u.outputs = s, nil, nil, nil
}

// dropped describes the units that have made attempts and are those of no step, by
// step and key. A unit of the same key has taken over the attempts of the one before
// it. Parameters are left out: the dimensions of the step may be others now.
func (r *Run) dropped() []UnitView {
	var all []UnitView
	add := func(step string, units, now map[string]*Unit) {
		var keys []string
		for key, u := range units {
			if now[key] == nil && len(u.Attempts) > 0 {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			u := units[key]
			v := UnitView{Step: step, Instance: key, State: u.State, Since: u.Since, Cause: u.Cause, Message: u.Message}
			for _, a := range u.Attempts {
				v.Attempts = append(v.Attempts, a.describe())
			}
			all = append(all, v)
		}
	}
	for _, s := range r.Steps {
		add(s.Step.ID, s.former, s.byKey)
	}
	for _, id := range slices.Sorted(maps.Keys(r.gone)) {
		add(id, r.gone[id], nil)
	}
	return all
}

// settle derives what follows from the units of a run some of which have changed
// by other ways than a move, and lets go on what can.
func (r *Run) settle(at time.Time) error {
	r.recount()
	switch {
	case r.openMain > 0:
		r.Result, r.TimedOut = "", false
	case r.Result == "":
		r.Result = r.result()
	}
	r.rearm()
	if r.State != RunRunning {
		return nil // what may go on does when it is
	}
	r.begin()
	return r.meet(at)
}
