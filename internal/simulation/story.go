package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// preempted is the end of a job that had to make room.
const preempted = "PREEMPTED"

// Story is what happens in a schedule because somebody wrote it down, rather
// than by dice.
type Story struct {
	Mishaps   []Mishap
	Disguises []Disguise
	Twists    []Twist
	// Down is how long the program is not started again after a kill; 0 leaves
	// that to dice.
	Down time.Duration
}

// Mishap is what becomes of some requests.
type Mishap struct {
	On    string // the operation, as traces name it: POST job, GET jobs, GET job
	Unit  string // whose job; "" is anybody's
	Times int    // the first so many of them, of submissions those of each token; 0 is all
	// While bounds it in time; the zero span does not.
	While Span
	// Instead is answered, and nothing is done.
	Instead *Reply
	// Though is answered although the request has its effect, Late after it came.
	Though *Reply
	Late   time.Duration
	Cut    bool // the connection breaks after the effect
	Kill   bool // the program dies right after the effect
	Again  time.Duration
}

// Reply is an answer as a client sees it.
type Reply struct {
	Status int
	// Message is FirecREST's error message, Body its answer if there is one.
	Message string
	Body    any
}

// Span is a part of time since the beginning.
type Span struct{ From, For time.Duration }

func (s Span) holds(at time.Duration) bool {
	return s == Span{} || at >= s.From && at < s.From+s.For
}

// Disguise is how a job shows in answers, whatever it is in truth.
type Disguise struct {
	Unit string // "" is all
	In   string // GET jobs or GET job; "" is both
	// While is the state that it is in; "" is any, "ended" each that is an end.
	While string
	// From and For count from when that state began, or from its acceptance if
	// While is "". A For of 0 lasts.
	From, For time.Duration
	// During bounds it in time; the zero span does not.
	During Span
	Times  int // so many times at most; 0 is always
	Hidden bool
	// Of a job that shows: what is put in place of the truth.
	State, Name string
	Exit        int
}

// Twist is the end of a job's first run: so long after its start its node is
// taken away. If the job may be run again by the scheduler it is.
type Twist struct {
	Unit  string
	After time.Duration
	State string // as which it ends, or shows until it runs again
}

// told counts how often each part of the story happened.
type told struct {
	mishaps, disguises, twists []int
	times                      map[string]int // of mishaps, by token
}

func newTold(s Story) told {
	return told{make([]int, len(s.Mishaps)), make([]int, len(s.Disguises)), make([]int, len(s.Twists)), map[string]int{}}
}

// untold names the parts of the story that never happened.
func (w *World) untold() []string {
	var names []string
	for i, m := range w.schedule.Story.Mishaps {
		if w.told.mishaps[i] == 0 {
			names = append(names, fmt.Sprintf("mishap %d, on %s", i, m.On))
		}
	}
	for i, d := range w.schedule.Story.Disguises {
		if w.told.disguises[i] == 0 {
			names = append(names, fmt.Sprintf("disguise %d, while %s", i, cmp.Or(d.While, "any state")))
		}
	}
	for i, t := range w.schedule.Story.Twists {
		if w.told.twists[i] == 0 {
			names = append(names, fmt.Sprintf("twist %d, of %s", i, t.Unit))
		}
	}
	return names
}

// mishap is what the story makes of a request.
func (w *World) mishap(r *request) (fate, bool) {
	for i, m := range w.schedule.Story.Mishaps {
		if m.On != r.op.String() || m.Unit != "" && m.Unit != w.unitOf(r) || !m.While.holds(w.now()) {
			continue
		}
		which := fmt.Sprint(i, r.token)
		if m.Times > 0 && w.told.times[which] >= m.Times {
			continue
		}
		w.told.times[which]++
		w.told.mishaps[i]++
		return fate{
			instead: m.Instead.answer(), replace: m.Though.answer(), late: m.Late,
			cut: m.Cut, kill: m.Kill, copied: m.Again,
		}, true
	}
	return fate{}, false
}

// unitOf is the unit whose job a request is about.
func (w *World) unitOf(r *request) string {
	switch {
	case r.op == opSubmit:
		return label(r.job.Name)
	case r.op == opJob || r.op == opCancel:
		if j := w.batch.byID[r.path[3]]; j != nil {
			return j.unit
		}
	}
	return ""
}

func (r *Reply) answer() *answer {
	switch {
	case r == nil:
		return nil
	case r.Body != nil:
		return success(r.Status, r.Body)
	case r.Message == "":
		return gatewayAnswer(r.Status)
	}
	return failure(r.Status, r.Message)
}

// disguise is how a job shows in an answer; nil if it does not.
func (b *batch) disguise(in op, j *job, shown *jobRow) *jobRow {
	w := b.world
	for _, t := range w.schedule.Story.Twists {
		if t.Unit == j.unit && j.round > 0 && j.state == pending {
			return disguised(j, t.State, 1)
		}
	}
	for i, d := range w.schedule.Story.Disguises {
		switch {
		case d.Unit != "" && d.Unit != j.unit, d.In != "" && d.In != in.String(), !d.fits(j), !d.During.holds(w.now()),
			d.Times > 0 && w.told.disguises[i] >= d.Times:
			continue
		}
		w.told.disguises[i]++
		if d.Hidden {
			return nil
		}
		other := *j
		other.name = cmp.Or(d.Name, j.name)
		return disguised(&other, cmp.Or(d.State, j.state), d.Exit)
	}
	return shown
}

// disguised shows a job in a state that is not its own.
func disguised(j *job, state string, exit int) *jobRow {
	other := *j
	if slices.Contains([]string{completed, failed, cancelled, timeout, nodeDied, oom, preempted}, state) {
		other.state, other.exit, other.signal, other.by = state, exit, 0, ""
		other.started, other.ended = j.accepted, time.Now()
	}
	r := row(&other)
	r.Status.State = state
	return &r
}

// fits reports whether a job is in the state, and has been for as long, that a
// disguise is for.
func (d *Disguise) fits(j *job) bool {
	since := j.accepted
	switch {
	case d.While == "ended":
		if !j.terminal() {
			return false
		}
		since = j.ended
	case d.While != "" && d.While != j.state:
		return false
	case d.While == running:
		since = j.started
	}
	age := time.Since(since)
	return age >= d.From && (d.For == 0 || age < d.From+d.For)
}

// twist takes the node away from a job that has just started its first run.
func (b *batch) twist(j *job) {
	for i, t := range b.world.schedule.Story.Twists {
		if t.Unit != j.unit || j.nth > 1 || j.attempt > 1 || j.round > 0 {
			continue
		}
		b.later(j, t.After, func() {
			b.world.told.twists[i]++
			if noRequeue.MatchString(j.script) {
				b.end(j, t.State, 1, 0, "")
				return
			}
			b.requeue(j)
		})
	}
}
