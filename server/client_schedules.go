package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Schedules lists the schedules of the server.
func (c *Client) Schedules(ctx context.Context) (all []workflow.ScheduleView, err error) {
	err = c.get(ctx, "/v1/schedules", &all)
	return all, err
}

// PauseSchedule has the slots of a schedule skipped. That is durable when it
// returns.
func (c *Client) PauseSchedule(ctx context.Context, workflow, id, by, why string) error {
	return c.post(ctx, schedulePath(workflow, id, "pause"), map[string]string{"by": by, "why": why})
}

// ResumeSchedule ends a pause.
func (c *Client) ResumeSchedule(ctx context.Context, workflow, id string) error {
	return c.post(ctx, schedulePath(workflow, id, "resume"), map[string]string{})
}

// RunSchedule starts a run as a schedule would.
func (c *Client) RunSchedule(ctx context.Context, name, id, by string) (workflow.RunID, error) {
	body, err := json.Marshal(map[string]string{"by": by})
	if err != nil {
		return "", err
	}
	var started Started
	err = c.read(ctx, http.MethodPost, schedulePath(name, id, "run"), body, &started)
	return started.ID, err
}

// Backfill has a run started for each slot of a span of time that has none.
func (c *Client) Backfill(ctx context.Context, name, id string, from, to time.Time) (filled workflow.Backfilled, err error) {
	body, err := json.Marshal(map[string]time.Time{"from": from, "to": to})
	if err != nil {
		return filled, err
	}
	err = c.read(ctx, http.MethodPost, schedulePath(name, id, "backfill"), body, &filled)
	return filled, err
}

func schedulePath(workflow, id, verb string) string {
	return "/v1/schedules/" + url.PathEscape(workflow) + "/" + url.PathEscape(id) + "/" + verb
}
