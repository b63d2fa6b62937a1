package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// Start implements [server.Host].
func (h *host) Start(ctx context.Context, r server.StartRequest) (workflow.RunID, error) {
	key := r.Key
	r.Key = ""
	return h.once(ctx, key, r, func(id workflow.RunID) error { return h.start(ctx, id, r) })
}

func (h *host) start(ctx context.Context, id workflow.RunID, r server.StartRequest) error {
	w, dir, err := h.requested(r)
	if err != nil {
		return refused(err)
	}
	created := h.newRun(w, dir, id)
	created.Trigger, created.By = workflow.TriggerAPI, r.By
	if r.OutputDir != "" {
		created.OutputDir = r.OutputDir
	}
	options := workflow.BindOptions{WorkflowDir: dir, CallerDir: dir}
	if r.Dir != "" {
		options.CallerDir = r.Dir
	}
	var problems workflow.Problems
	if r.Texts != nil {
		created.Trigger = workflow.TriggerManual
		created.Inputs, problems = w.BindInputs(r.Texts, options)
	} else {
		created.Inputs, problems = w.BindValues(r.Inputs, options)
	}
	if len(problems) > 0 {
		return refused(problems)
	}
	return h.create(ctx, w, created, h.engineCreates(w))
}

// requested finds the workflow that a request means, and its directory.
func (h *host) requested(r server.StartRequest) (*workflow.Workflow, string, error) {
	if r.Workflow != "" {
		book, err := h.shelf.find(r.Workflow)
		if err != nil {
			return nil, "", err
		}
		return book.workflow, filepath.Dir(book.file), nil
	}
	if r.File != "" {
		w, err := h.session.app.loadRunnable(r.File, h.shelf.system)
		return w, filepath.Dir(r.File), err
	}
	dir := h.shelf.base()
	w, err := h.session.app.checkWorkflow(filepath.Join(dir, "workflow.yaml"), []byte(r.Source), h.shelf.system)
	return w, dir, err
}

// refused marks an error as one of whoever asks, in words that say all.
func refused(err error) error {
	var invalid *problemsError
	var problems workflow.Problems
	switch {
	case errors.As(err, &invalid):
		problems = invalid.problems
	case errors.As(err, &problems):
	case errors.Is(err, workflow.ErrNotFound):
		return err
	default:
		return server.BadRequest(errors.New(said(err)))
	}
	return server.BadRequest(errors.New(problemWords(problems)))
}

