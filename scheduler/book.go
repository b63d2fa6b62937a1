package scheduler

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// The keys of the book: the state of a schedule, and each record of it.
const (
	stateKey  = "schedule"
	recordKey = "slot"
	separator = "\x00"
)

func (k Key) state() string {
	return strings.Join([]string{stateKey, k.Workflow, k.Schedule}, separator)
}

func (k Key) record(slot time.Time) string {
	at := binary.BigEndian.AppendUint64(nil, uint64(slot.Unix()))
	return strings.Join([]string{recordKey, k.Workflow, k.Schedule, fmt.Sprintf("%x", at)}, separator)
}

// load reads the book.
func (s *Scheduler) load(ctx context.Context) error {
	return s.book.Read(ctx, func(key string, value []byte) error {
		parts := strings.Split(key, separator)
		if len(parts) < 3 {
			return nil // not ours
		}
		e := s.entry(Key{parts[1], parts[2]})
		switch {
		case parts[0] == stateKey:
			if err := json.Unmarshal(value, &e.state); err != nil {
				return fmt.Errorf("the book of schedules: %s: %w: %w", e.key, workflow.ErrCorrupt, err)
			}
			for _, id := range e.state.Open {
				s.open[id] = e
			}
			// A definition that this program does not understand is of no use, but its
			// slots are.
			_ = e.use(e.state.Definition.schedule(e.key.Schedule))
		case parts[0] == recordKey:
			r := new(workflow.SlotRecord)
			if err := json.Unmarshal(value, r); err != nil {
				return fmt.Errorf("the book of schedules: %s: %w: %w", e.key, workflow.ErrCorrupt, err)
			}
			e.records = append(e.records, r)
		}
		return nil
	})
}

// batch collects what one commit changes.
type batch struct {
	now     time.Time
	states  map[*entry]bool
	records map[string]*workflow.SlotRecord // nil = removed
	keys    map[Key]bool
}

func (s *Scheduler) batch() *batch {
	return &batch{
		now: s.now(), states: map[*entry]bool{}, records: map[string]*workflow.SlotRecord{}, keys: map[Key]bool{},
	}
}

func (b *batch) state(e *entry) {
	b.states[e], b.keys[e.key] = true, true
}

func (b *batch) record(e *entry, r *workflow.SlotRecord) {
	b.records[e.key.record(r.Slot)], b.keys[e.key] = r, true
}

func (b *batch) drop(e *entry, r *workflow.SlotRecord) {
	b.records[e.key.record(r.Slot)], b.keys[e.key] = nil, true
}

// commit makes a batch durable. If that fails the scheduler is of no use any more:
// it would act on what the book does not have.
func (s *Scheduler) commit(ctx context.Context, b *batch) error {
	if s.broken != nil || len(b.states)+len(b.records) == 0 {
		return s.broken
	}
	changes := make(map[string][]byte, len(b.states)+len(b.records))
	put := func(key string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // plain data
		}
		changes[key] = text
	}
	for e := range b.states {
		put(e.key.state(), &e.state)
	}
	for key, r := range b.records {
		if changes[key] = nil; r != nil {
			put(key, r)
		}
	}
	if err := s.book.Write(context.WithoutCancel(ctx), changes); err != nil {
		s.broken = fmt.Errorf("the book of schedules: %w", err)
		s.rouse()
		return s.broken
	}
	for k := range b.keys {
		if s.options.Changed != nil {
			s.options.Changed(k)
		}
	}
	return nil
}
