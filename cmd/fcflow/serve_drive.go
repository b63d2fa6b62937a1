package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	ctx  context.Context
	stop context.CancelCauseFunc
	turn *turn // whose it is when the run is left
}

// turn is what somebody does with a run between two executions of it, as its only
// owner: it returns the run to go on with. If there is none the run goes on as it was.
type turn struct {
	do   func() (*engine.Execution, error)
	done chan error
}

// errTurn: the run is left for a moment.
var errTurn = errors.New("somebody changes the run")

// enter notes, if nobody has, that a run is executed from now on, until ctx ends or
// it is somebody's turn.
func (d *drivers) enter(ctx context.Context, id workflow.RunID) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[workflow.RunID]*driver{}
	}
	if d.of[id] == nil {
		ctx, stop := context.WithCancelCause(ctx)
		d.of[id] = &driver{ctx: ctx, stop: stop}
	}
	return d.of[id].ctx
}

// leave notes that a run is executed no longer, and returns whose turn it is.
func (d *drivers) leave(id workflow.RunID) *turn {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.of[id].turn
	d.of[id].stop(nil)
	delete(d.of, id)
	return t
}

// ask has a run left for a turn; false if nobody here executes it.
func (d *drivers) ask(id workflow.RunID, t *turn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.of[id]
	if one == nil || one.turn != nil {
		return false
	}
	one.turn = t
	one.stop(errTurn)
	return true
}

// drive executes a run in the background until it is over or the server stops.
func (h *host) drive(x *engine.Execution) {
	h.enter(x)
	h.driving.Go(func() {
		if h.driveOn(x) {
			h.driveAgain(x.ID())
		}
	})
}

// enter offers a run that is about to be driven, at once, for whoever asks next.
func (h *host) enter(x *engine.Execution) {
	h.session.owned.add(x)
	h.drivers.enter(h.ctx, x.ID())
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
	err := h.session.drive(h.drivers.enter(h.ctx, id), x)
	t := h.drivers.leave(id)
	state := x.Run().State
	log := h.log.With().Str("run", string(id)).Str("workflow", name).Logger()
	switch {
	case h.ctx.Err() != nil && !state.Terminal():
		log.Info().Msg("the run waits for the next start")
	case errors.Is(err, errTurn):
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
// is on disk, jobs go on.
func (h *host) inTurn(id workflow.RunID, do func() (*engine.Execution, error)) error {
	t := &turn{do: do, done: make(chan error, 1)}
	if h.drivers.ask(id, t) {
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
