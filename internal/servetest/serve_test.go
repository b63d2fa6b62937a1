package servetest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

var (
	workflows = flag.Int("serve.workflows", 5, "how many workflows have a schedule")
	period    = flag.Int("serve.period", 5, "`seconds` between the slots of each, a divisor of 60")
	runs      = flag.Int("serve.runs", 10, "how many other runs go on")
	sleep     = flag.Int("serve.sleep", 5, "`seconds` that the jobs of these take; the sandbox has room for four at a time")
	kills     = flag.Int("serve.kills", 2, "how often the server is killed")
	every     = flag.Duration("serve.every", 2*time.Second, "how long it lives at least")
	seed      = flag.Uint64("serve.seed", 0, "`seed` of the moments of kills; 0 chooses one")
)

const scheduled = `version: 1
name: w%d
schedule: [{ cron: "%s * * * * *", overlap: allow, catchup: { window: 1h, keep: all } }]
steps:
  - id: job
    uses: job
    with:
      resources: { nodes: 1, time: 5m }
      env: { RUN: "${{ run.id }}" }
      script: |
        #!/bin/sh
        echo "$RUN" >> %s
`

const active = `version: 1
name: active
steps:
  - id: job
    uses: job
    with:
      resources: { nodes: 1, time: 5m }
      env: { RUN: "${{ run.id }}" }
      script: |
        #!/bin/sh
        echo "$RUN" >> %s
        sleep %d
  - id: after
    needs: [job]
    uses: job
    with:
      resources: { nodes: 1, time: 5m }
      script: |
        #!/bin/sh
        true
`

// seeded returns the random numbers of a test, and prints what replays them.
func seeded(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("replay with -serve.seed=%d", n)
	return rand.New(rand.NewPCG(n, stream))
}

// TestServe has a server start the runs of schedules and drive others, kills it and
// starts it again, and judges: each slot is one run, each run has one job, and all
// succeed.
func TestServe(t *testing.T) {
	t.Parallel()
	random := seeded(t, 0)
	s := newSite(t)
	defer s.close()
	for i := range *workflows {
		s.write(fmt.Sprintf("workflows/w%d.yaml", i), fmt.Sprintf(scheduled, i, seconds(i), s.path("ledger")))
	}
	s.write("workflows/active.yaml", fmt.Sprintf(active, s.path("ledger"), *sleep))

	s.start()
	for range *runs {
		if err := s.ask(http.MethodPost, "/v1/runs", map[string]any{"workflow": "active"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if quiet := time.Duration(*period/2) * time.Second; quiet > measured {
		now := time.Now()
		time.Sleep(now.Truncate(2 * quiet).Add(3 * quiet).Sub(now)) // slots are in the first half
		s.compute("while jobs of these runs end, no slot being due")
	}
	for range *kills {
		time.Sleep(*every + time.Duration(random.Int64N(int64(*every)))) // how long it lives is what is tried
		s.stop(syscall.SIGKILL)
		s.start()
	}
	time.Sleep(time.Duration(*period) * time.Second) // a slot of each without a kill
	slots := s.settle()
	s.judge(slots)
	s.compute("idle")
}

// seconds lists those of a minute in which a workflow has its slots: the first half
// of each period.
func seconds(i int) string {
	var list []string
	for second := i % max(1, *period/2); second < 60; second += *period {
		list = append(list, fmt.Sprint(second))
	}
	return strings.Join(list, ",")
}

// settle pauses the schedules, waits until no run goes on, and returns the slots by
// workflow.
func (s *site) settle() map[string][]workflow.SlotRecord {
	s.t.Helper()
	slots := map[string][]workflow.SlotRecord{}
	for i := range *workflows {
		name := fmt.Sprintf("/v1/schedules/w%d/default", i)
		if err := s.ask(http.MethodPost, name+"/pause", map[string]string{"why": "the end"}, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, state := range []string{"running", "queued", "interrupted"} {
		s.until("no run is "+state, func() bool {
			var page struct{ Runs []workflow.Summary }
			return s.ask(http.MethodGet, "/v1/runs?limit=1&state="+state, nil, &page) == nil && len(page.Runs) == 0
		})
	}
	for i := range *workflows {
		name := fmt.Sprintf("w%d", i)
		s.until("schedule "+name+" knows of the end of its runs", func() bool {
			var records []workflow.SlotRecord
			err := s.ask(http.MethodGet, "/v1/schedules/"+name+"/default/slots", nil, &records)
			slots[name] = records
			return err == nil && !slices.ContainsFunc(records, func(r workflow.SlotRecord) bool { return r.Run != "" && r.State == "" })
		})
	}
	return slots
}

// judge compares what the server says of the slots with what the jobs wrote.
func (s *site) judge(slots map[string][]workflow.SlotRecord) {
	text, err := os.ReadFile(s.path("ledger"))
	if err != nil {
		s.t.Fatal(err)
	}
	wrote := map[string]int{}
	for id := range strings.FieldsSeq(string(text)) {
		wrote[id]++
	}
	doubled := 0
	for id, n := range wrote {
		if n > 1 {
			doubled++
			s.t.Errorf("the job of run %s ran %d times", id, n)
		}
	}
	lost, all := 0, 0
	for name, records := range slots {
		seen := map[int64]bool{}
		first, last := int64(0), int64(0)
		for _, r := range records {
			if r.Outcome == workflow.SlotSkipped {
				continue // after the pause
			}
			slot := r.Slot.Unix()
			if seen[slot] || r.N > 1 || r.Outcome != workflow.SlotRun || r.State != workflow.RunSucceeded || wrote[string(r.Run)] != 1 {
				lost++
				s.t.Errorf("%s: slot %s: %+v; its job ran %d times", name, r.Slot, r, wrote[string(r.Run)])
			}
			seen[slot] = true
			if first == 0 || slot < first {
				first = slot
			}
			last = max(last, slot)
		}
		all += len(seen)
		if want := int((last-first)/int64(*period)) + 1; len(seen) != want || first == 0 {
			lost++
			s.t.Errorf("%s: %d slots from %s to %s, want %d", name, len(seen), time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC(), want)
		}
	}
	if ended := len(wrote) - all; ended != *runs {
		s.t.Errorf("%d of the %d other runs had their job", ended, *runs)
	}
	s.t.Logf("%d kills, %d slots of %d schedules and %d other runs: %d slots lost or doubled, %d jobs doubled", *kills, all, *workflows, *runs, lost, doubled)
}

// measured is how long the server is watched.
const measured = 5 * time.Second

// compute prints how much the server computes while nothing is due.
func (s *site) compute(when string) {
	before, ok := s.cpu()
	if !ok {
		s.t.Log("what it computes cannot be known here")
		return
	}
	time.Sleep(measured)
	after, _ := s.cpu()
	s.t.Logf("%s: %.1f %% of a core (idle it is to be less than 2)", when, 100*float64(after-before)/float64(measured))
}
