package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// ran drives a new run of w to its end.
func ran(ctx context.Context, s workflow.Store, lib *scripted, w *workflow.Workflow, inputs map[string]json.RawMessage) (*Execution, error) {
	x, err := New(Config{Library: lib}).Create(ctx, s, w, workflow.RunCreated{Nonce: "n", Inputs: inputs})
	if err != nil {
		return nil, err
	}
	return x, x.Drive(ctx)
}

// TestCreateFrom: on random workflows, a run made of another does again the step
// and what depends on it, and nothing else; it ends as the older one did, and folds
// to the same; or it is refused, and something that would be imported is bad.
func TestCreateFrom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		lib := newScripted()
		w := drawWorkflow(rt, lib, shape{
			most: 6, uses: []string{"act", "fenced"}, scripts: []string{"ok", "ok", "ok", "ok", "fail exit(3)", "job 1m ok"}, outputs: true, fanOut: true,
		})
		from := rapid.SampledFrom(w.AllSteps()).Draw(rt, "from").ID
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = createdFrom(t.Context(), w, from) })
		if failure != "" {
			rt.Fatalf("from %s: %s\n%s", from, failure, w.Source)
		}
	})
}

func createdFrom(ctx context.Context, w *workflow.Workflow, from string) string {
	store, lib := memory.New(), newScripted()
	old, err := ran(ctx, store, lib, w, nil)
	if err != nil {
		return err.Error()
	}
	again := map[string]bool{from: true}
	for range w.AllSteps() {
		for _, s := range w.AllSteps() {
			for _, b := range s.WaitsFor() {
				again[s.ID] = again[s.ID] || again[w.AllSteps()[b].ID]
			}
			first, _ := old.Run().Step(from)
			again[s.ID] = again[s.ID] || s.Finally && !first.Step.Finally
		}
	}
	bad := false
	for _, s := range old.Run().Steps {
		for _, u := range s.Units {
			bad = bad || !again[s.Step.ID] && !u.Good
		}
	}
	lib = newScripted()
	x, err := New(Config{Library: lib}).CreateFrom(ctx, store, workflow.RunCreated{Nonce: "m"}, old.Run(), from, old.blob)
	switch {
	case bad && !errors.Is(err, workflow.ErrConflict):
		return fmt.Sprintf("something bad is imported: %v", err)
	case bad:
		return ""
	case err != nil:
		return err.Error()
	}
	if err := x.Drive(ctx); err != nil {
		return err.Error()
	}
	for _, e := range lib.Entries() {
		if !again[e.Unit.Step] {
			return fmt.Sprintf("%s ran", e.Unit)
		}
	}
	folded, err := Fold(ctx, w, x.history)
	if err != nil {
		return err.Error()
	}
	if diff := cmp.Diff(finalOf(x.Run()), finalOf(folded)); diff != "" {
		return "folds otherwise (-driven +folded):\n" + diff
	}
	want, got := finalOf(old.Run()), finalOf(x.Run())
	for _, f := range []final{want, got} {
		for name, u := range f.Units {
			if step, _, _ := strings.Cut(name, "/"); !again[step] {
				u.Attempts = 0
				f.Units[name] = u
			}
		}
	}
	return cmp.Diff(want, got)
}

// TestImports: values kept apart come along; inputs that change what a matrix
// comes to are refused; what was imported can be done again, and imported again.
func TestImports(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	w := load(t, lib, `
		inputs:
		  n: { type: int }
		steps:
		  - { id: a, uses: act, matrix: { x: "${{ map(1..inputs.n, #) }}" }, with: { from: "${{ map(1..9999, #) }}" } }
		  - { id: b, uses: act, with: { n: "${{ len(steps.a.instances) }}" } }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		inputs := func(n string) map[string]json.RawMessage { return map[string]json.RawMessage{"n": json.RawMessage(n)} }
		old, err := ran(t.Context(), store, lib, w, inputs("2"))
		if err != nil {
			t.Fatal(err)
		}
		engine := New(Config{Library: lib})
		create := func(inputs map[string]json.RawMessage, old *Execution, from string) (*Execution, error) {
			return engine.CreateFrom(t.Context(), store, workflow.RunCreated{Nonce: "m", Inputs: inputs, RerunOf: old.ID()}, old.Run(), from, old.blob)
		}
		if _, err := create(inputs("3"), old, "b"); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("other instances: %v", err)
		}
		if _, err := create(inputs("2"), old, "c"); !errors.Is(err, workflow.ErrNotFound) {
			t.Errorf("no such step: %v", err)
		}
		x, err := create(inputs("2"), old, "b")
		if err != nil || x.Drive(t.Context()) != nil {
			t.Fatal(err)
		}
		u, _ := x.Run().Unit(workflow.UnitRef{Step: "a", Instance: "x=2"})
		if u.State != workflow.Succeeded || len(u.Attempts) != 0 || u.Describe().Imported != old.ID() {
			t.Errorf("a/x=2 is %s after %d attempts, of run %s", u.State, len(u.Attempts), u.Describe().Imported)
		}
		if u.Imported.With.Blob == "" {
			t.Fatal("the inputs of a are not kept apart")
		}
		if _, err := x.history.Blob(t.Context(), u.Imported.With.Blob); err != nil {
			t.Errorf("what is kept apart did not come along: %v", err)
		}
		third, err := create(inputs("2"), x, "b")
		if err != nil || third.Drive(t.Context()) != nil {
			t.Fatal(err)
		}
		if u, _ := third.Run().Unit(u.Ref()); u.Describe().Imported != old.ID() {
			t.Errorf("imported twice, it is of run %s", u.Describe().Imported)
		}
		if err := third.Close(); err != nil {
			t.Fatal(err)
		}
		lib.entries = nil
		choice := workflow.UnitsReset{Units: []workflow.UnitRef{u.Ref()}, Force: true, By: "ada"}
		if third, err = again(t.Context(), store, lib, w, third.ID(), choice); err != nil || third.Drive(t.Context()) != nil {
			t.Fatal(err)
		}
		if got := tried(lib); got != "a/x=2#1 b#2" {
			t.Errorf("tried %s", got)
		}
	})
}
