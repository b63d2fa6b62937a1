package simulation_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/internal/simulation"
	"github.com/fcflow/fcflow/internal/simulation/subject"
	"github.com/fcflow/fcflow/workflow"
)

// canonical is a workflow of testdata with the world that its head asks for.
type canonical struct {
	name     string
	workflow *workflow.Workflow
	schedule simulation.Schedule
	ends     string // how the run ends; "whatever" where that depends on the moment
}

// ever is a horizon that no run of testdata reaches.
const ever = 1000 * time.Hour

// loadCanonical reads a workflow and its head: lines such as
//
//	# fault: lost_reply POST job 1     the first of each such request
//	# weather: hidden_rows 0.3         each time it could strike
//	# outage: api_down 30s 30m         from when, and for how long
//	# cancel: 75s                      when somebody cancels the run
//	# ends: succeeded
func loadCanonical(t *testing.T, file string) *canonical {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &canonical{name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
	c.schedule = simulation.Undisturbed(1, simulation.Plan{Name: c.name})
	if c.workflow, err = subject.Load(file, text); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": ")
		if !strings.HasPrefix(line, "# ") {
			break
		}
		if ok {
			if err := c.head(key, value); err != nil {
				t.Fatalf("%s: %s: %v", file, line, err)
			}
		}
	}
	if c.ends == "" {
		t.Fatalf("%s does not say how it ends", file)
	}
	return c
}

func (c *canonical) head(key, value string) (err error) {
	s := &c.schedule
	words := strings.Fields(value)
	fault, known := simulation.FaultNamed(words[0])
	if slices.Contains([]string{"fault", "weather", "outage"}, key) && !known {
		return fmt.Errorf("no such fault")
	}
	switch key {
	case "fault":
		n, err := strconv.Atoi(words[len(words)-1])
		s.Troubles = append(s.Troubles, simulation.Trouble{Fault: fault, Operation: strings.Join(words[1:len(words)-1], " "), Nth: n, Chance: 1})
		s.Horizon = ever
		return err
	case "weather":
		for item := range strings.SplitSeq(value, ", ") {
			name, chance, _ := strings.Cut(item, " ")
			if fault, known = simulation.FaultNamed(name); !known {
				return fmt.Errorf("no such fault")
			}
			if s.Weather[fault], err = strconv.ParseFloat(chance, 64); err != nil {
				return err
			}
		}
		s.Horizon = ever
	case "outage":
		o := simulation.Outage{Fault: fault}
		if o.From, err = time.ParseDuration(words[1]); err != nil {
			return err
		}
		o.For, err = time.ParseDuration(words[2])
		s.Outages, s.Horizon = append(s.Outages, o), o.From+o.For
	case "cancel":
		s.Cancel, err = time.ParseDuration(value)
	case "ends":
		c.ends = value
	}
	return err
}

// run goes through the workflow, killed at some boundaries.
func (c *canonical) run(t *testing.T, output string, kills ...int) *simulation.Result {
	s := c.schedule
	for _, n := range kills {
		s.Kills = append(s.Kills, simulation.Kill{Boundary: n})
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(output); err != nil {
		t.Fatal(err)
	}
	return bubble(t, s, subject.New(c.workflow, s.Seed).In(dir, output), *point != "")
}

// show goes through the one point of -point and prints all that happens.
func show(t *testing.T) {
	name, list, _ := strings.Cut(*point, ":")
	var kills []int
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		kills = append(kills, n)
	}
	c := loadCanonical(t, filepath.Join("testdata", name+".yaml"))
	r := c.run(t, filepath.Join(t.TempDir(), name), kills...)
	for _, line := range r.Trace {
		t.Log(line)
	}
	c.judge(t, r, kills...)
}

// judge compares how a run ended with what the workflow says.
func (c *canonical) judge(t *testing.T, r *simulation.Result, kills ...int) {
	t.Helper()
	at := c.name + ":" + strings.Trim(strings.ReplaceAll(fmt.Sprint(kills), " ", ","), "[]")
	for _, v := range r.Violations {
		t.Errorf("-point %s: %s", at, v)
	}
	switch {
	case r.Ending != simulation.Ended:
		t.Errorf("-point %s: %s", at, r.Ending)
	case c.ends != "whatever" && r.Account.State != c.ends:
		t.Errorf("-point %s: the run %s: %v", at, r.Account.State, r.Account.Units)
	}
}

func canonicals(t *testing.T) []*canonical {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []*canonical
	for _, file := range files {
		all = append(all, loadCanonical(t, file))
	}
	return all
}

// smallest is how many workflows are killed at all pairs of boundaries.
const smallest = 5

// TestCrashPoints kills fcflow at each single moment right before and after a
// commit or a request of each workflow of testdata, and the smallest ones at each
// two of them.
func TestCrashPoints(t *testing.T) {
	if *point != "" {
		show(t)
		return
	}
	all := canonicals(t)
	boundaries := map[*canonical]int{}
	for _, c := range all {
		r := c.run(t, filepath.Join(t.TempDir(), c.name))
		c.judge(t, r)
		boundaries[c] = r.Boundaries
	}
	if t.Failed() {
		return
	}
	var singles, pairs atomic.Int64
	points := make(chan func(*testing.T, string))
	t.Run("points", func(t *testing.T) {
		var group sync.WaitGroup
		for n := range *workers {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				output := filepath.Join(t.TempDir(), strconv.Itoa(n))
				for point := range points {
					point(t, output)
				}
			})
		}
		group.Go(func() {
			defer close(points)
			for _, c := range all {
				for n := 1; n <= boundaries[c]; n += *every {
					points <- func(t *testing.T, output string) { c.judge(t, c.run(t, output, n), n); singles.Add(1) }
				}
			}
			if *every == 1 {
				killTwice(small(boundaries), boundaries, points, &pairs)
			}
		})
	})
	t.Logf("%d workflows, killed at %d single boundaries and %d pairs of boundaries", len(all), singles.Load(), pairs.Load())
	for _, c := range all {
		t.Logf("%6d  %s", boundaries[c], c.name)
	}
}

// small are the workflows with the fewest boundaries.
func small(boundaries map[*canonical]int) []*canonical {
	return slices.SortedFunc(maps.Keys(boundaries), func(a, b *canonical) int {
		if d := boundaries[a] - boundaries[b]; d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})[:smallest]
}

// killTwice makes the points at which a run that was killed once is killed again,
// at each boundary that it still has.
func killTwice(some []*canonical, boundaries map[*canonical]int, points chan<- func(*testing.T, string), pairs *atomic.Int64) {
	for _, c := range some {
		for first := 1; first <= boundaries[c]; first++ {
			points <- func(t *testing.T, output string) {
				for second := first + 1; second <= c.run(t, output, first).Boundaries; second++ {
					c.judge(t, c.run(t, output, first, second), first, second)
					pairs.Add(1)
				}
			}
		}
	}
}
