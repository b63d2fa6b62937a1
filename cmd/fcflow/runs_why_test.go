package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/why"
	"github.com/fcflow/fcflow/workflow"
)

// TestPrintWhy: what people see of a chain, a rule explained the first time, the
// day where it changes, and nothing that a server said acting on their terminal.
func TestPrintWhy(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := newApp(console.Plain(nil, &out, new(bytes.Buffer)), func(string) string { return "" })
	at := time.Date(2026, 3, 2, 23, 59, 58, 0, time.Local)
	x := &explained{Chain: why.Chain{
		Run: "01M81FVVSTZGYFF2F1YSMGE9EJ", Step: "simulate", Instance: "dt=30", State: workflow.Waiting,
		Facts: []why.Fact{{At: at, Text: "its condition is true: it may start"}},
		Attempts: []why.Attempt{{
			Attempt: 1, System: "daint", Token: "ftoken", JobID: "12",
			Facts: []why.Fact{
				{
					At: at.Add(time.Second), Text: "request 1: \x1b[2Jno usable answer", Means: "nobody knows",
					Calls: []workflow.CallFact{{Operation: "GET /compute/daint/jobs", At: at.Add(time.Second), Status: 200, RequestID: "7f3", Said: "2 jobs"}, {Operation: "GET /x", At: at.Add(time.Second)}},
				},
				{At: at.Add(3 * time.Second), Text: "request 2: accepted", Rule: workflow.RuleAnswer, Because: "it proves it"},
				{At: at.Add(4 * time.Second), Text: "request 3: refused", Rule: workflow.RuleAnswer, Because: "it proves it"},
			},
		}},
		Waiting: &why.Waiting{Reason: workflow.WaitAttention, Since: at, Text: "say so", Unknown: true},
	}, Live: true}
	x.Next = a.helps(x, true)
	a.printWhy(x, at.Add(time.Minute))
	want := `simulate/dt=30  … waiting
  2026-03-02
  23:59:58  its condition is true: it may start
attempt 1 of 1 on daint, token ftoken, job 12
  23:59:59  GET /compute/daint/jobs: 200 (request 7f3): 2 jobs
  23:59:59  GET /x: no answer
  23:59:59  request 1: \x1b[2Jno usable answer  → nobody knows
  2026-03-03
  00:00:01  request 2: accepted  [rule answer: it proves it]
  00:00:02  request 3: refused  [rule answer]
waits (attention)  say so
  since      2026-03-02 23:59:58, 1m00s
  next look  when there is news
next
  fcflow resolve MGE9EJ simulate/dt=30 --job ID
  fcflow resolve MGE9EJ simulate/dt=30 --never-ran
  fcflow resolve MGE9EJ simulate/dt=30 --failed
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("why (-want +got):\n%s", diff)
	}
}
