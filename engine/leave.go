package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// ErrLeft: the run was left because somebody asked for it, and is to go on soon.
var ErrLeft = errors.New("the run is left for a moment")

// leavePace is how often it is looked whether a run can be left.
const leavePace = 50 * time.Millisecond

// Leave has Drive return [ErrLeft], as when its context ends, once nothing goes on in
// the run that a later owner could not go on with: a command on this machine, as a
// rule. Until then nothing begins. When ctx ends before that, the run goes on, and
// what it waited for is returned. Expendable units are not waited for.
func (x *Execution) Leave(ctx context.Context, expendable []workflow.UnitRef) (waits []string) {
	tick := time.NewTicker(leavePace)
	defer tick.Stop()
	for {
		x.hold(true)
		err := x.ask(context.WithoutCancel(ctx), func() error {
			if waits = x.fragileNow(expendable); len(waits) == 0 && x.quit == nil {
				x.quit = ErrLeft
			}
			return nil
		})
		if err != nil || len(waits) == 0 {
			return nil // it is left, for whatever reason
		}
		select {
		case <-tick.C:
		case <-x.stopped:
			return nil
		case <-ctx.Done():
			x.hold(false)
			return waits
		}
	}
}

// hold has nothing begin in the run, and those that its steps have started, or lets it
// begin again.
func (x *Execution) hold(on bool) {
	x.held.Store(on)
	x.poke()
	for _, k := range x.kids.all() {
		k.hold(on)
	}
}

// fragileNow names what would be lost if the run were left.
func (x *Execution) fragileNow(expendable []workflow.UnitRef) (names []string) {
	for u, e := range x.live {
		if e.fragile && !slices.Contains(expendable, u.Ref()) {
			names = append(names, u.Ref().String())
		}
	}
	slices.Sort(names)
	for _, k := range x.kids.all() {
		if k.anyFragile() {
			names = append(names, "run "+string(k.id))
		}
	}
	return names
}

// anyFragile is fragileNow from any goroutine.
func (x *Execution) anyFragile() bool {
	return x.fragile.Load() > 0 || slices.ContainsFunc(x.kids.all(), (*Execution).anyFragile)
}

// all lists the runs that are driven for the parent, and were.
func (s *kids) all() (all []*Execution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.runs {
		all = append(all, k.x)
	}
	return all
}
