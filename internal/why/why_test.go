package why

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/steps"
	"github.com/fcflow/fcflow/workflow"
)

const flow = `version: 1
name: flow
steps:
  - id: first
    uses: run
    with: { script: "true" }
  - id: simulate
    needs: [first]
    uses: job
    with: { system: daint, resources: { time: 1h }, script: "#!/bin/sh\ntrue\n" }
    retry:
      - { cause: [walltime, node_fail], max: 3, grow: { time: x2 } }
  - id: after
    needs: [simulate]
    uses: run
    with: { script: "true" }
`

// story is a run that events are appended to.
type story struct {
	t       *testing.T
	run     *workflow.Run
	at      time.Time
	ref     workflow.UnitRef
	attempt int
	witness *Witness
	index   Index
}

// tell begins a story of a step, up to where the step may start.
func tell(t *testing.T, step string) *story {
	t.Helper()
	s := created(t, step)
	s.add("", 0, &workflow.RunStarted{})
	return s
}

// created is a story of a step in a run that has not started.
func created(t *testing.T, step string) *story {
	t.Helper()
	w, problems := workflow.Load("flow.yaml", []byte(flow), steps.Catalogue(), workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &story{t: t, run: workflow.NewRun(w), at: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), ref: workflow.UnitRef{Step: step}}
	s.witness = NewWitness(s.ref)
	s.add("", 0, &workflow.RunCreated{ID: "R"})
	return s
}

// add appends an event, a second after the one before.
func (s *story) add(step string, attempt int, p workflow.Payload) {
	s.t.Helper()
	s.at = s.at.Add(time.Second)
	e := workflow.Event{Seq: s.run.Seq + 1, At: s.at, Epoch: s.run.Epoch, Step: step, Attempt: attempt, Data: p}
	if opened, ok := p.(*workflow.RunOpened); ok {
		e.Epoch = opened.Owner.Epoch
	}
	if err := workflow.Apply(s.run, &e); err != nil {
		s.t.Fatal(err)
	}
	s.witness.Note(e)
	s.witness.Note(e) // as when a history is read twice
	s.index.Note(&e)
	s.index.Note(&e)
}

// goes appends what happens to the step.
func (s *story) goes(payloads ...workflow.Payload) *story {
	s.t.Helper()
	for _, p := range payloads {
		if _, ok := p.(*workflow.AttemptStarted); ok {
			s.attempt++
		}
		s.add(s.ref.Step, s.attempt, p)
	}
	return s
}

// first is the step before, done.
func (s *story) first(state workflow.State) *story {
	s.t.Helper()
	s.add("first", 1, &workflow.AttemptStarted{})
	s.add("first", 1, &workflow.AttemptFinished{State: state, Cause: map[workflow.State]workflow.Cause{workflow.Failed: "exit(1)"}[state]})
	return s
}

func (s *story) chain() Chain {
	s.t.Helper()
	u, ok := s.run.Unit(s.ref)
	if !ok {
		s.t.Fatalf("no %s", s.ref)
	}
	var kept []int64
	for _, e := range s.witness.events {
		kept = append(kept, e.Seq)
	}
	if diff := cmp.Diff(kept, s.index.Of(s.ref)); diff != "" {
		s.t.Errorf("events of the index (-of the witness +index):\n%s", diff)
	}
	return s.witness.Explain(s.run, u)
}

// facts are the facts of the chain, a line each.
func (c *Chain) facts() []string {
	var lines []string
	add := func(facts []Fact) {
		for _, f := range facts {
			for _, call := range f.Calls {
				lines = append(lines, "  "+call.Operation)
			}
			line := f.Text
			if f.Means != "" {
				line += " → " + f.Means
			}
			if f.Rule != "" {
				line += fmt.Sprintf(" [%s]", f.Rule)
			}
			lines = append(lines, line)
		}
	}
	add(c.Facts)
	for _, a := range c.Attempts {
		lines = append(lines, fmt.Sprintf("-- attempt %d, job %s", a.Attempt, a.JobID))
		add(a.Facts)
	}
	return lines
}

