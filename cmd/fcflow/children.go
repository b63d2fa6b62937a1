package main

import (
	"context"
	"errors"
	"fmt"
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

// startedBy lists the runs there are that steps of a run have started.
func (a *app) startedBy(ctx context.Context, st *store.Store, id workflow.RunID) ([]workflow.RunID, error) {
	run, err := a.stored(ctx, st, id)
	if err != nil {
		return nil, err
	}
	var ids []workflow.RunID
	for _, s := range run.Describe().Steps {
		for _, u := range s.Instances {
			for _, t := range u.Attempts {
				if t.Child == "" {
					continue
				}
				switch _, err := st.Summary(ctx, t.Child); {
				case err == nil:
					ids = append(ids, t.Child)
				case !errors.Is(err, workflow.ErrNotFound):
					return nil, err
				}
			}
		}
	}
	return ids, nil
}

// deleteTree deletes a run with those that its steps have started.
func (a *app) deleteTree(ctx context.Context, st *store.Store, id workflow.RunID) error {
	children, err := a.startedBy(ctx, st, id)
	if err != nil && !errors.Is(err, workflow.ErrCorrupt) {
		return err
	}
	for _, child := range children {
		if err := a.deleteTree(ctx, st, child); err != nil && !errors.Is(err, workflow.ErrNotFound) {
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
