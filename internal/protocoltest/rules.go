package protocoltest

// Rules are the protocol; the zero value is all of it. A field leaves something
// out, which a test must find.
type Rules struct {
	// NoClaim: a job starts its payload without asking whose the token is.
	NoClaim bool
	// NoTombstone: a retry begins without planting the tombstone first.
	NoTombstone bool
	// Overwrite: the tombstone replaces a claim.
	Overwrite bool
	// BelievePlant: a call to plant the tombstone counts as done without being
	// read back.
	BelievePlant bool
	// Believe79: a job that ended with 79 ends the attempt as failed.
	Believe79 bool
	// BelieveDropped: a job that was cancelled in the queue does.
	BelieveDropped bool
	// TrustID: a job id from an answer or a list is the owner.
	TrustID bool
	// LateSending: a post is recorded after it was sent.
	LateSending bool
	// Patience: an attempt is not given up because its job never started.
	Patience bool
	// Refusal: an answer that says no ends the attempt without a tombstone.
	Refusal bool
	// ShortCutLater: the short cut is also taken after a second sending, with
	// the job that the attempt has by then, from an answer or from the list.
	ShortCutLater bool
	// ShortCutReopened: the same in a run that was reopened.
	ShortCutReopened bool

	// ShortCutWide: the short cut is taken with any answer that named the job,
	// after a second sending and a reopen too. No mutant: see TestShortCut.
	ShortCutWide bool
}

// engine adds what fcflow may do next.
func (r Rules) engine(s *state, next *moves) {
	if t, ok := attempt(s); ok {
		r.send(s, next, t)
		r.resolve(s, next, t)
		r.finish(s, next, t)
		r.stop(s, next, t)
	}
	for p := range post(posts) {
		r.answer(s, next, p)
	}
}

// attempt is the one under way. W4: B is only begun once A has ended on record,
// and finish records that only of a tombstone or of the owner's own end.
func attempt(s *state) (token, bool) {
	switch {
	case s.end[A] == open:
		return A, true
	case s.end[A] == failure && s.end[B] == open:
		return B, true
	}
	return 0, false
}

// send: W1, the intent is on record with the attempt. W2, a post is on record
// before its first byte leaves. W3, there is another one with the same token only
// if no earlier one can have been accepted, as far as anybody knows, and nobody
// owns the token. "As far as anybody knows" includes the verdict that no job is
// there, which may be wrong.
func (r Rules) send(s *state, next *moves, t token) {
	for _, p := range t.posts() {
		switch s.sent[p] {
		case notSent, refused, ambiguous:
			continue // W3: the next one may follow
		case unsent:
			if s.owner[t] == nobody && !s.cancel {
				n := next.to(s, "W2: sending is on record, %v", p)
				n.sent[p] = recorded
				if r.LateSending {
					n.sent[p], n.copies[p] = unrecorded, 1
				}
			}
		case recorded:
			n := next.to(s, "the first byte leaves, %v", p)
			n.sent[p], n.copies[p] = awaiting, 1
			n = next.to(s, "there is no connection: not sent, %v", p)
			n.sent[p] = notSent
		}
		return
	}
}

// answer records what became of a post that is waited for. The answer may be
// that of either job if a proxy sent the request twice. The service names a job
// only if it could write the whole script.
func (r Rules) answer(s *state, next *moves, p post) {
	if s.sent[p] != awaiting && s.sent[p] != unrecorded {
		return
	}
	next.to(s, "no usable answer: ambiguous, %v", p).sent[p] = ambiguous
	for _, j := range []job{job(p), again} {
		if s.job[j] == noJob || s.made(j) != p || s.hollow[j] {
			continue
		}
		n := next.to(s, "the answer names job %d", j)
		n.sent[p] = accepted
		if j == again {
			n.sent[p] = acceptedAgain
		}
		if r.TrustID && s.owner[p.token()] == nobody {
			n.own(p.token(), holds(j))
		}
	}
	if s.copies[p] > 0 {
		n := next.to(s, "the server refuses, %v", p)
		n.copies[p]--
		n.sent[p] = refused
	}
}

