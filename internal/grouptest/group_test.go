package grouptest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	runs  = flag.Int("group.runs", 20, "how many processes start a run")
	kills = flag.Int("group.kills", 30, "how many of them are killed and resumed")
	seed  = flag.Uint64("group.seed", 0, "`seed` of who is killed when; 0 chooses one")
)

const (
	// limit is that of testdata/member.yaml.
	limit = 3
	// patience is how long the whole may take, for each run.
	patience = 10 * time.Second
	// sayWithin is how soon who waits says of a killed holder that it is interrupted.
	sayWithin = 15 * time.Second
)

// member is one of the runs.
type member struct {
	number   int
	run      string // its id, once that is printed
	process  *process
	started  int // how many processes it had
	resumeAt time.Time
	ended    bool

	// killed is set while nobody drives it, heard once somebody who waits said so.
	killed, held, heard bool
	killedAt            time.Time
}

// campaign is all of them.
type campaign struct {
	t      *testing.T
	bin    string
	dir    string
	random *rand.Rand

	members []*member
	watcher *watcher

	kills, holders, heard int

	mu        sync.Mutex
	processes map[string]int // by run: the number of the process it has
}

// TestGroup has processes start runs of one group, kills and resumes some, and
// judges: never do more hold a place than the limit, a place goes to the first who
// waits, who was killed keeps what it had, and all end.
func TestGroup(t *testing.T) {
	t.Parallel()
	bin, err := bin()
	if err != nil {
		t.Fatal(err)
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	dir, err := os.MkdirTemp("", "fcflow-group-")
	if err != nil {
		t.Fatal(err)
	}
	c := &campaign{t: t, bin: bin, dir: dir, random: rand.New(rand.NewPCG(s, 0)), processes: map[string]int{}}
	defer c.close()
	text, err := os.ReadFile("testdata/member.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "member.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.watcher = watch(filepath.Join(dir, "state"), c.process)
	began := time.Now()
	c.drive()
	c.watcher.close()
	c.judge()
	t.Logf("%d runs in %s: %d kills, %d of them of runs that held a place, %d of which were named by who waited; "+
		"%d looks saw %d places handed over, %d times past a run that nobody had, and at most %d held",
		len(c.members), time.Since(began).Round(time.Millisecond), c.kills, c.holders, c.heard,
		c.watcher.looks, c.watcher.handovers, c.watcher.passed, c.watcher.most)
}

func (c *campaign) close() {
	for _, m := range c.members {
		if m.process != nil {
			m.process.kill()
		}
	}
	if c.t.Failed() {
		c.t.Logf("what is left is in %s", c.dir)
		return
	}
	_ = os.RemoveAll(c.dir)
}

// process is the number of the process that a run has now; 0 if none.
func (c *campaign) process(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.processes[run]
}

func (c *campaign) setProcess(m *member, number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes[m.run] = number
}

func (c *campaign) start(m *member, args ...string) {
	c.t.Helper()
	m.started++
	p, err := start(c.bin, c.dir, fmt.Sprintf("member-%d-%d", m.number, m.started), append(args, "--output", "name")...)
	if err != nil {
		c.t.Fatal(err)
	}
	m.process = p
}

// drive starts, kills and resumes until all have ended.
func (c *campaign) drive() {
	deadline := time.Now().Add(time.Duration(*runs) * patience)
	next := time.Now()
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		if time.Now().After(deadline) {
			c.t.Fatalf("they take too long: %s", c.unfinished())
		}
		if len(c.members) < *runs && c.random.IntN(4) == 0 {
			m := &member{number: len(c.members) + 1}
			c.members = append(c.members, m)
			c.start(m, "run", "member.yaml", "-i", fmt.Sprintf("number=%d", m.number))
		}
		for _, m := range c.members {
			c.step(m)
		}
		if c.kills < *kills && !time.Now().Before(next) && c.kill() {
			next = time.Now().Add(time.Duration(20+c.random.IntN(250)) * time.Millisecond)
		}
		if len(c.members) == *runs && c.unfinished() == "" {
			return
		}
	}
}

func (c *campaign) unfinished() string {
	var list []string
	for _, m := range c.members {
		if !m.ended {
			list = append(list, fmt.Sprintf("%d (%s)", m.number, m.run))
		}
	}
	return strings.Join(list, ", ")
}

// step looks after one run.
func (c *campaign) step(m *member) {
	switch {
	case m.ended:
	case m.killed:
		c.resume(m)
	default:
		if id := strings.TrimSpace(m.process.stdout()); m.run == "" && len(id) == 26 {
			m.run = id
			c.setProcess(m, m.started)
		}
		if code, ended := m.process.ended(); ended {
			if m.ended = true; code != 0 {
				c.t.Errorf("run %d ends with %d\n%s", m.number, code, m.process.stderr())
			}
		}
	}
}

// resume starts a killed run again when its time has come, one that held a place
// not before somebody who waits for it has said so.
func (c *campaign) resume(m *member) {
	if m.held && !m.heard && c.named(m) {
		m.heard = true
		c.heard++
	}
	if m.held && !m.heard && time.Since(m.killedAt) < sayWithin && c.waits() {
		return
	}
	if time.Now().Before(m.resumeAt) {
		return
	}
	if m.held && !m.heard && c.waits() {
		c.t.Errorf("nobody who waits says within %s that %s is interrupted", sayWithin, m.run)
	}
	m.killed = false
	c.start(m, "resume", m.run)
	c.setProcess(m, m.started)
}

// named reports whether who waits says that it is for a run that nobody drives.
func (c *campaign) named(m *member) bool {
	words := m.run[len(m.run)-6:] + " (interrupted)"
	for _, other := range c.members {
		if other.process != nil && strings.Contains(other.process.stderr(), words) {
			return true
		}
	}
	return false
}

// waits reports whether a process waits for a place.
func (c *campaign) waits() bool {
	l := c.watcher.now()
	return slices.ContainsFunc(c.members, func(m *member) bool { return l.queued[m.run] && l.owner[m.run] != 0 && !m.killed })
}

// kill kills one of the processes whose run has an id, every other time one that
// holds a place.
func (c *campaign) kill() bool {
	l := c.watcher.now()
	holder := c.random.IntN(2) == 0
	var some []*member
	for _, m := range c.members {
		if m.run != "" && !m.ended && !m.killed && l.holding[m.run] == holder {
			some = append(some, m)
		}
	}
	if len(some) == 0 {
		return false
	}
	m := some[c.random.IntN(len(some))]
	c.setProcess(m, 0)
	m.process.kill()
	if code, _ := m.process.ended(); code != -1 {
		return false // it ended before; step sees it
	}
	c.kills++
	m.killed, m.heard, m.killedAt = true, false, time.Now()
	m.held = c.holds(m)
	if m.held {
		c.holders++
	}
	m.resumeAt = time.Now().Add(time.Duration(c.random.IntN(800)) * time.Millisecond)
	return true
}

// holds reports whether a killed run has started and not ended.
func (c *campaign) holds(m *member) bool {
	began, ended := c.span(m)
	return !began.IsZero() && ended.IsZero()
}

// span returns when a run started and ended according to its history.
func (c *campaign) span(m *member) (began, ended time.Time) {
	c.t.Helper()
	p, err := start(c.bin, c.dir, "events", "runs", "events", m.run, "--output", "json")
	if err != nil {
		c.t.Fatal(err)
	}
	if <-p.done; p.cmd.ProcessState.ExitCode() != 0 {
		c.t.Fatalf("events of %s: %s", m.run, p.stderr())
	}
	for line := range strings.Lines(p.stdout()) {
		var e struct {
			Kind string    `json:"kind"`
			At   time.Time `json:"at"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("%v: %s", err, line)
		}
		switch e.Kind {
		case "run.started":
			began = e.At
		case "run.finished":
			ended = e.At
		}
	}
	return began, ended
}
