package workflow

import (
	"cmp"
	"container/heap"
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

// timers is a heap by instant. Void entries stay until they reach the top.
type timers []Timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].At.Before(h[j].At) }
func (h timers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timers) Push(x any)        { *h = append(*h, x.(Timer)) }
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = Timer{}
	*h = old[:len(old)-1]
	return t
}

func (h *timers) add(t Timer) { heap.Push(h, t) }

func (h *timers) init() { heap.Init(h) }

func (h *timers) trim() {
	for len(*h) > 0 && (*h)[0].void() {
		heap.Pop(h)
	}
}

// Due lists the timers whose instant has come, the earliest first.
func (r *Run) Due(now time.Time) []Timer {
	due := r.timers.due(0, now, nil)
	slices.SortFunc(due, func(a, b Timer) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind))
	})
	return due
}

// due appends what is not later than now in the part of the heap below i.
func (h timers) due(i int, now time.Time, list []Timer) []Timer {
	if i >= len(h) || h[i].At.After(now) {
		return list
	}
	if !h[i].void() {
		list = append(list, h[i])
	}
	return h.due(2*i+2, now, h.due(2*i+1, now, list))
}

// NextTimer returns the earliest instant after now at which something may be
// due.
func (r *Run) NextTimer(now time.Time) (time.Time, bool) {
	return r.timers.next(0, now)
}

// next looks below the part of the heap that is not later than now.
func (h timers) next(i int, now time.Time) (at time.Time, ok bool) {
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
