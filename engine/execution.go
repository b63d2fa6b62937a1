package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/workflow"
)

// stopGrace is how long attempts may take to return when this process ends, so
// that the answer to a request in flight is still recorded.
const stopGrace = 15 * time.Second

// Execution is a run owned by this process. One goroutine, the one that calls
// Drive, owns the folded state; all others talk to it through messages.
type Execution struct {
	engine  *Engine
	history workflow.History
	logger  zerolog.Logger
	id      workflow.RunID

	inbox   chan message
	pokes   chan struct{}
	stopped chan struct{} // closed when Drive has returned

	// The rest belongs to the owner goroutine.
	run        *workflow.Run
	ctx        context.Context // parent of the attempts
	live       map[*workflow.Unit]*entry
	watches    map[*workflow.Unit]watch
	fired      []*workflow.Unit
	binding    map[string]bool
	unbindable map[string]error
	pauses     map[*workflow.Unit]time.Duration // of attempts whose secrets cannot be read
	slots      int                              // held for live attempts
	decided    time.Time                        // as of when the last decision was made
	waiting    bool                             // for places in the concurrency groups of the run
	admission  func()                           // ends waiting for them; nil if the run has no groups

	pending []workflow.Event // applied, not yet durable
	blobs   []workflow.Blob
	acts    []func()          // after the commit
	stored  workflow.RunState // as of the last commit
	fatal   error             // the history could not be written or does not fold: stop at once
	quit    error             // a reason to leave the run for a later owner
	ended   bool              // the run came to its end here
	ending  []*workflow.Unit  // what Drive has to end, and nothing else; nil = all of the run

	taker *workflow.RunOpened // who took the run over, to be recorded with a new round

	changes changes
	private private
	kids    kids

	held    atomic.Bool  // nothing begins
	fragile atomic.Int32 // entries that a later owner could not go on with
}

// message is something that happened outside the owner goroutine.
type message func(x *Execution)

// watch is a topic being watched for a waiting unit.
type watch struct {
	topic string
	stop  func()
}

func newExecution(e *Engine, run *workflow.Run, h workflow.History) *Execution {
	return &Execution{
		engine: e, history: h, run: run, id: run.ID, stored: run.State,
		logger:     e.cfg.Logger.With().Str("run_id", string(run.ID)).Str("workflow", run.Workflow.Name).Logger(),
		inbox:      make(chan message, 256),
		pokes:      make(chan struct{}, 1),
		stopped:    make(chan struct{}),
		live:       map[*workflow.Unit]*entry{},
		watches:    map[*workflow.Unit]watch{},
		binding:    map[string]bool{},
		unbindable: map[string]error{},
		pauses:     map[*workflow.Unit]time.Duration{},
		changes:    changes{next: make(chan struct{})},
	}
}

// ID is the run's id.
func (x *Execution) ID() workflow.RunID { return x.id }

// Run is the folded state. Like State and Stored it may only be read before Drive is
// called or after it returned.
func (x *Execution) Run() *workflow.Run { return x.run }

// State is the state of the run as it is stored. Whoever acts on the end of a run asks
// for this: that of Run is ahead of the history when a commit has failed.
func (x *Execution) State() workflow.RunState { return x.stored }

// Stored reports whether all of Run is stored: not after a commit that failed.
func (x *Execution) Stored() bool { return x.fatal == nil && len(x.pending) == 0 }