func (s *story) want(lines ...string) *story {
	s.t.Helper()
	c := s.chain()
	if diff := cmp.Diff(lines, c.facts()); diff != "" {
		s.t.Errorf("facts (-want +got):\n%s", diff)
	}
	return s
}

func call(operation, request string) workflow.CallFact {
	return workflow.CallFact{Operation: operation, Status: 200, RequestID: request}
}

var intent = workflow.SubmissionIntent{
	Token: "ftoken", JobName: "ftoken-simulate", System: "daint", Control: "/s/.fcflow/000", Fence: workflow.FenceClaim, Script: "8f3a00112233",
}

// TestLostAnswer is the whole story of a submission whose answer is lost, and
// whose job does not exist.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	zero := 0
	outage := func(text string) *workflow.AttemptWaiting {
		return &workflow.AttemptWaiting{Reason: workflow.WaitOutage, Message: text}
	}
	woken := &workflow.AttemptWoken{Why: workflow.WakeTopic}
	list, ls := call("GET /compute/daint/jobs", "r1"), call("GET /filesystem/daint/ops/ls", "r2")
	tell(t, "simulate").first(workflow.Succeeded).goes(
		&workflow.AttemptStarted{System: "daint"}, &intent, &workflow.SubmissionSending{K: 1},
		&workflow.SubmissionOutcome{K: 1, Class: workflow.Ambiguous, Message: "submit: outcome unknown: POST: 408", RequestID: "r0"},
		&workflow.SubmissionLooked{Vote: true, Witness: true, Calls: []workflow.CallFact{list, ls}}, outage("looked once"), woken,
		&workflow.SubmissionLooked{Vote: true, Calls: []workflow.CallFact{ls}}, outage("looked twice"), woken,
		outage("it cannot be looked for now: 503"), woken,
		&workflow.SubmissionLooked{Vote: true, Witness: true},
		&workflow.SubmissionAbsent{K: 1, Votes: 3}, &workflow.SubmissionSending{K: 2},
		&workflow.SubmissionOutcome{K: 2, Class: workflow.Accepted, JobID: "12"},
		&workflow.AttemptWaiting{Reason: workflow.WaitJob, Message: "job 12 is submitted"}, woken,
		&workflow.JobObserved{JobID: "12", State: "PENDING", Reason: "Priority"}, &workflow.AttemptWaiting{Reason: workflow.WaitJob, Message: "job 12 is PENDING"}, woken,
		&workflow.JobObserved{JobID: "12", State: "COMPLETED", Terminal: true, ExitCode: &zero},
		&workflow.SubmissionOwner{JobID: "12", Rule: workflow.RuleClaim, Evidence: "ftoken is claimed by job 12"},
		&workflow.AttemptFinished{State: workflow.Succeeded, Evidence: "exit marker 0", Rule: workflow.RuleMarker},
	).want(
		"-- attempt 1, job 12",
		"the attempt began",
		"will submit job ftoken-simulate to daint (script 8f3a0011, its claim in /s/.fcflow/000)",
		"request 1 is about to be sent",
		"request 1: no usable answer: POST: 408 (request r0) → nobody knows whether there is a job",
		"  GET /compute/daint/jobs",
		"  GET /filesystem/daint/ops/ls",
		"looked, and found no job with the token → counts towards its absence, 1 so far",
		"looked at the job list that is read for all steps, and found no job with the token → counts towards its absence, 2 so far (without a witness)",
		"waits for an outage to end: it cannot be looked for now: 503",
		"looked at the job list that is read for all steps, and found no job with the token → counts towards its absence, 3 so far",
		"verdict: looked for 3 times over 11s, and found nowhere → another request with the same token may be sent; if there is a job after all, only one of the two can run the payload [absent]",
		"request 2 is about to be sent",
		"request 2: accepted as job 12 [answer]",
		"job 12 is PENDING (Priority)",
		"job 12 is COMPLETED, exit code 0",
		"job 12 owns the token: ftoken is claimed by job 12 [claim]",
		"ended succeeded; evidence: exit marker 0 [marker]",
	)
}

