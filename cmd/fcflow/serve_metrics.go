package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// meter counts what happens, for /metrics. The text form is simple, and counters
// and two kinds of histograms are all there is: no library is needed for that.
type meter struct {
	mu       sync.Mutex
	counters map[string]map[string]float64 // by name, then labels
	commits  histogram
	requests histogram
}

// histogram counts durations in seconds.
type histogram struct {
	counts []uint64 // of each bound, not cumulated
	sum    float64
	n      uint64
}

var bounds = [...]float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30}

func newMeter() *meter { return &meter{counters: map[string]map[string]float64{}} }

func (h *histogram) add(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint64, len(bounds)+1)
	}
	i, _ := slices.BinarySearch(bounds[:], d.Seconds())
	h.counts[i]++
	h.sum += d.Seconds()
	h.n++
}

// count adds one to a counter; labels are pairs of name and value.
func (m *meter) count(name string, labels ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counters[name] == nil {
		m.counters[name] = map[string]float64{}
	}
	m.counters[name][labelText(labels)]++
}

// request is told of each request to the service.
func (m *meter) request(r firecrest.RequestInfo) {
	m.count("fcflow_requests_total", "operation", r.Operation, "status", fmt.Sprint(r.Status))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests.add(r.Duration)
}

// committed is told how long a commit took.
func (m *meter) committed(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits.add(d)
}

// events is told of what has become durable.
func (m *meter) events(run *workflow.Run, events []workflow.Event) {
	for i := range events {
		switch e := events[i].Data.(type) {
		case *workflow.AttemptStarted:
			m.count("fcflow_attempts_started_total", "workflow", run.Workflow.Name)
		case *workflow.AttemptFinished:
			m.count("fcflow_attempts_total", "state", string(e.State), "cause", string(e.Cause))
		case *workflow.RunFinished:
			m.count("fcflow_runs_ended_total", "workflow", run.Workflow.Name, "state", string(e.State))
		}
	}
}

var labelQuote = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labelText is {a="b",c="d"}, or nothing.
func labelText(pairs []string) string {
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf(`%s="%s"`, pairs[i], labelQuote.Replace(pairs[i+1])))
	}
	if list == nil {
		return ""
	}
	return "{" + strings.Join(list, ",") + "}"
}

// metricHelp says what each metric is.
var metricHelp = map[string]string{
	"fcflow_requests_total":           "Requests to FirecREST by operation and status; status 0 is no answer.",
	"fcflow_attempts_started_total":   "Attempts that have begun.",
	"fcflow_attempts_total":           "Attempts that have ended, by state and cause.",
	"fcflow_runs_ended_total":         "Runs that have ended, by workflow and state.",
	"fcflow_request_duration_seconds": "How long requests to FirecREST took.",
	"fcflow_commit_duration_seconds":  "How long it took until events were on disk.",
	"fcflow_runs":                     "Runs of this server that have not ended, by state.",
	"fcflow_instances":                "Instances of steps of these runs, by state.",
	"fcflow_queue_age_seconds":        "How long the run that waits longest to begin has waited.",
	"fcflow_jobs":                     "Jobs of these runs that have not ended, by state: queued or running.",
	"fcflow_job_queue_age_seconds":    "How long the job that waits longest in the queue of its system has waited.",
	"fcflow_poll_interval_seconds":    "The shortest pause between two looks at jobs.",
	"fcflow_workflows":                "Workflow files.",
	"fcflow_workflows_broken":         "Workflow files that have a mistake as they are now.",
	"fcflow_schedules":                "Schedules, paused or active.",
	"fcflow_schedule_failures":        "Runs of a schedule that failed in a row.",
	"fcflow_info":                     "The version.",
}

