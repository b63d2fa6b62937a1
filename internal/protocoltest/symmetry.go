package protocoltest

// canonical returns the one state that stands for all those from which the same
// can happen. Without it there are seven times as many.
func (s state) canonical() state {
	s.forget()
	return s.sorted()
}

// forget drops what nothing asks for any more: how it came to the end of an
// attempt, and how jobs of it ended. A restored record would ask again.
func (s *state) forget() {
	if s.restores > 0 {
		return
	}
	for j := range jobs {
		if s.job[j] > marked && s.end[s.made(j).token()] != open {
			s.job[j], s.hollow[j] = dropped, false
		}
	}
	for t := range tokens {
		if s.end[t] == open {
			continue
		}
		s.owner[t] = nobody
		for _, p := range t.posts() {
			s.sent[p] = unsent
		}
		if s.end[t] == succeeded {
			s.zero[t], s.marker[t] = false, nobody
		}
	}
	if s.ended() {
		s.cancel, s.reopened, s.crashes, s.cancels = false, false, 0, 0
	}
}

// sorted puts the two jobs of a repeated request in order: nothing tells them
// apart but their slots.
func (s state) sorted() state {
	if s.job[again] == noJob || s.job[s.second] == noJob {
		return s
	}
	if rank(&s, again) <= rank(&s, job(s.second)) {
		return s
	}
	a, b := job(s.second), again
	s.job[a], s.job[b] = s.job[b], s.job[a]
	s.hollow[a], s.hollow[b] = s.hollow[b], s.hollow[a]
	for t := range tokens {
		for _, h := range []*holder{&s.claim[t], &s.owner[t], &s.marker[t]} {
			switch *h {
			case holds(a):
				*h = holds(b)
			case holds(b):
				*h = holds(a)
			}
		}
	}
	switch s.sent[s.second] {
	case accepted:
		s.sent[s.second] = acceptedAgain
	case acceptedAgain:
		s.sent[s.second] = accepted
	}
	return s
}

// rank differs for two jobs of one post unless they are alike in everything.
func rank(s *state, j job) int {
	r := int(s.job[j]) << 5
	t := s.made(j).token()
	answered, ok := s.accepts(s.made(j))
	for i, is := range []bool{s.hollow[j], s.claim[t] == holds(j), s.owner[t] == holds(j), s.marker[t] == holds(j), ok && answered == j} {
		if is {
			r |= 1 << i
		}
	}
	return r
}