// TestRetries: what failed, by which rule there is another attempt, and with
// what.
func TestRetries(t *testing.T) {
	t.Parallel()
	owned := &workflow.SubmissionOwner{Rule: workflow.RuleTombstone, Evidence: "fenced off"}
	s := tell(t, "simulate").first(workflow.Succeeded).goes(
		&workflow.AttemptStarted{System: "daint", Deadline: time.Date(2026, 3, 2, 12, 0, 0, 0, time.Local)},
		&workflow.AttemptExpired{Cause: workflow.CauseQueueTimeout},
		&workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseWalltime, Message: "job 7 ended TIMEOUT", Rule: workflow.RuleState, Retry: &workflow.Retry{
			At: time.Date(2026, 3, 2, 10, 6, 0, 0, time.Local), Grow: map[string]json.RawMessage{"time": json.RawMessage(`"2h0m0s"`)},
		}},
		&workflow.BackoffEnded{}, &workflow.AttemptStarted{System: "daint"},
		&workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseAPI, Retry: &workflow.Retry{At: time.Date(2026, 3, 2, 10, 7, 0, 0, time.Local), Rule: -1}},
		&workflow.BackoffEnded{}, &workflow.AttemptStarted{System: "daint"}, &intent, &workflow.SubmissionSending{K: 1},
		&workflow.SubmissionOutcome{K: 1, Class: workflow.Rejected, Message: "403 forbidden", RequestID: "r9"},
		&workflow.SubmissionSending{K: 2}, &workflow.SubmissionOutcome{K: 2, Class: workflow.NotSent, Message: "429"},
		&workflow.SubmissionSending{K: 3}, &workflow.SubmissionOutcome{K: 3, Class: workflow.Ambiguous, Message: "EOF"},
		&workflow.SubmissionResolved{As: workflow.ResolvedNeverRan, By: "ada"}, owned,
		&workflow.AttemptFinished{State: workflow.Failed, Cause: workflow.CauseLost, Rule: workflow.RulePerson, Retry: &workflow.Retry{At: time.Date(2026, 3, 2, 10, 8, 0, 0, time.Local), Rule: -1}},
	)
	s.want(
		"-- attempt 1, job ",
		"the attempt began, with time until 2026-03-02 12:00:00",
		"the job waited in the queue for as long as queue_timeout allows → what is under way is ended; evidence that it succeeded in time still counts",
		"ended failed: walltime: job 7 ended TIMEOUT → the next attempt is made at 2026-03-02 10:06:00, by retry rule 1 (walltime, node_fail, at most 3 times), with time 2h0m0s [state]",
		"-- attempt 2, job ",
		"the attempt began",
		"ended failed: api → the next attempt is made at 2026-03-02 10:07:00, by the step type's own rule",
		"-- attempt 3, job ",
		"the attempt began",
		"will submit job ftoken-simulate to daint (script 8f3a0011, its claim in /s/.fcflow/000)",
		"request 1 is about to be sent",
		"request 1: refused: 403 forbidden (request r9) → there is no job of it [answer]",
		"request 2 is about to be sent",
		"request 2 was not carried out: 429 → there is no job of it [answer]",
		"request 3 is about to be sent",
		"request 3: no usable answer: EOF → nobody knows whether there is a job",
		"ada said: no job of it ever ran [person]",
		"no job of this attempt can run any more: fenced off [tombstone]",
		"ended failed: lost → the next attempt is made at 2026-03-02 10:08:00, because a person said so [person]",
	)
	if w := s.chain().Waiting; w == nil || w.Reason != workflow.WaitBackoff || w.Text != "for the next attempt" || w.Unknown {
		t.Errorf("waits for %+v", w)
	}
}

