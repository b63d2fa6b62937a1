package crashtest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	kills  = flag.Int("kills", 8, "how many times TestKill kills the program; from 50 on every kind of event must have been hit")
	seed   = flag.Uint64("seed", 0, "`seed` of the moments of kills; 0 chooses one")
	only   = flag.String("only", "", "kill once, at this `moment` as a test prints it")
	atOnce = flag.Int("at-once", 4, "how many kills go on at a time")
)

// enough is from how many kills on TestKill vouches for every kind of event.
const enough = 50

// moment is when a process is killed, and what with it.
type moment struct {
	after time.Duration // of its start, if point is ""
	point string        // else where, in the words of FCFLOW_CRASH_AT
	// kept says that the sandbox is a process of its own, which goes on.
	kept bool
}

func (m moment) String() string {
	when, sandbox := m.point, "killed"
	if when == "" {
		when = m.after.String()
	}
	if m.kept {
		sandbox = "kept"
	}
	return when + "," + sandbox
}

func parseMoment(text string) (moment, error) {
	when, sandbox, _ := strings.Cut(text, ",")
	m := moment{kept: sandbox == "kept"}
	if strings.Contains(when, ":") {
		m.point = when
		return m, nil
	}
	var err error
	m.after, err = time.ParseDuration(when)
	return m, err
}

// crash starts fcflow and sees it killed. Waiting for a moment is not a way to
// synchronise here: the moment is what is tested.
func (m moment) crash(l *lab, args ...string) *process {
	l.t.Helper()
	if m.point != "" {
		p := l.start([]string{"FCFLOW_CRASH_AT=" + m.point}, args...)
		p.wait()
		return p
	}
	p := l.start(nil, args...)
	<-time.After(m.after)
	p.kill()
	return p
}

// random returns the source of a test's moments and says how to get them again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// What a run of the workflow makes at least.
const (
	requests    = 20
	submissions = 3
)

// plan chooses moments: half of them uniform over the time the clean run took,
// the others uniform over its commits, over its requests and over those that
// submit jobs, so that short phases get their share.
func (c *clean) plan(random *rand.Rand, n int) []moment {
	var plan []moment
	for i := range n {
		m := moment{kept: i%2 == 0}
		side := []string{"before", "after"}[random.IntN(2)]
		switch i % 6 {
		case 2:
			m.point = fmt.Sprintf("commit:%d:%s", 1+random.IntN(len(c.commits)), side)
		case 4:
			m.point = fmt.Sprintf("request:%d:%s", 1+random.IntN(requests), side)
		case 5:
			m.point = fmt.Sprintf("submission:%d:%s", 1+random.IntN(submissions), side)
		default:
			m.after = time.Duration(random.Int64N(int64(c.took))).Round(time.Millisecond)
		}
		plan = append(plan, m)
	}
	return plan
}

// aim chooses moments right after commits that hold events of given kinds, not
// beyond the most-th such commit: events share commits by chance, so that a run
// may have fewer of a kind than another.
func (c *clean) aim(random *rand.Rand, kinds []string, most int) []moment {
	var plan []moment
	for _, kind := range kinds {
		n := 1 + random.IntN(min(c.holding(kind), most))
		plan = append(plan, moment{point: fmt.Sprintf("%s:%d:after", kind, n), kept: random.IntN(2) == 0})
	}
	return plan
}

// TestKill kills a run at random moments. Resumed, it must end as one that was
// never disturbed, with every job started once and nothing done again that was
// done.
func TestKill(t *testing.T) {
	t.Parallel()
	random := random(t)
	c := undisturbed(t)
	t.Logf("a run takes %s and %d commits", c.took, len(c.commits))
	sum := &summary{results: map[result]int{}, last: map[string]int{}}
	defer func() { t.Log(sum) }()
	if *only != "" {
		m, err := parseMoment(*only)
		if err != nil {
			t.Fatal(err)
		}
		c.killAll(t, []moment{m}, sum)
		return
	}
	for range 3 { // more for those that came before the run, or after
		c.killAll(t, c.plan(random, max(*kills-sum.hits(), 0)), sum)
	}
	if *kills >= enough {
		for most := len(c.commits); most > 0 && len(sum.missing(c)) > 0; most /= 6 {
			c.killAll(t, c.aim(random, sum.missing(c), most), sum)
		}
		if missing := sum.missing(c); len(missing) > 0 {
			t.Errorf("never the last durable event: %s", missing)
		}
	}
}

