package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of one event that holds items.
const (
	maxItems     = 1000
	maxItemBytes = 32 << 10
)

// StepItems holds items of the list that a step goes through, in order. They are
// stored, because what the list was made from may not be at hand later.
type StepItems struct {
	Items []json.RawMessage `json:"items"`
}

// StepExpanded: the instances of a step are known. Those of a matrix follow from
// the frozen file and the inputs, those of a list from the items before; those
// of the steps that go through this one from its own.
type StepExpanded struct {
	Count  int    `json:"count"`
	Digest string `json:"digest,omitempty"` // SHA-256 of their keys
	// Alone: nobody can tell the instances, and one unit without a key stands for
	// them. Cause and Message say why, if it has failed by that.
	Alone   bool   `json:"alone,omitempty"`
	Cause   Cause  `json:"cause,omitempty"`
	Message string `json:"message,omitempty"`
}

// Kind names the event.
func (*StepItems) Kind() EventKind    { return "step.items" }
func (*StepExpanded) Kind() EventKind { return "step.expanded" }

// Expanded reports whether the step's instances are known.
func (s *StepRun) Expanded() bool { return s.expanded }

// ToExpand yields the steps whose instances can be told now.
func (r *Run) ToExpand(yield func(*StepRun) bool) {
	r.expand.each(func(s *StepRun) bool { return s.expanded || yield(s) })
}

// Expand says what a step expands to, as the events that record it, and how many
// units they give the run. planned is how many it is to have besides, by events that
// are not applied yet. A list that cannot be told because of a unit before it leaves
// one unit, which is judged like any other.
func (r *Run) Expand(s *StepRun, planned int, blobs BlobReader) (events []Payload, units int) {
	alone := []Payload{&StepExpanded{Count: 1, Alone: true}}
	if r.firstMissing(s.Step.ListValues) != nil {
		return alone, s.multitude()
	}
	x, items, err := r.expansionOf(s, blobs)
	if err == nil {
		units = len(x.keys) * s.multitude()
		err = r.fits(planned + units)
	}
	switch {
	case err != nil && s.Step.Matrix == nil && r.blockedBy(s) != nil && !s.Step.StatusIf && !s.Step.Finally:
		return alone, s.multitude()
	case err != nil:
		return []Payload{&StepExpanded{Count: 1, Alone: true, Cause: CauseExpression, Message: err.Error()}}, s.multitude()
	}
	s.planned = x
	for _, chunk := range items {
		events = append(events, &StepItems{Items: chunk})
	}
	return append(events, &StepExpanded{Count: len(x.keys), Digest: x.digest()}), units
}

// expansionOf evaluates what a step fans out to; of a list also the items that
// are not on record yet.
func (r *Run) expansionOf(s *StepRun, blobs BlobReader) (*expansion, [][]json.RawMessage, error) {
	sc := r.Scope(nil, blobs)
	if s.Step.Matrix != nil {
		x, err := r.Workflow.matrixOf(s.Step, sc)
		return x, nil, err
	}
	list, err := r.Workflow.listOf(s.Step, sc)
	if err != nil {
		return nil, nil, err
	}
	var missing []any
	if len(list) > len(s.items) {
		missing = list[len(s.items):]
	}
	chunks, err := chunked(missing)
	return itemsOf(list), chunks, err
}

// chunked encodes items for events of bearable size.
func chunked(items []any) ([][]json.RawMessage, error) {
	var chunks [][]json.RawMessage
	size := 0
	for i, item := range items {
		text, err := CanonicalJSON(item)
		switch {
		case err != nil:
			return nil, err
		case len(text) > maxItemBytes:
			return nil, fmt.Errorf("for_each: item %d takes %d bytes; at most %d are kept: go through names, and look the values up", i, len(text), maxItemBytes)
		}
		last := len(chunks) - 1
		if last < 0 || len(chunks[last]) == maxItems || size+len(text) > maxItemBytes {
			chunks, size, last = append(chunks, nil), 0, last+1
		}
		chunks[last] = append(chunks[last], text)
		size += len(text)
	}
	return chunks, nil
}

// fits holds the units that a run would have against its bound.
func (r *Run) fits(more int) error {
	units := more
	for _, s := range r.Steps {
		units += len(s.Units)
	}
	if units > MaxUnits {
		return fmt.Errorf("the run would have %d instances, and at most %d are possible: split the campaign", units, MaxUnits)
	}
	return nil
}

// multitude counts the step and the steps that go through its instances.
func (s *StepRun) multitude() int {
	n := 1
	for _, p := range s.pairs {
		n += p.multitude()
	}
	return n
}

func (p *StepItems) apply(r *Run, e *Event) error {
	s, err := r.unexpanded(e)
	if err != nil {
		return err
	}
	for _, text := range p.Items {
		item, err := DecodeValue(text)
		if err != nil {
			return fmt.Errorf("an item of step %s: %w", e.Step, err)
		}
		s.items = append(s.items, item)
	}
	return nil
}

func (p *StepExpanded) apply(r *Run, e *Event) error {
	s, err := r.unexpanded(e)
	if err != nil {
		return err
	}
	if p.Alone {
		keeps := s.claims()
		r.standAlone(s, e.At)
		if keeps && p.Cause == "" {
			return r.settle(e.At)
		}
		if p.Cause != "" {
			u := s.Units[0]
			u.Cause, u.Message = p.Cause, p.Message
			return r.move(u, onMet, Failed, e.At)
		}
		return r.expandedNow(s, e.At)
	}
	x := s.planned
	if x == nil && s.Step.Matrix != nil {
		if x, err = r.Workflow.matrixOf(s.Step, r.Scope(nil, nil)); err != nil {
			return err
		}
	} else if x == nil {
		x = itemsOf(s.items)
	}
	if p.Count != len(x.keys) || p.Digest != x.digest() {
		return fmt.Errorf("step %s has other instances than its history says: %w", e.Step, ErrCorrupt)
	}
	keeps := s.claims()
	s.planned, s.items, s.dimensions = nil, nil, x.names
	for i, key := range x.keys {
		s.addUnit(key, e.At).values = x.values[i]
	}
	r.complete(s, e.At)
	if keeps {
		return r.settle(e.At)
	}
	return r.expandedNow(s, e.At)
}

