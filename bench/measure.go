package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fcflow/fcflow/bench/figures"
	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// runMeasure is what one run of no-ops took.
type runMeasure struct {
	Seconds   float64 `json:"seconds"`
	Commits   times   `json:"commits"`
	FoldMicro float64 `json:"fold_us"` // per event
	PeakMiB   float64 `json:"peak_mib"`
}

// measure takes every figure.
func measure(ctx context.Context, o options, dir string) (figures.Figures, times, error) {
	got := figures.Figures{}
	const chain = 1000
	m, err := inChild(o, "chain", chain)
	if err != nil {
		return nil, nil, err
	}
	commits := m.Commits
	inside := commits.sum().Seconds()
	got["chain_commits"] = float64(len(commits) - chain)
	got["chain_overhead"] = max(0, m.Seconds-1.1*inside) / chain * 1000
	for _, n := range []int{1000, 10_000, 100_000} {
		name := fmt.Sprintf("wide_%d", n)
		if m, err = inChild(o, "wide64", n); err != nil {
			return nil, nil, err
		}
		got[name+"_64"] = m.Seconds
		if m, err = inChild(o, "wide", n); err != nil {
			return nil, nil, err
		}
		got[name], got[name+"_rss"], got["fold"] = m.Seconds, m.PeakMiB, m.FoldMicro
		got[name+"_each"] = m.Seconds / float64(n) * 1e6
	}
	got["wide_growth"] = got["wide_100000_each"] / got["wide_1000_each"]
	if got["list"], err = measureList(ctx, o, dir); err != nil {
		return nil, nil, err
	}
	if got["validate"], err = measureValidate(o, dir); err != nil {
		return nil, nil, err
	}
	return got, commits, nil
}

// inChild measures one run in a process of its own, so that its peak memory is
// its own too.
func inChild(o options, shape string, steps int) (runMeasure, error) {
	self, err := os.Executable()
	if err != nil {
		return runMeasure{}, err
	}
	cmd := exec.Command(self, "-dir", o.dir, "-child", shape, "-steps", fmt.Sprint(steps))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return runMeasure{}, fmt.Errorf("%s of %d steps: %w", shape, steps, err)
	}
	var m runMeasure
	return m, json.Unmarshal(out, &m)
}

// measureRun executes no-op steps one after the other, or no-op instances of one
// step, on a real store. The time includes parsing, checking and creating the run.
func measureRun(ctx context.Context, dir, shape string, steps int) (runMeasure, error) {
	s, err := store.Open(filepath.Join(dir, "state"), store.Options{})
	if err != nil {
		return runMeasure{}, err
	}
	lib := noop{}
	timed := &timedStore{Store: s}
	source := noopWorkflow(shape, steps)
	began := time.Now()
	w, problems := workflow.Load("bench.yaml", source, lib, workflow.CheckOptions{})
	if len(problems) > 0 {
		return runMeasure{}, problems
	}
	x, err := engine.New(engine.Config{Library: lib}).Create(ctx, timed, w, workflow.RunCreated{})
	if err != nil {
		return runMeasure{}, err
	}
	if err := x.Drive(ctx); err != nil {
		return runMeasure{}, err
	}
	m := runMeasure{Seconds: time.Since(began).Seconds(), Commits: timed.commits}
	if state := x.Run().State; state != workflow.RunSucceeded {
		return m, fmt.Errorf("the run is %s", state)
	}
	began = time.Now()
	folded, err := engine.Fold(ctx, w, timed.history)
	if err != nil {
		return m, err
	}
	m.FoldMicro = float64(time.Since(began).Microseconds()) / float64(folded.Seq)
	if m.PeakMiB, err = peakMemory(); err != nil {
		return m, err
	}
	return m, x.Close()
}

func noopWorkflow(shape string, steps int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\nname: bench\nsteps:\n")
	if shape != "chain" {
		fmt.Fprintf(&b, "  - id: s\n    uses: noop\n    matrix: { i: \"${{ 1..%d }}\" }\n", steps)
		if shape == "wide64" {
			b.WriteString("    max_parallel: 64\n")
		}
		return []byte(b.String())
	}
	for i := range steps {
		fmt.Fprintf(&b, "  - id: s%d\n    uses: noop\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "    needs: s%d\n", i-1)
		}
	}
	return []byte(b.String())
}

