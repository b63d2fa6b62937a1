package engine

import (
	"context"
	"errors"

	"github.com/fcflow/fcflow/workflow"
)

// Admission keeps the places of concurrency groups, of which a run that belongs
// to some holds one in each from its start to its end, also while no process
// owns it.
type Admission interface {
	// Admit waits until the run holds a place in each of its groups, or ctx ends. A
	// run that has started is given what it does not hold, however full the groups
	// are: it goes on already. ErrGroupFull if the run is not to wait.
	Admit(ctx context.Context, run workflow.RunCreated, started bool) error
	// Leave gives the places of a run back whose end is durable.
	Leave(ctx context.Context, run workflow.RunCreated) error
}

// ErrGroupFull: the concurrency group of a run is full, and the run is not to
// wait for a place.
var ErrGroupFull = errors.New("the concurrency group is full")

// groupBy is who cancels a run that may not wait for a place in its group.
const groupBy = "concurrency"

func (x *Execution) inGroups() bool {
	return x.engine.cfg.Admission != nil && len(x.run.Created.Concurrency) > 0
}

// admit has the run wait for its places. Meanwhile it is driven like any other,
// so that it can be seen and cancelled, but it does not start.
func (x *Execution) admit(ctx context.Context) {
	admission, created := x.engine.cfg.Admission, x.run.Created
	started := x.run.State != workflow.RunQueued
	if !x.inGroups() || !started && x.run.CancelRequests > 0 {
		return
	}
	x.waiting = !started
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		err := admission.Admit(ctx, created, started)
		close(ended)
		x.send(func(x *Execution) { x.admitted(err) })
	}()
	x.admission = func() {
		cancel()
		<-ended
	}
}

// admitted acts on how the wait ended.
func (x *Execution) admitted(err error) {
	switch {
	case x.run.State.Terminal(), x.quit != nil:
	case err == nil:
		x.waiting = false
	case errors.Is(err, ErrGroupFull):
		x.emit(command{payload: &workflow.CancelRequested{By: groupBy}})
		x.emit(command{payload: &workflow.RunFinished{
			State: workflow.RunCancelled, Cause: workflow.CauseConcurrency, Message: err.Error(),
		}})
	default:
		x.quit = err
	}
}

// stopAdmission makes sure that nobody takes a place for the run any more.
func (x *Execution) stopAdmission() {
	if x.admission != nil {
		x.admission()
	}
}

// leaveGroups gives the places back of a run that has ended. If that fails, or the
// process dies before, whoever waits for a place sees that the run has ended.
func (x *Execution) leaveGroups() {
	if !x.inGroups() {
		return
	}
	x.stopAdmission()
	if err := x.engine.cfg.Admission.Leave(context.WithoutCancel(x.ctx), x.run.Created); err != nil {
		x.logger.Warn().Err(err).Msg("the run has ended and keeps its place in its concurrency group for now")
	}
}
