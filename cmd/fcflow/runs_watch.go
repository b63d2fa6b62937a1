package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

type runsWatchOptions struct {
	run    string
	output output
}

func newRunsWatchCommand(a *app) *cobra.Command {
	o := runsWatchOptions{output: newOutput()}
	c := &cobra.Command{
		Use:   "watch RUN",
		Short: "Follow a run until it ends",
		Long: `Shows a run as "fcflow run" does, from any terminal. Leaving with Ctrl-C does
nothing to the run. The exit code is that of the run.`,
		Example:           "  fcflow runs watch last",
		ValidArgsFunction: a.completeRuns(unfinished),
	}
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		return runRunsWatch(c.Context(), a, o)
	})
}

func runRunsWatch(ctx context.Context, a *app, o runsWatchOptions) error {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	run, err := a.watch(ctx, st, id, o.output.format() == formatJSON)
	if errors.Is(err, errInterrupted) {
		a.note("run %s goes on; watch it: fcflow runs watch %s", shortID(id), a.refer(id))
		return &ended{err}
	}
	if err != nil {
		return err
	}
	view := shown(run.Describe(), !run.State.Terminal(), false)
	if o.output.format() != formatText {
		return errors.Join(a.printShown(view, o.output.format()), endOf(&view.RunView))
	}
	if view.Interrupted {
		a.note("run %s of %s is interrupted; continue it: fcflow resume %s", shortID(id), view.Workflow, a.refer(id))
		return nil
	}
	a.printEnd(&view.RunView, time.Now())
	return endOf(&view.RunView)
}

// watch shows a run until it ends or its owner stops, and returns its state
// then.
func (a *app) watch(ctx context.Context, st *store.Store, id workflow.RunID, quiet bool) (*workflow.Run, error) {
	live, err := a.alive(ctx, st, id)
	if err != nil {
		return nil, err
	}
	if live == nil {
		return a.stored(ctx, st, id)
	}
	if live.client == nil {
		run, err := a.stored(ctx, st, id)
		if errors.Is(err, workflow.ErrOwned) {
			return nil, withHint(err, "watch it on %s", live.owner.Host)
		}
		return run, err
	}
	defer live.close()
	run, err := a.follow(ctx, st, live.client, id, quiet)
	if errors.Is(err, server.ErrGone) {
		return a.stored(ctx, st, id)
	}
	return run, err
}

// follow folds the events of a live run as they come, with the definition that
// lies beside its history, and shows them.
func (a *app) follow(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, quiet bool) (*workflow.Run, error) {
	source, err := st.Frozen(ctx, id)
	if err != nil {
		return nil, err
	}
	created, err := creation(ctx, liveEvents(c, id))
	if err != nil {
		return nil, err
	}
	w, err := a.frozen(source, created)
	if err != nil {
		return nil, err
	}
	show := newProgress(a.streams.Err, quiet, a.refer)
	defer show.close()
	run := workflow.NewRun(w)
	show.say(console.Say("run " + shortID(id) + " of " + w.Name + " (" + string(id) + ")"))
	if l, err := st.Summary(ctx, id); err == nil {
		if wait := waiting(ctx, st, l.Summary); wait != nil {
			show.queued(id, w.Name, wait.String())
		}
	}
	err = c.Events(ctx, id, 1, true, func(e workflow.Event) error {
		if err := workflow.Apply(run, &e); err != nil {
			return err
		}
		show.observe(run, []workflow.Event{e}, run.TakeChanged())
		return nil
	})
	return run, err
}

// waitForEnd follows a run without showing it.
func waitForEnd(ctx context.Context, c *server.Client, id workflow.RunID) error {
	return c.Events(ctx, id, 1, true, func(workflow.Event) error { return nil })
}