// TestOwnersAndCancels: what happened to the run shows where it bears on the
// attempt, and nowhere else.
func TestOwnersAndCancels(t *testing.T) {
	t.Parallel()
	s := tell(t, "simulate").first(workflow.Succeeded)
	s.add("", 0, &workflow.RunOpened{Owner: workflow.Owner{Host: "a", PID: 1, Epoch: 1}})
	s.goes(&workflow.AttemptStarted{System: "daint"}, &workflow.AttemptWaiting{Reason: workflow.WaitJob, Message: "job 12 is submitted"})
	s.add("", 0, &workflow.RunOpened{Owner: workflow.Owner{Host: "b", PID: 2, Epoch: 2}})
	s.goes(&workflow.AttemptWoken{Why: workflow.WakeReopened}, &workflow.AttemptWaiting{Reason: workflow.WaitJob, Message: "job 12 is submitted"})
	s.add("", 0, &workflow.CancelRequested{By: "ada"})
	s.goes(&workflow.AttemptWoken{Why: workflow.WakeCancelled}, &workflow.Checkpoint{Key: "cancel"}, &workflow.Checkpoint{Key: "etag"},
		&workflow.AttemptFinished{State: workflow.Cancelled, Evidence: "job 12: CANCELLED"})
	s.add("", 0, &workflow.CancelRequested{By: "ada, again"})
	s.want(
		"-- attempt 1, job ",
		"the attempt began",
		"waits for a job to end: job 12 is submitted",
		"process 2 on b took the run over (epoch 2)",
		"looks for what went on meanwhile",
		"ada asked for the end of the run",
		"told to end what it began",
		"the scheduler is about to be asked to cancel the job",
		"ended cancelled; evidence: job 12: CANCELLED",
	)
	if w := s.chain().Waiting; w != nil {
		t.Errorf("it is over, and waits for %+v", w)
	}
}

// TestDoneAgain: a reset shows where it bears on the instance, and what follows
// it is told.
func TestDoneAgain(t *testing.T) {
	t.Parallel()
	s := tell(t, "simulate").first(workflow.Succeeded)
	s.goes(&workflow.AttemptStarted{System: "daint"}, &workflow.AttemptFinished{State: workflow.Failed, Cause: "exit(3)"})
	before := s.chain()
	again := &workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "simulate"}}, By: "ada"}
	s.add("", 0, again)
	lines := []string{
		"-- attempt 1, job ",
		"the attempt began",
		"ended failed: exit(3)",
		"ada asked for things to be done again, and this is one of them → its attempts are kept, and the rules of retries count anew",
	}
	s.want(lines...)
	s.goes(&workflow.AttemptStarted{System: "daint"}, &workflow.AttemptFinished{State: workflow.Succeeded})
	lines = append(lines, "-- attempt 2, job ", "the attempt began", "ended succeeded")
	s.want(lines...)
	s.add("", 0, &workflow.UnitsReset{Units: []workflow.UnitRef{{Step: "after"}}, By: "ada"})
	s.want(lines...) // which is none of its matter
	if diff := cmp.Diff(lines[:3], before.facts()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
}

// TestImported: an instance that was done in another run leads there, until it is
// done again in this one.
func TestImported(t *testing.T) {
	t.Parallel()
	s := created(t, "simulate")
	s.add("first", 0, &workflow.UnitImported{Run: "OLD", State: workflow.Succeeded})
	s.add("simulate", 0, &workflow.UnitImported{Run: "OLD", State: workflow.Skipped, Cause: workflow.CauseConditionFalse, Message: "m"})
	s.add("", 0, &workflow.RunStarted{})
	line := "imported from run OLD: skipped: condition_false: m → it was not done in this run; that one says how it went"
	if c := s.want(line).chain(); c.Imported != "OLD" || c.Waiting != nil {
		t.Errorf("imported of %q, and waits for %+v", c.Imported, c.Waiting)
	}
	s.add("", 0, &workflow.UnitsReset{Units: []workflow.UnitRef{s.ref}, Force: true, By: "ada"})
	s.goes(&workflow.AttemptStarted{System: "daint"})
	c := s.want(line,
		"ada asked for things to be done again, and this is one of them → its attempts are kept, and the rules of retries count anew",
		"-- attempt 1, job ", "the attempt began").chain()
	if c.Imported != "" {
		t.Errorf("done again, it is still imported of %s", c.Imported)
	}
}

