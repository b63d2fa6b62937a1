package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

var (
	metricSample = regexp.MustCompile(`^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,|}))+)? (\S+)$`)
	metricHead   = regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (\S.*)$`)
)

// readMetrics reads the text form of Prometheus as strictly as it is described, and
// returns the value of each series.
func readMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	values, kinds, helps := map[string]float64{}, map[string]string{}, map[string]bool{}
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if head := metricHead.FindStringSubmatch(line); head != nil {
			if head[1] == "HELP" {
				helps[head[2]] = true
			} else if _, twice := kinds[head[2]]; twice {
				t.Errorf("%s has two heads", head[2])
			} else {
				kinds[head[2]] = head[3]
			}
			continue
		}
		sample := metricSample.FindStringSubmatch(line)
		if sample == nil || !whole {
			t.Errorf("no sample: %q", line)
			continue
		}
		name := sample[1]
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, end); ok && kinds[base] == "histogram" {
				name = base
			}
		}
		value, err := strconv.ParseFloat(sample[3], 64)
		if _, twice := values[sample[1]+sample[2]]; twice || err != nil || kinds[name] == "" || !helps[name] {
			t.Errorf("%q: twice %v, error %v, kind %q, help %v", line, twice, err, kinds[name], helps[name])
		}
		values[sample[1]+sample[2]] = value
	}
	return values
}

// TestScheduleMetrics: what no file has any more is nothing to be alarmed by.
func TestScheduleMetrics(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	p := metricPrinter{w: &b}
	scheduleMetrics(&p, []workflow.ScheduleView{
		{Workflow: "a", ID: "day", Active: true, Failures: 2},
		{Workflow: "a", ID: "night", Active: true, Paused: &workflow.SchedulePause{}},
		{Workflow: "gone", ID: "day", Failures: 3},
		{Workflow: "gone", ID: "night", Failures: 3, Paused: &workflow.SchedulePause{}},
	})
	want := map[string]float64{
		`fcflow_schedules{state="active"}`:                        1,
		`fcflow_schedules{state="paused"}`:                        1,
		`fcflow_schedule_failures{workflow="a",schedule="day"}`:   2,
		`fcflow_schedule_failures{workflow="a",schedule="night"}`: 0,
	}
	if diff := cmp.Diff(want, readMetrics(t, b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	m := newMeter()
	ended := []workflow.Event{
		{Data: &workflow.AttemptStarted{}},
		{Data: &workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseTimedOut}},
		{Data: &workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.ExitCause(3)}},
		{Data: &workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.ExitCause(4)}},
		{Data: &workflow.RunFinished{State: workflow.RunFailed}},
	}
	m.events(ended, "odd\"name\\with\nlines", true)
	for _, name := range []string{"of-a-text", "of-another"} { // else whoever may start runs could make series without end
		m.events(ended[:1], name, false)
	}
	for _, status := range []int{200, 200, 503} {
		m.request(firecrest.RequestInfo{Operation: "GET /status/systems", Status: status, Duration: 20 * time.Millisecond})
	}
	for _, d := range []time.Duration{time.Millisecond, 2 * time.Millisecond, time.Hour} {
		m.committed(d)
	}
	var b strings.Builder
	m.print(&metricPrinter{w: &b})
	got := readMetrics(t, b.String())
	odd := `workflow="odd\"name\\with\nlines"`
	for series, want := range map[string]float64{
		`fcflow_attempts_started_total{` + odd + `}`:                                    1,
		`fcflow_attempts_started_total{workflow="other"}`:                               2,
		`fcflow_attempts_ended_total{state="failed",cause="timed_out"}`:                 1,
		`fcflow_attempts_ended_total{state="failed",cause="exit"}`:                      2,
		`fcflow_runs_ended_total{` + odd + `,state="failed"}`:                           1,
		`fcflow_firecrest_requests_total{operation="GET /status/systems",status="200"}`: 2,
		`fcflow_firecrest_requests_total{operation="GET /status/systems",status="503"}`: 1,
		`fcflow_firecrest_request_duration_seconds_bucket{le="0.01"}`:                   0,
		`fcflow_firecrest_request_duration_seconds_bucket{le="0.03"}`:                   3,
		`fcflow_firecrest_request_duration_seconds_bucket{le="+Inf"}`:                   3,
		`fcflow_commit_duration_seconds_bucket{le="0.001"}`:                             1,
		`fcflow_commit_duration_seconds_bucket{le="30"}`:                                2,
		`fcflow_commit_duration_seconds_bucket{le="+Inf"}`:                              3,
		`fcflow_commit_duration_seconds_count`:                                          3,
		`fcflow_commit_duration_seconds_sum`:                                            3600.003,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v (there: %v), want %v\n%s", series, value, ok, want, b.String())
		}
	}
}

func TestRunMetrics(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	attempt := func(id string, started int, job *workflow.JobObserved, ended bool) workflow.UnitView {
		a := workflow.AttemptView{JobID: id, System: "one", StartedAt: ago(started), Job: job}
		if ended {
			a.EndedAt = now
		}
		return workflow.UnitView{Attempts: []workflow.AttemptView{{JobID: "0", StartedAt: time.Unix(1, 0), EndedAt: time.Unix(2, 0)}, a}}
	}
	accepted := attempt("6", 950, nil, false) // uploads came before the job
	accepted.Attempts[1].Submission = &workflow.SubmissionView{AcceptedAt: ago(95)}
	jobs := []workflow.UnitView{
		{}, // no attempt yet
		attempt("", 500, nil, false),
		attempt("1", 90, nil, false),
		attempt("2", 70, &workflow.JobObserved{State: "PENDING"}, false),
		attempt("3", 600, &workflow.JobObserved{State: "RUNNING", Active: true}, false),
		attempt("4", 700, &workflow.JobObserved{State: "COMPLETED", Active: true, Terminal: true}, false),
		attempt("5", 800, nil, true),
		accepted,
	}
	var b strings.Builder
	runMetrics(&metricPrinter{w: &b}, []workflow.RunView{
		{
			Summary: workflow.Summary{State: workflow.RunRunning, CreatedAt: ago(999), Units: map[workflow.State]int{workflow.Waiting: 3}}, QueuedAt: ago(999),
			Sites: []workflow.RunBound{{System: "one"}, {System: "two"}}, Steps: []workflow.StepView{{Instances: jobs}},
		},
		{Summary: workflow.Summary{State: workflow.RunQueued, CreatedAt: ago(900), Units: map[workflow.State]int{workflow.Waiting: 1, workflow.Pending: 4}}, QueuedAt: ago(33)},
		{Summary: workflow.Summary{State: workflow.RunQueued, CreatedAt: ago(20)}, QueuedAt: ago(20)},
	}, now)
	got := readMetrics(t, b.String())
	want := map[string]float64{
		`fcflow_runs{state="queued"}`: 2, `fcflow_runs{state="running"}`: 1, `fcflow_run_queue_age_seconds`: 33,
		`fcflow_jobs{system="one",state="queued"}`: 3, `fcflow_jobs{system="one",state="running"}`: 1, `fcflow_job_queue_age_seconds{system="one"}`: 95,
		`fcflow_jobs{system="two",state="queued"}`: 0, `fcflow_jobs{system="two",state="running"}`: 0, `fcflow_job_queue_age_seconds{system="two"}`: 0,
	}
	for _, state := range workflow.States() {
		want[`fcflow_instances{state="`+string(state)+`"}`] = map[workflow.State]float64{workflow.Waiting: 4, workflow.Pending: 4}[state]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMetricNames: names, kinds and units are as Prometheus wants them, and the
// page for who runs a server lists them all.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	text := page(t, "docs/operations.md")
	for name, m := range metrics {
		switch {
		case !regexp.MustCompile(`^fcflow(_[a-z]+)+$`).MatchString(name),
			(m.kind == counterKind) != strings.HasSuffix(name, "_total"),
			strings.HasSuffix(name, "_info") && m.kind != gaugeKind,
			m.kind == histogramKind && !strings.HasSuffix(name, "_seconds"),
			regexp.MustCompile(`_(ms|milliseconds|minutes|hours|count|sum|bucket)(_|$)`).MatchString(name),
			slices.Contains(strings.Split(m.labels, ", "), "le"):
			t.Errorf("%s, a %s by %q", name, m.kind, m.labels)
		}
		if m.help == "" || !strings.HasSuffix(m.help, ".") || strings.Contains(m.help, "\n") {
			t.Errorf("%s: %q", name, m.help)
		}
		labels := "–"
		if m.labels != "" {
			labels = "`" + strings.ReplaceAll(m.labels, ", ", "`, `") + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, m.kind, labels, m.help); !strings.Contains(text, row) {
			t.Errorf("docs/operations.md lacks\n%s", row)
		}
	}
	if n := strings.Count(text, "\n| `fcflow_"); n != len(metrics) {
		t.Errorf("docs/operations.md lists %d metrics, and there are %d", n, len(metrics))
	}
}