// killAll goes through a plan, some kills at a time: a run mostly waits.
func (c *clean) killAll(t *testing.T, plan []moment, sum *summary) {
	moments := make(chan moment)
	var workers sync.WaitGroup
	for range *atOnce {
		workers.Go(func() {
			for m := range moments {
				t.Run(m.String(), func(t *testing.T) {
					result, last := wrong, []string(nil)
					defer func() { sum.add(result, last) }()
					result, last = c.kill(newLab(t), m)
					t.Logf("%s: %s, after %s", m, result, last)
				})
			}
		})
	}
	for _, m := range plan {
		moments <- m
	}
	close(moments)
	workers.Wait()
}

// kill kills one run, resumes it and judges the end. It also returns the kinds
// of events that were the last to become durable before the kill.
func (c *clean) kill(l *lab, m moment) (result, []string) {
	l.t.Helper()
	if m.kept {
		l.serve()
	}
	p := m.crash(l, l.everything()...)
	if !p.killed() {
		if r := c.judge(l, p); r != endedWell {
			return r, nil
		}
		return tooLate, nil
	}
	if len(l.list()) == 0 {
		if starts, jobs := l.ledger(), l.batch(); len(starts) > 0 || len(jobs) > 0 {
			l.t.Fatalf("no run is known, but %v and %v happened", starts, jobs)
		}
		return notBegun, nil
	}
	stored := l.events("last")
	last := l.lastCommit(stored)
	return c.judge(l, l.resume(), stored), last
}

// everything is the command line of the workflow that all kills are about.
func (l *lab) everything() []string {
	return []string{"run", "everything.yaml", "--sandbox=" + l.path("sandbox"), "-i", "ledger=" + l.path("ledger")}
}

func (l *lab) resume() *process {
	l.t.Helper()
	return l.start(nil, "resume", "last")
}

// TestDoubleKill kills a run, and then what resumes it.
func TestDoubleKill(t *testing.T) {
	t.Parallel()
	random := random(t)
	c := undisturbed(t)
	var workers sync.WaitGroup
	for i := range 3 {
		first := c.plan(random, 3)[2] // by commits: never too late
		first.kept = i%2 == 0
		second := moment{point: fmt.Sprintf("commit:%d:after", 1+random.IntN(3)), kept: first.kept}
		workers.Go(func() {
			t.Run(first.String()+","+second.String(), func(t *testing.T) { c.killTwice(newLab(t), first, second) })
		})
	}
	workers.Wait()
}

func (c *clean) killTwice(l *lab, first, second moment) {
	l.t.Helper()
	if first.kept {
		l.serve()
	}
	first.crash(l, l.everything()...)
	if len(l.list()) == 0 {
		return
	}
	snapshots := [][]event{l.events("last")}
	p := second.crash(l, "resume", "last")
	if p.killed() {
		snapshots = append(snapshots, l.events("last"))
		p = l.resume()
	}
	l.t.Logf("%d kills: %s", len(snapshots), c.judge(l, p, snapshots...))
}

// summary counts how the kills of a test ended.
type summary struct {
	mu      sync.Mutex
	results map[result]int
	last    map[string]int // by kind: kills after whose last commit held it
}

func (s *summary) add(r result, last []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[r]++
	for _, kind := range last {
		s.last[kind]++
	}
}

// hits counts the kills in the middle of a run.
func (s *summary) hits() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.results[endedWell] + s.results[wrong]
}

// missing lists the kinds of events of the clean run that no kill came right
// after.
func (s *summary) missing(c *clean) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for _, kind := range c.kinds() {
		if s.last[kind] == 0 {
			missing = append(missing, kind)
		}
	}
	return missing
}

func (s *summary) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("of the kills\n")
	for _, r := range results {
		fmt.Fprintf(&b, "%5d  %s\n", s.results[r], r)
	}
	b.WriteString("and these came right after a commit that holds\n")
	var kinds []string
	for kind := range s.last {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(p, q string) int { return s.last[q] - s.last[p] })
	for _, kind := range kinds {
		fmt.Fprintf(&b, "%5d  %-20s %s\n", s.last[kind], kind, strings.Repeat("▪", min(s.last[kind], 60)))
	}
	return b.String()
}

// TestCrashPoint: a point that cannot be meant is refused, so that no test
// believes in a crash that never comes.
func TestCrashPoint(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, point := range []string{"commit", "commit:0", "commit:x", ":1", "commit:1:during", "commit:1:after:all"} {
		p := l.start([]string{"FCFLOW_CRASH_AT=" + point}, l.everything()...)
		if code := p.exit(); code != 2 || !strings.Contains(p.stderr(), "FCFLOW_CRASH_AT") {
			t.Errorf("%q: exit code %d", point, code)
		}
	}
}
