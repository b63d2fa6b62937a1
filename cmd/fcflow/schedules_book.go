package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// schedules is what the commands ask of the schedules of a state directory: of the
// server that has them, or of the book that it left.
type schedules interface {
	Schedules(ctx context.Context) ([]workflow.ScheduleView, error)
	PauseSchedule(ctx context.Context, workflow, id, by, why string) error
	ResumeSchedule(ctx context.Context, workflow, id string) error
	RunSchedule(ctx context.Context, workflow, id, by string) (workflow.RunID, error)
	Backfill(ctx context.Context, workflow, id string, from, to time.Time) (workflow.Backfilled, error)
}

// openSchedules opens the book, or asks the server that has it. served says which.
func (a *app) openSchedules(ctx context.Context) (all schedules, served bool, release func() error, err error) {
	st, err := a.readStore()
	if err != nil {
		return nil, false, nil, err
	}
	book, err := st.Book(ctx)
	if errors.Is(err, workflow.ErrOwned) {
		client, err := serverOf(ctx, st)
		if err != nil {
			return nil, false, nil, err
		}
		return client, true, func() error { client.Close(); return nil }, nil
	}
	if err != nil {
		return nil, false, nil, err
	}
	s, err := scheduler.New(ctx, book, nil, scheduler.Options{Logger: a.logger(), Runs: runsOf{st}})
	if err != nil {
		return nil, false, nil, errors.Join(err, book.Close())
	}
	return bookSchedules{s}, false, book.Close, nil
}

// serverOf connects to the process that has the book of schedules.
func serverOf(ctx context.Context, st *store.Store) (*server.Client, error) {
	owner, err := st.BookOwner()
	if err != nil {
		return nil, err
	}
	who := fmt.Sprintf("process %d on %s", owner.PID, owner.Host)
	if owner.Host != st.Self().Host {
		return nil, withHint(fmt.Errorf("the schedules are with %s: %w", who, workflow.ErrOwned), "ask on %s", owner.Host)
	}
	var client *server.Client
	if owner.Socket != "" {
		client, err = server.Dial(ctx, owner.Socket)
	}
	if client == nil {
		return nil, withHint(errors.Join(fmt.Errorf("the schedules are with %s, which does not answer: %w", who, workflow.ErrOwned), err), "try again in a moment")
	}
	return client, nil
}

// runsOf a state directory implements [scheduler.Runs].
type runsOf struct{ store *store.Store }

// State implements [scheduler.Runs].
func (r runsOf) State(ctx context.Context, id workflow.RunID) (workflow.RunState, error) {
	l, err := r.store.Summary(ctx, id)
	if err != nil {
		return "", err
	}
	return l.State, l.Err
}

// bookSchedules are the schedules as the last server left them.
type bookSchedules struct{ *scheduler.Scheduler }

func (b bookSchedules) Schedules(context.Context) ([]workflow.ScheduleView, error) {
	return b.List(), nil
}

func (b bookSchedules) PauseSchedule(ctx context.Context, workflow, id, by, why string) error {
	return b.Pause(ctx, scheduler.Key{Workflow: workflow, Schedule: id}, by, why)
}

func (b bookSchedules) ResumeSchedule(ctx context.Context, workflow, id string) error {
	return b.Resume(ctx, scheduler.Key{Workflow: workflow, Schedule: id})
}

func (b bookSchedules) RunSchedule(context.Context, string, string, string) (workflow.RunID, error) {
	return "", withHint(fmt.Errorf("%w: %w", errNoServer, workflow.ErrConflict), "start it, or run the file: fcflow run FILE")
}

func (b bookSchedules) Backfill(ctx context.Context, workflow, id string, from, to time.Time) (workflow.Backfilled, error) {
	return b.Scheduler.Backfill(ctx, scheduler.Key{Workflow: workflow, Schedule: id}, from, to)
}

// findSchedule returns the schedule of a name: WORKFLOW/ID, or one of the two where
// that names one schedule only.
func findSchedule(all []workflow.ScheduleView, name string) (*workflow.ScheduleView, error) {
	var found []*workflow.ScheduleView
	var names []string
	for i := range all {
		v := &all[i]
		if full := scheduleName(v); full == name {
			return v, nil
		}
		if v.Workflow == name || v.ID == name {
			found = append(found, v)
		}
		names = append(names, scheduleName(v))
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var which []string
		for _, v := range found {
			which = append(which, scheduleName(v))
		}
		return nil, withHint(fmt.Errorf("schedule %q: %w: it names several", name, workflow.ErrConflict), "say which: %s", strings.Join(which, ", "))
	}
	err := fmt.Errorf("schedule %q: %w", name, workflow.ErrNotFound)
	if near := workflow.Suggest(name, names); near != "" {
		return nil, withHint(err, "did you mean %q?", near)
	}
	return nil, withHint(err, "there are: %s", joinNames(names))
}

func scheduleName(v *workflow.ScheduleView) string { return v.Workflow + "/" + v.ID }