// Drive executes the run until it is over (nil) or ctx ends (its cause). It also
// returns, leaving the run resumable, when the login is refused or nothing
// answers before the run has sent anything (ErrLogin, ErrUnavailable), when the
// run turns out to be somebody else's (ErrConflict), and when an event could not
// be stored or the owner panicked. Remote jobs go on in all these cases. Drive is
// called once.
func (x *Execution) Drive(ctx context.Context) (err error) {
	defer close(x.stopped)
	defer x.kids.wait() // once they are told to stop
	attempts, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(ErrStopping)
	x.ctx = attempts
	defer x.release()
	defer func() {
		if p := recover(); p != nil { // other runs of the process go on
			x.logger.Error().Bytes("stack", debug.Stack()).Msg("panic while driving the run")
			err = fmt.Errorf("run %s: panic: %v; please report this", x.id, p)
			x.fail(err)
		}
	}()
	if x.run.State.Terminal() {
		return nil
	}
	if err := x.verify(ctx); err != nil {
		return err
	}
	x.sweepPrivate()
	x.admit(attempts)
	defer x.stopAdmission()
	x.reenter()
	err = x.loop(ctx)
	if x.fatal == nil {
		x.engine.pool.stopWaiting(x)
		cancel(ErrStopping)
		x.drain()
	}
	if x.fatal != nil { // also if it came last: what the run was left for does not matter then
		return x.fatal
	}
	return err
}

