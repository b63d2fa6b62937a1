package main

import (
	"context"
	"errors"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// expired lists the runs that may go, newest first: of the workflow of that name,
// or of all. rule says by name what is kept of a workflow; nil keeps everything.
func expired(ctx context.Context, st *store.Store, name string, rule func(string) *workflow.Retention, now time.Time) ([]store.Listed, error) {
	kept := map[string]int{} // by workflow
	runs, _, err := st.Recent(ctx, 0, func(l store.Listed) bool {
		if !prunable(l) || name != "" && l.Workflow != name {
			return false
		}
		r := rule(l.Workflow)
		if r == nil {
			return false
		}
		if kept[l.Workflow]++; kept[l.Workflow] <= r.Runs {
			return false
		}
		return now.Sub(l.EndedAt) > r.Age
	})
	return runs, err
}

// retentions reads what workflows say of their runs, each from the definition of
// its newest run, whatever became of that. Runs of sub-workflows do not count: they
// go with their parents.
func (a *app) retentions(ctx context.Context, st *store.Store, name string) (func(string) *workflow.Retention, error) {
	known := map[string]*workflow.Retention{}
	_, _, err := st.Recent(ctx, 0, func(l store.Listed) bool {
		_, newer := known[l.Workflow]
		if newer || l.Workflow == "" || l.Trigger == workflow.TriggerParent || name != "" && l.Workflow != name {
			return false
		}
		r, err := retentionOf(ctx, st, l.ID)
		if err != nil {
			a.note("runs of %s stay: the definition of run %s: %v", l.Workflow, shortID(l.ID), err)
		}
		known[l.Workflow] = r
		return false
	})
	return func(name string) *workflow.Retention { return known[name] }, err
}

func retentionOf(ctx context.Context, st *store.Store, id workflow.RunID) (*workflow.Retention, error) {
	frozen, err := st.Frozen(ctx, id)
	switch {
	case errors.Is(err, workflow.ErrNotFound): // deleted meanwhile
		return nil, nil
	case err != nil:
		return nil, err
	}
	text, _ := workflow.FrozenFiles(frozen)
	w, problems := workflow.Parse("workflow.yaml", text)
	if len(problems) > 0 {
		return nil, problems
	}
	return w.Retention, nil
}
