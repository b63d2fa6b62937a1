package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// TestKeptLogs: each attempt has its own logs, whatever characters the path has.
func TestKeptLogs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state[1]*")
	if logs, err := listLogs(dir); err != nil || len(logs.of(workflow.UnitRef{Step: "a"}, 1)) > 0 {
		t.Fatalf("no directory: %+v, %v", logs, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	one, two := workflow.UnitRef{Step: "a"}, workflow.UnitRef{Step: "a", Instance: "dt=30"}
	for _, name := range []string{
		engine.LogName(one, 1, "stdout"), engine.LogName(one, 1, "stderr"), engine.LogName(one, 11, "log"),
		engine.LogName(two, 1, "job.log"), engine.LogName(workflow.UnitRef{Step: "ab"}, 1, "log"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := listLogs(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		unit    workflow.UnitRef
		attempt int
		want    []string
	}{{one, 1, []string{"stderr", "stdout"}}, {one, 2, nil}, {one, 11, []string{"log"}}, {two, 1, []string{"job.log"}}} {
		var names []string
		for _, l := range logs.of(c.unit, c.attempt) {
			if l.path != filepath.Join(dir, engine.LogName(c.unit, c.attempt, l.name)) {
				t.Errorf("%s of %s is %s", l.name, c.unit, l.path)
			}
			names = append(names, l.name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Errorf("attempt %d of %s:\n%s", c.attempt, c.unit, diff)
		}
	}
}
