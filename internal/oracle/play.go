package oracle

import "time"

// Play ends a run in an order of its own: everything starts as soon as it may, and
// lasts as long as the script says. cancels are the times of requests to cancel the
// run, since its start.
func Play(w *Workflow, script Script, cancels ...time.Duration) (Final, error) {
	return play(newWorld(w, script, semantics()), cancels)
}

// player has a clock, and knows when what is under way is over.
type player struct {
	world   *world
	now     time.Duration
	due     map[*unit]time.Duration
	cancels []time.Duration
}

func play(w *world, cancels []time.Duration) (Final, error) {
	w.settle()
	p := &player{world: w, due: map[*unit]time.Duration{}, cancels: cancels}
	for {
		more, err := p.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return w.final()
		}
	}
}

// next starts what may start, or else lets the clock go on to what is due first.
func (p *player) next() (bool, error) {
	var first *unit
	for _, s := range p.world.steps {
		for _, u := range s.units {
			switch {
			case u.state == Ready && p.world.room(s):
				return true, p.start(u)
			case u.state.done() || u.state == Pending || u.state == Ready:
			case first == nil || p.due[u] < p.due[first]:
				first = u
			}
		}
	}
	if len(p.cancels) > 0 && (first == nil || p.cancels[0] < p.due[first]) && !p.over() {
		p.now, p.cancels = p.cancels[0], p.cancels[1:]
		if err := p.world.happen(Happening{What: Cancels}); err != nil {
			return false, err
		}
		p.tell()
		return true, nil
	}
	if first == nil {
		return false, nil
	}
	p.now = p.due[first]
	return true, p.come(first)
}

func (p *player) over() bool { return p.world.partDone(false) && p.world.partDone(true) }

func (p *player) start(u *unit) error {
	if err := p.world.happen(Happening{Starts, u.name()}); err != nil || u.state != Running {
		return err
	}
	act := p.world.act(u)
	p.due[u] = p.now + act.For
	if act.Hold.waits() {
		return p.world.happen(Happening{Waits, u.name()})
	}
	return nil
}

// come is what is due for a unit.
func (p *player) come(u *unit) error {
	if u.state == Waiting {
		backoff := u.backoff
		if err := p.world.happen(Happening{Wakes, u.name()}); err != nil || backoff {
			return err
		}
	}
	if err := p.world.happen(Happening{Ends, u.name()}); err != nil {
		return err
	}
	if u.state == Waiting { // for the next attempt
		p.due[u] = p.now + pause<<min(u.attempts-1, 6)
	}
	return nil
}

// pause is the one before the second attempt; it doubles.
const pause = 10 * time.Second

// tell makes what heeds a cancel due at once.
func (p *player) tell() {
	for _, s := range p.world.steps {
		for _, u := range s.units {
			live := u.state == Running || u.state == Waiting
			if live && p.world.stopped(s.step) && p.world.act(u).Hold.heeds() {
				p.due[u] = p.now
			}
		}
	}
}
