package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// reader adds a step type "read", which reads a local file.
func reader(lib *scripted, version int) {
	text := workflow.Type{Kind: workflow.String}
	lib.steps["read"] = &Step{
		StepSpec: workflow.StepSpec{
			Name: "read", Idempotent: true, Version: version,
			Inputs:  []workflow.Field{{Name: "file", Type: text, Path: workflow.LocalPath, Source: true}},
			Outputs: []workflow.Field{{Name: "sha256", Type: text}},
			Decode:  func(json.RawMessage) (any, error) { return nil, nil },
		},
		Run: func(context.Context, *Invocation, any) Outcome { return Success(map[string]string{"sha256": "aa"}) },
	}
}

// TestReplanImported: the local files and the version of the step type count for what
// was imported as for what was done here, however often it was imported; nothing is
// known of the files of what was imported before that was noted.
func TestReplanImported(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		imports int
		forget  bool // when what was imported was done
		changed bool // the file
		version int  // of the step type, now
		want    string
	}{
		{"done here", 0, false, true, 2, "a: again 1 (f changed); b: again 1 (depends on a)"},
		{"done here, another version", 0, false, false, 3, "a: again 1 (version 3 of read); b: again 1 (depends on a)"},
		{"imported", 1, false, true, 2, "a: again 1 (f changed); b: again 1 (depends on a)"},
		{"imported twice", 2, false, true, 2, "a: again 1 (f changed); b: again 1 (depends on a)"},
		{"imported, same file", 1, false, false, 2, "a: kept 1; b: kept 1"},
		{"imported, another version", 1, false, false, 3, "a: again 1 (version 3 of read); b: again 1 (depends on a)"},
		{"imported before it was noted", 1, true, true, 3, "a: kept 1; b: kept 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lib := newScripted()
				reader(lib, 2)
				source := `
					steps:
					  - { id: a, uses: read, with: { file: f } }
					  - { id: b, uses: act, needs: [a] }`
				w := load(t, lib, source)
				store, dir := memory.New(), t.TempDir()
				began := time.Now()
				x, err := New(Config{Library: lib}).Create(t.Context(), store, w, workflow.RunCreated{Nonce: "n", Dir: dir})
				for i := range c.imports {
					if err != nil || x.Drive(t.Context()) != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour) // in virtual time
					x, err = New(Config{Library: lib}).CreateFrom(t.Context(), store, workflow.RunCreated{Nonce: fmt.Sprint(i), Dir: dir}, x.Run(), "b", x.blob)
				}
				if err != nil || x.Drive(t.Context()) != nil {
					t.Fatal(err)
				}
				later := newScripted()
				reader(later, c.version)
				now := load(t, later, source)
				fold := func() *workflow.Run {
					run := workflow.NewRun(now)
					err := x.Events(t.Context(), 1, func(e workflow.Event) error {
						if p, ok := e.Data.(*workflow.UnitImported); ok && c.forget {
							older := *p
							older.StartedAt, older.SpecVersion = time.Time{}, 0
							e.Data = &older
						}
						return workflow.Apply(run, &e)
					})
					if err != nil {
						t.Fatal(err)
					}
					return run
				}
				plan, err := workflow.Replan(fold(), fold(), now, workflow.ReplanOptions{
					Replanned: workflow.RunReplanned{By: "ada", Dir: dir}, At: time.Now().UTC(), Blobs: x.blob,
					Changed: func(path string, since time.Time, sha256 string) bool {
						if path != filepath.Join(dir, "f") || sha256 != "aa" || since.Before(began) || since.After(began.Add(time.Minute)) {
							t.Errorf("asked for %s since %s, %s", path, since, sha256)
						}
						return c.changed
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := planWords(plan); got != c.want {
					t.Errorf("planned %s\nwant    %s", got, c.want)
				}
			})
		})
	}
}
