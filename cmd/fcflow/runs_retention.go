package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// expired lists the runs that may go, newest first: of the workflow of that name,
// or of all. rule says by name what is kept of a workflow; nil keeps everything.
//
// The newest are those that ended last: the id of a run that a schedule began has
// the time of its slot, which for a backfill is long ago.
func expired(ctx context.Context, st *store.Store, name string, rule func(string) *workflow.Retention, now time.Time) ([]store.Listed, error) {
	runs, _, err := st.Recent(ctx, 0, func(l store.Listed) bool {
		return prunable(l) && (name == "" || l.Workflow == name)
	})
	slices.SortStableFunc(runs, func(a, b store.Listed) int { return b.EndedAt.Compare(a.EndedAt) })
	kept := map[string]int{} // by workflow
	return slices.DeleteFunc(runs, func(l store.Listed) bool {
		r := rule(l.Workflow)
		if r == nil {
			return true
		}
		kept[l.Workflow]++
		return kept[l.Workflow] <= r.Runs || now.Sub(l.EndedAt) <= r.Age
	}), err
}

// retentions reads what workflows say of their runs, each from the definition of
// the run that was made last, whatever became of that. Runs of sub-workflows do not
// count: they go with their parents.
func (a *app) retentions(ctx context.Context, st *store.Store, name string) (func(string) *workflow.Retention, error) {
	newest := map[string]workflow.Summary{} // by workflow
	_, _, err := st.Recent(ctx, 0, func(l store.Listed) bool {
		if l.Workflow == "" || l.Trigger == workflow.TriggerParent || name != "" && l.Workflow != name {
			return false
		}
		if s, ok := newest[l.Workflow]; !ok || l.CreatedAt.After(s.CreatedAt) {
			newest[l.Workflow] = l.Summary
		}
		return false
	})
	known := map[string]*workflow.Retention{}
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		s := newest[name]
		r, err := retentionOf(ctx, st, s.ID)
		if err != nil {
			a.note("runs of %s stay: the definition of run %s: %v", name, shortID(s.ID), err)
		}
		known[name] = r
	}
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

// outdated lists the runs to prune: those that may go, and of runs of sub-workflows
// whose parents are gone all that are not younger than what is kept. Nobody else would
// ever delete these.
func outdated(ctx context.Context, st *store.Store, name string, rule func(string) *workflow.Retention, now time.Time) ([]store.Listed, *descent, error) {
	runs, err := expired(ctx, st, name, rule, now)
	if err != nil {
		return nil, nil, err
	}
	children, err := readDescent(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range children.orphans() {
		r := rule(l.Workflow)
		if (name == "" || l.Workflow == name) && (r == nil || now.Sub(l.EndedAt) > r.Age) {
			runs = append(runs, l)
		}
	}
	return runs, children, nil
}
