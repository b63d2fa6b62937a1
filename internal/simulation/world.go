package simulation

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// World is everything outside the program under test. Its mutex guards all of
// it and is never held while anything waits.
type World struct {
	schedule Schedule
	began    time.Time

	mu    sync.Mutex
	disk  disk
	batch batch
	// ledger has a line for each payload that started.
	ledger []Start

	host        *Host // of the current life
	requests    map[string]int
	posts       map[string]int // by token: submissions that left
	sendings    map[string]int // by token: submissions on record
	cancelled   bool           // the request to cancel is on record
	lastDurable string
	account     *Account
	attention   bool // the program asks for a person
	waited      int  // ticks that found it so, one after another, when all was well
	boundaries  int
	events      int // since the last fault
	fired       [faults]int
	kills       []Killed
	wrongs      []Violation
	late        int  // requests whose effect is still to come
	over        bool // nothing that is still to come counts
	took        time.Duration

	told   told
	traced bool
	trace  []string
}

// Start is a line of the ledger.
type Start struct {
	At    time.Duration
	Token string
	Job   string
}

// Killed is a kill that hit.
type Killed struct {
	At          time.Duration
	LastDurable string // what became durable last before
}

func newWorld(s Schedule, traced bool) *World {
	w := &World{
		schedule: s, began: time.Now(), traced: traced, told: newTold(s.Story),
		requests: map[string]int{}, posts: map[string]int{}, sendings: map[string]int{},
	}
	w.disk = newDisk()
	w.batch = newBatch(w)
	return w
}

// now is how long the world has existed.
func (w *World) now() time.Duration { return time.Since(w.began) }

// about makes the dice of one decision of this schedule.
func (w *World) about(words ...string) *dice { return w.schedule.Seed.about(words...) }

// fair reports whether no new trouble comes any more.
func (w *World) fair() bool { return w.now() >= w.schedule.Horizon }

// after has something happen later, with the world locked. It must not wait.
func (w *World) after(d time.Duration, what func()) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			w.count()
			what()
		}
	})
}

// strike counts a fault that has an effect now.
func (w *World) strike(f Fault) {
	w.fired[f]++
	w.events = 0
}

// count counts something that happens.
func (w *World) count() { w.events++ }

// wrong notes what must never happen.
func (w *World) wrong(rule Rule, format string, args ...any) {
	v := Violation{rule, w.now(), fmt.Sprintf(format, args...)}
	w.wrongs = append(w.wrongs, v)
	w.note("WRONG %s: %s", rule, v.Text)
}

// note writes a line of the trace.
func (w *World) note(format string, args ...any) {
	if !w.traced {
		return
	}
	life := 0
	if w.host != nil {
		life = w.host.life
	}
	t := w.now()
	text := requestID.ReplaceAllString(strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf(format, args...)), "\n", "⏎"), "…")
	w.trace = append(w.trace, fmt.Sprintf("%02d:%02d:%02d.%09d life %d  %s",
		int(t.Hours()), int(t.Minutes())%60, int(t.Seconds())%60, t.Nanoseconds()%1e9, life, text))
}

// requestID is what programs choose by real chance.
var requestID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