// loop alternates between deciding, committing and waiting.
func (x *Execution) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if x.quit != nil {
			return errors.Join(x.quit, x.commit(ctx))
		}
		if err := x.advance(ctx); err != nil {
			return err
		}
		if x.run.State.Terminal() {
			x.ended = true
			x.sweepPrivate()
			x.leaveGroups()
			return nil
		}
		if x.ending != nil && !slices.ContainsFunc(x.ending, underWay) {
			return nil
		}
		x.arm(timer)
		select {
		case m := <-x.inbox:
			m(x)
			x.gather()
		case <-timer.C:
		case <-x.pokes:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// gather handles the messages that are there already, so that one commit
// serves them all.
func (x *Execution) gather() {
	for range cap(x.inbox) {
		select {
		case m := <-x.inbox:
			m(x)
		default:
			return
		}
	}
}

// arm sets the timer to the next instant at which something is due; what was due
// at the last decision and is left waits for a slot, not for time. Timers do not
// count the time that a laptop sleeps, instants do: hence the look at the clock
// once a minute.
func (x *Execution) arm(timer *time.Timer) {
	if at, ok := x.run.NextTimer(x.decided); ok {
		timer.Reset(min(max(time.Until(at), 0), time.Minute))
	} else {
		timer.Stop()
	}
}

// maxPending bounds the events of one commit, more or less.
const maxPending = 4 * maxCommands

// advance decides until nothing is left to do or enough is, makes the events
// durable in one commit, and only then acts.
func (x *Execution) advance(ctx context.Context) error {
	for x.fatal == nil && x.decide() {
		if len(x.pending) >= maxPending {
			x.poke() // to go on after this commit
			break
		}
	}
	return x.commit(ctx)
}

// decide makes one decision and applies it, when it is the run's turn. It
// reports whether there was anything to do.
func (x *Execution) decide() bool {
	pool := x.engine.pool
	pool.turn.Lock()
	defer pool.turn.Unlock()
	x.holdPlaces()
	granted := pool.take(x)
	commands := decide(x.run, x.input(granted))
	used := x.carryOut(commands)
	x.slots += used
	x.holdPlaces()
	pool.give(granted - used)
	if used == granted {
		pool.waitSlot(x)
	}
	if x.run.HasReady() {
		pool.waitPlace(x)
	}
	return len(commands) > 0
}

// holdPlaces tells the pool what the run has in the queues of systems.
func (x *Execution) holdPlaces() {
	for system := range x.run.Sites {
		x.engine.pool.holds(x, system, x.run.JobsOn(system))
	}
}

func (x *Execution) input(slots int) input {
	x.decided = time.Now().UTC()
	return input{
		now: x.decided, slots: slots, jobs: x.engine.pool.room, fired: x.fired,
		binding: x.binding, unbindable: x.unbindable, blobs: x.blob, waiting: x.waiting, hold: x.ending != nil || x.held.Load(),
	}
}

// carryOut applies the events of commands and plans their acts. It returns how
// many slots they take.
func (x *Execution) carryOut(commands []command) int {
	slots := 0
	for _, c := range commands {
		if c.bind != "" {
			x.bind(c.bind)
			continue
		}
		x.emit(c)
		if x.fatal != nil {
			break
		}
		switch c.payload.(type) {
		case *workflow.CancelRequested, *workflow.RunTimedOut, *workflow.AttemptExpired:
			x.acts = append(x.acts, x.interrupt)
		}
		if c.enter != "" {
			slots++
			unit, why := c.unit, c.enter
			x.unwatch(unit)
			x.acts = append(x.acts, func() { x.enter(unit, why) })
		}
	}
	x.dropFired()
	return slots
}

// emit applies an event; it becomes durable with the next commit.
func (x *Execution) emit(c command) {
	bound(c.payload)
	e := workflow.Event{
		Seq: x.run.Seq + 1, At: time.Now().UTC().Truncate(time.Millisecond), Epoch: x.history.Epoch(),
		Attempt: c.attempt, Data: c.payload,
	}
	switch {
	case c.step != nil:
		e.Step = c.step.Step.ID
	case c.unit != nil:
		e.Step, e.Instance = c.unit.Step.Step.ID, c.unit.Instance
	}
	if err := workflow.Apply(x.run, &e); err != nil {
		x.fail(fmt.Errorf("run %s: %w", x.id, err))
		return
	}
	x.pending = append(x.pending, e)
	x.blobs = append(x.blobs, c.blobs...)
}

// commit makes the applied events durable, tells observers, and acts. After an
// error the owner must stop: what is stored and what was folded may differ.
func (x *Execution) commit(ctx context.Context) error {
	if x.fatal != nil {
		return x.fatal
	}
	events, acts := x.pending, x.acts
	if len(events) > 0 {
		err := x.history.Append(context.WithoutCancel(ctx), events[0].Seq-1, events, x.blobs...)
		if err != nil {
			x.fail(fmt.Errorf("run %s: store events: %w", x.id, err))
			return x.fatal
		}
	}
	x.pending, x.blobs, x.acts = nil, nil, nil
	x.stored = x.run.State
	if len(events) > 0 {
		x.changes.announce()
		if x.engine.cfg.Observe != nil {
			x.engine.cfg.Observe(x.run, events, x.run.TakeChanged())
		} else {
			x.run.TakeChanged()
		}
	}
	for _, act := range acts {
		act()
	}
	return nil
}

func (x *Execution) fail(err error) {
	if x.fatal == nil {
		x.fatal = err
	}
}

// drain lets the attempts return, so that what they still learn is recorded:
// the answer to a request in flight above all.
func (x *Execution) drain() {
	timeout := time.NewTimer(stopGrace)
	defer timeout.Stop()
	for len(x.live) > 0 && x.fatal == nil {
		select {
		case m := <-x.inbox:
			m(x)
			x.gather()
			if err := x.commit(context.Background()); err != nil {
				return
			}
		case <-timeout.C:
			return
		}
	}
}

// release gives back what the process shares.
func (x *Execution) release() {
	for u := range x.watches {
		x.unwatch(u)
	}
	pool := x.engine.pool
	pool.stopWaiting(x)
	pool.give(x.slots)
	x.slots = 0
	for system := range x.run.Sites {
		pool.holds(x, system, 0)
	}
}

// poke makes the owner decide again.
func (x *Execution) poke() {
	select {
	case x.pokes <- struct{}{}:
	default:
	}
}

// send hands a message to the owner. It reports false when nobody drives the
// run any more.
func (x *Execution) send(m message) bool {
	select {
	case x.inbox <- m:
		return true
	case <-x.stopped:
		return false
	}
}

// errNotDriven is what a request gets that comes too late.
var errNotDriven = errors.New("the run is no longer driven by this process")

// ask runs f on the owner goroutine, waits for the commit that follows and returns
// what f did. errNotDriven means that nothing of it is stored, or nobody knows. When
// ctx ends first, f may run later: what it writes is to be read only after no error.
func (x *Execution) ask(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	sent := x.send(func(x *Execution) {
		err := f()
		x.acts = append(x.acts, func() { done <- err })
	})
	if !sent {
		return errNotDriven
	}
	select {
	case err := <-done:
		return err
	case <-x.stopped:
		select {
		case err := <-done: // the last commit was ours
			return err
		default:
			return errNotDriven
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// View describes the run, from any goroutine, also after Drive has returned.
func (x *Execution) View(ctx context.Context) (workflow.RunView, error) {
	return look(ctx, x, (*workflow.Run).Describe)
}

// Summary is the small part of View, which costs little however many instances
// there are.
func (x *Execution) Summary(ctx context.Context) (workflow.Summary, error) {
	return look(ctx, x, (*workflow.Run).Summarize)
}

// look has f look at the folded state, on the goroutine that owns it. Of a run that
// could not be stored there is nothing to see here: its history says how it stands.
func look[T any](ctx context.Context, x *Execution, f func(*workflow.Run) T) (T, error) {
	var seen, nothing T
	err := x.ask(ctx, func() error { seen = f(x.run); return nil })
	switch {
	case err == nil:
		return seen, nil
	case !errors.Is(err, errNotDriven):
		return nothing, err
	case !x.Stored():
		return nothing, errors.Join(err, x.fatal)
	}
	return f(x.run), nil
}

// Cancel asks for the run to be cancelled; the request is durable when it
// returns. A second one also skips `finally`. Cancelling a run that is over does
// nothing.
func (x *Execution) Cancel(ctx context.Context, by string) error { return x.cancel(ctx, by, 0) }

// cancel asks once more, or as often as there are fewer requests than that.
func (x *Execution) cancel(ctx context.Context, by string, times int) error {
	err := x.ask(ctx, func() error {
		if x.run.State.Terminal() || times > 0 && x.run.CancelRequests >= times {
			return nil
		}
		x.emit(command{payload: &workflow.CancelRequested{By: by}})
		for x.fatal == nil && x.run.CancelRequests < times {
			x.emit(command{payload: &workflow.CancelRequested{By: by}})
		}
		x.acts = append(x.acts, x.interrupt)
		return nil
	})
	if errors.Is(err, errNotDriven) && x.stored.Terminal() {
		return nil
	}
	return err
}

// LeaveCancel is Cancel before Drive is called: whoever drives the run ends it, at
// once if it has not started.
func (x *Execution) LeaveCancel(ctx context.Context, by string) error {
	if x.run.State.Terminal() {
		return nil
	}
	x.emit(command{payload: &workflow.CancelRequested{By: by}})
	return x.commit(ctx)
}

// Events calls f with each stored event from a sequence number on.
func (x *Execution) Events(ctx context.Context, from int64, f func(workflow.Event) error) error {
	return x.history.Read(ctx, from, f)
}

// Blob returns a value that is kept apart from the events.
func (x *Execution) Blob(ctx context.Context, digest string) ([]byte, error) {
	return x.history.Blob(ctx, digest)
}

// Changed returns a channel that is closed at the next commit, or when the run is
// given up.
func (x *Execution) Changed() <-chan struct{} { return x.changes.wait() }

// compacter is a history that can give back the room that its growth left.
type compacter interface {
	Compact(ctx context.Context) error
}

// Close gives the ownership of the run up; the history of a run that has ended
// is compacted before. It must not be called while Drive runs. Whoever waits for
// changes learns that there are none here any more.
func (x *Execution) Close() error {
	defer x.changes.announce()
	if c, ok := x.history.(compacter); ok && x.ended {
		if err := c.Compact(context.Background()); err != nil {
			x.logger.Warn().Err(err).Msg("history not compacted")
		}
	}
	return x.history.Close()
}

func (x *Execution) blob(digest string) ([]byte, error) {
	for _, b := range x.blobs { // applied, not yet stored
		if b.Digest == digest {
			return b.Bytes, nil
		}
	}
	return x.history.Blob(context.Background(), digest)
}

// changes lets any number of readers wait for the next commit.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

func (c *changes) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

func (c *changes) announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.next)
	c.next = make(chan struct{})
}
