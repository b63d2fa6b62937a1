package protocoltest

import (
	"fmt"
	"strings"
)

type token uint8

// A is the token of the first attempt, B that of the retry.
const (
	A token = iota
	B
	tokens
)

func (t token) String() string { return string('A' + rune(t)) }

// A post is a request to submit: two may be made for A, one for B.
type post uint8

const posts = 3

func (p post) token() token {
	if p < 2 {
		return A
	}
	return B
}

func (p post) String() string { return fmt.Sprintf("POST %d of %v", 1+p%2, p.token()) }

// of lists the posts of a token.
func (t token) posts() []post {
	if t == A {
		return postsOfA
	}
	return postsOfB
}

var (
	postsOfA = []post{0, 1}
	postsOfB = []post{2}
)

// outcome is what the record says of a post.
type outcome uint8

const (
	unsent   outcome = iota
	recorded         // sending is on record, nothing has left
	awaiting         // the request has left, this process waits for the answer
	// unrecorded is only for a mutant: the request has left before its record.
	unrecorded
	notSent   // the connection failed before the first byte
	refused   // the server said no
	ambiguous // no usable answer, or a process that ended before it came
	accepted  // by the job in the slot of the post
	acceptedAgain
)

// A job's slot is the post that made it; what a proxy sent twice may have made
// another one, in the last slot.
type job uint8

const (
	again job = posts
	jobs  job = posts + 1
)

// holder is who has a claim: nobody, the tombstone, or a job.
type holder uint8

const (
	nobody holder = iota
	tombstone
	firstJob
)

func holds(j job) holder { return firstJob + holder(j) }

func (h holder) job() job { return job(h - firstJob) }

// phase is where a job stands.
type phase uint8

const (
	noJob     phase = iota
	queued          // not started
	claimed         // started, the claim is its own
	running         // its payload runs
	returned        // the payload ended with 0, the marker is not written
	marked          // the marker says 0, the job has not ended
	completed       // ended, COMPLETED 0:0
	failed          // ended otherwise: the payload's exit code, a kill, a node
	fenced          // ended with 79: the claim was another's
	dropped         // cancelled in the queue
)

func (p phase) alive() bool { return p >= queued && p <= marked }

// decides reports whether a job in this phase can end an attempt. W6: one that
// ended with 79, or never started, cannot.
func (p phase) decides() bool { return p == completed || p == failed }

// ending is how an attempt ended on record.
type ending uint8

const (
	open ending = iota
	succeeded
	failure
	cancelled
)

// record is what is durable of the run; a kill takes nothing of it but what was
// being waited for.
type record struct {
	sent   [posts]outcome
	owner  [tokens]holder
	end    [tokens]ending
	cancel bool // somebody asked to cancel the run
	// reopened says that a process before this one had the run.
	reopened bool
}

// remote is the cluster: the part directory and the batch system.
type remote struct {
	claim  [tokens]holder
	marker [tokens]holder // who wrote that the payload ended with 0
	job    [jobs]phase
	hollow [jobs]bool // the script arrived cut short: the job does nothing and ends with 0
	second post       // what made the job in the last slot
}

// wire is what is under way and may still arrive.
type wire struct {
	copies [posts]uint8
	plants [tokens]bool
}

// left is how often something may still happen to the run.
type left struct {
	crashes, restores, repeats, cuts, cancels uint8
}

// truth is what really happened, for the checks alone.
type truth struct {
	starts [tokens]uint8 // of payloads
	zero   [tokens]bool  // a payload ended with 0
	harm   harm
}

type state struct {
	record
	remote
	wire
	left
	truth
}

// made is the post that made a job.
func (s *state) made(j job) post {
	if j == again {
		return s.second
	}
	return post(j)
}

// sendings counts the posts of a token on record.
func (s *state) sendings(t token) int {
	n := 0
	for _, p := range t.posts() {
		if s.sent[p] != unsent {
			n++
		}
	}
	return n
}

// accepts returns the job that the answer to a post named.
func (s *state) accepts(p post) (job, bool) {
	switch s.sent[p] {
	case accepted:
		return job(p), true
	case acceptedAgain:
		return again, true
	}
	return 0, false
}

func (s *state) String() string {
	var b strings.Builder
	for t := range tokens {
		fmt.Fprintf(&b, "%v: owner %d end %d claim %d marker %d starts %d\n", t, s.owner[t], s.end[t], s.claim[t], s.marker[t], s.starts[t])
	}
	fmt.Fprintf(&b, "posts %v copies %v jobs %v cancel %t reopened %t", s.sent, s.copies, s.job, s.cancel, s.reopened)
	return b.String()
}