// TestServedMetrics: a server tells what it is doing, with each metric that is in
// the table, and no other labels than there.
func TestServedMetrics(t *testing.T) {
	t.Parallel()
	h, id := foldedHost(t, foldedFlow)
	untilState(t, h, id, "sure", workflow.Waiting)
	h.meter.request(firecrest.RequestInfo{Operation: "GET /status/systems", Status: 200})
	var b strings.Builder
	if err := h.Metrics(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	got := readMetrics(t, b.String())
	for series, want := range map[string]float64{
		`fcflow_runs{state="running"}`: 1, `fcflow_instances{state="succeeded"}`: 3, `fcflow_instances{state="waiting"}`: 1,
		`fcflow_attempts_started_total{workflow="other"}`: 4, `fcflow_attempts_ended_total{state="succeeded",cause=""}`: 3,
	} {
		if got[series] != want {
			t.Errorf("%s is %v, want %v", series, got[series], want)
		}
	}
	if n := got["fcflow_commit_duration_seconds_count"]; n < 2 || got["fcflow_commit_duration_seconds_sum"] <= 0 {
		t.Errorf("%v commits", n)
	}
	for series := range got {
		name, labels, _ := strings.Cut(series, "{")
		for _, end := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, end); ok && metrics[base].kind == histogramKind {
				name, labels = base, ""
			}
		}
		var names []string
		for _, found := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(labels, -1) {
			names = append(names, found[1])
		}
		if m, known := metrics[name]; !known || strings.Join(names, ", ") != m.labels {
			t.Errorf("%s is in the table: %v, with the labels %q", series, known, m.labels)
		}
	}
}
