package simulation_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/internal/simulation/naive"
	"github.com/fcflow/fcflow/internal/simulation/subject"
)

// bug is something that happened to users of other programs, or of the service.
type bug struct {
	name     string // repository and number of the report
	happened string
	lost     string // what it costs the user
	holds    string // what must be true of fcflow
	story    simulation.Story
	kill     time.Duration // when the program is killed; 0 = it is not, or by the story
	tasks    []simulation.Task
	// breaks is the rule that the naive executor breaks.
	breaks simulation.Rule
	// ends are the ends of units that do not succeed with fcflow, by cause.
	ends map[string]string
}

// seeds are how many versions of each story fcflow goes through: when jobs start
// and how long requests take differs.
const seeds = 10

func (b bug) plan() simulation.Plan { return simulation.Plan{Name: "history", Tasks: b.tasks} }

func (b bug) schedule(seed simulation.Seed) simulation.Schedule {
	s := simulation.Undisturbed(seed, b.plan())
	s.Story = b.story
	if b.kill > 0 {
		s.Kills = []simulation.Kill{{At: b.kill}}
	}
	return s
}

// TestHistory replays what happened elsewhere. The same naive executor must do
// harm in each story, by the same verdict that finds none of fcflow, and it must
// do none when the story is left out.
func TestHistory(t *testing.T) {
	if len(history) != 30 {
		t.Errorf("there are %d bugs", len(history))
	}
	for _, b := range history {
		t.Run(strings.ReplaceAll(b.name, "/", " "), func(t *testing.T) {
			t.Parallel()
			harm := b.judgeControl(t)
			w, err := subject.LoadPlan(b.plan())
			if err != nil {
				t.Fatal(err)
			}
			var ours *simulation.Result
			for seed := range simulation.Seed(seeds) {
				ours = bubble(t, b.schedule(seed+1), subject.New(w, seed+1), true)
				b.judge(t, seed+1, ours)
			}
			t.Logf("%s. Lost: %s\nthe naive executor: %v\nfcflow: %s", b.happened, b.lost, harm, ended(ours))
		})
	}
}

// TestNaive: one executor for all stories, too small to know any of them.
func TestNaive(t *testing.T) {
	text, err := os.ReadFile("naive/program.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 200 {
		t.Errorf("the naive executor has grown to %d lines", n)
	}
}

// judgeControl has the naive executor go through the story, and returns the harm
// that it does.
func (b bug) judgeControl(t *testing.T) simulation.Violation {
	t.Helper()
	calm := bubble(t, simulation.Undisturbed(1, b.plan()), naive.New(b.plan(), 1), false)
	for _, v := range calm.Violations {
		if v.Rule != simulation.Order { // it records nothing before it sends
			t.Errorf("the naive executor breaks a rule without any story: %v", v)
		}
	}
	r := bubble(t, b.schedule(1), naive.New(b.plan(), 1), true)
	i := slices.IndexFunc(r.Violations, func(v simulation.Violation) bool { return v.Rule == b.breaks })
	if i < 0 || len(r.Untold) > 0 {
		t.Fatalf("the naive executor breaks %v and not %q; what did not happen: %v\n%s", r.Violations, b.breaks, r.Untold, strings.Join(r.Trace, "\n"))
	}
	return r.Violations[i]
}

func (b bug) judge(t *testing.T, seed simulation.Seed, r *simulation.Result) {
	t.Helper()
	var wrong []string
	for _, v := range r.Violations {
		wrong = append(wrong, v.String())
	}
	for _, untold := range r.Untold {
		wrong = append(wrong, "did not happen: "+untold)
	}
	for _, task := range b.tasks {
		want := cmp.Or(b.ends[task.Unit], "succeeded")
		if r.Account == nil {
			wrong = append(wrong, string(r.Ending))
			break
		}
		if unit := r.Account.Units[task.Unit]; unit.State != want && unit.Cause != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s %s, not %s", task.Unit, unit.State, unit.Cause, want))
		}
	}
	if len(wrong) > 0 {
		t.Fatalf("seed %d: not true that %s:\n%s\n\n%s", seed, b.holds, strings.Join(wrong, "\n"), strings.Join(r.Trace, "\n"))
	}
}

// ended is how units ended, in a line.
func ended(r *simulation.Result) string {
	if r.Account == nil {
		return string(r.Ending)
	}
	var units []string
	for _, name := range slices.Sorted(maps.Keys(r.Account.Units)) {
		unit := r.Account.Units[name]
		units = append(units, strings.TrimSpace(fmt.Sprintf("%s %s %s", name, unit.State, unit.Cause)))
	}
	return fmt.Sprintf("%s; %d jobs, %d payloads started", strings.Join(units, ", "), r.Jobs, len(r.Starts))
}

// Work of the stories.

func task(unit string, takes time.Duration, after ...string) simulation.Task {
	return simulation.Task{Unit: unit, Takes: takes, After: after}
}

// alone is one task, chain two, one after the other.
func alone(takes time.Duration) []simulation.Task {
	return []simulation.Task{task("a", takes)}
}

func chain(takes time.Duration) []simulation.Task {
	return []simulation.Task{task("a", takes), task("b", time.Minute, "a")}
}

// failing is a chain whose first task ends in some other way than with 0.
func failing(takes time.Duration, end string) []simulation.Task {
	tasks := chain(takes)
	tasks[0].Ends = end
	return tasks
}

// retried is a chain whose first task may be tried again, except for exit codes.
func retried(takes time.Duration) []simulation.Task {
	tasks := chain(takes)
	tasks[0].Retry, tasks[0].Max = []string{"node_fail", "preempted", "killed", "out_of_memory", "walltime"}, 3
	return tasks
}

func several(n int, takes time.Duration) []simulation.Task {
	var tasks []simulation.Task
	for i := range n {
		tasks = append(tasks, task(fmt.Sprintf("t%d", i), takes))
	}
	return tasks
}

// Answers of the stories.

func timedOut() *simulation.Reply {
	return &simulation.Reply{Status: 408, Message: "Command execution timeout limit exceeded."}
}

func sbatch(complaint string) *simulation.Reply {
	return &simulation.Reply{Status: 500, Message: "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: " + complaint + "\n"}
}

func socketTimedOut() *simulation.Reply {
	return sbatch("Batch job submission failed: Socket timed out on send/recv operation")
}

// submission is what becomes of a submission of a.
func submission(m simulation.Mishap) simulation.Story {
	m.On = "POST job"
	if m.Times == 0 {
		m.Times = 1
	}
	return simulation.Story{Mishaps: []simulation.Mishap{m}}
}

// shown is how the job of a shows.
func shown(d simulation.Disguise) simulation.Story {
	return simulation.Story{Disguises: []simulation.Disguise{d}}
}
