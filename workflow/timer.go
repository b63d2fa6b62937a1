package workflow

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
	"time"
)

// TimerKind says what a timer is for.
type TimerKind string

const (
	TimerWait     TimerKind = "wait"     // the instant of a wait
	TimerBackoff  TimerKind = "backoff"  // the next attempt
	TimerDeadline TimerKind = "deadline" // the step's timeout
	TimerQueue    TimerKind = "queue"    // the step's queue_timeout
	TimerRun      TimerKind = "run"      // the workflow's timeout
	TimerFinally  TimerKind = "finally"  // what `finally` may take after a cancel
)

// Timer is an instant at which something must be decided.
type Timer struct {
	At   time.Time
	Kind TimerKind
	Unit *Unit // nil for timers of the run

	gen, attempt int
	run          *Run
}

// void reports whether the reason for the timer is gone.
func (t Timer) void() bool {
	u := t.Unit
	switch t.Kind {
	case TimerRun:
		return t.run.TimedOut || t.run.CancelRequests > 0 || t.run.Result != ""
	case TimerFinally:
		return t.run.CancelRequests > 1 || t.run.State.Terminal()
	case TimerWait, TimerBackoff:
		return u.State != Waiting || u.gen != t.gen
	case TimerDeadline, TimerQueue:
		if !u.live() || len(u.Attempts) != t.attempt {
			return true
		}
		a := u.Attempt()
		return a.Expired != "" || t.Kind == TimerQueue && a.LeftQueue
	}
	return true
}

// TimerGroup tells timers apart by what it takes to act on them.
type TimerGroup int

const (
	TimersOfRun   TimerGroup = iota // what they say concerns everything
	TimersOfUnits                   // can be acted on at once
	TimersOfWaits                   // their units need a slot
	timerGroups
)

func (k TimerKind) group() TimerGroup {
	switch k {
	case TimerRun, TimerFinally:
		return TimersOfRun
	case TimerWait:
		return TimersOfWaits
	}
	return TimersOfUnits
}

// timers are those of a run, by group: of the thousands that may be due together
// only those are looked at that can be acted on.
type timers [timerGroups]timerHeap

func (t *timers) add(n Timer) { heap.Push(&t[n.Kind.group()], n) }

func (t *timers) trim() {
	for g := range t {
		h := &t[g]
		for len(*h) > 0 && (*h)[0].void() {
			heap.Pop(h)
		}
	}
}

// Due yields the timers of a group whose instant has come, the earliest first. How
// much that takes depends on how many are taken, not on how many are due.
func (r *Run) Due(g TimerGroup, now time.Time) iter.Seq[Timer] {
	return r.timers[g].due(now)
}

// NextTimer returns the earliest instant after now at which something may be due.
// While a wait is due that has no slot, that of no other wait matters.
func (r *Run) NextTimer(now time.Time) (at time.Time, ok bool) {
	for g, h := range r.timers {
		if TimerGroup(g) == TimersOfWaits && len(h) > 0 && !h[0].At.After(now) {
			continue
		}
		if t, found := h.next(0, now); found && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

// timerHeap is a heap by instant. Void entries stay until they reach the top.
type timerHeap []Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(Timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = Timer{}
	*h = old[:len(old)-1]
	return t
}

func (t Timer) before(other Timer) bool {
	return cmp.Or(t.At.Compare(other.At), cmp.Compare(t.Kind, other.Kind)) < 0
}

// keep drops the timers that are of none of some kinds.
func (h *timerHeap) keep(kinds ...TimerKind) {
	*h = slices.DeleteFunc(*h, func(t Timer) bool { return !slices.Contains(kinds, t.Kind) })
	heap.Init(h)
}

// due yields what is not later than now, in order, without changing the heap.
func (h timerHeap) due(now time.Time) iter.Seq[Timer] {
	return func(yield func(Timer) bool) {
		next := &frontier{timers: h}
		next.reach(0)
		for next.Len() > 0 {
			i := heap.Pop(next).(int)
			if h[i].At.After(now) || !h[i].void() && !yield(h[i]) {
				return
			}
			next.reach(2*i + 1)
			next.reach(2*i + 2)
		}
	}
}

// frontier is a heap of places in a heap of timers: of those whose parents were
// taken. The earliest of them is the earliest of all that is left.
type frontier struct {
	timers timerHeap
	places []int
}

func (f *frontier) reach(i int) {
	if i < len(f.timers) {
		heap.Push(f, i)
	}
}

func (f *frontier) Len() int           { return len(f.places) }
func (f *frontier) Less(i, j int) bool { return f.timers[f.places[i]].before(f.timers[f.places[j]]) }
func (f *frontier) Swap(i, j int)      { f.places[i], f.places[j] = f.places[j], f.places[i] }
func (f *frontier) Push(x any)         { f.places = append(f.places, x.(int)) }
func (f *frontier) Pop() any {
	last := f.places[len(f.places)-1]
	f.places = f.places[:len(f.places)-1]
	return last
}

// next looks below the part of the heap that is not later than now.
func (h timerHeap) next(i int, now time.Time) (at time.Time, ok bool) {
	if i >= len(h) {
		return time.Time{}, false
	}
	if h[i].At.After(now) {
		return h[i].At, true
	}
	for _, child := range []int{2*i + 1, 2*i + 2} {
		if t, found := h.next(child, now); found && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}
