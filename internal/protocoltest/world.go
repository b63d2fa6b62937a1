package protocoltest

// world adds what may happen next outside of fcflow, and to it. What may happen
// need not: a request that is lost is one that never arrives.
func (r Rules) world(s *state, next *moves, b Bounds) {
	for p := range post(posts) {
		b.deliver(s, next, p)
	}
	for t := range tokens {
		if s.plants[t] {
			r.plant(s, next, t)
		}
	}
	for j := range jobs {
		r.live(s, next, j)
	}
	if s.cancels > 0 && !s.ended() {
		n := next.to(s, "somebody cancels the run")
		n.cancels--
		n.cancel = true
	}
	if s.crashes > 0 {
		n := next.to(s, "fcflow is killed and started again")
		n.crashes--
		n.reopen()
	}
	if s.restores > 0 {
		n := next.to(s, "the run is restored from a backup made before it sent anything")
		n.restores--
		n.record = record{reopened: true}
	}
}

// reopen is all that a kill changes: nobody waits for answers any more.
func (s *state) reopen() {
	s.reopened = true
	for p := range s.sent {
		switch s.sent[p] {
		case recorded, awaiting:
			s.sent[p] = ambiguous
		case unrecorded:
			s.sent[p] = unsent
		}
	}
}

// deliver lets a request arrive, at any time after it was sent, and a proxy send
// it twice. A request that was cut short makes a job that does nothing.
func (b Bounds) deliver(s *state, next *moves, p post) {
	if s.copies[p] == 0 {
		return
	}
	if s.repeats > 0 {
		n := next.to(s, "a proxy repeats %v", p)
		n.repeats--
		n.copies[p]++
	}
	slot, count := job(p), 0
	for _, phase := range s.job {
		if phase != noJob {
			count++
		}
	}
	if s.job[slot] != noJob {
		slot = again
	}
	if count >= b.Jobs {
		return
	}
	n := next.to(s, "the batch system accepts job %d", slot)
	n.accept(slot, p)
	if s.cuts > 0 {
		n := next.to(s, "the batch system accepts job %d, its script cut short", slot)
		n.accept(slot, p)
		n.cuts--
		n.hollow[slot] = true
	}
}

func (s *state) accept(slot job, p post) {
	s.copies[p]--
	s.job[slot] = queued
	if slot == again {
		s.second = p
	}
}

// plant creates the link if there is none.
func (r Rules) plant(s *state, next *moves, t token) {
	n := next.to(s, "the request to plant the tombstone of %v arrives", t)
	n.plants[t] = false
	if s.claim[t] == nobody || r.Overwrite {
		n.claim[t] = tombstone
	}
}

// live is one step in the life of a job.
func (r Rules) live(s *state, next *moves, j job) {
	t := s.made(j).token()
	switch s.job[j] {
	case queued:
		r.start(s, next, j)
		next.to(s, "somebody cancels job %d in the queue", j).job[j] = dropped
	case claimed:
		next.to(s, "job %d starts its payload", j).begin(j)
		next.to(s, "job %d is killed", j).job[j] = failed
	case running:
		n := next.to(s, "the payload of job %d ends with 0", j)
		n.job[j], n.zero[t] = returned, true
		next.to(s, "the payload of job %d fails, or it is killed", j).job[j] = failed
	case returned:
		n := next.to(s, "job %d writes the marker", j)
		n.job[j] = marked
		if n.marker[t] == nobody {
			n.marker[t] = holds(j)
		}
		next.to(s, "job %d is killed", j).job[j] = failed
	case marked:
		next.to(s, "job %d ends", j).job[j] = completed
		next.to(s, "job %d is killed", j).job[j] = failed
	}
}

// start is the job script up to its claim: a link made only if there is none.
func (r Rules) start(s *state, next *moves, j job) {
	t := s.made(j).token()
	switch {
	case s.hollow[j]:
		next.to(s, "job %d does nothing and ends with 0", j).job[j] = completed
	case s.claim[t] == nobody || r.NoClaim:
		n := next.to(s, "job %d claims the token", j)
		n.job[j], n.claim[t] = claimed, holds(j)
	default:
		next.to(s, "job %d finds another's claim and ends with 79", j).job[j] = fenced
	}
}

// kill is a request to cancel a job that arrives.
func (s *state) kill(j job) {
	if s.job[j] == queued {
		s.job[j] = dropped
		return
	}
	s.job[j] = failed
}
