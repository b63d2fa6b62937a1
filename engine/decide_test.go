package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fcflow/fcflow/workflow"
)

// world plays the part of an execution without goroutines, clock or store: it
// applies what decide says and makes up what attempts come to.
type world struct {
	t      *rapid.T
	run    *workflow.Run
	now    time.Time
	epoch  int64
	events []workflow.Event
	fired  []*workflow.Unit
}

func newWorld(t *rapid.T, w *workflow.Workflow) *world {
	world := &world{t: t, run: workflow.NewRun(w), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), epoch: 1}
	world.apply(nil, 0, &workflow.RunCreated{ID: "r", Nonce: "nonce"})
	return world
}

func (w *world) apply(u *workflow.Unit, attempt int, p workflow.Payload) {
	e := workflow.Event{Attempt: attempt, Data: p}
	if u != nil {
		e.Step, e.Instance = u.Step.Step.ID, u.Instance
	}
	w.append(e)
}

func (w *world) append(e workflow.Event) {
	e.Seq, e.At, e.Epoch = w.run.Seq+1, w.now, w.epoch
	if err := workflow.Apply(w.run, &e); err != nil {
		w.t.Fatalf("apply %s: %v\n%s", e.Data.Kind(), err, w.run.Workflow.Source)
	}
	w.events = append(w.events, e)
}

func (w *world) input(slots int) input {
	return input{now: w.now, slots: slots, jobs: func(string) int { return 1 << 20 }, fired: w.fired}
}

// carryOut applies commands; entering an attempt is only noted by its state.
func (w *world) carryOut(commands []command) {
	for _, c := range commands {
		if c.step != nil {
			w.append(workflow.Event{Step: c.step.Step.ID, Data: c.payload})
			continue
		}
		w.apply(c.unit, c.attempt, c.payload)
	}
	w.fired = slices.DeleteFunc(w.fired, func(u *workflow.Unit) bool { return u.State != workflow.Waiting })
}

// step makes something happen that a decision does not cause.
func (w *world) step() {
	var running, waiting []*workflow.Unit
	for _, s := range w.run.Steps {
		for _, u := range s.Units {
			switch u.State {
			case workflow.Running:
				running = append(running, u)
			case workflow.Waiting:
				waiting = append(waiting, u)
			}
		}
	}
	switch choice := rapid.IntRange(0, 21).Draw(w.t, "happens"); {
	case choice < 10 && len(running) > 0:
		w.conclude(rapid.SampledFrom(running).Draw(w.t, "unit"))
	case choice < 12 && len(waiting) > 0:
		w.fired = append(w.fired, rapid.SampledFrom(waiting).Draw(w.t, "fired"))
	case choice == 12 && w.run.CancelRequests < 2:
		w.apply(nil, 0, &workflow.CancelRequested{By: "test"})
	case choice == 13:
		w.reopen()
	case choice < 17 && len(running) > 0:
		w.submit(rapid.SampledFrom(running).Draw(w.t, "unit"))
	default:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(w.t, "seconds")) * time.Second)
	}
}

func (w *world) conclude(u *workflow.Unit) {
	outcomes := []Outcome{
		Success(map[string]int{"n": 1}), Success(map[string]int{"n": 2}), Success(nil),
		Failure(workflow.CauseAPI, "x"), Failure(workflow.ExitCause(3), "x"), Failure(workflow.CauseNodeFail, "x"),
		Suspend(Wait{Reason: workflow.WaitTimer, Until: w.now.Add(time.Minute)}),
		Suspend(Wait{Reason: workflow.WaitJob, Topic: "job"}),
		Suspend(Wait{Reason: workflow.WaitOutage, Until: w.now.Add(30 * time.Second)}),
		Suspend(Wait{Reason: workflow.WaitAttention}),
	}
	stopping := w.run.Cancelling(u.Step.Step) || u.Attempt().Expired != ""
	if stopping {
		outcomes = append(outcomes, Ended("gone"), Ended("gone"))
	}
	out := rapid.SampledFrom(outcomes).Draw(w.t, "outcome")
	p, _ := conclude(w.run, u, stopping, out, withOf(u), w.now)
	w.apply(u, len(u.Attempts), p)
}

// submit lets an attempt of a job submit it, and see it then.
func (w *world) submit(u *workflow.Unit) {
	if !u.Step.Step.Spec().Job {
		return
	}
	if s := u.Attempt().Submission; s == nil {
		w.apply(u, len(u.Attempts), &workflow.SubmissionIntent{})
		w.apply(u, len(u.Attempts), &workflow.SubmissionSending{K: 1})
		w.apply(u, len(u.Attempts), &workflow.SubmissionOutcome{K: 1, Class: workflow.Accepted, JobID: "7"})
		w.apply(u, len(u.Attempts), &workflow.SubmissionOwner{JobID: "7", Rule: workflow.RuleClaim})
		return
	}
	w.apply(u, len(u.Attempts), &workflow.JobObserved{JobID: "7", Active: rapid.Bool().Draw(w.t, "active")})
}

