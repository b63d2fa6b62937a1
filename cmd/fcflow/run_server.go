package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// errNoServer: nothing is there to hand a run to.
var errNoServer = errors.New("no fcflow serve is running on this state directory")

// runOnServer hands a run to the server of the state directory and watches it.
func runOnServer(ctx context.Context, a *app, o runOptions) error {
	s, err := a.settings("")
	if err != nil {
		return err
	}
	request, err := o.forServer()
	if err != nil {
		return err
	}
	id, err := a.startThere(ctx, s, request)
	if err != nil {
		return err
	}
	if o.detach {
		return a.printHandedOver(id, o.output.format())
	}
	st, err := a.openStore(s, store.Options{})
	if err != nil {
		return err
	}
	return a.watchServed(ctx, st, id, o.output.format())
}

// A server that gives no answer is asked again for a while: it may have been started
// anew.
const (
	serverPatience = 30 * time.Second
	serverPause    = 250 * time.Millisecond
)

// startThere asks the server for a run until it answers. The key of the request
// makes it one run, however often it is asked for.
func (a *app) startThere(ctx context.Context, s *settings.Settings, r server.StartRequest) (workflow.RunID, error) {
	r.Key = string(engine.NewRunID(time.Now()))
	began := time.Now()
	for sent := false; ; {
		c, err := dialServer(ctx, s)
		if err == nil {
			var id workflow.RunID
			if id, err = c.Start(ctx, r); err == nil {
				c.Close()
				return id, nil
			}
			c.Close()
			if !sent && unheard(err) {
				a.note("fcflow serve gives no answer and is asked again")
			}
			sent = true
		}
		switch {
		case server.IsBadRequest(err):
			return "", fmt.Errorf("%w: %w", errInvalid, err)
		case !sent, !unheard(err):
			return "", err
		case time.Since(began) > serverPatience:
			return "", withHint(err, "see fcflow runs list: the run may have been made")
		}
		select {
		case <-time.After(serverPause):
		case <-ctx.Done():
			return "", withHint(context.Cause(ctx), "see fcflow runs list: the run may have been made")
		}
	}
}

// unheard reports whether a request was not, or need not have been, heard.
func unheard(err error) bool {
	return errors.Is(err, server.ErrGone) || errors.Is(err, server.ErrStopping) || errors.Is(err, errNoServer)
}

// watchServed watches a run of the server to its end, and prints what a command
// prints that drives it itself.
func (a *app) watchServed(ctx context.Context, st *store.Store, id workflow.RunID, f format) error {
	if f == formatName {
		a.streams.Out.Printf("%s\n", id)
	}
	run, err := a.watch(ctx, st, id, f == formatJSON)
	for began := time.Now(); !over(run, err) && time.Since(began) < serverPatience && a.comesBack(ctx, st, id); {
		run, err = a.watch(ctx, st, id, f == formatJSON)
	}
	if errors.Is(err, errInterrupted) {
		a.sayHandedOver(id)
		return &ended{err}
	}
	if err != nil {
		return err
	}
	view := run.Describe()
	if f == formatJSON {
		err = a.streams.Out.JSON(shown(view, !view.State.Terminal(), false))
	}
	if !view.State.Terminal() {
		a.note("fcflow serve has stopped; the run goes on when it is started again")
		return errors.Join(err, &ended{fmt.Errorf("%w: run %s", errInterrupted, id)})
	}
	if f != formatJSON {
		a.printEnd(&view, time.Now())
	}
	return errors.Join(err, endOf(&view))
}

// sayHandedOver says who has a run, and what can be done with it from here.
func (a *app) sayHandedOver(id workflow.RunID) {
	a.note("run %s goes on: fcflow serve drives it; watch it: fcflow runs watch %s, end it: fcflow cancel %s", shortID(id), a.refer(id), a.refer(id))
}

// printHandedOver is what a command prints that starts a run and does not watch it.
func (a *app) printHandedOver(id workflow.RunID, f format) error {
	a.sayHandedOver(id)
	switch f {
	case formatJSON:
		return a.streams.Out.JSON(server.Started{ID: id})
	case formatName:
		a.streams.Out.Printf("%s\n", id)
	}
	return nil
}

// over reports whether there is nothing more to see of a run.
func over(run *workflow.Run, err error) bool {
	if err != nil {
		return !errors.Is(err, workflow.ErrOwned) // else somebody just takes it over
	}
	return run.State.Terminal()
}

// comesBack waits a moment for the server, if it is there, to go on with a run that is
// its own, and reports whether to look again.
func (a *app) comesBack(ctx context.Context, st *store.Store, id workflow.RunID) bool {
	select {
	case <-time.After(serverPause):
	case <-ctx.Done():
		return false
	}
	l, err := st.Summary(ctx, id)
	if err != nil || l.Live || l.State.Terminal() {
		return err == nil
	}
	c, err := a.serverOf(ctx, id, nil)
	if c == nil || err != nil {
		return false
	}
	c.Close()
	return true
}

// forServer is what the command line asks for, with the paths as they are seen from
// here.
func (o *runOptions) forServer() (r server.StartRequest, err error) {
	if r.Texts, err = parseInputs(o.inputs); err != nil {
		return r, err
	}
	if r.File, err = filepath.Abs(o.file); err != nil {
		return r, err
	}
	if r.Dir, err = os.Getwd(); err != nil {
		return r, err
	}
	if o.outputDir != "" {
		r.OutputDir, err = filepath.Abs(o.outputDir)
	}
	r.By = whoami()
	if _, wrong := os.Stat(r.File); errors.Is(wrong, fs.ErrNotExist) {
		_, wrong = readWorkflow(o.file)
		return r, wrong
	}
	return r, err
}

// dialServer finds the server of the state directory.
func dialServer(ctx context.Context, s *settings.Settings) (*server.Client, error) {
	state, err := s.Path("state_dir")
	if err != nil {
		return nil, err
	}
	hint := "start it: fcflow serve, or run without --server"
	text, err := os.ReadFile(filepath.Join(state, "serve", "server.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(errNoServer, "%s", hint)
	}
	if err != nil {
		return nil, err
	}
	var at address
	if err := json.Unmarshal(text, &at); err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	c, err := server.Dial(ctx, at.Socket)
	if errors.Is(err, server.ErrGone) {
		return nil, withHint(errNoServer, "%s", hint)
	}
	return c, err
}
