package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/workflow"
)

// Starter starts the runs that are due, and knows how they are doing. It is
// called from several goroutines.
type Starter interface {
	Runs
	// Start makes a run durable and has it driven. A run of that id that exists
	// already is the one: the same start may be asked for again after a crash.
	// ErrCannotStart if it is no use to try again.
	Start(ctx context.Context, start Start) error
}

// Runs knows how runs are doing. It must not call the scheduler.
type Runs interface {
	// State says where a run is; workflow.ErrNotFound if there is none.
	State(ctx context.Context, id workflow.RunID) (workflow.RunState, error)
}

// Start is a run to be started.
type Start struct {
	Workflow *workflow.Workflow
	Schedule *workflow.Schedule
	RunID    workflow.RunID
	// Slot is run.scheduled_at; zero for a run that a person asked for.
	Slot    time.Time
	BeganBy workflow.Trigger
	By      string
	// Groups are the places the run needs because of its schedule, beside those
	// that the workflow asks for.
	Groups []workflow.Membership
}

// Errors of the scheduler; match with errors.Is.
var (
	// ErrCannotStart: a run cannot be started, now or later.
	ErrCannotStart = errors.New("the run cannot be started")
	// ErrUnknown: there is no such schedule.
	ErrUnknown = fmt.Errorf("no such schedule: %w", workflow.ErrNotFound)
	// ErrBusy: a run of the schedule is going on, and it allows no other.
	ErrBusy = fmt.Errorf("a run of the schedule is still going on: %w", workflow.ErrConflict)
	// ErrSpan: a backfill asks for what it cannot have.
	ErrSpan = errors.New("not a span of time to fill")
)

// Key names a schedule.
type Key struct{ Workflow, Schedule string }

func (k Key) String() string { return k.Workflow + "/" + k.Schedule }

// Options of a scheduler. The zero value is usable.
type Options struct {
	// Now tells the time of day; it may be set back or forth. Default time.Now.
	Now func() time.Time
	// Runs is asked where there is no starter.
	Runs   Runs
	Logger zerolog.Logger
	// Changed is called after something about a schedule has changed. It must be
	// quick and must not call the scheduler.
	Changed func(Key)
}

// Scheduler starts runs when schedules are due. Methods may be called from
// several goroutines.
type Scheduler struct {
	book    workflow.Book
	starter Starter
	options Options

	mu      sync.Mutex
	entries map[Key]*entry
	open    map[workflow.RunID]*entry
	asked   map[workflow.RunID]bool // to be started now, for a person
	broken  error                   // the book failed
	loop    context.Context         // while Run lasts
	began   time.Time               // when it did

	wake   chan struct{}
	room   chan struct{} // for starts at a time
	starts sync.WaitGroup
}

const (
	// lateness is how late a slot may be and still be on time: a restart takes
	// that long, and so does a machine that is busy.
	lateness = time.Minute
	// lookEvery is how often the loop looks at the clock, which may have been set,
	// or have gone on while the machine slept.
	lookEvery = 30 * time.Second
	// maxOpen bounds the runs of a schedule that have not ended, and what one catch-up
	// or backfill starts.
	maxOpen = 1000
	// parallelStarts bounds how many runs are made at a time.
	parallelStarts = 8
)

// New returns a scheduler on a book. Without a starter it changes the book only:
// what it decides to start is started by the next one that has a starter.
func New(ctx context.Context, book workflow.Book, starter Starter, o Options) (*Scheduler, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if starter != nil {
		o.Runs = starter
	}
	s := &Scheduler{
		book: book, starter: starter, options: o, entries: map[Key]*entry{}, open: map[workflow.RunID]*entry{},
		asked: map[workflow.RunID]bool{},
		wake:  make(chan struct{}, 1), room: make(chan struct{}, parallelStarts),
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	for _, e := range s.entries {
		if e.calendar != nil {
			e.lookFrom(s.now().Add(-e.jitter))
		}
	}
	return s, nil
}

// now is the time of day, without what Go adds to compare it on this machine.
func (s *Scheduler) now() time.Time { return s.options.Now().Round(0).UTC() }

// entry returns the entry of a schedule, which it makes if there is none.
func (s *Scheduler) entry(k Key) *entry {
	e := s.entries[k]
	if e == nil {
		e = &entry{key: k}
		s.entries[k] = e
	}
	return e
}

// Set replaces what is scheduled. A schedule that is new, or due at other instants
// than before, begins now. The slots of one that is left out have no outcome until
// it is back: then they are caught up with as if nothing had been running.
func (s *Scheduler) Set(ctx context.Context, workflows []*workflow.Workflow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batch()
	if s.loop != nil {
		s.decideAll(ctx, b) // by the definitions that held until now
	}
	var errs []error
	there := map[*entry]bool{}
	for _, w := range workflows {
		for _, def := range w.Schedules {
			e := s.entry(Key{w.Name, def.ID})
			if there[e] {
				errs = append(errs, fmt.Errorf("schedule %s: there are two files with a workflow of that name", e.key))
				continue
			}
			if err := e.set(b, w, def); err != nil {
				errs = append(errs, err)
				continue
			}
			there[e] = true
		}
	}
	for _, e := range s.entries {
		if !there[e] {
			e.workflow = nil
		}
	}
	err := s.commit(ctx, b)
	s.rouse()
	return errors.Join(append(errs, err)...)
}

// set takes a definition from a file.
func (e *entry) set(b *batch, w *workflow.Workflow, def *workflow.Schedule) error {
	d := define(def)
	anew := !e.state.Definition.sameSlots(d)
	var waiting *workflow.SlotRecord // for their jitter; they are slots no more
	if anew && e.workflow != nil {
		waiting = e.spanRecord(e.state.Decided, b.now, workflow.SlotRecord{Outcome: workflow.SlotMissed, Reason: reasonChanged, At: b.now})
	}
	if err := e.use(def); err != nil {
		return err
	}
	e.workflow = w
	if waiting != nil {
		e.add(b, waiting)
	}
	if anew {
		e.state.Since, e.state.Decided = b.now, b.now
	}
	if e.state.Definition != d {
		e.state.Definition = d
		b.state(e)
	}
	e.lookFrom(b.now.Add(-e.jitter))
	return nil
}

// Run starts runs when they are due, until ctx ends. It returns an error only if
// the book fails. Runs that were to be started before a crash are started first.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.starts.Wait()
	defer cancel()
	s.begin(ctx)
	defer s.end()
	for {
		wait, err := s.tick(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

func (s *Scheduler) begin(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop, s.began = ctx, s.now()
}

func (s *Scheduler) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop = nil
}

// rouse has the loop look again.
func (s *Scheduler) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tick decides what is due and begins to start what is decided.
func (s *Scheduler) tick(ctx context.Context) (wait time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batch()
	s.decideAll(ctx, b)
	if err := s.commit(ctx, b); err != nil {
		return 0, err
	}
	now, wait := s.now(), lookEvery
	for _, e := range s.entries {
		s.launch(e)
		if e.workflow != nil && !e.next.IsZero() {
			wait = min(wait, e.next.Add(e.jitter).Sub(now))
		}
	}
	return max(wait, 0), nil
}

func (s *Scheduler) decideAll(ctx context.Context, b *batch) {
	for _, e := range s.sorted() {
		if e.workflow != nil {
			s.decide(ctx, e, b)
		}
	}
}

// sorted lists the entries by workflow and id.
func (s *Scheduler) sorted() []*entry {
	list := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.key.Workflow, b.key.Workflow), cmp.Compare(a.key.Schedule, b.key.Schedule))
	})
	return list
}