// problemWords has a line for each problem.
func problemWords(problems workflow.Problems) string {
	var lines []string
	for _, p := range problems {
		line := p.Message
		if p.Pos.Line > 0 {
			line = fmt.Sprintf("line %d: %s", p.Pos.Line, line)
		}
		if p.Hint != "" {
			line += "; " + p.Hint
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// newRun gathers what every run of the server records.
func (h *host) newRun(w *workflow.Workflow, dir string, id workflow.RunID) workflow.RunCreated {
	created := workflow.RunCreated{
		ID: id, Profile: h.profile, Version: releaseName(), Dir: dir, OutputDir: filepath.Join(dir, "results", string(id)),
	}
	if !needsService(w) && (h.profile.Sandbox == "" || !usesObjects(w)) {
		created.Profile = workflow.Profile{}
	}
	return created
}

// creates makes a run durable in some way.
type creates func(v *service, created workflow.RunCreated) (*engine.Execution, error)

func (h *host) engineCreates(w *workflow.Workflow) creates {
	return func(v *service, created workflow.RunCreated) (*engine.Execution, error) {
		return v.engine.Create(h.ctx, h.session.runs, w, created)
	}
}

// create makes a run and drives it.
func (h *host) create(ctx context.Context, w *workflow.Workflow, created workflow.RunCreated, f creates) error {
	if h.ctx.Err() != nil {
		return server.ErrStopping
	}
	e := h.session
	if created.Profile.Name != "" || created.Profile.URL != "" || created.Profile.Sandbox != "" {
		if err := checkService(created.Profile); err != nil {
			return refused(err)
		}
	} else if needsService(w) {
		return refused(checkService(created.Profile))
	}
	var err error
	if created.Files, err = fileFacts(w, created.Inputs); err != nil {
		return refused(err)
	}
	if err := errors.Join(e.app.checkSecrets(h.settings, w), e.app.checkFiles(h.settings, w, created)); err != nil {
		return refused(err)
	}
	v, err := e.connect(h.ctx, h.settings, created.Profile, systemsOf(w, created))
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	created.Profile.Sandbox = v.profile.Sandbox // with links resolved
	if err := h.mark(created.ID); err != nil {
		return err
	}
	x, err := f(v, created)
	if err != nil {
		return err
	}
	h.log.Info().Str("run", string(created.ID)).Str("workflow", w.Name).Str("by", created.By).Str("began_by", string(created.Trigger)).Msg("the run begins")
	h.drive(x)
	return nil
}

// Rerun implements [server.Host].
func (h *host) Rerun(ctx context.Context, id workflow.RunID, r server.RerunRequest) (workflow.RunID, error) {
	key := r.Key
	r.Key = ""
	request := struct {
		Of workflow.RunID
		server.RerunRequest
	}{id, r}
	return h.once(ctx, key, request, func(next workflow.RunID) error { return h.rerun(ctx, id, r, next) })
}

// rerun makes the next run of the workflow of one.
func (h *host) rerun(ctx context.Context, id workflow.RunID, r server.RerunRequest, next workflow.RunID) error {
	e, a := h.session, h.session.app
	old, _, err := a.readRun(ctx, e.store, id, func(workflow.Event) {})
	if err != nil {
		return err
	}
	if _, known := old.Step(r.From); r.From != "" && !known {
		return unknownStep(old, r.From)
	}
	o := rerunOptions{id: next, from: r.From}
	for name, value := range r.Inputs {
		o.inputs = append(o.inputs, name+"="+value)
	}
	created, err := a.renew(h.settings, old, o)
	if err != nil {
		return refused(err)
	}
	created.By = r.By
	return h.create(ctx, old.Workflow, created, func(v *service, created workflow.RunCreated) (*engine.Execution, error) {
		if r.From == "" {
			return v.engine.Create(h.ctx, e.runs, old.Workflow, created)
		}
		return v.engine.CreateFrom(h.ctx, e.runs, created, old, r.From, func(digest string) ([]byte, error) {
			found, err := a.blobs(ctx, e.store, id, []string{digest})
			return found[digest], err
		})
	})
}

// starter implements [scheduler.Starter].
type starter struct{ *host }

// Start implements [scheduler.Starter].
func (s starter) Start(ctx context.Context, start scheduler.Start) error {
	if _, err := s.State(ctx, start.RunID); err == nil {
		return nil // made before a crash: the server goes on with it
	}
	w := start.Workflow
	dir := filepath.Dir(w.File)
	created := s.newRun(w, dir, start.RunID)
	created.Trigger, created.ScheduledAt, created.By, created.Concurrency = start.BeganBy, start.Slot, start.By, start.Groups
	if created.By == "" {
		created.By = whoami()
	}
	var problems workflow.Problems
	created.Inputs, problems = w.BindSchedule(start.Schedule, workflow.BindOptions{WorkflowDir: dir, CallerDir: dir})
	if len(problems) > 0 {
		return fmt.Errorf("%w: %s", scheduler.ErrCannotStart, problemWords(problems))
	}
	err := s.create(ctx, w, created, s.engineCreates(w))
	if errors.Is(err, workflow.ErrConflict) {
		if _, missing := s.State(ctx, start.RunID); missing == nil {
			return nil // made meanwhile
		}
	}
	return err
}

// State implements [scheduler.Starter].
func (s starter) State(ctx context.Context, id workflow.RunID) (workflow.RunState, error) {
	return runsOf{s.session.store}.State(ctx, id)
}
