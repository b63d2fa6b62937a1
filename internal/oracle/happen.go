package oracle

import "fmt"

// What can happen to a unit by an attempt of it, or to the run.
type What string

const (
	Judged  What = "is judged" // its dependencies are met
	Starts  What = "starts"
	Waits   What = "waits"
	Wakes   What = "wakes" // also: the pause before the next attempt is over
	Ends    What = "ends"
	Cancels What = "cancels" // the run
)

// Happening is one thing that happens. What comes of it follows from the script and
// the rules.
type Happening struct {
	What What
	Unit string // step, or step/key
}

func (h Happening) String() string {
	if h.Unit == "" {
		return string(h.What)
	}
	return h.Unit + " " + string(h.What)
}

// happen has something happen, and then applies the rules until they change
// nothing. What the rules do not allow is an error.
func (w *world) happen(h Happening) error {
	if h.What == Cancels {
		w.cancel()
		w.settle()
		return nil
	}
	u := w.unit(h.Unit)
	if u == nil {
		return fmt.Errorf("%s: there is no such unit", h)
	}
	before, ok := u.state, false
	switch h.What {
	case Judged:
		ok = !u.of.failFast || u.state == Ready // it was judged as soon as it could be
		if !ok && u.state == Pending && w.law.met(w, u) {
			w.judge(u)
			ok = true
		}
	case Starts:
		ok = u.state == Ready && w.room(u.of)
		if ok {
			w.start(u)
		}
	case Waits:
		ok = u.state == Running && w.act(u).Hold.waits()
		if ok {
			u.state = Waiting
		}
	case Wakes:
		ok = u.state == Waiting
		if ok && u.backoff {
			u.state, u.backoff = Ready, false
		} else if ok {
			u.state = Running
		}
	case Ends:
		ok = u.state == Running
		if ok {
			w.finish(u)
		}
	}
	if !ok {
		return fmt.Errorf("%s, and it is %s", h, describe(u, before))
	}
	w.settle()
	return nil
}

func describe(u *unit, s State) string {
	if u.cause != "" {
		return fmt.Sprintf("%s(%s)", s, u.cause)
	}
	return string(s)
}

// room reports whether max_parallel lets another unit start: those that run or
// wait count, but for those that wait for their next attempt.
func (w *world) room(s *stepRun) bool {
	n := 0
	for _, u := range s.units {
		if u.state == Running || u.state == Waiting && !u.backoff {
			n++
		}
	}
	return s.maxParallel == 0 || n < s.maxParallel
}

// start begins an attempt, with its inputs; inputs that cannot be evaluated fail
// the unit for good.
func (w *world) start(u *unit) {
	with, err := fill(u.of.with, w.scope(u))
	if err != nil {
		u.end(Failed, "expression")
		return
	}
	u.state, u.cause = Running, ""
	u.attempts++
	u.pending = outputsOf(with.(*object))
}

// outputsOf is what a scripted step gives back: n is the input n and the sum of
// from, items is the input items.
func outputsOf(with *object) *object {
	n := 1.0
	if v, given := with.get("n").(float64); given {
		n = v
	}
	if list, given := with.get("from").([]any); given {
		for _, item := range list {
			v, _ := item.(float64)
			n += v
		}
	}
	items := []any{}
	if list, given := with.get("items").([]any); given {
		items = list
	}
	return mapping("n", n, "items", items)
}

// finish ends an attempt as the script says, or, if it was told to stop and heeds
// that, cancelled.
func (w *world) finish(u *unit) {
	act := w.act(u)
	if w.stopped(u.of.step) && act.Hold.heeds() {
		u.end(Cancelled, "")
		return
	}
	cause := act.cause()
	switch {
	case cause == "":
		u.outputs = u.pending
		u.end(Succeeded, "")
	case w.law.retries(w, u, cause):
		u.state, u.cause, u.backoff = Waiting, cause, true
	default:
		u.end(Failed, cause)
	}
}

// cancel is a request to end the run: the first ends `steps`, the second finally.
// A step that was not expanded has one unit from then on.
func (w *world) cancel() {
	w.cancels++
	for _, s := range w.steps {
		if !w.stopped(s.step) {
			continue
		}
		if !s.expanded {
			s.add(&unit{})
			s.expanded = true
		}
		w.law.cancel(w, s)
	}
}
