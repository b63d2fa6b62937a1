package main

import (
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
	m.count("fcflow_firecrest_requests_total", "operation", r.Operation, "status", fmt.Sprint(r.Status))
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

// events is told of what has become durable. The name of a workflow is a label only
// if it is listed: anybody may start runs of texts with any name.
func (m *meter) events(events []workflow.Event, name string, listed bool) {
	if !listed {
		name = otherWorkflow
	}
	for i := range events {
		switch e := events[i].Data.(type) {
		case *workflow.AttemptStarted:
			m.count("fcflow_attempts_started_total", "workflow", name)
		case *workflow.AttemptFinished:
			cause, _, _ := strings.Cut(string(e.Cause), "(") // of exit(N) there are many
			m.count("fcflow_attempts_ended_total", "state", string(e.State), "cause", cause)
		case *workflow.RunFinished:
			m.count("fcflow_runs_ended_total", "workflow", name, "state", string(e.State))
		}
	}
}

// otherWorkflow stands for all that are not among the files of the server.
const otherWorkflow = "other"

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

func (m *meter) print(p *metricPrinter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.counters)) {
		p.head(name)
		for _, labels := range slices.Sorted(maps.Keys(m.counters[name])) {
			p.printf("%s%s %g\n", name, labels, m.counters[name][labels])
		}
	}
	m.commits.print(p, "fcflow_commit_duration_seconds")
	m.requests.print(p, "fcflow_firecrest_request_duration_seconds")
}

func (h *histogram) print(p *metricPrinter, name string) {
	p.head(name)
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

func (p *metricPrinter) head(name string) {
	if p.last != name {
		p.last = name
		p.printf("# HELP %s %s\n# TYPE %s %s\n", name, metrics[name].help, name, metrics[name].kind)
	}
}

func (p *metricPrinter) value(name string, v float64, labels ...string) {
	p.head(name)
	p.printf("%s%s %g\n", name, labelText(labels), v)
}

func (p *metricPrinter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
