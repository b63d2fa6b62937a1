package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// withText adds a step type "text" with one output, a text of some length, and a
// secret input.
func withText(lib *scripted, run func(context.Context, *Invocation) Outcome) {
	text := workflow.Type{Kind: workflow.String}
	lib.steps["text"] = &Step{
		StepSpec: workflow.StepSpec{
			Name: "text", Idempotent: true,
			Inputs:  []workflow.Field{{Name: "key", Type: text, Secret: true}},
			Outputs: []workflow.Field{{Name: "text", Type: text, Required: true}, {Name: "system", Type: text}},
			Decode:  func(json.RawMessage) (any, error) { return nil, nil },
		},
		Run: func(ctx context.Context, inv *Invocation, _ any) Outcome { return run(ctx, inv) },
	}
}

// TestLargeOutput: an output too large for an event is read by what comes after
// it, in the same process and in the next, also where a step runs.
func TestLargeOutput(t *testing.T) {
	t.Parallel()
	lib := jobLibrary()
	withText(lib, func(context.Context, *Invocation) Outcome {
		return Success(map[string]string{"text": strings.Repeat("<", 40<<10), "system": "daint"})
	})
	w := load(t, lib, `
		steps:
		  - { id: a, uses: text }
		  - { id: b, uses: place, with: { system: "${{ steps.a.outputs.system }}", n: "${{ len(steps.a.outputs.text) }}" } }
		  - { id: c, uses: act, needs: b, with: { n: "${{ len(steps.a.outputs.text) }}" } }
		outputs: { n: "${{ steps.c.outputs.n }}", text: "${{ steps.a.outputs.text }}" }`)
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Library: lib, Binder: &site{answers: []error{nil}}}
		store := memory.New()
		run := interrupted(t, New(cfg), store, w, time.Minute, time.Minute)
		if got := states(run); got != "a=succeeded b=succeeded c=succeeded" {
			t.Error(got)
		}
		for _, id := range []string{"b", "c"} {
			s, _ := run.Step(id)
			if got := string(s.Units[0].Outputs.JSON); got != `{"n":40960}` {
				t.Errorf("%s gave %s", id, got)
			}
		}
		if run.Outputs.Blob == "" {
			t.Error("the outputs of the run are in its last event")
		}
	})
}

