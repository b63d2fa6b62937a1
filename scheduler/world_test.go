package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// world is where runs are started: it outlives the scheduler.
type world struct {
	t     *testing.T
	shelf *memory.Shelf

	mu     sync.Mutex
	runs   map[workflow.RunID]Start
	states map[workflow.RunID]workflow.RunState
	asked  int // how often a start was asked for
	// wrong is what starting comes to; busy leaves runs going that were started.
	wrong func(Start) error
	busy  bool
	// step is called before and after each thing that lasts; its error is a crash.
	step   func() error
	skew   time.Duration // of the clock
	logger zerolog.Logger
	// fixed is what the clock shows, if it stands still.
	fixed time.Time
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, shelf: memory.NewShelf(), runs: map[workflow.RunID]Start{}, states: map[workflow.RunID]workflow.RunState{},
		step: func() error { return nil },
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.fixed.IsZero() {
		return w.fixed
	}
	return time.Now().Add(w.skew)
}

// set sets the clock.
func (w *world) set(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew += by
}

// Start implements [Starter].
func (w *world) Start(_ context.Context, start Start) error {
	if err := w.step(); err != nil {
		return err
	}
	w.mu.Lock()
	w.asked++
	var wrong error
	if w.wrong != nil {
		wrong = w.wrong(start)
	}
	if _, there := w.runs[start.RunID]; !there && wrong == nil {
		w.runs[start.RunID], w.states[start.RunID] = start, workflow.RunRunning
		if !w.busy {
			w.states[start.RunID] = workflow.RunSucceeded
		}
	}
	w.mu.Unlock()
	return errors.Join(wrong, w.step())
}

// State implements [Starter].
func (w *world) State(_ context.Context, id workflow.RunID) (workflow.RunState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if state, ok := w.states[id]; ok {
		return state, nil
	}
	return "", workflow.ErrNotFound
}

// started are the runs that there are.
func (w *world) started() map[workflow.RunID]Start {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.runs)
}

// end ends a run, without telling anybody.
func (w *world) end(id workflow.RunID, state workflow.RunState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[id] = state
}

// slots lists the slots of a schedule that have a run.
func (w *world) slots(k Key) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var slots []time.Time
	for _, s := range w.runs {
		if (Key{s.Workflow.Name, s.Schedule.ID}) == k && !s.Slot.IsZero() {
			slots = append(slots, s.Slot)
		}
	}
	slices.SortFunc(slots, time.Time.Compare)
	return slots
}

// crashingBook crashes as the world does.
type crashingBook struct {
	workflow.Book
	world *world
}

// Write implements [workflow.Book].
func (b crashingBook) Write(ctx context.Context, changes map[string][]byte) error {
	if err := b.world.step(); err != nil {
		return err
	}
	return errors.Join(b.Book.Write(ctx, changes), b.world.step())
}

// open returns a scheduler on the book, and a function that closes it.
func (w *world) open(workflows ...*workflow.Workflow) (*Scheduler, func()) {
	w.t.Helper()
	book, err := w.shelf.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(w.t.Context(), crashingBook{book, w}, w, Options{Now: w.now, Logger: w.logger})
	if err == nil {
		err = s.Set(w.t.Context(), workflows)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return s, func() { _ = book.Close() }
}

// alone returns a scheduler without a server, and a function that closes it.
func (w *world) alone() (*Scheduler, func()) {
	w.t.Helper()
	book, err := w.shelf.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(w.t.Context(), book, nil, Options{Now: w.now, Runs: w})
	if err != nil {
		w.t.Fatal(err)
	}
	return s, func() { _ = book.Close() }
}

// run has a scheduler run until stop is called.
func (w *world) run(workflows ...*workflow.Workflow) (s *Scheduler, stop func()) {
	w.t.Helper()
	s, release := w.open(workflows...)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		release()
	}
}

// flow is a workflow with one schedule.
func flow(name string, s workflow.Schedule) *workflow.Workflow {
	if s.ID == "" {
		s.ID = "default"
	}
	return &workflow.Workflow{Name: name, Schedules: []*workflow.Schedule{&s}}
}

func keyOf(w *workflow.Workflow) Key { return Key{w.Name, w.Schedules[0].ID} }

// story tells what became of the slots of a schedule, oldest first.
func story(t *testing.T, s *Scheduler, k Key) []string {
	t.Helper()
	records, err := s.Slots(k)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(records)
	var lines []string
	for _, r := range records {
		line := r.Slot.Format("2 15:04:05") + " "
		if r.N > 0 {
			line += fmt.Sprintf("to %s, %d times ", r.To.Format("2 15:04:05"), r.N)
		}
		line += string(r.Outcome)
		if r.BeganBy != "" {
			line += " by " + string(r.BeganBy)
		}
		lines = append(lines, line)
	}
	return lines
}

// once checks that each slot in (after, to] has one outcome, and one run if that is
// its outcome. It needs a schedule whose records all are kept.
func (w *world) once(s *Scheduler, k Key, slots []time.Time) {
	w.t.Helper()
	records, err := s.Slots(k)
	if err != nil {
		w.t.Fatal(err)
	}
	outcome, n := map[time.Time]int{}, 0
	var runs []time.Time
	for _, r := range records {
		n += r.Count()
		for _, slot := range slots {
			if !slot.Before(r.Slot) && !slot.After(last(&r)) {
				outcome[slot]++
			}
		}
		if r.Outcome == workflow.SlotRun {
			runs = append(runs, r.Slot)
		}
	}
	for _, slot := range slots {
		if outcome[slot] != 1 {
			w.t.Errorf("%s: slot %s has %d outcomes: %v", k, slot, outcome[slot], story(w.t, s, k))
		}
	}
	if n != len(slots) {
		w.t.Errorf("%s: %d outcomes for %d slots: %v", k, n, len(slots), story(w.t, s, k))
	}
	slices.SortFunc(runs, time.Time.Compare)
	if started := w.slots(k); !slices.EqualFunc(runs, started, time.Time.Equal) {
		w.t.Errorf("%s: runs for %v, outcomes say %v", k, started, runs)
	}
}
