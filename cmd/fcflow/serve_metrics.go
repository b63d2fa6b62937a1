package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// metric says what kind a metric is of, its labels, and what it counts or measures.
type metric struct{ kind, labels, help string }

const (
	counterKind   = "counter"
	gaugeKind     = "gauge"
	histogramKind = "histogram"
)

var metrics = map[string]metric{
	"fcflow_build_info":                         {gaugeKind, "version", "The version; always 1."},
	"fcflow_runs":                               {gaugeKind, "state", "Runs of this server that have not ended, by state."},
	"fcflow_instances":                          {gaugeKind, "state", "Instances of steps of these runs, by state."},
	"fcflow_run_queue_age_seconds":              {gaugeKind, "", "How long the run that waits longest to begin has waited."},
	"fcflow_jobs":                               {gaugeKind, "system, state", "Jobs of these runs that have not ended, by system and state: queued or running."},
	"fcflow_job_queue_age_seconds":              {gaugeKind, "system", "How long the job that waits longest in the queue of a system has waited."},
	"fcflow_poll_interval_seconds":              {gaugeKind, "system", "Time between two looks at the jobs of a system as it is now; missing while none is waited for."},
	"fcflow_workflows":                          {gaugeKind, "", "Workflow files."},
	"fcflow_workflows_broken":                   {gaugeKind, "", "Workflow files that have a mistake as they are now."},
	"fcflow_schedules":                          {gaugeKind, "state", "Schedules of the workflow files, paused or active."},
	"fcflow_schedule_failures":                  {gaugeKind, "workflow, schedule", "Runs of a schedule that failed in a row."},
	"fcflow_runs_ended_total":                   {counterKind, "workflow, state", "Runs that have ended, by workflow and state."},
	"fcflow_attempts_started_total":             {counterKind, "workflow", "Attempts that have begun, by workflow."},
	"fcflow_attempts_ended_total":               {counterKind, "state, cause", "Attempts that have ended, by state and cause."},
	"fcflow_commit_duration_seconds":            {histogramKind, "", "How long it took until events were on disk."},
	"fcflow_firecrest_requests_total":           {counterKind, "operation, status", "Requests to FirecREST, each try of one, by operation and status; status 0 is no answer."},
	"fcflow_firecrest_request_duration_seconds": {histogramKind, "", "How long these requests took."},
}

// Metrics implements [server.Host].
func (h *host) Metrics(ctx context.Context, w io.Writer) error {
	p := metricPrinter{w: w}
	p.value("fcflow_build_info", 1, "version", releaseName())
	views, err := h.session.owned.views(ctx)
	if err != nil {
		return err
	}
	runMetrics(&p, views, time.Now())
	intervals := h.session.pollIntervals()
	for _, system := range slices.Sorted(maps.Keys(intervals)) {
		p.value("fcflow_poll_interval_seconds", intervals[system].Seconds(), "system", system)
	}
	broken := 0
	for _, b := range h.shelf.all() {
		if b.wrong != "" {
			broken++
		}
	}
	p.value("fcflow_workflows", float64(len(h.shelf.all())))
	p.value("fcflow_workflows_broken", float64(broken))
	scheduleMetrics(&p, h.scheduler.List())
	h.meter.print(&p)
	return p.err
}

// scheduleMetrics tells of the schedules that files have: the failures of another would
// never become fewer.
func scheduleMetrics(p *metricPrinter, views []workflow.ScheduleView) {
	views = slices.DeleteFunc(slices.Clone(views), func(v workflow.ScheduleView) bool { return !v.Active })
	paused := 0
	for i := range views {
		if views[i].Paused != nil {
			paused++
		}
	}
	p.value("fcflow_schedules", float64(len(views)-paused), "state", "active")
	p.value("fcflow_schedules", float64(paused), "state", "paused")
	for i := range views {
		p.value("fcflow_schedule_failures", float64(views[i].Failures), "workflow", views[i].Workflow, "schedule", views[i].ID)
	}
}

// runMetrics tells of the runs that go on.
func runMetrics(p *metricPrinter, views []workflow.RunView, now time.Time) {
	runs, units, age, jobs := map[workflow.RunState]int{}, map[workflow.State]int{}, time.Duration(0), jobMetrics{}
	for i := range views {
		v := &views[i]
		runs[v.State]++
		for state, n := range v.Units {
			units[state] += n
		}
		if v.State == workflow.RunQueued {
			age = max(age, now.Sub(v.QueuedAt))
		}
		jobs.add(v, now)
	}
	for _, state := range []workflow.RunState{workflow.RunQueued, workflow.RunRunning} {
		p.value("fcflow_runs", float64(runs[state]), "state", string(state))
	}
	for _, state := range workflow.States() {
		p.value("fcflow_instances", float64(units[state]), "state", string(state))
	}
	p.value("fcflow_run_queue_age_seconds", age.Seconds())
	systems := slices.Sorted(maps.Keys(jobs))
	for _, system := range systems {
		p.value("fcflow_jobs", float64(jobs[system].queued), "system", system, "state", "queued")
		p.value("fcflow_jobs", float64(jobs[system].running), "system", system, "state", "running")
	}
	for _, system := range systems {
		p.value("fcflow_job_queue_age_seconds", jobs[system].age.Seconds(), "system", system)
	}
}

// jobMetrics are the jobs that have not ended, by the system on which they are.
type jobMetrics map[string]*systemJobs

type systemJobs struct {
	queued, running int
	age             time.Duration // of the one that waits longest
}

// on returns what is counted of a system.
func (m jobMetrics) on(system string) *systemJobs {
	if m[system] == nil {
		m[system] = &systemJobs{}
	}
	return m[system]
}

func (m jobMetrics) add(v *workflow.RunView, now time.Time) {
	for i := range v.Sites {
		m.on(v.Sites[i].System) // also one where there is no job now
	}
	for _, step := range v.Steps {
		for i := range step.Instances {
			n := len(step.Instances[i].Attempts)
			if n == 0 {
				continue
			}
			t := &step.Instances[i].Attempts[n-1]
			switch {
			case t.JobID == "" || !t.EndedAt.IsZero() || t.Job != nil && t.Job.Terminal:
			case t.Job != nil && t.Job.Active:
				m.on(t.System).running++
			default:
				jobs := m.on(t.System)
				jobs.queued++
				jobs.age = max(jobs.age, now.Sub(queuedSince(t)))
			}
		}
	}
}

// queuedSince is since when the job of an attempt is in the queue: one that the
// attempt has found, since it was found.
func queuedSince(t *workflow.AttemptView) time.Time {
	if s := t.Submission; s != nil && !s.AcceptedAt.IsZero() {
		return s.AcceptedAt
	}
	return t.StartedAt
}
