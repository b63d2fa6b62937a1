package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// entry is a schedule with what became of its slots.
type entry struct {
	key     Key
	state   state
	records []*workflow.SlotRecord // by slot

	// workflow is that of the file; nil if no file has the schedule now.
	workflow *workflow.Workflow
	schedule *workflow.Schedule
	calendar *Calendar
	jitter   time.Duration

	// cursor is up to where the loop has looked for slots, next the first after it.
	cursor, next time.Time
	starting     bool
}

// state is what the book has of a schedule beside the slots.
type state struct {
	Definition definition `json:"definition"`
	// Since: slots before are not those of the definition.
	Since time.Time `json:"since,omitzero"`
	// Decided: every slot up to here has an outcome.
	Decided  time.Time               `json:"decided"`
	Pause    *workflow.SchedulePause `json:"pause,omitempty"`
	Failures int                     `json:"failures,omitempty"`
	// Open are the runs that are not known to have ended, in the order of their start.
	Open []workflow.RunID `json:"open,omitempty"`
}

// definition is what the book remembers of the file.
type definition struct {
	Cron       string        `json:"cron"`
	Timezone   string        `json:"timezone,omitempty"`
	DST        string        `json:"dst,omitempty"`
	Overlap    string        `json:"overlap,omitempty"`
	Keep       string        `json:"keep,omitempty"`
	Window     time.Duration `json:"window,omitempty"`
	Jitter     time.Duration `json:"jitter,omitempty"`
	PauseAfter int           `json:"pause_after,omitempty"`
}

func define(s *workflow.Schedule) definition {
	return definition{
		Cron: s.Cron, Timezone: s.Timezone, DST: s.DST, Overlap: s.Overlap,
		Keep: s.Catchup.Keep, Window: s.Catchup.Window, Jitter: s.Jitter, PauseAfter: s.PauseAfter,
	}
}

func (d definition) schedule(id string) *workflow.Schedule {
	return &workflow.Schedule{
		ID: id, Cron: d.Cron, Timezone: d.Timezone, DST: d.DST, Overlap: d.Overlap,
		Catchup: workflow.Catchup{Keep: d.Keep, Window: d.Window}, Jitter: d.Jitter, PauseAfter: d.PauseAfter,
	}
}

// sameSlots reports whether two definitions are due at the same instants.
func (d definition) sameSlots(o definition) bool {
	return d.Cron == o.Cron && d.Timezone == o.Timezone && d.DST == o.DST
}

// use takes a definition, from a file or from the book.
func (e *entry) use(s *workflow.Schedule) error {
	c, err := NewCalendar(s)
	if err != nil {
		return fmt.Errorf("schedule %s: %w", e.key, err)
	}
	e.schedule, e.calendar, e.jitter = s, c, jitterOf(e.key, s.Jitter)
	return nil
}

// look starts looking for slots after an instant.
func (e *entry) look(from time.Time) {
	e.cursor, e.next = from, e.calendar.Next(from)
}

// lookFrom starts looking where slots have no outcome yet, or at those that come
// about now if the clock was set back since.
func (e *entry) lookFrom(until time.Time) {
	if until.Before(e.state.Decided) {
		e.look(until.Add(-lateness))
	} else {
		e.look(e.state.Decided)
	}
}

// covering returns the record of a slot; nil if it has none, or none any more.
func (e *entry) covering(slot time.Time) *workflow.SlotRecord {
	i, found := e.place(slot)
	switch {
	case found:
		return e.records[i]
	case i > 0 && !e.records[i-1].To.Before(slot):
		return e.records[i-1]
	}
	return nil
}

func (e *entry) place(slot time.Time) (int, bool) {
	return slices.BinarySearchFunc(e.records, slot, func(r *workflow.SlotRecord, slot time.Time) int {
		return r.Slot.Compare(slot)
	})
}

// add records an outcome, as one more of the record before if that is the same.
func (e *entry) add(b *batch, r *workflow.SlotRecord) {
	i, _ := e.place(r.Slot)
	if i > 0 && i == len(e.records) {
		if p := e.records[i-1]; folds(p, r) {
			p.N, p.To = p.Count()+r.Count(), last(r)
			b.record(e, p)
			return
		}
	}
	e.records = slices.Insert(e.records, i, r)
	b.record(e, r)
}

func folds(p, r *workflow.SlotRecord) bool {
	return p.Run == "" && r.Run == "" && p.Outcome == r.Outcome && p.Reason == r.Reason && last(p).Before(r.Slot)
}

// last is the last slot that a record stands for.
func last(r *workflow.SlotRecord) time.Time {
	if r.To.IsZero() {
		return r.Slot
	}
	return r.To
}

// addSpan records one outcome for all slots in (after, to].
func (e *entry) addSpan(b *batch, after, to time.Time, outcome workflow.SlotOutcome, reason string) {
	r := e.spanRecord(after, to, workflow.SlotRecord{Outcome: outcome, Reason: reason, At: b.now})
	if r != nil {
		e.add(b, r)
	}
}

// spanRecord makes one record of the slots in (after, to]; nil if there are none.
func (e *entry) spanRecord(after, to time.Time, r workflow.SlotRecord) *workflow.SlotRecord {
	n := e.calendar.Count(after, to)
	if n == 0 {
		return nil
	}
	r.Slot, r.To, r.N = e.calendar.Next(after), time.Time{}, 0
	if n > 1 {
		r.To, r.N = e.calendar.Last(after, to), n
	}
	return &r
}

// take removes one slot from the record that has it.
func (e *entry) take(b *batch, r *workflow.SlotRecord, slot time.Time) {
	i, _ := e.place(r.Slot)
	e.records = slices.Delete(e.records, i, i+1)
	b.drop(e, r)
	if r.N <= 1 {
		return
	}
	for _, part := range []*workflow.SlotRecord{
		e.spanRecord(slot, r.To, *r), e.spanRecord(r.Slot.Add(-1), slot.Add(-1), *r),
	} {
		if part != nil {
			e.records = slices.Insert(e.records, i, part)
			b.record(e, part)
		}
	}
}

// keepRecords is how many records a schedule keeps, beside those of runs that go on.
const keepRecords = 100

// prune forgets the oldest records.
func (e *entry) prune(b *batch) {
	open := make(map[workflow.RunID]bool, len(e.state.Open))
	for _, id := range e.state.Open {
		open[id] = true
	}
	excess := -keepRecords
	for _, r := range e.records {
		if !open[r.Run] {
			excess++
		}
	}
	e.records = slices.DeleteFunc(e.records, func(r *workflow.SlotRecord) bool {
		if excess <= 0 || open[r.Run] {
			return false
		}
		excess--
		b.drop(e, r)
		return true
	})
}

// recordOf returns the record of a run; nil if it has none.
func (e *entry) recordOf(id workflow.RunID) *workflow.SlotRecord {
	for _, r := range slices.Backward(e.records) {
		if r.Run == id {
			return r
		}
	}
	return nil
}

// pending returns the oldest slot whose run is still to be started.
func (e *entry) pending() *workflow.SlotRecord {
	for _, r := range e.records {
		if r.Pending {
			return r
		}
	}
	return nil
}

// close forgets that a run goes on.
func (e *entry) close(id workflow.RunID) {
	e.state.Open = slices.DeleteFunc(e.state.Open, func(o workflow.RunID) bool { return o == id })
}
