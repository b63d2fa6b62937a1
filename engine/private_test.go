package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// TestPrivateFiles: what an attempt keeps private survives a change of owner and
// goes away with the attempt, whoever sees to its end.
func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lib := newScripted()
	var found []string
	withText(lib, func(_ context.Context, inv *Invocation) Outcome {
		path, err := inv.PrivatePath("json")
		if err != nil {
			t.Error(err)
		}
		if inv.Reason != workflow.WakeStart {
			text, err := os.ReadFile(path)
			found = append(found, string(inv.Reason)+" "+string(text))
			if err != nil {
				t.Error(err)
			}
			return Success(map[string]string{"text": "", "system": ""})
		}
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Error(err)
		}
		return Suspend(Wait{Reason: workflow.WaitTimer, Until: time.Now().Add(time.Hour)})
	})
	w := load(t, lib, "steps:\n  - { id: a, uses: text }\n  - { id: b, uses: act, needs: a, with: { do: [job 10m ok] } }")
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Library: lib, PrivateDir: func(workflow.RunID) string { return dir }}
		left := filepath.Join(dir, "token-of-an-attempt-that-ended.json")
		if err := os.WriteFile(left, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		during := -1
		cfg.Observe = func(r *workflow.Run, _ []workflow.Event, _ []*workflow.Unit) {
			if b, _ := r.Step("b"); b.Units[0].State == workflow.Waiting {
				entries, _ := os.ReadDir(dir)
				during = len(entries)
			}
		}
		run := interrupted(t, New(cfg), memory.New(), w, time.Minute, time.Minute)
		if run.State != workflow.RunSucceeded || len(found) != 1 || found[0] != "due secret" {
			t.Errorf("run %s, found %q", run.State, found)
		}
		if during != 0 {
			t.Errorf("%d private files are left when the attempt is over", during)
		}
	})
}

// TestLoadEarlier: an attempt reads what those before it kept, the newest first.
func TestLoadEarlier(t *testing.T) {
	t.Parallel()
	lib := newScripted()
	var got []int
	withText(lib, func(ctx context.Context, inv *Invocation) Outcome {
		n := -1
		if _, err := inv.LoadEarlier("n", &n); err != nil {
			t.Error(err)
		}
		got = append(got, n)
		if inv.Attempt == 3 {
			return Success(map[string]string{"text": "", "system": ""})
		}
		if err := inv.Put("n", inv.Attempt); err != nil {
			t.Error(err)
		}
		if err := inv.Flush(ctx); err != nil {
			t.Error(err)
		}
		return Failure(workflow.CauseAPI, "again")
	})
	w := load(t, lib, "steps:\n  - { id: a, uses: text }")
	synctest.Test(t, func(t *testing.T) {
		run, err := drive(t, Config{Library: lib}, w)
		if err != nil || run.State != workflow.RunSucceeded || !slices.Equal(got, []int{-1, 1, 2}) {
			t.Errorf("run %s, error %v, read %d", run.State, err, got)
		}
	})
}
