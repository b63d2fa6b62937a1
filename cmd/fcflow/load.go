package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	return a.checkWorkflow(file, source, defaultSystem)
}

// checkWorkflow is loadWorkflow for a text that is, or could be, that of a file.
func (a *app) checkWorkflow(file string, source []byte, defaultSystem string) (*workflow.Workflow, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	options := workflow.CheckOptions{DefaultSystem: defaultSystem, Version: releaseName(), Dir: dir, ReadFile: readerFrom(filepath.Dir(file))}
	w, problems := workflow.Load(file, source, a.catalogue, options)
	if w != nil {
		source = w.Source
		problems = append(problems, scheduler.Check(w)...)
		slices.SortStableFunc(problems, workflow.Problem.Compare)
	}
	if len(problems) > 0 {
		return nil, &problemsError{file, source, problems}
	}
	return w, nil
}

func readWorkflow(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("workflow file %q: %w", file, workflow.ErrNotFound)
		if near := nearFile(file); near != "" {
			err = withHint(err, "did you mean %q?", near)
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		err := fmt.Errorf("%w: %s is a directory, not a workflow file", errUsage, file)
		if names := workflowsIn(file); len(names) > 0 {
			err = withHint(err, "in it is %s", filepath.Join(file, names[0]))
		}
		return nil, err
	}
	source, err := io.ReadAll(io.LimitReader(f, maxWorkflowBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return source, nil
}

// readerFrom reads the workflow files that one in a directory names.
func readerFrom(dir string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
			return nil, errors.New("is no file")
		}
		return io.ReadAll(io.LimitReader(f, maxWorkflowBytes+1))
	}
}

// nearFile finds the workflow file that somebody meant who named one that does
// not exist.
func nearFile(file string) string {
	stem := func(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) }
	dir := filepath.Dir(file)
	names := workflowsIn(dir)
	var stems []string
	for _, name := range names {
		stems = append(stems, stem(name))
	}
	near := workflow.Suggest(stem(filepath.Base(file)), stems)
	if near == "" {
		return ""
	}
	return filepath.Join(dir, names[slices.Index(stems, near)])
}

// workflowsIn lists what may be workflow files in a directory.
func workflowsIn(dir string) []string {
	var names []string
	entries, _ := os.ReadDir(dir) // only for a suggestion
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			names = append(names, e.Name())
		}
	}
	return names
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
