package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// scriptInput is what the scripted step types take.
type scriptInput struct {
	// Do says what each attempt does; the last entry repeats. An entry is a list
	// of words: "ok", "fail CAUSE", "panic", "block" (until the attempt is told to
	// stop), "busy DURATION" (that long in a slot), "lasting DURATION" (remote work
	// that, told to stop, ends after that time in a slot), each after any number of "wait DURATION" (a timer), "job DURATION"
	// (remote work that ends after that time), "queue DURATION" (a submitted job
	// that runs after that time) or "attention DURATION" (remote work that cannot
	// be ended before).
	Do []string `json:"do"`
	// N plus the sum of From is the output n.
	N    int   `json:"n"`
	From []int `json:"from"`
	// System is for types that need one, Resources for jobs.
	System    string `json:"system"`
	Resources any    `json:"resources"`
}

// scriptEntry is one call of a scripted step.
type scriptEntry struct {
	Unit    workflow.UnitRef
	Attempt int
	Reason  workflow.WakeReason
}

// scripted has step types that follow a script, which the workflow holds: act
// (idempotent), once (neither idempotent nor resumable) and fenced (a job). It
// notes every entry.
type scripted struct {
	steps map[string]*Step

	mu      sync.Mutex
	entries []scriptEntry
}

func newScripted() *scripted {
	l := &scripted{steps: map[string]*Step{}}
	for _, spec := range []workflow.StepSpec{
		{Name: "act", Idempotent: true},
		{Name: "once"},
		{Name: "fenced", Fenced: true, Job: true},
	} {
		spec.Group, spec.Summary, spec.Version = "test", "follows a script", 1
		spec.Inputs = []workflow.Field{
			{Name: "do", Type: listOf(workflow.String), Default: json.RawMessage(`["ok"]`), Doc: "what each attempt does"},
			{Name: "n", Type: workflow.Type{Kind: workflow.Int}, Default: json.RawMessage(`1`), Doc: "added to from"},
			{Name: "from", Type: listOf(workflow.Int), Default: json.RawMessage(`[]`), Doc: "summed up"},
		}
		if spec.Job {
			spec.Inputs = append(spec.Inputs, workflow.Field{Name: "resources", Type: resourceType})
		}
		spec.Outputs = []workflow.Field{{Name: "n", Type: workflow.Type{Kind: workflow.Int}, Required: true, Doc: "n plus the sum of from"}}
		spec.Causes = []workflow.Cause{
			workflow.CauseExit, workflow.CauseAPI, workflow.CauseTransfer, workflow.CauseNodeFail,
			workflow.CauseWalltime, workflow.CauseQueueTimeout,
		}
		spec.Example = "- id: x\n  uses: " + spec.Name + "\n"
		spec.Decode = decode
		l.steps[spec.Name] = &Step{StepSpec: spec, Run: l.run}
	}
	return l
}

var resourceType = workflow.Type{Kind: workflow.Object, Fields: []workflow.Field{
	{Name: "time", Type: workflow.Type{Kind: workflow.Duration}},
	{Name: "nodes", Type: workflow.Type{Kind: workflow.Int}},
	{Name: "memory", Type: workflow.Type{Kind: workflow.Size}},
}}

func listOf(k workflow.Kind) workflow.Type {
	return workflow.Type{Kind: workflow.List, Elem: &workflow.Type{Kind: k}}
}

