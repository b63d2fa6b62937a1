package servetest

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	changes = flag.Int("serve.changes", 12, "how often the workflow of a run is changed")
	changed = flag.Int("serve.changed", 3, "how many runs it is changed of")
)

// saying is a workflow whose job waits for a file, and whose last step, which has not
// begun, says a number.
const saying = `version: 1
name: saying
steps:
  - id: job
    uses: job
    with:
      resources: { nodes: 1, time: 10m }
      env: { RUN: "${{ run.id }}" }
      script: |
        #!/bin/sh
        echo "$RUN" >> %[1]s
        until [ -e %[2]s ]; do sleep 0.1; done
  - { id: say, needs: [job], uses: run, with: { script: "printf %[3]d" } }
outputs: { said: "${{ steps.say.outputs.stdout }}" }
`

// told is what is known of a run whose workflow is changed.
type told struct {
	ID                string
	answered, unheard int // changes
	said              []int
}

// TestChanges has the workflow of runs changed while their server is killed and
// started anew, and judges: the server goes on with all of them by itself, each job
// has run once, each change that was answered is there, and the last one holds.
func TestChanges(t *testing.T) {
	t.Parallel()
	random := seeded(t, 1)
	s := newSite(t)
	defer s.close()
	text := func(number int) string { return fmt.Sprintf(saying, s.path("ledger"), s.path("go"), number) }

	s.start()
	runs := make([]*told, *changed)
	for i := range runs {
		runs[i] = &told{said: []int{0}}
		if err := s.ask(http.MethodPost, "/v1/runs", map[string]any{"source": text(0)}, runs[i]); err != nil {
			t.Fatal(err)
		}
	}
	killed := 0
	for number := 1; number <= *changes; number++ {
		run := runs[random.IntN(len(runs))]
		s.until("the run goes on", func() bool {
			var now struct{ Live bool }
			return s.ask(http.MethodGet, "/v1/runs/"+run.ID, nil, &now) == nil && now.Live
		})
		answer := make(chan error, 1)
		go func() {
			answer <- s.ask(http.MethodPost, "/v1/runs/"+run.ID+"/resume", map[string]any{"source": text(number)}, nil)
		}()
		kill := random.IntN(4) > 0
		if kill {
			time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond)))) // when it dies is what is tried
			s.stop(syscall.SIGKILL)
			killed++
		}
		err := <-answer
		switch {
		case err == nil:
			run.answered++
			run.said = []int{number}
		case kill:
			run.unheard++
			run.said = append(run.said, number)
		default:
			t.Error(err)
		}
		if kill {
			s.start()
		}
	}
	s.write("go", "")
	answered, made := 0, 0
	for _, run := range runs {
		answered += run.answered
		made += s.judgeChanged(run)
	}
	ledger, err := os.ReadFile(s.path("ledger"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Fields(string(ledger)); len(lines) != len(runs) {
		t.Errorf("%d jobs of %d runs: %s", len(lines), len(runs), lines)
	}
	t.Logf("%d changes of %d runs, %d of them answered, %d made and not answered, %d kills", *changes, len(runs), answered, made-answered, killed)
}

// judgeChanged waits for the end of a run, looks at what its last step said, and
// returns how often it was changed.
func (s *site) judgeChanged(run *told) int {
	s.t.Helper()
	var end struct {
		State   string
		Replans int
		Outputs struct{ Said string }
	}
	s.until("the run has ended", func() bool {
		return s.ask(http.MethodGet, "/v1/runs/"+run.ID, nil, &end) == nil && (end.State == "succeeded" || end.State == "failed")
	})
	if end.State != "succeeded" || end.Replans < run.answered || end.Replans > run.answered+run.unheard {
		s.t.Errorf("run %s is %s, and changed %d times; %d changes were answered, %d not", run.ID, end.State, end.Replans, run.answered, run.unheard)
	}
	for _, number := range run.said {
		if end.Outputs.Said == fmt.Sprint(number) {
			return end.Replans
		}
	}
	s.t.Errorf("run %s said %s, not one of %v", run.ID, end.Outputs.Said, run.said)
	return end.Replans
}