// noop is a library of one step type, which does nothing.
type noop struct{}

func (noop) spec() workflow.StepSpec {
	return workflow.StepSpec{
		Name: "noop", Summary: "does nothing", Idempotent: true,
		Decode: func(json.RawMessage) (any, error) { return nil, nil },
	}
}

func (n noop) Lookup(uses string) (*engine.Step, bool) {
	return &engine.Step{
		StepSpec: n.spec(),
		Run:      func(context.Context, *engine.Invocation, any) engine.Outcome { return engine.Success(nil) },
	}, uses == "noop"
}

func (n noop) Step(uses string) (workflow.StepSpec, bool) { return n.spec(), uses == "noop" }
func (noop) Names() []string                              { return []string{"noop"} }

// timedStore notes how long each commit of its one run takes.
type timedStore struct {
	workflow.Store
	history workflow.History
	commits times
}

func (s *timedStore) Create(ctx context.Context, id workflow.RunID, frozen []byte, first []workflow.Event, blobs []workflow.Blob) (workflow.History, error) {
	began := time.Now()
	h, err := s.Store.Create(ctx, id, frozen, first, blobs)
	s.history = h
	s.commits = append(s.commits, time.Since(began))
	return timedHistory{History: h, store: s}, err
}

type timedHistory struct {
	workflow.History
	store *timedStore
}

func (h timedHistory) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	began := time.Now()
	err := h.History.Append(ctx, after, events, blobs...)
	h.store.commits = append(h.store.commits, time.Since(began))
	return err
}

// peakMemory is the largest resident size this process has had.
func peakMemory() (float64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib float64
		if n, _ := fmt.Sscanf(lines.Text(), "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("the system does not say how much memory was used")
}

// measureList times `runs list` on a state directory with 100,000 runs. The
// newest are copies of a real run; the others are only their directories, which
// is all that a list of the newest looks at.
func measureList(ctx context.Context, o options, dir string) (float64, error) {
	const runs, real = 100_000, 60
	state := filepath.Join(dir, "many")
	s, err := store.Open(state, store.Options{})
	if err != nil {
		return 0, err
	}
	w, problems := workflow.Load("bench.yaml", noopWorkflow("wide", 3), noop{}, workflow.CheckOptions{})
	if len(problems) > 0 {
		return 0, problems
	}
	began := time.Now().Add(-time.Hour)
	for i := range runs {
		id := engine.NewRunID(began.Add(time.Duration(i) * time.Millisecond))
		if i < runs-real {
			if err := os.Mkdir(filepath.Join(state, "runs", string(id)), 0o700); err != nil {
				return 0, err
			}
			continue
		}
		x, err := engine.New(engine.Config{Library: noop{}}).Create(ctx, s, w, workflow.RunCreated{ID: id, Trigger: workflow.TriggerManual})
		if err != nil {
			return 0, err
		}
		if err := x.Drive(ctx); err != nil {
			return 0, err
		}
		if err := s.PutSummary(id, x.Run().Summarize()); err != nil {
			return 0, err
		}
		if err := x.Close(); err != nil {
			return 0, err
		}
	}
	return command(5, o.fcflow, "runs", "list", "--state-dir", state, "--output", "json")
}

// measureValidate times `validate` of a workflow of 60 lines.
func measureValidate(o options, dir string) (float64, error) {
	var b strings.Builder
	b.WriteString("version: 1\nname: validate\nsteps:\n  - id: s0\n    uses: sleep\n    with: { duration: 1s }\n")
	for i := 1; strings.Count(b.String(), "\n") < 60; i++ {
		fmt.Fprintf(&b, "  - id: s%d\n    uses: run\n    needs: s%d\n    with:\n      script: |\n        #!/bin/bash\n        echo \"$X\"\n      env: { X: \"${{ steps.s%d.state }}\" }\n", i, i-1, i-1)
	}
	file := filepath.Join(dir, "validate.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return 0, err
	}
	return command(50, o.fcflow, "validate", file)
}

// command is the median time, in ms, of n calls of a program.
func command(n int, name string, args ...string) (float64, error) {
	var all times
	for range n {
		began := time.Now()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		all = append(all, time.Since(began))
	}
	return all.p50().Seconds() * 1000, nil
}