// TestSecretsStayInside: the value of a secret is in no event, whatever the step
// says and however it ends; and a workflow with secrets needs a source of them.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		source func(string) (string, error)
		run    func(inv *Invocation) Outcome
		units  string
	}{
		{"failure", nil, func(inv *Invocation) Outcome {
			return Failure(workflow.CausePanic, "bad "+inv.Secrets[0]).WithTail(inv.Secrets[0] + "!").WithEvidence(inv.Secrets[0])
		}, "a=failed(panic)"},
		{"panic", nil, func(inv *Invocation) Outcome { panic(inv.Secrets[0]) }, "a=failed(panic)"},
		{"wait", nil, func(inv *Invocation) Outcome {
			if inv.Reason == workflow.WakeDue {
				return Success(map[string]string{"text": ""})
			}
			return Suspend(Wait{Reason: workflow.WaitTimer, Until: time.Now().Add(time.Second), Message: inv.Secrets[0]})
		}, "a=succeeded"},
		{
			"no such secret", func(string) (string, error) { return "", errors.New("not set") },
			func(*Invocation) Outcome { panic("ran") }, "a=failed(expression)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lib := newScripted()
			withText(lib, func(_ context.Context, inv *Invocation) Outcome { return c.run(inv) })
			w := load(t, lib, `
				secrets: [KEY]
				steps:
				  - { id: a, uses: text, with: { key: "${{ secrets.KEY }}" } }`)
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{Library: lib, Secrets: c.source}
				if cfg.Secrets == nil {
					cfg.Secrets = func(string) (string, error) { return "hunter2", nil }
				}
				x, err := New(cfg).Create(t.Context(), memory.New(), w, workflow.RunCreated{})
				if err != nil {
					t.Fatal(err)
				}
				if err := x.Drive(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := states(x.Run()); got != c.units {
					t.Errorf("%s, want %s", got, c.units)
				}
				err = x.Events(t.Context(), 1, func(e workflow.Event) error {
					if text, err := json.Marshal(e); err != nil || strings.Contains(string(text), "hunter2") {
						return fmt.Errorf("error %v in %s", err, text)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("no source", func(t *testing.T) {
		t.Parallel()
		lib := newScripted()
		withText(lib, func(context.Context, *Invocation) Outcome { panic("ran") })
		w := load(t, lib, `
			secrets: [KEY]
			steps:
			  - { id: a, uses: text, with: { key: "${{ secrets.KEY }}" } }`)
		synctest.Test(t, func(t *testing.T) {
			if run, err := drive(t, Config{Library: lib}, w); err != nil || states(run) != "a=failed(expression)" {
				t.Errorf("%s, error %v", states(run), err)
			}
		})
	})
}

// TestMisbehaviour: what a step type must not do fails its step, or ends the
// drive of its run, and nothing else.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	odd := func(name string, run func(inv *Invocation) Outcome) *Step {
		lib.steps[name] = &Step{
			StepSpec: workflow.StepSpec{Name: name, Decode: func(json.RawMessage) (any, error) { return nil, nil }},
			Run:      func(_ context.Context, inv *Invocation, _ any) Outcome { return run(inv) },
		}
		return lib.steps[name]
	}
	odd("ended", func(*Invocation) Outcome { return Ended("nobody asked") })
	odd("nothing", func(*Invocation) Outcome { return Outcome{} })
	odd("infinite", func(*Invocation) Outcome { return Success(map[string]any{"n": func() {}}) })
	odd("large", func(*Invocation) Outcome { return Success(map[string]string{"n": strings.Repeat("x", 9<<20)}) })
	odd("decode", func(*Invocation) Outcome { return Success(nil) }).Decode = func(json.RawMessage) (any, error) { panic("x") }
	odd("outputs", func(*Invocation) Outcome { return Success(nil) }).DynamicOutputs = func(with json.RawMessage) []workflow.Field {
		if len(with) > 0 { // not while the workflow is checked
			panic("x")
		}
		return nil
	}
	for name, want := range map[string]string{
		"ended": "a=failed(panic)", "nothing": "a=failed(panic)", "infinite": "a=failed(panic)",
		"large": "a=failed(output_too_large)", "decode": "a=failed(panic)", "outputs": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := load(t, lib, "steps:\n  - { id: a, uses: "+name+" }")
			synctest.Test(t, func(t *testing.T) {
				run, err := drive(t, Config{Library: lib}, w)
				if want == "" && err == nil || want != "" && (err != nil || states(run) != want) {
					t.Errorf("%s, error %v", states(run), err)
				}
			})
		})
	}
}

// TestCheckpoints: a value is there once it is Put, in the next entry once it is
// flushed, and after a restart.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	large := strings.Repeat("x", 40<<10)
	withText(lib, func(ctx context.Context, inv *Invocation) Outcome {
		var before, after string
		found, err := inv.Load("key", &before)
		if err == nil && inv.Reason == workflow.WakeStart {
			err = inv.Put("key", large)
		}
		if err == nil {
			_, err = inv.Load("key", &after)
		}
		if err == nil {
			err = inv.Flush(ctx)
		}
		if err != nil || found != (inv.Reason != workflow.WakeStart) || after != large {
			return Failure(workflow.CausePanic, fmt.Sprintf("%s: found %v, then %d bytes, error %v", inv.Reason, found, len(after), err))
		}
		if at := inv.StartedAt.Add(10 * time.Minute); time.Now().Before(at) {
			return Suspend(Wait{Reason: workflow.WaitJob, Until: at})
		}
		return Success(map[string]string{"text": ""})
	})
	w := load(t, lib, `
		steps:
		  - { id: a, uses: text }`)
	synctest.Test(t, func(t *testing.T) {
		run := interrupted(t, New(Config{Library: lib}), memory.New(), w, time.Minute, time.Minute)
		if got := states(run); got != "a=succeeded" {
			t.Error(got, run.Steps[0].Units[0].Message)
		}
	})
}
