package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// drivers are those of the runs that this server executes now.
type drivers struct {
	mu sync.Mutex
	of map[workflow.RunID]*driver
}

// driver is who executes a run.
type driver struct {
	run  *engine.Execution
	turn *turn // whose it is when the run is left
}

// turn is what somebody does with a run between two executions of it, as its only
// owner: it returns the run to go on with. If there is none the run goes on as it was.
type turn struct {
	do   func() (*engine.Execution, error)
	done chan error
}

// leavePatience is how long it is waited for commands on this machine, which would be
// lost if the run were left. Meanwhile nothing begins in it.
const leavePatience = 20 * time.Second

// enter notes, if nobody has, that a run is executed from now on.
func (d *drivers) enter(x *engine.Execution) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[workflow.RunID]*driver{}
	}
	if d.of[x.ID()] == nil {
		d.of[x.ID()] = &driver{run: x}
	}
}

// leave notes that a run is executed no longer, and returns whose turn it is.
func (d *drivers) leave(id workflow.RunID) *turn {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.of[id].turn
	delete(d.of, id)
	return t
}

// ask notes whose turn it is when a run is left; nil if nobody here executes it.
func (d *drivers) ask(id workflow.RunID, t *turn) *engine.Execution {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.of[id]
	if one == nil || one.turn != nil {
		return nil
	}
	one.turn = t
	return one.run
}

// withdraw takes a turn back; false if it has come.
func (d *drivers) withdraw(id workflow.RunID, t *turn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.of[id]
	if one == nil || one.turn != t {
		return false
	}
	one.turn = nil
	return true
}

// crew is whoever drives runs. Requests go on while the server stops, and what they
// start then has nobody to drive it.
type crew struct {
	mu   sync.Mutex
	over bool
	work sync.WaitGroup
}

// begin has somebody work; false when the crew is dismissed.
func (c *crew) begin(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.work.Go(work)
	}
	return !c.over
}

// dismiss lets nobody begin any more, and waits for those who work.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.work.Wait()
}

// wait waits for those who work now.
func (c *crew) wait() { c.work.Wait() }

// drive executes a run in the background until it is over or the server stops. It is
// left to the next start if the server has stopped driving runs.
func (h *host) drive(x *engine.Execution) {
	h.enter(x)
	begun := h.driving.begin(func() {
		if h.driveOn(x) {
			h.driveAgain(x.ID())
		}
	})
	if begun {
		return
	}
	if t := h.drivers.leave(x.ID()); t != nil {
		t.done <- server.ErrStopping
	}
	log := h.log.With().Str("run", string(x.ID())).Logger()
	if err := h.session.owned.release(x); err != nil {
		log.Error().Err(err).Msg("the run could not be closed")
	}
	log.Info().Msg("the run waits for the next start")
}

// enter offers a run that is about to be driven, at once, for whoever asks next.
func (h *host) enter(x *engine.Execution) {
	h.session.owned.add(x)
	h.drivers.enter(x)
}

// driveAgain takes a run over that its service did not let go on, until it is over
// or the server stops.
func (h *host) driveAgain(id workflow.RunID) {
	for wait := firstAgain; h.pause(wait); wait = min(2*wait, maxAgain) {
		x, err := h.session.reopen(h.ctx, id)
		switch {
		case passing(err):
			h.log.Warn().Err(err).Str("run", string(id)).Msg("the run is tried again later")
		case err != nil:
			h.log.Error().Err(err).Str("run", string(id)).Msg("the run is not continued")
			return
		case !h.driveOn(x):
			return
		}
	}
}

// passing reports whether an error is of a service that refuses us or does not
// answer.
func passing(err error) bool {
	return errors.Is(err, engine.ErrLogin) || errors.Is(err, engine.ErrUnavailable)
}

// A run whose service refuses us or does not answer is tried again after a while:
// nobody sits there to resume it.
const (
	firstAgain = 15 * time.Second
	maxAgain   = 10 * time.Minute
)

// pause waits; it reports whether the server still works then.
func (h *host) pause(wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-h.ctx.Done():
		return false
	}
}

// driveOn executes a run, and what those make of it whose turn it is, until it is
// over, the server stops or the service is of no use. It reports whether the run is
// to be tried again later.
func (h *host) driveOn(x *engine.Execution) (again bool) {
	for x != nil {
		x, again = h.driveOnce(x)
	}
	return again
}