// Metrics implements [server.Host].
func (h *host) Metrics(ctx context.Context, w io.Writer) error {
	p := metricPrinter{w: w}
	p.value("fcflow_info", "gauge", 1, "version", releaseName())
	if err := h.runMetrics(ctx, &p); err != nil {
		return err
	}
	p.value("fcflow_poll_interval_seconds", "gauge", h.pollInterval().Seconds())
	broken := 0
	for _, b := range h.shelf.all() {
		if b.wrong != "" {
			broken++
		}
	}
	p.value("fcflow_workflows", "gauge", float64(len(h.shelf.all())))
	p.value("fcflow_workflows_broken", "gauge", float64(broken))
	paused, active := 0, 0
	views := h.scheduler.List()
	for i := range views {
		if views[i].Paused != nil {
			paused++
		} else if views[i].Active {
			active++
		}
	}
	p.value("fcflow_schedules", "gauge", float64(active), "state", "active")
	p.value("fcflow_schedules", "gauge", float64(paused), "state", "paused")
	for i := range views {
		p.value("fcflow_schedule_failures", "gauge", float64(views[i].Failures), "workflow", views[i].Workflow, "schedule", views[i].ID)
	}
	h.meter.print(&p)
	return p.err
}

func (h *host) pollInterval() time.Duration {
	if h.profile.Sandbox != "" {
		return sandboxPoll().Min
	}
	return h.settings.Duration("poll.min")
}

// runMetrics tells of the runs that go on.
func (h *host) runMetrics(ctx context.Context, p *metricPrinter) error {
	views, err := h.session.owned.views(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	runs, units, age, jobs := map[workflow.RunState]int{}, map[workflow.State]int{}, time.Duration(0), jobMetrics{}
	for i := range views {
		v := &views[i]
		runs[v.State]++
		for state, n := range v.Units {
			units[state] += n
		}
		if v.State == workflow.RunQueued {
			age = max(age, now.Sub(v.CreatedAt))
		}
		jobs.add(v, now)
	}
	for _, state := range []workflow.RunState{workflow.RunQueued, workflow.RunRunning} {
		p.value("fcflow_runs", "gauge", float64(runs[state]), "state", string(state))
	}
	for _, state := range slices.Sorted(maps.Keys(units)) {
		p.value("fcflow_instances", "gauge", float64(units[state]), "state", string(state))
	}
	p.value("fcflow_queue_age_seconds", "gauge", age.Seconds())
	p.value("fcflow_jobs", "gauge", float64(jobs.queued), "state", "queued")
	p.value("fcflow_jobs", "gauge", float64(jobs.running), "state", "running")
	p.value("fcflow_job_queue_age_seconds", "gauge", jobs.age.Seconds())
	return nil
}

// jobMetrics counts jobs that have not ended.
type jobMetrics struct {
	queued, running int
	age             time.Duration // of the one that waits longest
}

func (m *jobMetrics) add(v *workflow.RunView, now time.Time) {
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
				m.running++
			default:
				m.queued++
				m.age = max(m.age, now.Sub(t.StartedAt))
			}
		}
	}
}

func (m *meter) print(p *metricPrinter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.counters)) {
		p.head(name, "counter")
		for _, labels := range slices.Sorted(maps.Keys(m.counters[name])) {
			p.printf("%s%s %g\n", name, labels, m.counters[name][labels])
		}
	}
	m.commits.print(p, "fcflow_commit_duration_seconds")
	m.requests.print(p, "fcflow_request_duration_seconds")
}

func (h *histogram) print(p *metricPrinter, name string) {
	p.head(name, "histogram")
	total := uint64(0)
	for i, bound := range bounds {
		if h.counts != nil {
			total += h.counts[i]
		}
		p.printf("%s_bucket{le=\"%g\"} %d\n", name, bound, total)
	}
	p.printf("%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n", name, h.n, name, h.sum, name, h.n)
}

// metricPrinter writes metrics; each name gets its head once.
type metricPrinter struct {
	w    io.Writer
	last string
	err  error
}

func (p *metricPrinter) head(name, kind string) {
	if p.last != name {
		p.last = name
		p.printf("# HELP %s %s\n# TYPE %s %s\n", name, metricHelp[name], name, kind)
	}
}

func (p *metricPrinter) value(name, kind string, v float64, labels ...string) {
	p.head(name, kind)
	p.printf("%s%s %g\n", name, labelText(labels), v)
}

func (p *metricPrinter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
