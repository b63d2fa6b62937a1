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
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

var waiting = flag.Int("waiting", 500, "how many jobs are in the queues of five systems at a restart")

// runs are those of the process: one workflow cannot have all the jobs.
const runs = 2

// TestRestart: a process that takes runs over whose jobs are in the queues asks
// for one list of each system, and for nothing else about any job, before
// something happens to one.
//
// It runs alone, for the time that it prints.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, "alps", "eiger", "daint", "santis", "tasna")
		s.closed.Store(true)
		kept, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var list []job
		for i := range *waiting / runs {
			list = append(list, job{system: s.systems[i%len(s.systems)], takes: time.Hour})
		}
		text := source(list)
		ids := s.fillQueues(kept, text, len(list))

		time.Sleep(time.Hour) // nobody runs
		began, cpu := realTime(), cpuTime()
		p := s.start()
		var executions []*engine.Execution
		for _, id := range ids {
			executions = append(executions, s.reopen(p, kept, id, s.load(p, text)))
		}
		folded := realTime() - began
		s.driveFor(p, 20*time.Second, executions...)
		seen := s.wire.take()
		// Virtual time stands still until everything is armed that it could wake.
		armed := seen.of("GET jobs")[0].clock - began
		t.Logf("%d waiting attempts: opened in %.1f s, armed after %.1f s (goal 5 s; %.1f s of both processors until the lists were read)",
			len(ids)*len(list), folded.Seconds(), armed.Seconds(), (cpuTime() - cpu).Seconds())
		t.Logf("before the first change: %v", seen.count())
		for _, system := range s.systems {
			if n := len(seen.on(system).of("GET jobs")); n != 1 {
				t.Errorf("%d lists of the jobs of %s, want 1", n, system)
			}
		}
		if n, most := len(seen.of("GET ops/ls")), (*waiting+999)/1000; n > most {
			t.Errorf("%d lists of claims, want at most %d", n, most)
		}
		if n := len(seen) - len(seen.of("GET jobs", "GET ops/ls", "GET userinfo")); n > 0 {
			t.Errorf("%d other requests", n)
		}
		s.checkStates(seen)
	})
}

// fillQueues makes runs whose jobs have all been submitted and none begun. That
// they are is all that matters: it takes no time.
func (s *site) fillQueues(kept workflow.Store, text []byte, each int) (ids []workflow.RunID) {
	s.t.Helper()
	latency := s.wire.latency
	s.wire.latency = 0
	p := s.start(firecrest.WithMaxInFlight(64))
	w := s.load(p, text)
	var executions []*engine.Execution
	for range runs {
		executions = append(executions, s.create(p, kept, w))
	}
	s.driveFor(p, 10*time.Second, executions...)
	for _, x := range executions {
		ids = append(ids, x.ID())
		if n := inQueue(x.Run()); n != each {
			s.t.Fatalf("%d of %d jobs are in the queues", n, each)
		}
	}
	s.wire.take()
	s.wire.latency, s.wire.most = latency, 0
	return ids
}

// driveFor executes runs for some time, and ends the process.
func (s *site) driveFor(p *process, d time.Duration, executions ...*engine.Execution) {
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

// cpuTime is what the process has used of the processors.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
