package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

func changeOf(b *shelved) server.Change {
	return server.Change{Kind: server.ChangedWorkflow, Workflow: b.name()}
}

// Workflows implements [server.Host].
func (h *host) Workflows(ctx context.Context) ([]server.WorkflowInfo, error) {
	wanted := map[string]*server.ListedRun{}
	books := h.shelf.all()
	for _, b := range books {
		wanted[b.name()] = nil
	}
	if err := h.lastRuns(ctx, wanted); err != nil {
		return nil, err
	}
	var all []server.WorkflowInfo
	for _, b := range books {
		info := h.info(b)
		info.LastRun = wanted[b.name()]
		all = append(all, info)
	}
	return all, nil
}

// recentRuns is how far back the newest runs of workflows are looked for.
const recentRuns = 500

// lastRuns finds the newest run of each workflow, among the recent ones.
func (h *host) lastRuns(ctx context.Context, wanted map[string]*server.ListedRun) error {
	looked, missing := 0, len(wanted)
	_, _, err := h.session.store.Recent(ctx, 1, func(l store.Listed) bool {
		looked++
		if last, known := wanted[l.Workflow]; known && last == nil && l.Parent == nil {
			r := h.listed(ctx, l)
			wanted[l.Workflow] = &r
			missing--
		}
		return missing == 0 || looked == recentRuns // enough
	})
	return err
}

// Workflow implements [server.Host].
func (h *host) Workflow(ctx context.Context, name string) (server.WorkflowInfo, error) {
	found, err := h.shelf.find(name)
	if err != nil {
		// One that cannot be run has a page too, for what is wrong with it.
		books := h.shelf.all()
		i := slices.IndexFunc(books, func(b *shelved) bool { return b.name() == name })
		if i < 0 {
			return server.WorkflowInfo{}, err
		}
		found = books[i]
	}
	info := h.info(found)
	last := map[string]*server.ListedRun{name: nil}
	if err := h.lastRuns(ctx, last); err != nil {
		return info, err
	}
	info.LastRun = last[name]
	if w := found.workflow; w != nil {
		info.Source = string(w.Source)
		g := graphOfWorkflow(w).placed()
		info.Graph = &g
	}
	return info, nil
}

func (h *host) info(b *shelved) server.WorkflowInfo {
	info := server.WorkflowInfo{
		Name: b.name(), File: b.file, Error: b.wrong, ErrorSince: b.since, Inputs: []server.InputInfo{}, Schedules: []workflow.ScheduleView{},
	}
	w := b.workflow
	if w == nil {
		return info
	}
	info.Description = w.Description
	dir := filepath.Dir(b.file)
	defaults, _ := w.BindInputs(nil, workflow.BindOptions{WorkflowDir: dir, CallerDir: dir}) // what is missing has no default
	for _, in := range w.Inputs {
		info.Inputs = append(info.Inputs, server.InputInfo{
			Name: in.Name, Type: in.Type.String(), Default: defaults[in.Name], Required: in.Default == nil, Doc: in.Description,
		})
	}
	for _, v := range h.scheduler.List() {
		if v.Workflow == w.Name {
			v.FileError = b.wrong
			info.Schedules = append(info.Schedules, v)
		}
	}
	return info
}

// Schedules implements [server.Host].
func (h *host) Schedules(context.Context) ([]workflow.ScheduleView, error) {
	wrong := map[string]string{} // by workflow
	for _, b := range h.shelf.all() {
		if b.workflow != nil {
			wrong[b.name()] = b.wrong
		}
	}
	all := h.scheduler.List()
	for i := range all {
		all[i].FileError = wrong[all[i].Workflow]
	}
	return all, nil
}

// Slots implements [server.Host].
func (h *host) Slots(_ context.Context, name, id string) ([]workflow.SlotRecord, error) {
	return h.scheduler.Slots(scheduler.Key{Workflow: name, Schedule: id})
}

// PauseSchedule implements [server.Host].
func (h *host) PauseSchedule(ctx context.Context, name, id, by, why string) error {
	return h.scheduler.Pause(ctx, scheduler.Key{Workflow: name, Schedule: id}, by, why)
}

// ResumeSchedule implements [server.Host].
func (h *host) ResumeSchedule(ctx context.Context, name, id string) error {
	return h.scheduler.Resume(ctx, scheduler.Key{Workflow: name, Schedule: id})
}

// RunSchedule implements [server.Host].
func (h *host) RunSchedule(ctx context.Context, name, id, by string) (workflow.RunID, error) {
	return h.scheduler.RunNow(ctx, scheduler.Key{Workflow: name, Schedule: id}, by)
}

// Fillable implements [server.Host].
func (h *host) Fillable(ctx context.Context, name, id string, from, to time.Time) (workflow.Fillable, error) {
	open, err := h.scheduler.Fillable(ctx, scheduler.Key{Workflow: name, Schedule: id}, from, to)
	return open, spanRefused(err)
}

// spanRefused tells who asks that the span of time is their mistake.
func spanRefused(err error) error {
	if errors.Is(err, scheduler.ErrSpan) {
		return server.BadRequest(err)
	}
	return err
}

// Backfill implements [server.Host].
func (h *host) Backfill(ctx context.Context, name, id string, from, to time.Time) (workflow.Backfilled, error) {
	filled, err := h.scheduler.Backfill(ctx, scheduler.Key{Workflow: name, Schedule: id}, from, to)
	return filled, spanRefused(err)
}
