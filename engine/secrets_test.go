package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// secretJob adds a step type "keyed": a job of half an hour that is given a secret,
// and whose owner is known at its end only.
func secretJob(lib *scripted) {
	lib.steps["keyed"] = &Step{
		StepSpec: workflow.StepSpec{
			Name: "keyed", Fenced: true, Job: true,
			Inputs: []workflow.Field{{Name: "key", Type: workflow.Type{Kind: workflow.String}, Secret: true}},
			Decode: func(json.RawMessage) (any, error) { return nil, nil },
		},
		Run: func(ctx context.Context, inv *Invocation, _ any) Outcome {
			if inv.Submission() == nil {
				err := inv.Intend(ctx, workflow.SubmissionIntent{Fence: workflow.FenceClaim}, nil)
				if err == nil {
					_, err = inv.Sending(ctx)
				}
				if err == nil {
					err = inv.Note(ctx, &workflow.SubmissionOutcome{K: 1, Class: workflow.Accepted, JobID: "7"})
				}
				if err != nil {
					return Failure(workflow.CauseAPI, err.Error())
				}
			}
			ends := inv.StartedAt.Add(30 * time.Minute)
			if !inv.Stopping() && time.Now().Before(ends) {
				return Suspend(Wait{Reason: workflow.WaitJob, Until: time.Now().Add(time.Minute)})
			}
			if err := inv.Note(ctx, &workflow.SubmissionOwner{JobID: "7", Rule: workflow.RuleClaim}); err != nil {
				return Failure(workflow.CauseAPI, err.Error())
			}
			if inv.Stopping() {
				return Ended("the job was cancelled")
			}
			return Success(nil)
		},
	}
}

// TestSecretGoneForAWhile: a secret that cannot be read when an attempt is entered
// again does not end the attempt, under which a job may run: it waits, visibly, and
// goes on with the job once the secret is there.
func TestSecretGoneForAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, uses string
		cancel     time.Duration // when the run is cancelled
		units      string
		least      time.Duration // that it takes
		most       time.Duration
	}{
		{"job", "keyed", 0, "a=succeeded", 30 * time.Minute, 31 * time.Minute},
		{"cancelled job", "keyed", 10 * time.Minute, "a=cancelled", 20 * time.Minute, 26 * time.Minute},
		{"nothing under way", "text", 10 * time.Minute, "a=cancelled", 10 * time.Minute, 11 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			secretJob(lib)
			withText(lib, func(context.Context, *Invocation) Outcome {
				return Suspend(Wait{Reason: workflow.WaitTimer, Until: time.Now().Add(time.Minute)})
			})
			w := load(t, lib, `
				secrets: [KEY]
				steps:
				  - { id: a, uses: `+c.uses+`, with: { key: "${{ secrets.KEY }}" } }`)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				gone := func() bool {
					since := time.Since(began)
					return since > 5*time.Minute+time.Second && since < 20*time.Minute
				}
				reads := 0
				waits := map[string]bool{}
				x, err := New(Config{
					Library: lib,
					Secrets: func(string) (string, error) {
						if gone() {
							reads++
							return "", errors.New("no such file")
						}
						return "hunter2", nil
					},
					Observe: func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
						if u := r.Steps[0].Units[0]; u.State == workflow.Waiting && u.Wait.Reason == workflow.WaitOutage {
							waits[u.Wait.Message] = true
						}
					},
				}).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, func() {
						if err := x.Cancel(t.Context(), "ada"); err != nil {
							t.Error(err)
						}
					})
				}
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := states(x.Run()); got != c.units {
					t.Errorf("%s, want %s", got, c.units)
				}
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("it ended after %s", took)
				}
				if reads == 0 || reads > 10 { // pauses of 10 s, 20 s, 40 s, … 5 min
					t.Errorf("the secret was asked for %d times while it was gone", reads)
				}
				for message := range waits {
					if !strings.Contains(message, "no such file") {
						t.Errorf("it waited with the words %q", message)
					}
				}
				if len(waits) == 0 {
					t.Error("nobody could see why it waited")
				}
			})
		})
	}
}