// unexpanded finds the step that an event about instances means.
func (r *Run) unexpanded(e *Event) (*StepRun, error) {
	s, ok := r.byID[e.Step]
	switch {
	case r.State.Terminal():
		return nil, fmt.Errorf("the run is %s", r.State)
	case !ok:
		return nil, fmt.Errorf("unknown step %q", e.Step)
	case s.expanded:
		return nil, errors.New("the step has its instances already")
	case s.Step.Pair != nil:
		return nil, errors.New("the instances of the step are those of another")
	}
	return s, nil
}

// standAlone gives a step whose instances cannot be told one unit without a key.
func (r *Run) standAlone(s *StepRun, at time.Time) {
	s.addUnit("", at)
	r.complete(s, at)
}

// complete notes that the step has all its units, and gives the steps that go
// through them theirs.
func (r *Run) complete(s *StepRun, at time.Time) {
	s.expanded = true
	for _, p := range s.pairs {
		for _, u := range s.Units {
			p.addUnit(u.Instance, at).source = u
		}
		r.complete(p, at)
	}
}

// expandedNow handles new units, of the step and those that go through it, whose
// barriers are done. A step without any unit is done.
func (r *Run) expandedNow(s *StepRun, at time.Time) error {
	if len(s.Units) == 0 {
		if err := r.stepDone(s, at); err != nil {
			return err
		}
	} else if s.unmet == 0 {
		if err := r.met(s, at); err != nil {
			return err
		}
	}
	for _, p := range s.pairs {
		if err := r.expandedNow(p, at); err != nil {
			return err
		}
	}
	return nil
}

// Source is the unit that a unit is paired with; nil if there is none.
func (u *Unit) Source() *Unit { return u.source }

// placesPerBlock is how many neighbouring places belong together.
const placesPerBlock = 1000

// Place numbers the units of a run so that neighbours stand in one block of a
// thousand. It follows from the file and the unit's place in its step, never from
// the order in which things happened: a copy of the run must come to the same.
// The first block is shared out among the steps; what finds no room there has
// blocks of its step.
func (r *Run) Place(u *Unit) int {
	step, share := u.Step.Step.Index, placesPerBlock/len(r.Steps)
	switch {
	case u.place < share:
		return step*share + u.place
	case share == 0 && u.Instance == "":
		return step
	}
	const blocks = MaxUnits/placesPerBlock + 1
	beyond := u.place - share
	return (1+step*blocks+beyond/placesPerBlock)*placesPerBlock + beyond%placesPerBlock
}

// Parameters are the values that make the instance what it is, by name: those of
// its matrix, or item. A pair has those of its source.
func (u *Unit) Parameters() map[string]any {
	switch {
	case u.source != nil:
		return u.source.Parameters()
	case u.Step.dimensions != nil:
		return u.matrix()
	case u.values != nil:
		return map[string]any{"item": u.values[0]}
	}
	return nil
}

// matrix are the unit's values of the matrix of its step.
func (u *Unit) matrix() map[string]any {
	m := make(map[string]any, len(u.values))
	for i, v := range u.values {
		m[u.Step.dimensions[i]] = v
	}
	return m
}

// fanOut fills in what an expression of the unit sees of its fan-out.
func (sc *Scope) fanOut(u *Unit, blobs BlobReader) {
	switch s := u.Step; {
	case s.Step.Matrix != nil && u.values != nil:
		sc.Matrix = u.matrix()
	case u.source != nil || u.values != nil:
		sc.Each = u.each(blobs)
	}
}

// each is what a unit that goes through something sees of it.
func (u *Unit) each(blobs BlobReader) map[string]any {
	if u.source == nil {
		return map[string]any{"item": u.values[0], "index": u.place}
	}
	source := u.source
	m := map[string]any{"key": source.Instance, "state": string(source.State)}
	if source.State == Succeeded {
		m["outputs"] = mapAny(source.decodedOutputs(blobs))
	}
	switch {
	case source.Step.Step.Matrix != nil:
		m["matrix"] = source.matrix()
	case source.source != nil || source.values != nil:
		origin := source.each(blobs)
		m["origin"] = origin
		for _, name := range []string{"matrix", "item"} {
			if v, ok := origin[name]; ok {
				m[name] = v
			}
		}
	}
	return m
}

// describeInstances lists the units of a step that is done, as expressions see
// them.
func (s *StepRun) describeInstances(blobs BlobReader) []any {
	if s.instances != nil {
		return s.instances
	}
	list := make([]any, len(s.Units))
	for i, u := range s.Units {
		m := map[string]any{"key": u.Instance, "state": string(u.State)}
		if u.State == Succeeded {
			m["outputs"] = mapAny(u.decodedOutputs(blobs))
		}
		switch {
		case s.Step.Matrix != nil:
			m["matrix"] = u.matrix()
		case u.source != nil || u.values != nil:
			m["each"] = u.each(blobs)
		}
		list[i] = m
	}
	if s.open == 0 {
		s.instances = list
	}
	return list
}
