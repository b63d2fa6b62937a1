package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// children says how the runs of sub-workflows are executed: as the runs that
// this process was asked for, on the service of their parents.
func (e *session) children(v *service) engine.Children {
	return engine.Children{
		Store: e.runs, Owner: e.store.Self(), Version: releaseName(),
		Prepare:   v.prepareChild,
		Load:      e.loadChild,
		Drive:     e.driveChild,
		Elsewhere: elsewhere{e},
	}
}

// prepareChild looks at the files that inputs name, as for any run.
func (v *service) prepareChild(ctx context.Context, w *workflow.Workflow, created *workflow.RunCreated) (err error) {
	if created.Files, err = fileFacts(w, created.Inputs); err != nil || v.attached == nil {
		return err
	}
	return v.attached.AddSystems(ctx, systemsOf(w, *created)...)
}

// loadChild reads the definition that a run keeps itself.
func (e *session) loadChild(ctx context.Context, h workflow.History) (*workflow.Workflow, error) {
	created, err := creation(ctx, h)
	if err != nil {
		return nil, err
	}
	source, err := h.Frozen(ctx)
	if err != nil {
		return nil, err
	}
	return e.app.frozen(source, created)
}

// driveChild executes a run for its parent, which then closes it.
func (e *session) driveChild(ctx context.Context, x *engine.Execution) error {
	defer e.owned.remove(x.ID())
	return e.execute(ctx, x)
}

// descent is which runs steps of others have started. The runs themselves tell it:
// their parents do not know those of steps that they have no more.
type descent struct {
	there    map[workflow.RunID]bool
	children []store.Listed // newest first
	by       map[workflow.RunID][]workflow.RunID
}

func readDescent(ctx context.Context, st *store.Store) (*descent, error) {
	d := &descent{there: map[workflow.RunID]bool{}, by: map[workflow.RunID][]workflow.RunID{}}
	var err error
	d.children, _, err = st.Recent(ctx, 0, func(l store.Listed) bool {
		d.there[l.ID] = true
		if l.Parent != nil {
			d.by[l.Parent.Run] = append(d.by[l.Parent.Run], l.ID)
		}
		return l.Parent != nil
	})
	return d, err
}

// orphans lists the runs that are over and whose parents are not there any more.
func (d *descent) orphans() []store.Listed {
	return slices.DeleteFunc(slices.Clone(d.children), func(l store.Listed) bool {
		return d.there[l.Parent.Run] || !idle(l)
	})
}

// idle reports whether a run is over, as far as anybody knows.
func idle(l store.Listed) bool { return l.State.Terminal() && l.Err == nil && !l.Live }

// deleteTree deletes a run with those that its steps have started.
func (d *descent) deleteTree(ctx context.Context, st *store.Store, id workflow.RunID) error {
	for _, child := range d.by[id] {
		if err := d.deleteTree(ctx, st, child); err != nil && !errors.Is(err, workflow.ErrNotFound) {
			return err
		}
	}
	return st.Delete(ctx, id)
}

// elsewhere reaches runs of sub-workflows that another process drives, because
// somebody resumed them by themselves.
type elsewhere struct{ session *session }

// Cancel implements engine.Elsewhere.
func (l elsewhere) Cancel(ctx context.Context, id workflow.RunID, by string, times int) error {
	live, err := l.session.app.alive(ctx, l.session.store, id)
	switch {
	case err != nil || live == nil: // gone meanwhile: the watch tells
		return err
	case live.client == nil:
		return fmt.Errorf("run %s: %s: %w", id, live.who(), workflow.ErrOwned)
	}
	defer live.close()
	view, err := live.client.View(ctx, id)
	for asked := view.CancelRequests; err == nil && asked < times; asked++ {
		err = live.client.Cancel(ctx, id, by)
	}
	if errors.Is(err, server.ErrGone) || errors.Is(err, workflow.ErrNotFound) {
		return nil
	}
	return err
}

// elsewhereEvery is how often somebody else's run is looked at.
const elsewhereEvery = time.Second

// Watch implements engine.Elsewhere.
func (l elsewhere) Watch(id workflow.RunID, fire func()) (stop func()) {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(elsewhereEvery)
		defer tick.Stop()
		for {
			if live, err := l.session.app.alive(ctx, l.session.store, id); err == nil && live == nil {
				fire()
				return
			} else if live != nil {
				live.close()
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return stop
}
