package simulation_test

import (
	"flag"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/internal/simulation/naive"
	"github.com/fcflow/fcflow/internal/simulation/subject"
	"github.com/fcflow/fcflow/workflow"
)

var (
	schedules = flag.Int("schedules", 300, "how many schedules TestSchedules goes through; from 10000 on every fault must have struck")
	controls  = flag.Int("controls", 1000, "how many of them the controls go through, the first ones; 0 = none")
	seed      = flag.Uint64("seed", 0, "`seed` of the first schedule; 0 chooses one")
	only      = flag.Bool("only", false, "go through the one schedule of -seed, and print all that happens")
	every     = flag.Int("every", 7, "TestCrashPoints kills at every n-th boundary; 1 = at all, and at all pairs of the smallest workflows")
	point     = flag.String("point", "", "kill one workflow of testdata, as `name:boundary,…`, and print all that happens")
	workers   = flag.Int("workers", 2, "how many schedules go on at a time")
)

// progress is after how many schedules TestSchedules says how far it is.
const progress = 5_000

// enough is from how many schedules on TestSchedules vouches for every fault.
const enough = 10_000

// campaign is what schedules are drawn from and executed with.
type campaign struct {
	plans     []simulation.Plan
	workflows map[string]*workflow.Workflow
	unfenced  map[string]*workflow.Workflow
	clean     map[string]simulation.Clean
}

func newCampaign(t *testing.T) *campaign {
	t.Helper()
	c := &campaign{plans: simulation.Plans(), workflows: map[string]*workflow.Workflow{}, unfenced: map[string]*workflow.Workflow{}, clean: map[string]simulation.Clean{}}
	for _, plan := range c.plans {
		w, err := subject.LoadPlan(plan)
		if err != nil {
			t.Fatal(err)
		}
		c.workflows[plan.Name] = w
		if c.unfenced[plan.Name], err = subject.LoadPlan(plan.Unfenced()); err != nil {
			t.Fatal(err)
		}
		r := c.run(t, simulation.Undisturbed(1, plan), false)
		if r.Ending != simulation.Ended || len(r.Violations) > 0 {
			t.Fatalf("%s, undisturbed: %s, %v", plan.Name, r.Ending, r.Violations)
		}
		c.clean[plan.Name] = simulation.Clean{Took: r.Took, Boundaries: r.Boundaries}
	}
	return c
}

// bubble executes in virtual time.
func bubble(t *testing.T, s simulation.Schedule, p simulation.Program, traced bool) (r *simulation.Result) {
	synctest.Test(t, func(*testing.T) { r = simulation.Run(s, p, traced) })
	return r
}

// run has fcflow go through a schedule.
func (c *campaign) run(t *testing.T, s simulation.Schedule, traced bool) *simulation.Result {
	return bubble(t, s, subject.New(c.workflows[s.Plan.Name], s.Seed), traced)
}

// control has the naive executor go through it.
func (c *campaign) control(t *testing.T, s simulation.Schedule) *simulation.Result {
	return bubble(t, s, naive.New(s.Plan, s.Seed), false)
}

func (c *campaign) schedule(seed simulation.Seed) simulation.Schedule {
	return simulation.NewSchedule(seed, c.plans, c.clean)
}

// firstSeed is the seed of a test; the n-th schedule has the n-th after it.
func firstSeed(t *testing.T) simulation.Seed {
	s := *seed
	if s == 0 {
		s = uint64(rand.Uint32())
	}
	t.Logf("seed %d", s)
	return simulation.Seed(s)
}

// TestSchedules goes through random schedules. Nothing may start twice, nothing
// may get lost, and everything ends, whatever happens.
func TestSchedules(t *testing.T) {
	first := firstSeed(t)
	c := newCampaign(t)
	if *only {
		c.show(t, first)
		return
	}
	began := time.Now()
	ours, bare, naive := newSummary("fcflow"), newSummary("fcflow with fence: off"), newSummary("the naive executor")
	var next atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for range *workers {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < int64(*schedules); n = next.Add(1) - 1 {
					if n > 0 && n%progress == 0 {
						t.Logf("after %s: %s", time.Since(began).Round(time.Second), ours.verdict(first))
					}
					s := c.schedule(first + simulation.Seed(n))
					ours.add(s, c.run(t, s, false))
					if n < int64(*controls) {
						bare.add(s, bubble(t, s, subject.New(c.unfenced[s.Plan.Name], s.Seed), false))
						naive.add(s, c.control(t, s))
					}
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d schedules and their controls in %s, %.0f in a minute\n%s\n%s\n%s", *schedules, took.Round(time.Millisecond),
		float64(*schedules)/took.Minutes(), ours, bare, naive)
	ours.judge(t)
	if *controls > 0 {
		bare.judgeControl(t)
		naive.judgeControl(t)
	}
	t.Log(ours.verdict(first))
}

// show goes through one schedule and prints all that happens.
func (c *campaign) show(t *testing.T, seed simulation.Seed) {
	s := c.schedule(seed)
	t.Logf("%s", s)
	r := c.run(t, s, true)
	for _, line := range r.Trace {
		t.Log(line)
	}
	t.Logf("%s after %s, %d lives, %d jobs", r.Ending, r.Took, r.Lives, r.Jobs)
	for _, v := range r.Violations {
		t.Error(v)
	}
	if r.Ending != simulation.Ended {
		t.Errorf("it did not end: %s", r.Ending)
	}
}
