package gentletest

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

var jobs = flag.Int("jobs", 200, "how many jobs are submitted at once")

// scene is a run of many jobs, and what a site may see of it.
type scene struct {
	systems []string
	job     func(i int, j *job)
	faults  []string // of the sandbox
	cancel  bool     // the run, once every job is submitted
	restart bool     // the process then
	half    bool     // of the jobs: the sandbox lists their claims again and again

	ends workflow.RunState
	// extra is how many requests more a job may cost than its submission.
	extra func(job) int
}

const none = 0

var scenes = map[string]scene{
	"success": {
		systems: []string{"alps"},
		ends:    workflow.RunSucceeded,
		extra:   func(job) int { return none },
	},
	"five systems": {
		systems: []string{"alps", "eiger", "daint", "santis", "tasna"},
		ends:    workflow.RunSucceeded,
		extra:   func(job) int { return none },
	},
	"failures and outputs": {
		systems: []string{"alps"},
		job: func(i int, j *job) {
			j.output = i%4 == 1
			if i%4 == 2 {
				j.exits = 3
			}
		},
		ends: workflow.RunFailed,
		extra: func(j job) int {
			switch {
			case j.exits != 0:
				return 2 // how it ended, and the end of what it printed
			case j.output:
				return 1
			}
			return none
		},
	},
	"hidden rows": {
		systems: []string{"alps"},
		faults:  []string{"hide-rows=0.3"},
		ends:    workflow.RunSucceeded,
		extra:   func(job) int { return none },
	},
	"lost replies": {
		systems: []string{"alps"},
		half:    true,
		faults:  []string{"drop-reply=0.5,ops=POST /compute/*/jobs"},
		ends:    workflow.RunSucceeded,
		extra:   func(job) int { return 1 },
	},
	"restart": {
		systems: []string{"alps"},
		restart: true,
		half:    true,
		ends:    workflow.RunSucceeded,
		extra:   func(job) int { return 1 }, // how it ended, by its claim
	},
	"cancel": {
		systems: []string{"alps"},
		cancel:  true,
		half:    true,
		ends:    workflow.RunCancelled,
		extra:   func(job) int { return 3 }, // a tombstone, the end of the job, and how it ended
	},
}

// TestRows counts what a site sees of many jobs at once: of their states, of
// their ends, and of the run.
func TestRows(t *testing.T) {
	t.Parallel()
	for name, sc := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, sc.systems...)
				if err := s.server.SetFaults(1, sc.faults...); err != nil {
					t.Fatal(err)
				}
				list := sc.jobs()
				began, kept, p := time.Now(), memory.New(), s.start()
				x := s.create(p, kept, s.load(p, source(list)))
				switch {
				case sc.cancel:
					time.AfterFunc(5*time.Minute, func() { cancelRun(t, x) })
				case sc.restart:
					s.driveFor(p, 5*time.Minute, x)
					p = s.start()
					x = s.reopen(p, kept, x.ID(), s.load(p, source(list)))
				}
				s.drive(t.Context(), x)
				p.end()
				if state := x.Run().State; state != sc.ends {
					t.Errorf("the run is %s, want %s", state, sc.ends)
				}
				seen := s.wire.take()
				t.Logf("%d jobs in %s: %v", len(list), time.Since(began).Round(time.Minute), seen.count())
				s.checkStates(seen)
				s.checkExtra(seen, list, sc.extra)
			})
		})
	}
}

func (sc scene) jobs() []job {
	random := rand.New(rand.NewPCG(1, 0))
	var list []job
	n := *jobs
	if sc.half {
		n /= 2
	}
	for i := range n {
		j := job{system: sc.systems[i%len(sc.systems)], takes: 10*time.Minute + time.Duration(random.IntN(900))*time.Second}
		if sc.job != nil {
			sc.job(i, &j)
		}
		list = append(list, j)
	}
	return list
}

func cancelRun(t *testing.T, x *engine.Execution) {
	if err := x.Cancel(t.Context(), "test"); err != nil {
		t.Error(err)
	}
}

// checkStates: however many jobs there are, their states cost no more than this.
func (s *site) checkStates(seen requests) {
	s.t.Helper()
	if s.wire.most > 4 {
		s.t.Errorf("%d requests in flight, want at most 4", s.wire.most)
	}
	for _, system := range s.systems {
		here := seen.on(system)
		lists, lookups := here.of("GET jobs").busiest(10*time.Minute), here.of("GET job").busiest(time.Minute)
		s.t.Logf("%s: at most %d lists in ten minutes (goal 32), %d look-ups in a minute (goal 10)", system, lists, lookups)
		if lists > 32 || lookups > 10 {
			s.t.Errorf("%s: %d lists in ten minutes and %d look-ups in a minute, want at most 32 and 10", system, lists, lookups)
		}
	}
}

// checkExtra: what is neither a submission, nor its end, nor the state of a job.
func (s *site) checkExtra(seen requests, list []job, extra func(job) int) {
	s.t.Helper()
	posts := seen.of("POST jobs")
	submitting := posts[len(posts)-1].at.Sub(posts[0].at) + s.wire.latency
	s.t.Logf("%d submissions in %.0f s of virtual time; 1,000 in %.0f s (goal 90 s)", len(posts), submitting.Seconds(),
		submitting.Seconds()*1000/float64(len(posts)))
	allowed := 1 // what systems there are
	for range s.systems {
		allowed += 3 + (len(list)+999)/1000
	}
	for _, j := range list {
		allowed += extra(j)
	}
	more := len(seen) - len(posts) - len(seen.of("GET jobs", "GET job", "DELETE job"))
	s.t.Logf("%d requests besides (goal %d)", more, allowed)
	if more > allowed {
		s.t.Errorf("%d requests besides, want at most %d: %v", more, allowed, seen.count())
	}
	if len(posts) != len(list) {
		s.t.Errorf("%d submissions of %d jobs", len(posts), len(list))
	}
}
