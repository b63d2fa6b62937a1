package gentletest

import (
	"context"
	"flag"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

var waiting = flag.Int("waiting", 500, "how many jobs are in the queues of five systems at a restart")

// runs are two runs of one process: a workflow cannot have all the jobs.
const runs = 2

// TestRestart: a process that takes runs over whose jobs are in the queues asks
// for one list of each system, and for nothing else of any job, before something
// happens to one.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "alps", "eiger", "daint", "santis", "tasna")
		s.closed.Store(true)
		kept, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var jobs []job
		for i := range *waiting / runs {
			jobs = append(jobs, job{system: s.systems[i%len(s.systems)], takes: time.Hour})
		}
		text := source(jobs)

		began := realTime()
		p := s.start(nil)
		var ids []workflow.RunID
		var executions []*engine.Execution
		w := s.load(p, text)
		for range runs {
			x := s.create(p, kept, w)
			ids, executions = append(ids, x.ID()), append(executions, x)
		}
		s.driveFor(p, executions, 30*time.Minute)
		seen := s.wire.take()
		t.Logf("%d jobs submitted in %s: %v", len(seen.of("POST jobs")), realTime()-began, seen.count())
		for _, x := range executions {
			if n := inQueue(x.Run()); n != len(jobs) {
				t.Fatalf("%d of %d jobs are in the queue", n, len(jobs))
			}
		}

		p = s.start(nil)
		began = realTime()
		executions = nil
		for _, id := range ids {
			h, err := kept.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			x, err := p.engine.Open(t.Context(), h, s.load(p, text), kept.Self(), "test")
			if err != nil {
				t.Fatal(err)
			}
			executions = append(executions, x)
		}
		t.Logf("opened after %s", realTime()-began)
		s.driveFor(p, executions, 6*time.Second)
		seen = s.wire.take()
		t.Logf("all after %s: %v", realTime()-began, seen.count())
	})
}

// driveFor executes runs for some time, and ends the process.
func (s *site) driveFor(p *process, executions []*engine.Execution, d time.Duration) {
	ctx, stop := context.WithTimeoutCause(s.t.Context(), d, errStop)
	defer stop()
	var all sync.WaitGroup
	for _, x := range executions {
		all.Go(func() { s.drive(ctx, x) })
	}
	all.Wait()
	p.end()
}

// inQueue is how many units wait for their jobs.
func inQueue(run *workflow.Run) int {
	n := 0
	for _, step := range run.Steps {
		for _, u := range step.Units {
			if u.State == workflow.Waiting && u.Wait.Reason == workflow.WaitJob {
				n++
			}
		}
	}
	return n
}

// realTime is a clock that a bubble does not stop.
func realTime() time.Duration {
	var now syscall.Timeval
	if err := syscall.Gettimeofday(&now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}
