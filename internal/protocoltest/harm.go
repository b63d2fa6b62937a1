package protocoltest

// harm is a promise that was broken.
type harm uint8

const (
	none harm = iota
	startedTwice
	overlap
	startedAfterCancel
	falseSuccess
	rewritten
	lostResult
	stuck
)

func (h harm) String() string {
	return [...]string{
		none:               "no harm",
		startedTwice:       "the payload of a token started twice",
		overlap:            "the payload of B started while A could still run",
		startedAfterCancel: "a payload started after the run was recorded as cancelled",
		falseSuccess:       "a success is recorded, and no payload of the token ended with 0",
		rewritten:          "what is recorded once was recorded again",
		lostResult:         "a payload ended with 0, its marker is there, and success can never be recorded",
		stuck:              "the run can never end",
	}[h]
}

func (s *state) broke(h harm) {
	if s.harm == none {
		s.harm = h
	}
}

// begin starts the payload of a job: the moment that the protocol is about.
func (s *state) begin(j job) {
	t := s.made(j).token()
	s.job[j] = running
	s.starts[t]++
	if s.starts[t] > 1 {
		s.broke(startedTwice)
	}
	if s.end[A] == cancelled || s.end[B] == cancelled {
		s.broke(startedAfterCancel)
	}
	s.apart()
}

// apart: once a payload of B has started, A has ended or is fenced off, and none
// of A starts any more.
func (s *state) apart() {
	if s.starts[B] == 0 {
		return
	}
	for j := range jobs {
		if s.job[j] != noJob && s.made(j).token() == A && s.job[j] >= claimed && s.job[j] <= marked {
			s.broke(overlap)
		}
	}
}

func (s *state) own(t token, h holder) {
	if s.owner[t] != nobody {
		s.broke(rewritten)
	}
	s.owner[t] = h
}

func (s *state) finish(t token, e ending) {
	if s.end[t] != open {
		s.broke(rewritten)
	}
	if e == succeeded && !s.zero[t] {
		s.broke(falseSuccess)
	}
	s.end[t] = e
}

// proven reports whether a payload of a token ended with 0 and left its evidence.
func (s *state) proven(t token) bool { return s.zero[t] && s.marker[t] != nobody }

// ended reports whether nothing is left to be done for the run.
func (s *state) ended() bool {
	_, going := attempt(s)
	return !going
}