func decode(text json.RawMessage) (any, error) {
	in := &scriptInput{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return in, d.Decode(in)
}

// Lookup finds a step type to execute.
func (l *scripted) Lookup(uses string) (*Step, bool) {
	s, ok := l.steps[uses]
	return s, ok
}

// Step finds the specification of a step type.
func (l *scripted) Step(uses string) (workflow.StepSpec, bool) {
	s, ok := l.steps[uses]
	if !ok {
		return workflow.StepSpec{}, false
	}
	return s.StepSpec, true
}

// Names lists the step types.
func (l *scripted) Names() []string { return []string{"act", "fenced", "once"} }

// Entries returns the calls so far.
func (l *scripted) Entries() []scriptEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func (l *scripted) run(ctx context.Context, inv *Invocation, with any) Outcome {
	l.mu.Lock()
	l.entries = append(l.entries, scriptEntry{Unit: inv.Unit, Attempt: inv.Attempt, Reason: inv.Reason})
	l.mu.Unlock()
	in := with.(*scriptInput)
	words := strings.Fields(in.Do[min(inv.Attempt, len(in.Do))-1])
	return play(ctx, inv, in, words)
}

// play follows the script of one attempt. How far it is follows from the time
// since the attempt started, so that a restart changes nothing.
func play(ctx context.Context, inv *Invocation, in *scriptInput, words []string) Outcome {
	at := inv.StartedAt
	for len(words) > 1 && slices.Contains([]string{"wait", "job", "queue", "attention"}, words[0]) {
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return Failure(workflow.CausePanic, err.Error())
		}
		at = at.Add(d)
		if err := queue(ctx, inv, words[0], time.Now().Before(at)); err != nil {
			return Failure(workflow.CauseAPI, err.Error())
		}
		if time.Now().Before(at) {
			reason := map[string]workflow.WaitReason{
				"wait": workflow.WaitTimer, "job": workflow.WaitJob, "queue": workflow.WaitJob, "attention": workflow.WaitAttention,
			}[words[0]]
			if inv.Stopping() && reason != workflow.WaitAttention {
				return Ended("told to stop")
			}
			return Suspend(Wait{Reason: reason, Until: at})
		}
		words = words[2:]
	}
	switch words[0] {
	case "ok":
		n := in.N
		for _, m := range in.From {
			n += m
		}
		return Success(map[string]int{"n": n})
	case "fail":
		return Failure(workflow.Cause(words[1]), "as the script says")
	case "panic":
		panic("as the script says")
	case "busy":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return Failure(workflow.CausePanic, err.Error())
		}
		select {
		case <-time.After(d):
			return Success(map[string]int{"n": in.N})
		case <-ctx.Done():
			return Ended(fmt.Sprint(context.Cause(ctx)))
		}
	case "lasting": // remote work whose end takes that long
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return Failure(workflow.CausePanic, err.Error())
		}
		if !inv.Stopping() {
			return Suspend(Wait{Reason: workflow.WaitJob})
		}
		select {
		case <-time.After(d):
			return Ended("told to stop")
		case <-ctx.Done():
			return Suspend(Wait{Reason: workflow.WaitJob})
		}
	case "block":
		<-ctx.Done()
		return Ended(fmt.Sprint(context.Cause(ctx)))
	}
	return Failure(workflow.CausePanic, fmt.Sprintf("unknown word %q", words[0]))
}

// queue records what a job that is submitted, and waits or runs, leaves behind.
func queue(ctx context.Context, inv *Invocation, word string, waits bool) error {
	if word != "queue" {
		return nil
	}
	if inv.Submission() == nil {
		if err := inv.Intend(ctx, workflow.SubmissionIntent{}, nil); err != nil {
			return err
		}
	}
	switch s := inv.Submission(); {
	case s.InFlight(): // it is found again
		if err := inv.Note(ctx, &workflow.SubmissionLooked{Jobs: []string{"1"}}); err != nil {
			return err
		}
	case s.JobID == "":
		k, err := inv.Sending(ctx)
		if err != nil {
			return err
		}
		if err := inv.Note(ctx, &workflow.SubmissionOutcome{K: k, Class: workflow.Accepted, JobID: "1"}); err != nil {
			return err
		}
	}
	if inv.Submission().Owner == nil {
		if err := inv.Note(ctx, &workflow.SubmissionOwner{JobID: "1", Rule: workflow.RuleClaim}); err != nil {
			return err
		}
	}
	if waits {
		return inv.Observed(ctx, workflow.JobObserved{JobID: "1", State: "PENDING"})
	}
	return inv.Observed(ctx, workflow.JobObserved{JobID: "1", State: "RUNNING", Active: true})
}
