package workflow

// resetSet is what a reset does: the units that are pending after it, in the order
// of the workflow, and the steps without any whose list is told anew.
type resetSet struct {
	units []*Unit
	empty []*StepRun
}

// closure adds to the units chosen for a reset what goes with them.
func (r *Run) closure(chosen []*Unit) resetSet {
	in := map[*Unit]bool{}
	after, afterSuccess := newReach(r), newReach(r)
	main := false
	for _, u := range chosen {
		in[u] = true
		main = main || !u.Step.Step.Finally
		after.from(u)
		if u.State == Succeeded {
			afterSuccess.from(u)
		}
	}
	var set resetSet
	for _, s := range r.Steps {
		if s.list() && s.expanded && len(s.Units) == 0 && (after.steps[s] || main && s.Step.Finally) {
			set.empty = append(set.empty, s)
		}
		for _, u := range s.Units {
			if in[u] || afterSuccess.units[u] || after.units[u] && (u.State != Succeeded || u.alone()) || main && s.Step.Finally {
				set.units = append(set.units, u)
			}
		}
	}
	return set
}

// reach is what depends on some units, directly or not.
type reach struct {
	run   *Run
	units map[*Unit]bool
	steps map[*StepRun]bool // all of whose units are reached
	ended map[ending]bool   // whose units are reached
	next  []*Unit
	// looked counts the units that were looked at: not many more than are reached.
	looked int
}

// ending is what fail_fast did to a step because of a root cause.
type ending struct {
	step *StepRun
	root *Unit
}

func newReach(r *Run) *reach {
	return &reach{run: r, units: map[*Unit]bool{}, steps: map[*StepRun]bool{}, ended: map[ending]bool{}}
}

// from adds what depends on a unit.
func (c *reach) from(u *Unit) {
	c.next = append(c.next, u)
	for len(c.next) > 0 {
		u := c.next[len(c.next)-1]
		c.next = c.next[:len(c.next)-1]
		c.after(u)
	}
}

func (c *reach) add(u *Unit) {
	if !c.units[u] {
		c.units[u] = true
		c.next = append(c.next, u)
	}
}

// after adds what waits for the unit itself: the steps that its step is a barrier
// of, the unit that is paired with it, and what fail_fast skipped because of it.
func (c *reach) after(u *Unit) {
	s := u.Step
	c.dependents(s)
	for _, p := range s.pairs {
		if s.expanded {
			c.add(p.Units[u.place])
		}
	}
	e := ending{s, u.Root}
	if !s.Step.FailFast || u.Good || !u.State.Done() || c.ended[e] {
		return
	}
	c.ended[e] = true // all that were skipped would find each other
	for _, other := range s.Units {
		c.looked++
		if other.State == Skipped && other.Root == u.Root && other.Cause == CauseUpstreamFailed {
			c.add(other)
		}
	}
}

// dependents adds the steps that a step is a barrier of. One without any unit
// passes on what reaches it.
func (c *reach) dependents(s *StepRun) {
	for _, d := range s.dependents {
		c.all(d)
	}
}

func (c *reach) all(s *StepRun) {
	if c.steps[s] {
		return
	}
	c.steps[s] = true
	for _, u := range s.Units {
		c.looked++
		c.add(u)
	}
	if len(s.Units) > 0 {
		return
	}
	c.dependents(s)
	for _, p := range s.pairs {
		c.all(p)
	}
}

// alone reports whether the unit stands for instances that nobody could tell.
func (u *Unit) alone() bool {
	s := u.Step.Step
	return u.Instance == "" && (s.Matrix != nil || s.ForEach != nil)
}

// collapse has the instances of steps told anew: of those that could not be told,
// and of those that go through a list, if all that there was of them is reset.
// What a unit of the same key tried before stays.
func (r *Run) collapse(set resetSet) {
	reset := map[*StepRun]int{}
	for _, u := range set.units {
		reset[u.Step]++
	}
	for _, s := range r.Steps {
		n := len(s.Units)
		if n > 0 && s.list() && s.wholly(reset) || n == 1 && reset[s] == 1 && s.Step.Pair == nil && s.Units[0].alone() {
			s.forget()
		}
	}
	for _, s := range set.empty {
		s.forget()
	}
}

// list reports whether the step goes through a list, not the units of another.
func (s *StepRun) list() bool { return s.Step.ForEach != nil && s.Step.Pair == nil }

// wholly reports whether every unit of the step, and of the steps that go through
// it, is reset.
func (s *StepRun) wholly(reset map[*StepRun]int) bool {
	if !s.expanded || reset[s] < len(s.Units) {
		return false
	}
	for _, p := range s.pairs {
		if !p.wholly(reset) {
			return false
		}
	}
	return true
}

// forget takes the instances of a step away, and of those that go through them.
func (s *StepRun) forget() {
	if s.former == nil {
		s.former = make(map[string]*Unit, len(s.Units))
	}
	for _, u := range s.Units {
		s.former[u.Instance] = u
	}
	s.Units, s.byKey = nil, map[string]*Unit{}
	s.expanded, s.dimensions, s.items, s.planned = false, nil, nil, nil
	for _, p := range s.pairs {
		p.forget()
	}
}

// inherit gives a unit the attempts that one of its key has made before.
func (s *StepRun) inherit(u *Unit) {
	before := s.former[u.Instance]
	if before == nil {
		return
	}
	u.Attempts, u.before = before.Attempts, len(before.Attempts)
	if before.State == Pending || before.State == Ready {
		u.before = before.before
	}
}
