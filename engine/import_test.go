package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestImportInputs: an input that changed reaches what is done again; what would be
// imported and is made from it is named, however it is made from it.
func TestImportInputs(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	remote := *lib.steps["act"]
	remote.Name = "remote"
	remote.Inputs = append(slices.Clone(remote.Inputs), workflow.Field{Name: "system", Type: workflow.Type{Kind: workflow.String}, FromDefaults: true})
	lib.steps["remote"] = &remote
	w := load(t, lib, `
		inputs:
		  free: { type: int, default: 1 }
		  with: { type: int, default: 1 }
		  if: { type: int, default: 1 }
		  matrix: { type: int, default: 1 }
		  list: { type: int, default: 1 }
		  system: { type: string, default: a }
		  file: { type: file, default: f }
		  late: { type: int, default: 1 }
		defaults: { system: "${{ inputs.system }}" }
		steps:
		  - { id: a, uses: act, with: { n: "${{ inputs.with }}" } }
		  - { id: b, uses: act, needs: [a], if: "inputs.if == inputs.if" }
		  - { id: c, uses: act, matrix: { x: ["${{ inputs.matrix }}"] } }
		  - { id: d, uses: act, for_each: "${{ [inputs.list] }}" }
		  - { id: e, uses: remote }
		  - { id: f, uses: act, with: { n: "${{ len(inputs.file) }}" } }
		  - { id: z, uses: act, needs: [a, b, c, d, e, f], with: { n: "${{ inputs.late + inputs.with }}" } }`)
	synctest.Test(t, func(t *testing.T) {
		store, engine := memory.New(), New(Config{Library: lib})
		facts := workflow.FileFacts{Path: "f", SizeBytes: 1, SHA256: "aa", ModifiedAt: time.Now()}
		create := func(name, value string, f workflow.FileFacts) workflow.RunCreated {
			inputs := map[string]json.RawMessage{}
			for _, in := range w.Inputs {
				inputs[in.Name] = json.RawMessage("1")
			}
			inputs["system"], inputs["file"] = json.RawMessage(`"a"`), json.RawMessage(`"f"`)
			if name != "" {
				inputs[name] = json.RawMessage(value)
			}
			return workflow.RunCreated{Nonce: "m", Inputs: inputs, Files: map[string]workflow.FileFacts{"file": f}}
		}
		old, err := engine.Create(t.Context(), store, w, create("", "", facts))
		if err != nil || old.Drive(t.Context()) != nil {
			t.Fatal(err)
		}
		touched, other, large := facts, facts, facts
		touched.ModifiedAt = touched.ModifiedAt.Add(time.Hour)
		other.SHA256 = "bb"
		large.SHA256, large.SizeBytes = "", 2
		for _, c := range []struct {
			input, value string
			file         workflow.FileFacts
			want         string // the step that is in the way
		}{
			{file: facts},
			{input: "free", value: "2", file: facts},
			{input: "late", value: "2", file: touched},
			{input: "with", value: "2", file: facts, want: "a"},
			{input: "if", value: "2", file: facts, want: "b"},
			{input: "matrix", value: "2", file: facts, want: "c"},
			{input: "list", value: "2", file: facts, want: "d"},
			{input: "system", value: `"b"`, file: facts, want: "e"},
			{input: "file", value: `"g"`, file: facts, want: "f"},
			{file: other, want: "f"},
			{file: large, want: "f"},
		} {
			x, err := engine.CreateFrom(t.Context(), store, create(c.input, c.value, c.file), old.Run(), "z", old.blob)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", c.input, err)
			case c.want == "":
				if err := x.Close(); err != nil {
					t.Error(err)
				}
			case !errors.Is(err, workflow.ErrConflict) || !strings.HasPrefix(err.Error(), c.want+" is made from the input"):
				t.Errorf("%s %s: %v, not that %s is in the way", c.input, c.value, err, c.want)
			}
		}
	})
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
		_, err = engine.Create(t.Context(), store, w, workflow.RunCreated{ID: old.ID(), Inputs: inputs("2")})
		if !errors.Is(err, workflow.ErrConflict) || strings.Count(err.Error(), string(old.ID())) != 1 {
			t.Errorf("of an id that is taken: %v", err)
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

// TestImportMuch: inputs and outputs that fit into the events of the older run, and
// would not fit into one together, come along all the same.
func TestImportMuch(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	withText(lib, func(context.Context, *Invocation) Outcome {
		return Success(map[string]string{"text": strings.Repeat("y", 32700)})
	})
	w := load(t, lib, `
		steps:
		  - { id: a, uses: text, with: { key: "${{ repeat('x', 32700) }}" } }
		  - { id: b, uses: act, with: { n: "${{ len(steps.a.outputs.text) }}" } }`)
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		old, err := ran(t.Context(), store, lib, w, nil)
		if err != nil {
			t.Fatal(err)
		}
		x, err := New(Config{Library: lib}).CreateFrom(t.Context(), store, workflow.RunCreated{Nonce: "m"}, old.Run(), "b", old.blob)
		if err != nil || x.Drive(t.Context()) != nil {
			t.Fatal(err)
		}
		u := x.Run().Steps[0].Units[0]
		given, err := u.Imported.With.Load(x.blob)
		if err != nil || len(given) < 32700 || states(x.Run()) != "a=succeeded b=succeeded" {
			t.Errorf("%s; a was given %d bytes, error %v", states(x.Run()), len(given), err)
		}
	})
}
