package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/workflow"
)

// maxWorkflowBytes is what the checker takes; more need not be read.
const maxWorkflowBytes = 1 << 20

// loadWorkflow reads and checks a workflow file. Its error lists every problem.
func (a *app) loadWorkflow(file, defaultSystem string) (*workflow.Workflow, error) {
	source, err := readWorkflow(file)
	if err != nil {
		return nil, err
	}
	w, problems := workflow.Load(file, source, a.catalogue, workflow.CheckOptions{DefaultSystem: defaultSystem, Version: releaseName()})
	if w != nil {
		problems = append(problems, scheduler.Check(w)...)
		slices.SortStableFunc(problems, func(p, q workflow.Problem) int {
			if p.Pos.Line != q.Pos.Line {
				return p.Pos.Line - q.Pos.Line
			}
			return p.Pos.Column - q.Pos.Column
		})
	}
	if len(problems) > 0 {
		return nil, &problemsError{file, source, problems}
	}
	return w, nil
}

func readWorkflow(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, maxWorkflowBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return source, nil
}

// frozen parses the definition that a run executes.
func (a *app) frozen(source []byte, created *workflow.RunCreated) (*workflow.Workflow, error) {
	file := filepath.Join(created.Dir, "workflow.yaml")
	w, problems := workflow.Load(file, source, a.catalogue, workflow.CheckOptions{DefaultSystem: created.Profile.System})
	if len(problems) > 0 {
		return nil, fmt.Errorf("run %s: this version of fcflow refuses its workflow: %w", created.ID, problems)
	}
	return w, nil
}

// reading is a function that yields events, as an engine.EventReader.
type reading func(ctx context.Context, from int64, f func(workflow.Event) error) error

func (r reading) Read(ctx context.Context, from int64, f func(workflow.Event) error) error {
	return r(ctx, from, f)
}

var errEnough = errors.New("enough")

// creation reads the first event of a run, which says all that never changes.
func creation(ctx context.Context, events engine.EventReader) (*workflow.RunCreated, error) {
	var created *workflow.RunCreated
	err := events.Read(ctx, 1, func(e workflow.Event) error {
		var ok bool
		if created, ok = e.Data.(*workflow.RunCreated); !ok {
			return fmt.Errorf("the first event is %q: %w", e.Data.Kind(), workflow.ErrCorrupt)
		}
		return errEnough
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, err
	case created == nil:
		return nil, fmt.Errorf("no events: %w", workflow.ErrCorrupt)
	}
	return created, nil
}

// fold computes the state of a run from its definition and events.
func (a *app) fold(ctx context.Context, source []byte, events engine.EventReader) (*workflow.Run, error) {
	created, err := creation(ctx, events)
	if err != nil {
		return nil, err
	}
	w, err := a.frozen(source, created)
	if err != nil {
		return nil, err
	}
	return engine.Fold(ctx, w, events)
}

// foldSummary makes the summary of a run whose owner died before it wrote one.
func (a *app) foldSummary(source []byte, events func(yield func(workflow.Event) error) error) (workflow.Summary, error) {
	run, err := a.fold(context.Background(), source, reading(func(_ context.Context, from int64, f func(workflow.Event) error) error {
		return events(func(e workflow.Event) error {
			if e.Seq < from {
				return nil
			}
			return f(e)
		})
	}))
	if err != nil {
		return workflow.Summary{}, err
	}
	return run.Summarize(), nil
}
