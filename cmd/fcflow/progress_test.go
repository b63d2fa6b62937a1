package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/workflow"
)

const story = `
version: 1
name: story
defaults: { system: daint }
steps:
  - { id: prepare, uses: run, with: { script: "true" } }
  - { id: simulate, needs: [prepare], uses: job, with: { script: "#!/bin/sh" }, retry: [{ cause: node_fail, max: 1 }] }
  - { id: publish, needs: [simulate], uses: run, with: { script: "true" } }
`

// teller folds events one by one and shows them.
type teller struct {
	t    *testing.T
	run  *workflow.Run
	show *progress
	now  time.Time
}

func newTeller(t *testing.T, show *progress) *teller {
	t.Helper()
	w, problems := workflow.Load("story.yaml", []byte(story), newApp(console.Plain(nil, nil, nil), func(string) string { return "" }).catalogue, workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	tell := &teller{t, workflow.NewRun(w), show, time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local).UTC()}
	tell.event("", 0, &workflow.RunCreated{ID: "01JTESTTESTTESTTESTTESTABC"})
	tell.event("", 0, &workflow.RunStarted{})
	return tell
}

func (tell *teller) event(step string, attempt int, p workflow.Payload) {
	tell.t.Helper()
	tell.now = tell.now.Add(time.Second)
	e := workflow.Event{Seq: tell.run.Seq + 1, Epoch: 1, At: tell.now, Step: step, Attempt: attempt, Data: p}
	if err := workflow.Apply(tell.run, &e); err != nil {
		tell.t.Fatal(err)
	}
	tell.show.observe(tell.run, []workflow.Event{e}, tell.run.TakeChanged())
}

