package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Bounds of a schedule.
const (
	// maxEvents is how many things may happen after the last fault before a
	// program is stuck.
	maxEvents = 50_000
	// tick is how often the world has a look at the program, and patience how many
	// looks may find it waiting for a person when all is well again.
	tick     = 10 * time.Minute
	patience = 18
	// maxLives is how often a program is started in all.
	maxLives = 200
)

// Ending is how a schedule came out.
type Ending string

// The endings.
const (
	Ended     Ending = "ended"
	Attention Ending = "attention" // the program waits for a person
	NoEnd     Ending = "stuck"
)

// Result is what a schedule came to.
type Result struct {
	Ending     Ending
	Account    *Account
	Violations []Violation
	Fired      [faults]int
	Kills      []Killed
	Took       time.Duration
	Boundaries int
	Lives      int
	Jobs       int
	Starts     []Start
	Wasted     int // jobs that found their token taken
	// Untold are the parts of the story that never happened.
	Untold []string
	Trace  []string
}

// Run has a program live through a schedule. It must be called in a bubble of
// testing/synctest, in which all of it takes no time.
func Run(s Schedule, p Program, traced bool) *Result {
	w := newWorld(s, traced)
	r := &Result{}
	for w.account == nil && r.Ending == "" {
		r.Lives++
		r.Ending = w.live(p, r.Lives)
	}
	w.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judgeRest()
	w.over = true
	r.Account, r.Violations, r.Fired, r.Kills, r.Boundaries = w.account, w.wrongs, w.fired, w.kills, w.boundaries
	r.Starts, r.Jobs, r.Took, r.Trace = w.ledger, len(w.batch.jobs), w.took, w.trace
	r.Untold = w.untold()
	if r.Ending == "" {
		r.Ending = Ended
	}
	for _, j := range w.batch.jobs {
		if j.state == failed && j.exit == exitDuplicate {
			r.Wasted++
		}
	}
	return r
}

// live is one life of the program. It returns an ending if there is no point in
// another one.
func (w *World) live(p Program, number int) Ending {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	h := &Host{world: w, life: number, dead: make(chan struct{}), stop: stop, pauses: map[string]int{}, asked: make(chan struct{})}
	w.mu.Lock()
	w.host = h
	w.attention = false
	w.note("life %d begins", number)
	w.mu.Unlock()
	w.plague(h)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, h) }()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return w.pause(h, err)
		case <-ticker.C:
			if ending := w.hopeless(number); ending != "" {
				w.mu.Lock()
				w.note("given up: %s", ending)
				w.end(h)
				w.mu.Unlock()
				<-ended
				return ending
			}
		}
	}
}

// plague arranges what the schedule has in store for a life.
func (w *World) plague(h *Host) {
	for _, k := range w.schedule.Kills {
		if wait := k.At - w.now(); k.Boundary == 0 && wait > 0 {
			w.after(wait, func() { w.kill(h, "at a moment") })
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := w.schedule.Cancel; at > 0 && !w.cancelled {
		ask := func() {
			if !h.isDead {
				w.note("somebody asks for a cancel")
				close(h.asked)
			}
		}
		// Whoever is told of a life that ended before his wish was on record asks
		// the next one.
		w.after(max(at-w.now(), w.about("ask", fmt.Sprint(h.life)).between(time.Millisecond, 3*time.Second)), ask)
	}
}

// hopeless says whether a life will not come to an end.
func (w *World) hopeless(lives int) Ending {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count()
	w.waited++
	if !w.attention || !w.fair() {
		w.waited = 0
	}
	switch {
	case w.events > maxEvents, lives >= maxLives:
		w.wrong(Stuck, "no end in sight")
		return NoEnd
	case w.waited > patience:
		return Attention
	}
	return ""
}

// pause is what happens between two lives: somebody notices, and starts the
// program again.
func (w *World) pause(h *Host, err error) Ending {
	w.mu.Lock()
	gaveUp := !h.isDead
	if !gaveUp {
		err = ErrKilled // whatever it says
	}
	w.note("life %d ends: %v", h.life, err)
	w.end(h)
	if w.account != nil {
		w.took = w.now()
		w.note("the work is %s", w.account.words())
		w.judgeEnd()
		w.mu.Unlock()
		return ""
	}
	d := w.about("down", fmt.Sprint(h.life))
	down := d.between(time.Second, 10*time.Minute)
	if gaveUp { // no hurry
		down = d.between(10*time.Minute, 40*time.Minute)
	}
	if told := w.schedule.Story.Down; told > 0 {
		down = told
	}
	w.mu.Unlock()
	<-time.After(down)
	return w.hopeless(h.life)
}

// settle lets what is under way come to its end.
func (w *World) settle() {
	for range 1000 {
		w.mu.Lock()
		alive := w.batch.alive() || w.late > 0
		w.mu.Unlock()
		if !alive {
			return
		}
		<-time.After(time.Minute)
	}
}

// words is an account in a trace.
func (a *Account) words() string {
	var b strings.Builder
	b.WriteString(a.State)
	for _, unit := range sortedUnits(a) {
		u := a.Units[unit]
		fmt.Fprintf(&b, "; %s %s %s %s", unit, u.State, u.Cause, u.Job)
	}
	return b.String()
}
