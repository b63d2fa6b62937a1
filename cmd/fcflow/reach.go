package main

import (
	"context"
	"errors"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// reach has the owner of a run do something, or has it done here if nobody owns
// the run. verb says what, where the owner cannot be asked. One on this machine
// that does not listen is just starting or letting go, so that it is waited for
// its lock.
func (a *app) reach(ctx context.Context, st *store.Store, id workflow.RunID, verb string, there func(*server.Client) error, here func() error) error {
	live, err := a.alive(ctx, st, id)
	switch {
	case err != nil:
		return err
	case live == nil, live.client == nil && live.owner.Host == st.Self().Host:
		return here()
	case live.client == nil:
		taking := "resume" // from then on it is a run of this host
		if verb == "cancel" {
			taking = verb
		}
		return a.outOfReach(st, id, live, verb+" it", taking+" "+a.refer(id))
	}
	defer live.close()
	err = there(live.client)
	if errors.Is(err, server.ErrGone) {
		return here()
	}
	return err
}

// leaveWord takes ownership of a run that nobody drives, lets f add to its
// history, and leaves it. Nothing is executed, hence neither its service nor its
// secrets are needed.
func (a *app) leaveWord(ctx context.Context, id workflow.RunID, f func(*engine.Execution) error) (err error) {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	st, err := a.openStore(s, store.Options{})
	if err != nil {
		return err
	}
	runs, err := crashing(a.getenv, st)
	if err != nil {
		return err
	}
	history, err := runs.Open(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, history.Close()) }()
	created, err := creation(ctx, history)
	if err != nil {
		return err
	}
	source, err := history.Frozen(ctx)
	if err != nil {
		return err
	}
	w, err := a.frozen(source, created)
	if err != nil {
		return err
	}
	x, err := engine.New(engine.Config{Library: a.catalogue, Logger: a.logger()}).Open(ctx, history, w, st.Self(), releaseName())
	if err != nil {
		return err
	}
	return errors.Join(f(x), putSummary(st, x))
}