func TestProgressInAPipe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	show := newProgress(console.Plain(nil, &out, &out).Err, false, shortID)
	tell := newTeller(t, show)
	exit := 0
	tell.event("prepare", 1, &workflow.AttemptStarted{})
	tell.event("prepare", 1, &workflow.AttemptFinished{State: workflow.Succeeded})
	tell.event("simulate", 1, &workflow.AttemptStarted{System: "daint"})
	tell.event("simulate", 1, &workflow.SubmissionIntent{Token: "t"})
	tell.event("simulate", 1, &workflow.SubmissionSending{K: 1})
	tell.event("simulate", 1, &workflow.SubmissionOutcome{K: 1, Class: workflow.Accepted, JobID: "7"})
	tell.event("simulate", 1, &workflow.JobObserved{JobID: "7", State: "PENDING", Reason: "Priority"})
	tell.event("simulate", 1, &workflow.AttemptWaiting{Reason: workflow.WaitJob, Topic: "job:7"})
	// A look at the queue that shows nothing new is no news.
	tell.event("simulate", 1, &workflow.AttemptWoken{Why: workflow.WakeTopic})
	tell.event("simulate", 1, &workflow.AttemptWaiting{Reason: workflow.WaitJob, Topic: "job:7"})
	tell.event("simulate", 1, &workflow.AttemptWoken{Why: workflow.WakeTopic})
	tell.event("simulate", 1, &workflow.JobObserved{JobID: "7", State: "NODE_FAIL", Terminal: true, ExitCode: &exit})
	tell.event("simulate", 1, &workflow.AttemptFinished{
		State: workflow.Failed, Cause: workflow.CauseNodeFail, Message: "a node\x1b[2J died\nsecond line",
		Retry: &workflow.Retry{At: tell.now.Add(10 * time.Second), Rule: 0},
	})
	tell.event("simulate", 1, &workflow.BackoffEnded{})
	tell.event("simulate", 2, &workflow.AttemptStarted{System: "daint"})
	tell.event("", 0, &workflow.CancelRequested{By: "ada@login1"})
	tell.event("simulate", 2, &workflow.AttemptFinished{State: workflow.Cancelled})
	show.close()
	want := `12:00:03  ▶ running     prepare
12:00:04  ✓ succeeded   prepare  1.0s
12:00:05  ▶ running     simulate
12:00:09  ▶ running     simulate  job 7 on daint PENDING (Priority)
12:00:15  … waiting     simulate  attempt 1 failed: node_fail: a node\x1b[2J died; next one at 12:00:24
12:00:17  ▶ running     simulate  attempt 2
12:00:18  ⊘ cancelled asked for by ada@login1
12:00:18  ⊘ cancelled   publish
12:00:19  ⊘ cancelled   simulate  2.0s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestProgressRegion(t *testing.T) {
	t.Parallel()
	show := newProgress(console.Plain(nil, new(bytes.Buffer), new(bytes.Buffer)).Err, false, shortID)
	defer show.close()
	tell := newTeller(t, show)
	tell.event("prepare", 1, &workflow.AttemptStarted{})
	show.passing(tell.run.ID, workflow.UnitRef{Step: "prepare"}, engine.Progress{Text: "sent", Done: 1 << 20, Total: 4 << 20})
	want := []string{"▶ prepare             1m30s  sent 1.0 MiB of 4.0 MiB", "story ESTABC  0 of 3 done · 1m31s"}
	if diff := cmp.Diff(want, region(show, tell.now.Add(90*time.Second))); diff != "" {
		t.Errorf("region (-want +got):\n%s", diff)
	}
	// At once, what is done is counted, and an instance that waits for a running
	// job is shown as running.
	tell.event("prepare", 1, &workflow.AttemptFinished{State: workflow.Succeeded})
	tell.event("simulate", 1, &workflow.AttemptStarted{System: "daint"})
	tell.event("simulate", 1, &workflow.JobObserved{JobID: "7", State: "RUNNING", Active: true})
	tell.event("simulate", 1, &workflow.AttemptWaiting{Reason: workflow.WaitJob})
	want = []string{"▶ simulate            1m02s  job 7 on daint RUNNING", "story ESTABC  1 of 3 done · 1m05s"}
	if diff := cmp.Diff(want, region(show, tell.now.Add(time.Minute))); diff != "" {
		t.Errorf("region with a job (-want +got):\n%s", diff)
	}
}

// TestProgressOwner: once it is known which job owns the token, it is the one
// that is shown, whatever was seen of another.
func TestProgressOwner(t *testing.T) {
	t.Parallel()
	show := newProgress(console.Plain(nil, new(bytes.Buffer), new(bytes.Buffer)).Err, false, shortID)
	defer show.close()
	tell := newTeller(t, show)
	tell.event("prepare", 1, &workflow.AttemptStarted{})
	tell.event("prepare", 1, &workflow.AttemptFinished{State: workflow.Succeeded})
	tell.event("simulate", 1, &workflow.AttemptStarted{System: "daint"})
	tell.event("simulate", 1, &workflow.SubmissionIntent{Token: "t"})
	tell.event("simulate", 1, &workflow.SubmissionLooked{Jobs: []string{"7", "8"}})
	check := func(want string) {
		t.Helper()
		tell.event("simulate", 1, &workflow.AttemptWaiting{Reason: workflow.WaitJob})
		if got := region(show, tell.now)[0]; !strings.HasSuffix(got, want) {
			t.Errorf("shown %q, want %q", got, want)
		}
		u, _ := tell.run.Unit(workflow.UnitRef{Step: "simulate"})
		if got := jobFact(&u.Describe().Attempts[0]); "job "+strings.ReplaceAll(got, ",", "") != want {
			t.Errorf("runs show says %q, want %q", got, want)
		}
		tell.event("simulate", 1, &workflow.AttemptWoken{})
	}
	tell.event("simulate", 1, &workflow.JobObserved{JobID: "7", State: "CANCELLED", Terminal: true})
	check("job 7 on daint CANCELLED")
	tell.event("simulate", 1, &workflow.SubmissionOwner{JobID: "8", Rule: workflow.RuleClaim})
	check("job 8 on daint")
	tell.event("simulate", 1, &workflow.JobObserved{JobID: "8", State: "PENDING"})
	check("job 8 on daint PENDING")
}

// region is what a terminal would show, without its styles.
func region(show *progress, now time.Time) []string {
	var got []string
	for _, line := range show.region(now) {
		var b strings.Builder
		for _, part := range line {
			b.WriteString(part.S)
		}
		got = append(got, b.String())
	}
	return got
}

// TestNeedsAttention: a run that waits for a person needs one, and so does a run
// that waits for nothing but such a run.
func TestNeedsAttention(t *testing.T) {
	t.Parallel()
	show := newProgress(console.Plain(nil, new(bytes.Buffer), new(bytes.Buffer)).Err, false, shortID)
	defer show.close()
	tell := newTeller(t, show)
	check := func(want bool) {
		t.Helper()
		a := attention{waits: map[workflow.RunID]standing{"tell": waits(tell.run), "parent": {children: []workflow.RunID{"tell"}}}}
		if got := a.needed("tell"); got != want || a.needed("parent") != want {
			t.Errorf("after event %d: needs attention %v, want %v", tell.run.Seq, got, want)
		}
	}
	check(false)
	tell.event("prepare", 1, &workflow.AttemptStarted{})
	check(false)
	tell.event("prepare", 1, &workflow.AttemptWaiting{Reason: workflow.WaitTimer, Until: tell.now.Add(time.Hour)})
	check(false)
	tell.event("prepare", 1, &workflow.AttemptWoken{Why: workflow.WakeDue})
	tell.event("prepare", 1, &workflow.AttemptWaiting{Reason: workflow.WaitAttention, Message: "did it run?"})
	check(true)
}

// TestNeedsAnAnswer: a question needs somebody until it is answered.
func TestNeedsAnAnswer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	show := newProgress(console.Plain(nil, &out, &out).Err, false, shortID)
	tell := newTeller(t, show)
	tell.run.Steps[0].Step.Uses = "approve"
	tell.event("prepare", 1, &workflow.AttemptStarted{})
	tell.event("prepare", 1, &workflow.AttemptWaiting{Reason: workflow.WaitApproval, Message: "Sure?"})
	if a := (attention{waits: map[workflow.RunID]standing{"": waits(tell.run)}}); !a.needed("") {
		t.Error("nobody is needed while it asks")
	}
	tell.event("prepare", 1, &workflow.ApprovalGiven{By: "ada"})
	if a := (attention{waits: map[workflow.RunID]standing{"": waits(tell.run)}}); a.needed("") {
		t.Error("somebody is needed after the answer")
	}
	show.close()
	if want := "waiting     prepare  \"Sure?\" wants an answer: fcflow approve ESTABC prepare\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("progress: %s", out.String())
	}
}