func (w *world) reopen() {
	w.epoch++
	w.fired = nil
	w.apply(nil, 0, &workflow.RunOpened{})
	for _, s := range w.run.Steps {
		for _, u := range s.Units {
			if with := withOf(u); u.State == workflow.Running && !continues(u.Step.Step.Spec(), with) {
				p, _ := conclude(w.run, u, false, Failure(workflow.CauseInterrupted, "x"), with, w.now)
				w.apply(u, len(u.Attempts), p)
			}
		}
	}
}

// withOf is what the newest attempt was given; nil before the first.
func withOf(u *workflow.Unit) json.RawMessage {
	if a := u.Attempt(); a != nil {
		return a.With.JSON
	}
	return nil
}

// printed is a command as text, to compare sets of them.
func printed(run *workflow.Run, commands []command) []string {
	lines := []string{}
	fast := failsFast(commands)
	for _, c := range commands {
		switch c.payload.(type) {
		case *workflow.UnitReady, *workflow.UnitSkipped, *workflow.UnitFailed, *workflow.AttemptStarted:
			if fast[c.unit.Step] {
				lines = append(lines, "fail_fast "+c.unit.Step.Step.ID)
				continue
			}
		}
		line := string(c.payload.Kind())
		if c.unit != nil {
			line += " " + c.unit.Ref().String()
		}
		if c.step != nil {
			line += " " + c.step.Step.ID
		}
		switch p := c.payload.(type) {
		case *workflow.AttemptWoken:
			line += " " + string(p.Why)
		case *workflow.AttemptExpired:
			line += " " + string(p.Cause)
		case *workflow.UnitSkipped:
			line += " " + string(p.Cause)
			if oneRoot(run, c.unit) {
				line += fmt.Sprintf(" %v", p.Root)
			}
		case *workflow.UnitFailed:
			line += " " + string(p.Cause)
		case *workflow.RunFinished:
			line += " " + string(p.State)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// failsFast are the steps of which a unit is decided to be bad that ends the
// others: which of them is found first does not matter.
func failsFast(commands []command) map[*workflow.StepRun]bool {
	steps := map[*workflow.StepRun]bool{}
	for _, c := range commands {
		skip, _ := c.payload.(*workflow.UnitSkipped)
		_, fail := c.payload.(*workflow.UnitFailed)
		if (fail || skip != nil && skip.Cause != workflow.CauseConditionFalse) && c.unit.Step.Step.FailFast {
			steps[c.unit.Step] = true
		}
	}
	return steps
}

// oneRoot reports whether a unit waits for single units only. Of many bad
// instances the first in time is the root, which a look at states cannot tell.
func oneRoot(run *workflow.Run, u *workflow.Unit) bool {
	return !slices.ContainsFunc(u.Step.Step.Barriers, func(b int) bool { return len(run.Steps[b].Units) > 1 })
}

// TestDecideEqualsFullScan: on random histories, what decide reads from queues
// and counters is what a look at every unit and every event finds; and with few
// slots it uses exactly those.
func TestDecideEqualsFullScan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lib := newScripted()
		w := newWorld(t, drawWorkflow(t, lib, shape{most: 9, uses: lib.Names(), scripts: []string{"ok"}, timeout: true, fanOut: true, fast: true}))
		for range rapid.IntRange(5, 60).Draw(t, "length") {
			for {
				commands := decide(w.run, w.input(1000))
				if diff := cmp.Diff(scan(w), printed(w.run, commands)); diff != "" {
					t.Fatalf("full scan (-) against decide (+):\n%s\n%s", diff, w.run.Workflow.Source)
				}
				checkFewSlots(t, w, commands)
				if len(commands) == 0 {
					break
				}
				w.carryOut(commands)
			}
			checkAttempts(t, w.run)
			if w.run.State.Terminal() {
				return
			}
			w.step()
		}
	})
}

// checkAttempts: no unit has more attempts than max_attempts and its rules allow.
func checkAttempts(t *rapid.T, run *workflow.Run) {
	for _, s := range run.Steps {
		for _, u := range s.Units {
			if n := len(u.Attempts); n > s.Step.MaxAttempts {
				t.Fatalf("%d attempts of %s, max_attempts is %d", n, u.Ref(), s.Step.MaxAttempts)
			}
			for i, rule := range s.Step.Retry {
				if n := used(u, i); n > rule.Max {
					t.Fatalf("rule %d of %s was used %d times, max is %d", i, u.Ref(), n, rule.Max)
				}
			}
		}
	}
}

// checkFewSlots: with k slots, the attempts entered are k of those entered with
// many, or all; everything else is decided as before.
func checkFewSlots(t *rapid.T, w *world, all []command) {
	k := rapid.IntRange(0, 2).Draw(t, "slots")
	few := decide(w.run, w.input(k))
	entered := func(commands []command) (enter, other []string) {
		for _, c := range commands {
			line := printed(w.run, []command{c})[0]
			if c.enter != "" {
				enter = append(enter, line)
			} else {
				other = append(other, line)
			}
		}
		return enter, other
	}
	enterAll, _ := entered(all)
	enterFew, _ := entered(few)
	if len(enterFew) != min(k, len(enterAll)) {
		t.Fatalf("%d slots: entered %v of %v", k, enterFew, enterAll)
	}
}
