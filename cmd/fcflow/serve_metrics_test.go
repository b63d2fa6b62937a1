package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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

func TestMeter(t *testing.T) {
	t.Parallel()
	m := newMeter()
	run := &workflow.Run{Workflow: &workflow.Workflow{Name: "odd\"name\\with\nlines"}}
	m.events(run, []workflow.Event{
		{Data: &workflow.AttemptStarted{}},
		{Data: &workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseTimedOut}},
		{Data: &workflow.RunFinished{State: workflow.RunFailed}},
	})
	for _, status := range []int{200, 200, 503} {
		m.request(firecrest.RequestInfo{Operation: "getJob", Status: status, Duration: 20 * time.Millisecond})
	}
	for _, d := range []time.Duration{time.Millisecond, 2 * time.Millisecond, time.Hour} {
		m.committed(d)
	}
	var b strings.Builder
	m.print(&metricPrinter{w: &b})
	got := readMetrics(t, b.String())
	odd := `workflow="odd\"name\\with\nlines"`
	for series, want := range map[string]float64{
		`fcflow_attempts_started_total{` + odd + `}`:              1,
		`fcflow_attempts_total{state="failed",cause="timed_out"}`: 1,
		`fcflow_runs_ended_total{` + odd + `,state="failed"}`:     1,
		`fcflow_requests_total{operation="getJob",status="200"}`:  2,
		`fcflow_requests_total{operation="getJob",status="503"}`:  1,
		`fcflow_request_duration_seconds_bucket{le="0.01"}`:       0,
		`fcflow_request_duration_seconds_bucket{le="0.03"}`:       3,
		`fcflow_request_duration_seconds_bucket{le="+Inf"}`:       3,
		`fcflow_commit_duration_seconds_bucket{le="0.001"}`:       1,
		`fcflow_commit_duration_seconds_bucket{le="30"}`:          2,
		`fcflow_commit_duration_seconds_bucket{le="+Inf"}`:        3,
		`fcflow_commit_duration_seconds_count`:                    3,
		`fcflow_commit_duration_seconds_sum`:                      3600.003,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v (there: %v), want %v\n%s", series, value, ok, want, b.String())
		}
	}
}

func TestJobMetrics(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	attempt := func(id string, ago int, job *workflow.JobObserved, ended bool) workflow.UnitView {
		a := workflow.AttemptView{JobID: id, StartedAt: now.Add(-time.Duration(ago) * time.Second), Job: job}
		if ended {
			a.EndedAt = now
		}
		return workflow.UnitView{Attempts: []workflow.AttemptView{{JobID: "0", StartedAt: time.Unix(1, 0), EndedAt: time.Unix(2, 0)}, a}}
	}
	var m jobMetrics
	m.add(&workflow.RunView{Steps: []workflow.StepView{{Instances: []workflow.UnitView{
		{}, // no attempt yet
		attempt("", 500, nil, false),
		attempt("1", 90, nil, false),
		attempt("2", 70, &workflow.JobObserved{State: "PENDING"}, false),
		attempt("3", 600, &workflow.JobObserved{State: "RUNNING", Active: true}, false),
		attempt("4", 700, &workflow.JobObserved{State: "COMPLETED", Active: true, Terminal: true}, false),
		attempt("5", 800, nil, true),
	}}}}, now)
	if want := (jobMetrics{queued: 2, running: 1, age: 90 * time.Second}); m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

// TestMetricsHaveHelp: whatever is printed says what it is.
func TestMetricsHaveHelp(t *testing.T) {
	t.Parallel()
	for name, help := range metricHelp {
		if !strings.HasPrefix(name, "fcflow_") || !strings.HasSuffix(help, ".") || strings.Contains(help, "\n") {
			t.Errorf("%s: %q", name, help)
		}
	}
}
