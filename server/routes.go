package server

import (
	"net/http"

	"github.com/fcflow/fcflow/workflow"
)

var (
	unitParameter    = parameter{name: "unit", about: "STEP, or STEP/KEY", required: true}
	attemptParameter = parameter{name: "attempt", kind: integer, about: "which attempt; the newest if missing"}
)

// routes is the table of routes, from which the handlers, the description and the
// tests of all of them come. Some of their answers have types of the host.
func routes(of Forms) []route {
	ok, accepted, created := http.StatusOK, http.StatusAccepted, http.StatusCreated
	return []route{
		{pattern: "GET /v1/session", handle: (*Server).session, about: "Who asks, and what they may do", gives: session{}, status: ok},
		{
			pattern: "GET /v1/runs", handle: (*Server).list, about: "Runs, newest first", gives: RunPage{}, status: ok, ownerServes: true,
			query: []parameter{
				{name: "workflow", about: "only runs of this workflow"},
				{name: "state", about: "only runs in this state, interrupted ones, or with attention those that wait for a person"},
				{name: "began_by", about: "only runs that this began: manual, schedule, …"},
				{name: "q", about: "only runs with this in their id, workflow or person"},
				{name: "limit", kind: integer, about: "how many; 50 if missing"},
				{name: "before", about: "only runs older than this one"},
			},
		},
		{
			pattern: "POST /v1/runs", handle: (*Server).start, about: "Starts a run of a workflow", takes: StartRequest{}, gives: Started{},
			status: created, large: true,
		},
		{
			pattern: "GET /v1/runs/{id}", handle: (*Server).show, about: "The full picture of a run", gives: ShownRun{}, orGives: foldedRun{},
			status: ok, ownerServes: true,
			query: []parameter{{name: "fold", kind: boolean, about: "counts instead of the instances of steps that fan out"}},
		},
		{
			pattern: "GET /v1/runs/{id}/steps/{step}/instances", handle: (*Server).instances, about: "A window of the instances of a step",
			gives: window{}, status: ok,
			query: []parameter{
				{name: "state", about: "only those in this state"},
				{name: "q", about: "only those with this in their key"},
				{name: "waits", about: "only those that wait for this, a word of waits"},
				{name: "sort", about: "what by; with - before it the other way round", of: orders()},
				{name: "offset", kind: integer, about: "where the window begins"},
				{name: "limit", kind: integer, about: "how many; 200 if missing"},
			},
		},
		{pattern: "GET /v1/runs/{id}/graph", handle: (*Server).graph, about: "Where the steps are drawn", gives: Graph{}, status: ok},
		{pattern: "GET /v1/runs/{id}/timeline", handle: (*Server).timeline, about: "When the attempts were", gives: timeline{}, status: ok},
		{
			pattern: "GET /v1/runs/{id}/why", handle: (*Server).why, about: "The chain of evidence of an instance", gives: of.Why, status: ok,
			query: []parameter{unitParameter},
		},
		{
			pattern: "GET /v1/runs/{id}/unit", handle: (*Server).unit, about: "One instance in full", gives: workflow.UnitView{}, status: ok,
			query: []parameter{unitParameter},
		},
		{
			pattern: "GET /v1/runs/{id}/script", handle: (*Server).script, about: "The script of the job of an attempt", kinds: []string{textPlain}, status: ok,
			query: []parameter{unitParameter, attemptParameter},
		},
		{
			pattern: "GET /v1/runs/{id}/logs", handle: (*Server).logs, about: "What an attempt has printed", kinds: []string{textPlain, textEvents}, status: ok,
			query: []parameter{
				unitParameter, attemptParameter,
				{name: "stream", about: "stdout if missing", of: []string{"stdout", "stderr"}},
				{name: "follow", kind: boolean, about: "as server-sent events, until the attempt has ended"},
			},
		},
		{
			pattern: "GET /v1/runs/{id}/results", handle: (*Server).results, about: "Tables of what the instances came to", gives: of.Results,
			kinds: []string{"text/csv; charset=utf-8"}, status: ok,
			query: []parameter{{name: "format", about: "json if missing", of: []string{"json", "csv"}}, {name: "step", about: "only the table of this step"}},
		},
		{
			pattern: "GET /v1/runs/{id}/events", handle: (*Server).events, about: "The history, as JSON lines or server-sent events",
			kinds: []string{"application/jsonl", textEvents}, status: ok, ownerServes: true,
			query: []parameter{{name: "from", kind: integer, least: 1, about: "the first sequence number"}, {name: "follow", kind: boolean, about: "go on until the run ends"}},
		},
		{
			pattern: "GET /v1/runs/{id}/blobs/{digest}", handle: (*Server).blob, about: "A value that is kept apart from the events",
			kinds: []string{"application/octet-stream"}, status: ok, ownerServes: true,
		},
		{pattern: "POST /v1/runs/{id}/cancel", handle: (*Server).cancel, about: "Asks for the end of a run", takes: cancelRequest{}, status: accepted, ownerServes: true},
		{
			pattern: "POST /v1/runs/{id}/resolve", handle: (*Server).resolve, about: "Says what became of a submission", takes: resolveRequest{},
			status: accepted, ownerServes: true,
		},
		{
			pattern: "POST /v1/runs/{id}/retry", handle: (*Server).retry, about: "Has instances done again", takes: workflow.UnitsReset{},
			status: accepted, ownerServes: true,
		},
		{
			pattern: "POST /v1/runs/{id}/approve", handle: (*Server).approve, about: "Answers what asks for approval", takes: approveRequest{},
			gives: unitList{}, status: ok, ownerServes: true,
		},
		{
			pattern: "POST /v1/runs/{id}/resume", handle: (*Server).resume, about: "Has a run go on, also with another workflow", takes: ResumeRequest{},
			gives: Resumed{}, status: ok, large: true,
		},
		{pattern: "POST /v1/runs/{id}/rerun", handle: (*Server).rerun, about: "A new run of the same workflow", takes: RerunRequest{}, gives: Started{}, status: created},
		{pattern: "GET /v1/events", handle: (*Server).changes, about: "What changes, as server-sent events", kinds: []string{textEvents}, status: ok},
		{pattern: "GET /v1/workflows", handle: (*Server).workflows, about: "The workflows of the server", gives: []WorkflowInfo{}, status: ok},
		{pattern: "GET /v1/workflows/{name}", handle: (*Server).workflow, about: "A workflow, with its text and graph", gives: WorkflowInfo{}, status: ok},
		{pattern: "GET /v1/schedules", handle: (*Server).schedules, about: "The schedules", gives: []workflow.ScheduleView{}, status: ok},
		{
			pattern: "GET /v1/schedules/{workflow}/{id}/slots", handle: (*Server).slots, about: "What became of the slots of a schedule",
			gives: []workflow.SlotRecord{}, status: ok,
		},
		{pattern: "POST /v1/schedules/{workflow}/{id}/pause", handle: (*Server).pauseSchedule, about: "Skips slots from now on", takes: pauseRequest{}, status: accepted},
		{pattern: "POST /v1/schedules/{workflow}/{id}/resume", handle: (*Server).resumeSchedule, about: "Ends a pause", takes: pauseRequest{}, status: accepted},
		{
			pattern: "POST /v1/schedules/{workflow}/{id}/run", handle: (*Server).runSchedule, about: "Starts a run as the schedule would",
			takes: pauseRequest{}, gives: Started{}, status: created,
		},
		{
			pattern: "GET /v1/schedules/{workflow}/{id}/backfill", handle: (*Server).fillable, about: "What a backfill would start",
			gives: workflow.Fillable{}, status: ok,
			query: []parameter{
				{name: "from", kind: instant, about: "the first instant", required: true}, {name: "to", kind: instant, about: "the last one", required: true},
			},
		},
		{
			pattern: "POST /v1/schedules/{workflow}/{id}/backfill", handle: (*Server).backfill, about: "Starts runs for slots of the past",
			takes: backfillRequest{}, gives: workflow.Backfilled{}, status: ok,
		},
		{pattern: "GET /v1/systems", handle: (*Server).systems, about: "The systems of the service", gives: of.Systems, status: ok},
		{pattern: "GET /v1/systems/{name}", handle: (*Server).system, about: "A system, its partitions, reservations and own jobs", gives: of.System, status: ok},
		{pattern: "GET /v1/openapi.json", handle: (*Server).openapi, about: "This description", gives: anything{}, status: ok},
		{pattern: "GET /healthz", handle: (*Server).health, about: "Whether the server answers", kinds: []string{textPlain}, status: ok, open: true},
		{pattern: "GET /metrics", handle: (*Server).metrics, about: "Metrics in the text form of Prometheus", kinds: []string{textPlain}, status: ok},
	}
}

// anything is an object whose members are described elsewhere.
type anything map[string]any