func (h *host) driveOnce(x *engine.Execution) (next *engine.Execution, again bool) {
	id, name := x.ID(), x.Run().Workflow.Name
	h.drivers.enter(x)
	err := h.session.drive(h.ctx, x)
	t := h.drivers.leave(id)
	state := x.State() // as it is stored: what is done on its end cannot be taken back
	log := h.log.With().Str("run", string(id)).Str("workflow", name).Logger()
	switch {
	case h.ctx.Err() != nil && x.Stored() && !state.Terminal():
		log.Info().Msg("the run waits for the next start")
	case errors.Is(err, engine.ErrLeft):
		log.Info().Msg("the run is left for a moment")
	case passing(err):
		log.Warn().Err(err).Msg("the run is tried again later")
		again = true
	case err != nil:
		log.Error().Err(err).Msg("the run stopped")
	default:
		log.Info().Str("state", string(state)).Msg("the run has ended")
	}
	if t != nil { // before it is let go of, so that nobody else takes it
		h.opening.Lock()
		defer h.opening.Unlock()
	}
	if err := h.session.owned.release(x); err != nil {
		log.Error().Err(err).Msg("the run could not be closed")
	}
	if state.Terminal() {
		_ = os.Remove(h.markFile(id)) // one that is left is of a run that has ended
		if err := h.scheduler.Ended(context.WithoutCancel(h.ctx), id, state); err != nil {
			log.Error().Err(err).Msg("the schedule does not know of the end")
		}
	}
	h.news.Tell(server.Change{Kind: server.ChangedRun, Run: id, State: state, Workflow: name})
	if t != nil {
		return h.take(t, id, state)
	}
	return nil, again
}

// take gives a turn to whose it is. A run that has not ended goes on afterwards,
// whatever became of it.
func (h *host) take(t *turn, id workflow.RunID, state workflow.RunState) (next *engine.Execution, again bool) {
	next, err := t.do()
	defer func() { t.done <- err }()
	var wrong error
	if next == nil && !state.Terminal() {
		next, wrong = h.session.reopen(h.ctx, id)
	}
	switch {
	case next != nil:
		h.enter(next)
	case wrong == nil:
	case h.ctx.Err() != nil:
		h.log.Info().Str("run", string(id)).Msg("the run waits for the next start")
	case passing(wrong):
		h.log.Warn().Err(wrong).Str("run", string(id)).Msg("the run is tried again later")
		return nil, true
	default:
		h.log.Error().Err(wrong).Str("run", string(id)).Msg("the run is not continued")
	}
	return next, false
}

// inTurn does something with a run that nobody owns meanwhile. One that this process
// drives is left for it as all are when the server stops: no step begins, everything
// is on disk, jobs go on. What would be lost is waited for, but for what is expendable.
func (h *host) inTurn(ctx context.Context, id workflow.RunID, expendable []workflow.UnitRef, do func() (*engine.Execution, error)) error {
	t := &turn{do: do, done: make(chan error, 1)}
	if x := h.drivers.ask(id, t); x != nil {
		ctx, stop := context.WithTimeout(ctx, leavePatience)
		defer stop()
		if waits := x.Leave(ctx, expendable); len(waits) > 0 && h.drivers.withdraw(id, t) {
			return fmt.Errorf("run %s: the server cannot leave it, since what runs on its machine would be lost: %s: try again when that has ended: %w",
				id, strings.Join(waits, ", "), workflow.ErrConflict)
		}
		return <-t.done
	}
	h.opening.Lock()
	defer h.opening.Unlock()
	x, err := do()
	if x != nil {
		h.drive(x)
	}
	return err
}

// keyed holds names that only one may use at a time.
type keyed struct {
	mu   sync.Mutex
	used map[string]chan struct{} // closed when the name is free again
}

// try takes a name; false if somebody has it.
func (k *keyed) try(name string) (free func(), ok bool) {
	free, busy := k.take(name)
	return free, busy == nil
}

// wait takes a name once it is free.
func (k *keyed) wait(ctx context.Context, name string) (free func(), err error) {
	for {
		free, busy := k.take(name)
		if busy == nil {
			return free, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another request: %w", context.Cause(ctx))
		}
	}
}

func (k *keyed) take(name string) (free func(), busy chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if busy := k.used[name]; busy != nil {
		return nil, busy
	}
	if k.used == nil {
		k.used = map[string]chan struct{}{}
	}
	mine := make(chan struct{})
	k.used[name] = mine
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.used, name)
		close(mine)
	}, nil
}
