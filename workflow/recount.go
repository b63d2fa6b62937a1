package workflow

// recount derives the counters and queues of the run from its units. Only a reset
// and a new workflow need that: every other event keeps them.
func (r *Run) recount() {
	r.openMain, r.openFinally, r.running = 0, 0, 0
	r.badMain, r.badFinally, r.cancelled = false, false, false
	r.expand, r.judge, r.ring, r.jobs = queue[*StepRun]{}, queue[*Unit]{}, queue[*StepRun]{}, map[string]int{}
	for _, s := range r.Steps {
		s.recount()
		r.add(s)
	}
	var failed []string
	for _, id := range r.failedSteps {
		if s, ok := r.byID[id]; ok && s.counts[Failed] > 0 {
			failed = append(failed, id)
		}
	}
	r.failedSteps = failed
	for _, s := range r.Steps {
		s.unmet = 0
		for _, b := range s.Step.Barriers {
			if !r.Steps[b].over() {
				s.unmet++
			}
		}
		if s.Step.Finally && r.openMain > 0 {
			s.unmet++
		}
	}
}

// add counts a step towards the run.
func (r *Run) add(s *StepRun) {
	r.running += s.counts[Running]
	if s.Step.Finally {
		r.badFinally = r.badFinally || s.bad > 0
		if !s.over() {
			r.openFinally++
		}
	} else {
		r.badMain = r.badMain || s.bad > 0
		r.cancelled = r.cancelled || s.counts[Cancelled] > 0
		if !s.over() {
			r.openMain++
		}
	}
	for _, u := range s.Units {
		if u.holdsJobPlace() {
			r.jobs[u.system]++
		}
	}
	s.inRing = false
	r.enlist(s)
}

// over reports whether the step is done.
func (s *StepRun) over() bool { return s.expanded && s.open == 0 }

// recount derives the counters of a step. The root cause that is shown for it
// stays as long as a unit of it has that.
func (s *StepRun) recount() {
	root := s.badRoot
	s.instances = nil
	s.counts = make(map[State]int, 4)
	s.backoff, s.open, s.bad, s.badNotStop, s.badRoot = 0, 0, 0, 0, nil
	s.ready.trim(turn.void)
	for _, u := range s.Units {
		s.counts[u.State]++
		if u.row() == rowBackoff {
			s.backoff++
		}
		if !u.State.Done() {
			s.open++
			continue
		}
		if u.Good {
			continue
		}
		s.bad++
		if u.Root.State != Cancelled {
			s.badNotStop++
		}
		if s.badRoot == nil || u.Root == root {
			s.badRoot = u.Root
		}
	}
}
