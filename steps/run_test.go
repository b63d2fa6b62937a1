package steps

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

func TestRunCommand(t *testing.T) {
	s := newSite(t)
	t.Setenv("FCFLOW_SECRET_X", "hidden")
	s.file("sub/here.txt", "")
	r := s.run(`
	- id: x
	  uses: run
	  with:
	    workdir: sub
	    env: { A: "it's $HOME", PATH: "/usr/bin:/bin" }
	    script: |
	      echo "$A"; echo noise >&2; ls; env
	- id: perl
	  uses: run
	  with:
	    script: |
	      #!/bin/bash
	      echo "$0" "${BASH_VERSION:+bash}"
	- id: args
	  uses: run
	  with: { command: [printf, "%s|", "a b", "*", "$x"] }`)
	out := s.outputs(r, "x")["stdout"].(string)
	if !strings.HasPrefix(out, "it's $HOME\nhere.txt\n") || strings.Contains(out, "hidden") || strings.Contains(out, "noise") {
		t.Errorf("stdout:\n%s", out)
	}
	if got := s.outputs(r, "perl")["stdout"].(string); !strings.HasSuffix(got, "/script bash") {
		t.Errorf("own interpreter: %q", got)
	}
	if got := s.outputs(r, "args")["stdout"]; got != "a b|*|$x|" {
		t.Errorf("args: %q", got)
	}
	log := filepath.Join(s.logs, "x.1.log")
	info, err := os.Stat(log)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("log: %v, %v", info, err)
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "noise\n") || !strings.Contains(string(text), "here.txt\n") {
		t.Errorf("log: %q, %v", text, err)
	}
}

func TestRunKeepsTheEndOfItsOutput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.run(`
	- id: x
	  uses: run
	  with: { script: "yes 0123456789abcd | head -c 1000000; printf end" }`)
	out := s.outputs(r, "x")
	text := out["stdout"].(string)
	if len(text) < maxText*9/10 || !strings.HasSuffix(text, "end") || out["stdout_truncated"] != true {
		t.Errorf("%d bytes, truncated %v", len(text), out["stdout_truncated"])
	}
	if info, err := os.Stat(filepath.Join(s.logs, "x.1.log")); err != nil || info.Size() != 1000003 {
		t.Errorf("log: %v, %v", info, err)
	}
}

// TestRunEndsItsProcesses: a cancelled command ends with all it started, also
// what ignores SIGTERM.
func TestRunEndsItsProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(`
	- id: x
	  uses: run
	  with:
	    script: |
	      (trap '' TERM; echo $$ > child; while :; do sleep 0.1; done) &
	      echo ready > ready
	      wait`))
	go func() {
		until(t, "the command runs", func() bool {
			_, err := os.Stat(filepath.Join(s.dir, "ready"))
			_, childErr := os.Stat(filepath.Join(s.dir, "child"))
			return err == nil && childErr == nil
		})
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	}()
	r := s.drive(x)
	if u := unit(t, r, "x"); u.State != workflow.Cancelled {
		t.Error(states(r))
	}
	pid, err := os.ReadFile(filepath.Join(s.dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	group, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the group is gone", func() bool { return syscall.Kill(-group, 0) != nil })
}

func TestRunIsIdempotentIfItSaysSo(t *testing.T) {
	t.Parallel()
	spec, _ := Catalogue().Step("run")
	if !spec.IdempotentWith([]byte(`{"script":"x","idempotent":true}`)) || spec.IdempotentWith([]byte(`{"script":"x"}`)) {
		t.Error("the input idempotent is not read")
	}
}

// TestRunCancelledBeforeItStarts: the command of a run that is cancelled meanwhile is
// not started.
func TestRunCancelledBeforeItStarts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var x *engine.Execution
	e := engine.New(engine.Config{
		Library: s.library, Binder: s.library.Binder(), Watcher: s.library.Watcher(),
		LogDir: func(workflow.RunID) string { // asked for right before the command starts
			if err := x.Cancel(context.Background(), "test"); err != nil {
				t.Error(err)
			}
			return s.logs
		},
	})
	w := s.load("- { id: x, uses: run, with: { command: [sleep, \"600\"] } }")
	x, err := e.Create(t.Context(), s.store, w, workflow.RunCreated{Dir: s.dir, OutputDir: s.output, Profile: workflow.Profile{System: system}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if u := unit(t, s.drive(x), "x"); u.State != workflow.Cancelled {
		t.Errorf("%s by %s: %s", u.State, u.Cause, u.Message)
	}
}

// TestSleepIsNotStartedOver: what is left of a sleep counts from the start of
// the attempt.
func TestSleepIsNotStartedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load("- id: x\n  uses: sleep\n  with: { duration: 1s }"))
	s.driveUntil(x, waiting(workflow.WaitTimer))
	started := unit(t, x.Run(), "x").Attempt().StartedAt
	r := s.drive(s.reopen(x))
	s.outputs(r, "x")
	due := started.Add(time.Second)
	if ended := unit(t, r, "x").Attempt().EndedAt; ended.Before(due) {
		t.Errorf("slept %v", ended.Sub(started))
	}
	for _, e := range events(t, s, r) {
		if w, ok := e.Data.(*workflow.AttemptWaiting); ok && !w.Until.Equal(due) {
			t.Errorf("event %d waits until %v, not %v", e.Seq, w.Until, due)
		}
	}
}