// resolve: W5, the owner is learnt by reading the claim and in no other way.
// Jobs in the list are candidates; of several all but the first are cancelled,
// even if one has started by the time the request arrives.
func (r Rules) resolve(s *state, next *moves, t token) {
	if s.owner[t] == nobody && s.claim[t] != nobody && (s.sendings(t) > 0 || s.reopened) {
		next.to(s, "W5: the claim of %v is read", t).own(t, s.claim[t])
	}
	first := true
	for j := range jobs {
		if s.job[j] == noJob || s.made(j).token() != t {
			continue
		}
		if !first && s.job[j].alive() {
			next.to(s, "a second candidate is cancelled, job %d", j).kill(j)
		}
		first = false
		if r.TrustID && s.owner[t] == nobody && s.sendings(t) > 0 {
			next.to(s, "job %d is listed and taken for the owner", j).own(t, holds(j))
		}
	}
}

// finish records the end of an attempt: that of its owner, by the marker, or the
// tombstone. W6: without an owner there is no end, so that a job that ended with
// 79 or was cancelled in the queue decides nothing.
func (r Rules) finish(s *state, next *moves, t token) {
	switch owner := s.owner[t]; {
	case owner == nobody:
		r.shortCut(s, next, t)
		r.believe(s, next, t)
	case owner == tombstone:
		next.to(s, "W4: the tombstone ends attempt %v", t).finish(t, notDone(s))
	case !s.job[owner.job()].decides():
	case s.marker[t] == owner:
		next.to(s, "the marker says 0: attempt %v succeeded", t).finish(t, succeeded)
	default:
		next.to(s, "W4: the owner ended, no marker says 0: attempt %v is over", t).finish(t, notDone(s))
	}
}

func notDone(s *state) ending {
	if s.cancel {
		return cancelled
	}
	return failure
}

// shortCut: one sending, answered with a job id, in the process that sent it, and
// that job ended COMPLETED 0:0. Then it is the owner without reading.
func (r Rules) shortCut(s *state, next *moves, t token) {
	for j := range jobs {
		if s.job[j] != completed || s.made(j).token() != t {
			continue
		}
		answered, named := s.accepts(s.made(j))
		named = named && answered == j
		once, reopened := s.sendings(t) == 1, s.reopened
		switch {
		case named && once && !reopened,
			r.ShortCutWide && named,
			r.ShortCutLater && !once && !reopened,
			r.ShortCutReopened && once && reopened:
			n := next.to(s, "short cut: job %d ended COMPLETED 0:0", j)
			n.own(t, holds(j))
			n.finish(t, succeeded)
		}
	}
}

// believe is what only mutants do: end an attempt that has no owner.
func (r Rules) believe(s *state, next *moves, t token) {
	for j := range jobs {
		if s.made(j).token() != t {
			continue
		}
		if r.Believe79 && s.job[j] == fenced || r.BelieveDropped && s.job[j] == dropped {
			next.to(s, "job %d has ended, which ends the attempt", j).finish(t, notDone(s))
		}
	}
	if r.NoTombstone && s.sendings(t) > 0 {
		next.to(s, "attempt %v is given up", t).finish(t, notDone(s))
	}
	if r.Refusal && s.sent[last(s, t)] == refused {
		next.to(s, "attempt %v was refused", t).finish(t, notDone(s))
	}
}

// last is the newest post of a token.
func last(s *state, t token) post {
	p := t.posts()[0]
	for _, q := range t.posts() {
		if s.sent[q] != unsent {
			p = q
		}
	}
	return p
}

// stop gives an attempt up, because the run is to be cancelled or for any other
// reason. Nothing was sent: done. Else the tombstone is planted, and what is read
// back decides: if it won, nothing can start any more, and jobs are cancelled at
// leisure; if a job has the claim, it is cancelled and its end waited for.
func (r Rules) stop(s *state, next *moves, t token) {
	if s.owner[t] == nobody && (s.cancel || s.sendings(t) > 0 && !r.Patience) {
		switch {
		case nothingSent(s, t):
			next.to(s, "nothing was sent: attempt %v is over", t).finish(t, notDone(s))
		case !s.plants[t]:
			next.to(s, "planting the tombstone of %v", t).plants[t] = true
		case r.BelievePlant:
			next.to(s, "no answer to planting; taken for done").own(t, tombstone)
		}
	}
	if !s.cancel || s.owner[t] == nobody {
		return
	}
	for j := range jobs {
		if s.made(j).token() == t && s.job[j].alive() {
			next.to(s, "cancelling job %d", j).kill(j)
		}
	}
}

// nothingSent reports whether no byte of any post of a token has left. A refusal
// is not that: it is an answer to one copy of a request.
func nothingSent(s *state, t token) bool {
	for _, p := range t.posts() {
		if s.sent[p] != unsent && s.sent[p] != notSent {
			return false
		}
	}
	return true
}
