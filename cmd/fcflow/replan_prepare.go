package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// change is what somebody asks of a run: another workflow, and perhaps other inputs.
type change struct {
	file   string // of the workflow
	source []byte // its text, where no file is named: it belongs into the directory of the run's
	texts  map[string]string
	values map[string]json.RawMessage
	caller string // where relative paths of inputs begin; "" is beside the workflow
	by     string
}

// change is what the command line asks for.
func (o *resumeOptions) change() (c change, err error) {
	c = change{file: o.workflow, by: whoami()}
	if c.texts, err = parseInputs(o.inputs); err != nil {
		return c, err
	}
	c.caller, err = os.Getwd()
	return c, err
}

// past is the history of a run, wherever it is to be read.
type past struct {
	frozen []byte
	events engine.EventReader
	blobs  func(ctx context.Context, f func(workflow.BlobReader) error) error
}

// pastOf reads a run that nobody owns.
func (a *app) pastOf(ctx context.Context, st *store.Store, id workflow.RunID) (past, error) {
	source, err := st.Frozen(ctx, id)
	return past{source, a.events(st, id), func(ctx context.Context, f func(workflow.BlobReader) error) error {
		return st.ViewBlobs(ctx, id, f)
	}}, err
}

// until reads events up to one.
func until(events engine.EventReader, last int64) engine.EventReader {
	return reading(func(ctx context.Context, from int64, f func(workflow.Event) error) error {
		err := events.Read(ctx, from, func(e workflow.Event) error {
			if e.Seq > last {
				return errEnough
			}
			return f(e)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
}

// replan is a change of the workflow of a run that is being prepared.
type replan struct {
	run      *workflow.Run // as it is
	workflow *workflow.Workflow
	settings *settings.Settings
	event    workflow.RunReplanned
	plan     *workflow.Replanning
	seq      int64
	ended    bool
	state    workflow.RunState
	number   int // of this change
	before   []byte
}

// prepareReplan reads the run and the new workflow, and makes the plan.
func (a *app) prepareReplan(ctx context.Context, from past, c change) (*replan, error) {
	run, err := a.fold(ctx, from.frozen, from.events)
	if err != nil {
		return nil, err
	}
	if parent := run.Created.Parent; parent != nil {
		return nil, withHint(fmt.Errorf("run %s belongs to run %s, which started it: %w", run.ID, parent.Run, workflow.ErrConflict),
			"change the workflow of that one: fcflow resume %s --workflow FILE", shortID(parent.Run))
	}
	p := &replan{
		run: run, seq: run.Seq, ended: run.State.Terminal(), state: run.State, number: run.Replans + 1,
		before: run.Workflow.Frozen(), event: workflow.RunReplanned{By: c.by},
	}
	profile := run.Created.Profile
	if p.settings, err = a.settings(profile.Name); err != nil {
		return nil, err
	}
	if err := checkPinned(p.settings, profile); err != nil {
		return nil, err
	}
	if c.source != nil {
		c.file = filepath.Join(run.Created.Dir, "workflow.yaml")
		p.workflow, err = a.checkWorkflow(c.file, c.source, profile.System)
	} else {
		p.workflow, err = a.loadRunnable(c.file, profile.System)
	}
	if err != nil {
		return nil, err
	}
	if needsService(p.workflow) && profile.URL == "" && profile.Sandbox == "" {
		return nil, withHint(fmt.Errorf("run %s has no FirecREST service, and the workflow needs one: %w", run.ID, workflow.ErrConflict),
			"make a new run: fcflow run FILE")
	}
	if err := p.bind(c); err != nil {
		return nil, err
	}
	if err := errors.Join(a.checkSecrets(p.settings, p.workflow), a.checkFiles(p.settings, p.workflow, p.created())); err != nil {
		return nil, err
	}
	return p, a.planReplan(ctx, from, p)
}

// bind gives the workflow the inputs of the run, with those that are given now.
func (p *replan) bind(c change) error {
	file, err := filepath.Abs(c.file)
	if err != nil {
		return err
	}
	p.event.Dir = filepath.Dir(file)
	options := workflow.BindOptions{
		WorkflowDir: p.event.Dir, CallerDir: cmp.Or(c.caller, p.event.Dir), Recorded: p.run.Created.Inputs,
	}
	var problems workflow.Problems
	if c.values != nil {
		p.event.Inputs, problems = p.workflow.BindValues(c.values, options)
	} else {
		p.event.Inputs, problems = p.workflow.BindInputs(c.texts, options)
	}
	if len(problems) > 0 {
		return &problemsError{c.file, p.workflow.Source, problems}
	}
	p.event.Files, err = fileFacts(p.workflow, p.event.Inputs)
	return err
}

// created is what the run was created with, as the new workflow has it.
func (p *replan) created() workflow.RunCreated {
	created := p.run.Created
	created.Inputs, created.Files, created.Dir = p.event.Inputs, p.event.Files, p.event.Dir
	return created
}

// planReplan folds the run once more, as it was, since a plan uses up two.
func (a *app) planReplan(ctx context.Context, from past, p *replan) error {
	scratch, err := a.fold(ctx, from.frozen, until(from.events, p.seq))
	if err != nil {
		return err
	}
	return from.blobs(ctx, func(blobs workflow.BlobReader) error {
		p.plan, err = workflow.Replan(p.run, scratch, p.workflow, workflow.ReplanOptions{
			Replanned: p.event, At: time.Now().UTC().Truncate(time.Millisecond), Blobs: blobs, ReadFile: os.ReadFile,
			Changed: (&sources{}).changed,
		})
		return err
	})
}

// idle reports whether the run has ended and stays as it is.
func (p *replan) idle() bool { return p.ended && p.plan.Idle() }