// TestNoAttempt: of a step that never began, why not.
func TestNoAttempt(t *testing.T) {
	t.Parallel()
	s := tell(t, "after")
	if w := s.chain().Waiting; w.Text != "for simulate (pending)" || w.Unknown {
		t.Errorf("pending: %+v", w)
	}
	s.first(workflow.Failed)
	s.add("simulate", 0, &workflow.UnitSkipped{Cause: workflow.CauseUpstreamFailed, Root: &workflow.UnitRef{Step: "first"}})
	s.goes(&workflow.UnitSkipped{Cause: workflow.CauseUpstreamFailed, Root: &workflow.UnitRef{Step: "first"}})
	s.want("skipped: something that it depends on did not go well → the trouble began with first")
	if c := s.chain(); c.Root == nil || c.Root.Step != "first" || c.Waiting != nil {
		t.Errorf("root %v, waiting %v", c.Root, c.Waiting)
	}

	s = tell(t, "simulate").first(workflow.Succeeded)
	if w := s.chain().Waiting; !strings.Contains(w.Text, "free place") {
		t.Errorf("ready: %+v", w)
	}
	s.goes(&workflow.UnitFailed{Cause: workflow.CauseExpression, Message: "x is missing"})
	s.want("failed before anything was tried: expression: x is missing")
}

// TestWaitsForAPerson: since when, for what, and that a person may speak.
func TestWaitsForAPerson(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)
	attention := &workflow.AttemptWaiting{Reason: workflow.WaitAttention, Message: "say so", Until: until}
	off := intent
	off.Fence = workflow.FenceOff
	s := tell(t, "simulate").first(workflow.Succeeded).goes(&workflow.AttemptStarted{System: "daint"})
	if w := s.chain().Waiting; w.Text != "for nothing: the attempt is executed" || w.Unknown {
		t.Errorf("running: %+v", w)
	}
	s.goes(
		&off, &workflow.SubmissionSending{K: 1}, &workflow.SubmissionOutcome{K: 1, Class: workflow.Ambiguous, Message: "EOF"},
		&workflow.AttemptWaiting{Reason: workflow.WaitOutage, Message: "looking"}, &workflow.AttemptWoken{Why: workflow.WakeTopic},
	)
	if w := s.chain().Waiting; w.Text != "for nothing: its job is being looked for" || !w.Unknown {
		t.Errorf("running, and nobody knows: %+v", w)
	}
	s.goes(attention)
	since := s.at
	s.goes(&workflow.AttemptWoken{Why: workflow.WakeTopic}, attention)
	w := s.chain().Waiting
	if diff := cmp.Diff(&Waiting{Reason: workflow.WaitAttention, Since: since, Until: until, Text: "say so", Unknown: true}, w); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	s.goes(&workflow.SubmissionResolved{As: workflow.ResolvedJob, JobID: "12", By: "ada"}, &workflow.AttemptWoken{Why: workflow.WakeResolved},
		&workflow.AttemptWaiting{Reason: workflow.WaitJob, Message: "job 12 is submitted"})
	if w := s.chain().Waiting; w.Unknown || w.Reason != workflow.WaitJob {
		t.Errorf("a person named the job, and it waits for %+v", w)
	}
}

// TestEveryFactIsTold: no kind of event that bears on a step is passed over by
// mistake.
func TestEveryFactIsTold(t *testing.T) {
	t.Parallel()
	silent := map[workflow.EventKind]bool{
		"run.created": true, "run.files": true, "run.started": true, "run.bound": true, "run.finished": true, "run.reopened": true, "run.definition": true, "step.items": true, "step.expanded": true, // of the run, not of a step
		"backoff.ended": true, "attempt.woken": true, "attempt.checkpoint": true, // follow from what was told
	}
	w, problems := workflow.Load("flow.yaml", []byte(flow), steps.Catalogue(), workflow.CheckOptions{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	source, err := os.ReadFile("../../workflow/payload.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`"([a-z_]+\.[a-z_]+)": +func\(\) Payload`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 20 {
		t.Fatalf("only %d kinds of events are found", len(kinds))
	}
	for _, kind := range kinds {
		var e workflow.Event
		if err := json.Unmarshal(fmt.Appendf(nil, `{"seq":1,"kind":%q,"v":1,"data":{"reason":"timer"}}`, kind[1]), &e); err != nil {
			t.Fatal(err)
		}
		f := Fact{}
		teller := teller{step: w.AllSteps()[1], underWay: true}
		teller.tell(&f, e.Data)
		if told := f.Text != ""; told == silent[e.Data.Kind()] {
			t.Errorf("%s is told as %q", kind[1], f.Text)
		}
	}
}
