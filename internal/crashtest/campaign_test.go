package crashtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// instances is what `runs show` says of the instances of a step.
func (l *lab) instances(run, step string) []instance {
	l.t.Helper()
	var view struct {
		Steps []struct {
			ID        string     `json:"id"`
			Instances []instance `json:"instances"`
		} `json:"steps"`
	}
	if err := json.Unmarshal([]byte(l.run("runs", "show", run, "--output", "json")), &view); err != nil {
		l.t.Fatal(err)
	}
	for _, s := range view.Steps {
		if s.ID == step {
			return s.Instances
		}
	}
	l.t.Fatalf("run %s has no step %s", run, step)
	return nil
}

type instance struct {
	Instance string         `json:"instance"`
	State    string         `json:"state"`
	Outputs  map[string]any `json:"outputs"`
	Attempts []struct {
		Cause string `json:"cause"`
	} `json:"attempts"`
}

// config writes the configuration file of whoever runs fcflow here.
func (l *lab) config(text string) {
	l.t.Helper()
	if err := os.MkdirAll(l.path(".config/fcflow"), 0o700); err != nil {
		l.t.Fatal(err)
	}
	l.write(".config/fcflow/config.yaml", text)
}

// TestCampaign runs the example with 60 instances: it computes what it should, the
// instance that fails once is tried again, and results are fetched while other
// jobs have not started yet.
func TestCampaign(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	example, err := filepath.Abs("../../examples/workflows/campaign.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l.run("run", example, "--sandbox="+l.path("sandbox"), "--output-dir", l.path("results"))
	if out := l.show("last").Outputs; out["profiles"] != 60.0 || out["worst"].(float64) >= 1e-3 {
		t.Errorf("outputs are %v, want 60 profiles and a worst error below 0.001", out)
	}
	again := 0
	for _, i := range l.instances("last", "simulate") {
		if e, ok := i.Outputs["error"].(float64); i.State != "succeeded" || !ok || e <= 0 || e >= 1e-3 {
			t.Errorf("%s is %s with %v", i.Instance, i.State, i.Outputs)
		}
		if len(i.Attempts) == 2 && i.Attempts[0].Cause == "exit(75)" {
			again++
		} else if len(i.Attempts) != 1 {
			t.Errorf("%s took %v", i.Instance, i.Attempts)
		}
	}
	if again != 1 {
		t.Errorf("%d instances were tried again, want 1", again)
	}
	firstFetched, lastStarted := int64(0), int64(0)
	for _, e := range l.events("last") {
		switch {
		case e.Step == "fetch" && e.Kind == "attempt.finished" && firstFetched == 0:
			firstFetched = e.Seq
		case e.Step == "simulate" && e.Kind == "attempt.started":
			lastStarted = e.Seq
		}
	}
	if firstFetched == 0 || firstFetched > lastStarted {
		t.Errorf("the first download ends with event %d, the last job starts with event %d", firstFetched, lastStarted)
	}
	t.Logf("the first download ends with event %d, the last job starts with event %d", firstFetched, lastStarted)
	if files, _ := filepath.Glob(l.path("results/*.csv")); len(files) != 60 {
		t.Errorf("%d files were downloaded, want 60", len(files))
	}
}

// TestJobLimit: 200 jobs under a limit of five, killed and resumed twice. Never
// more than five are in the queue, by the account of the batch system, and each
// payload runs once.
func TestJobLimit(t *testing.T) {
	t.Parallel()
	const jobs, limit = 200, 5
	random := random(t)
	l := newLab(t)
	l.write("limited.yaml", fmt.Sprintf(`
version: 1
name: limited
inputs: { ledger: { type: string } }
steps:
  - id: work
    uses: job
    matrix: { n: "${{ 1..%d }}" }
    with:
      resources: { nodes: 1, time: 1m }
      env: { LEDGER: "${{ inputs.ledger }}", N: "${{ matrix.n }}" }
      script: |
        #!/bin/sh
        echo "$N $SLURM_JOB_ID" >>"$LEDGER"
`, jobs))
	l.config(fmt.Sprintf("profile: small\nprofiles:\n  small:\n    limits: { jobs: %d }\n", limit))
	l.start(nil, "sandbox", "--root", l.path("sandbox"))
	l.eventually("a sandbox serves", func() bool { return l.servedBy() != 0 })

	p := l.start(nil, "run", "limited.yaml", "--sandbox="+l.path("sandbox"), "-i", "ledger="+l.path("ledger"))
	for _, at := range []int{20 + random.IntN(40), 100 + random.IntN(60)} {
		l.eventually(fmt.Sprintf("%d payloads have started", at), func() bool { return len(l.ledger()) >= at })
		p.kill()
		p = l.resume()
	}
	if code := p.exit(); code != 0 {
		t.Fatalf("%s exits with %d\n%s", p.cmd, code, p.stderr())
	}
	started := map[string]int{}
	for _, s := range l.ledger() {
		started[s.name]++
	}
	for n, times := range started {
		if times != 1 {
			t.Errorf("payload %s was started %d times", n, times)
		}
	}
	if len(started) != jobs {
		t.Errorf("%d payloads were started, want %d", len(started), jobs)
	}
	most, inQueue := 0, map[string]bool{}
	for _, b := range l.batch() {
		switch b.Event {
		case "accepted":
			inQueue[b.ID] = true
		case "ended":
			delete(inQueue, b.ID)
		}
		most = max(most, len(inQueue))
	}
	if most != limit || len(inQueue) > 0 {
		t.Errorf("at most %d jobs were in the queue, want %d; left: %v", most, limit, inQueue)
	}
	t.Logf("%d payloads, each once; at most %d jobs in the queue; %d processes", len(started), most, strings.Count(l.run("runs", "events", "last"), "run.opened")+1)
}
