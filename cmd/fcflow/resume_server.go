package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// serverOf returns the server whose a run is: it drives the run, or will when its
// service answers again. Nil if the run is no server's.
func (a *app) serverOf(ctx context.Context, id workflow.RunID, live *liveRun) (*server.Client, error) {
	if live != nil {
		if live.client == nil {
			return nil, nil
		}
		serves, err := live.client.Serves(ctx)
		if !serves && (err == nil || errors.Is(err, server.ErrGone)) {
			return nil, nil
		}
		return live.client, err
	}
	s, err := a.settings("")
	if err != nil {
		return nil, err
	}
	state, err := s.Path("state_dir")
	if err != nil || !exists(markFile(filepath.Join(state, "serve"), id)) {
		return nil, err
	}
	c, err := dialServer(ctx, s)
	if errors.Is(err, errNoServer) {
		return nil, nil
	}
	return c, err
}

// resumeThere has the server go on with a run, and watches it.
func (a *app) resumeThere(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, o resumeOptions) error {
	if o.exitOnAttention {
		return withHint(fmt.Errorf("run %s: fcflow serve drives it: %w", id, workflow.ErrOwned), "do it without --exit-on-attention")
	}
	if o.workflow == "" {
		return a.goOnThere(ctx, st, c, id, o)
	}
	request, err := a.changeThere(ctx, st, id, o)
	if err != nil {
		return err
	}
	answer, err := c.Resume(ctx, id, request)
	switch {
	case errors.Is(err, server.ErrGone):
		return withHint(err, "see fcflow runs show %s: the workflow may have been changed", a.refer(id))
	case errors.Is(err, errInterrupted):
		a.note("fcflow serve goes on with it; see fcflow runs show %s", a.refer(id))
		return &ended{err}
	case server.IsBadRequest(err):
		return &worded{err.Error(), errInvalid}
	case err != nil:
		return err
	}
	f := o.output.format()
	switch n := len(answer.InFlight); {
	case answer.Ended != "":
		a.noteIdle(&answer.Plan, answer.Ended)
		return a.printReplan(&answer.Plan, f)
	case o.dryRun && n > 0 && !o.cancelRunning:
		return errors.Join(a.printReplan(&answer.Plan, f), a.inFlight(id, answer.InFlight))
	case o.dryRun && n > 0:
		a.note("to be ended first: %s", few(answer.InFlight))
		return a.printReplan(&answer.Plan, f)
	case o.dryRun:
		return a.printReplan(&answer.Plan, f)
	}
	a.sayPlan(&answer.Plan, f)
	return a.watchServed(ctx, st, id, f)
}

// goOnThere has the server go on with a run as it is. It may do so already.
func (a *app) goOnThere(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, o resumeOptions) error {
	_, err := c.Resume(ctx, id, server.ResumeRequest{By: whoami()})
	if errors.Is(err, workflow.ErrConflict) { // it has just ended
		if l, wrong := st.Summary(ctx, id); wrong == nil && l.Err == nil && l.State.Terminal() {
			return a.noteOver(ctx, st, l, o)
		}
	}
	if err != nil && !errors.Is(err, workflow.ErrOwned) {
		return err
	}
	return a.watchServed(ctx, st, id, o.output.format())
}

// changeThere is what the command line asks of the server. A mistake in the file is
// found here, where it can be shown with its line.
func (a *app) changeThere(ctx context.Context, st *store.Store, id workflow.RunID, o resumeOptions) (r server.ResumeRequest, err error) {
	c, err := o.change()
	if err != nil {
		return r, err
	}
	run, _, err := a.readRun(ctx, st, id, func(workflow.Event) {})
	if err != nil {
		return r, err
	}
	if _, err := a.loadRunnable(c.file, run.Created.Profile.System); err != nil {
		return r, err
	}
	r = server.ResumeRequest{Dir: c.caller, Texts: c.texts, DryRun: o.dryRun, CancelRunning: o.cancelRunning, By: c.by}
	r.File, err = filepath.Abs(c.file)
	return r, err
}
