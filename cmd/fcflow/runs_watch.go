package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
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
nothing to the run. The exit code is that of the run, and 130 where nobody drives a
run that is not over.`,
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
	end := endOf(&view.RunView)
	if view.Interrupted { // as whoever drove it has ended, or would have
		end = &ended{fmt.Errorf("%w: run %s", errInterrupted, id)}
	}
	switch f := o.output.format(); {
	case f != formatText:
		return errors.Join(a.printShown(view, f), end)
	case view.Interrupted:
		a.note("run %s of %s is interrupted; continue it: fcflow resume %s", shortID(id), view.Workflow, a.refer(id))
	default:
		a.printEnd(&view.RunView, time.Now())
	}
	return end
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
	if errors.Is(err, server.ErrGone) || errors.Is(err, workflow.ErrNotFound) { // a server lets go of what has ended
		return a.stored(ctx, st, id)
	}
	return run, err
}

// follow folds the events of a live run as they come, and shows them with those of
// the runs that its steps start.
func (a *app) follow(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, quiet bool) (*workflow.Run, error) {
	show := newProgress(a.streams.Err, quiet, a.refer)
	defer show.close()
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	f := &follower{app: a, store: st, show: show, root: id, children: map[workflow.RunID]bool{}}
	run, err := f.follow(ctx, c, id)
	if err != nil {
		leave() // a child may have another owner, and go on
	}
	f.following.Wait()
	return run, err
}

// follower shows a run and, below it, the runs that its steps start.
type follower struct {
	app   *app
	store *store.Store
	show  *progress
	root  workflow.RunID

	following sync.WaitGroup
	mu        sync.Mutex
	children  map[workflow.RunID]bool // those that were looked at
}

// follow returns when the run has ended or its owner lets go of it.
func (f *follower) follow(ctx context.Context, c *server.Client, id workflow.RunID) (*workflow.Run, error) {
	w, err := f.definition(ctx, c, id)
	if err != nil {
		return nil, err
	}
	run := workflow.NewRun(w)
	if id == f.root {
		f.introduce(ctx, id, w.Name)
	}
	see := func(e workflow.Event) error {
		if err := workflow.Apply(run, &e); err != nil {
			return err
		}
		changed := run.TakeChanged()
		f.show.observe(run, []workflow.Event{e}, changed)
		for _, u := range changed {
			if child, ok := engine.ChildOf(u.Wait.Topic); ok {
				f.child(ctx, child)
			}
		}
		return nil
	}
	return run, f.app.followEvents(ctx, f.store, c, id, 1, see)
}

// introduce says which run is shown, and what it waits for if it has not started.
func (f *follower) introduce(ctx context.Context, id workflow.RunID, name string) {
	f.show.say(console.Say("run " + shortID(id) + " of " + name + " (" + string(id) + ")"))
	if l, err := f.store.Summary(ctx, id); err == nil {
		if wait := waiting(ctx, f.store, l.Summary); wait != nil {
			f.show.queued(id, name, wait.String())
		}
	}
}

// definition is the one that lies beside the history of a run.
func (f *follower) definition(ctx context.Context, c *server.Client, id workflow.RunID) (*workflow.Workflow, error) {
	source, err := f.store.Frozen(ctx, id)
	if err != nil {
		return nil, err
	}
	created, err := creation(ctx, liveEvents(c, id))
	if err != nil {
		return nil, err
	}
	return f.app.frozen(source, created)
}

// child follows a run that a step has started, if it goes on. What becomes of it
// is told by the step, also if it cannot be looked at.
func (f *follower) child(ctx context.Context, id workflow.RunID) {
	f.mu.Lock()
	known := f.children[id]
	f.children[id] = true
	f.mu.Unlock()
	if known {
		return
	}
	f.following.Go(func() {
		live, err := f.app.alive(ctx, f.store, id)
		if err != nil || live == nil {
			return
		}
		defer live.close()
		if live.client != nil {
			_, _ = f.follow(ctx, live.client, id)
		}
	})
}

// followEvents calls f with each event of a live run from a sequence number on until the
// run has ended; [server.ErrGone] if its owner stops before that. What the owner has
// stored, and not sent before it let go of the run, is read from the disk.
func (a *app) followEvents(ctx context.Context, st *store.Store, c *server.Client, id workflow.RunID, from int64, f func(workflow.Event) error) error {
	ended := false
	see := func(e workflow.Event) error {
		from = e.Seq + 1
		_, ended = e.Data.(*workflow.RunFinished)
		return f(e)
	}
	gone := c.Events(ctx, id, from, true, see)
	if !errors.Is(gone, server.ErrGone) {
		return gone
	}
	err := st.ReadEvents(ctx, id, from, see)
	if err == nil && !ended || errors.Is(err, workflow.ErrOwned) {
		return gone
	}
	return err
}
