package simulation

import (
	"slices"
	"strconv"
	"time"
)

// Fault is a kind of trouble. Each one counts how often it struck.
type Fault int

const (
	crash        Fault = iota // the program is killed
	refused                   // no connection is had
	lostRequest               // the connection breaks before the request arrives
	LostReply                 // the connection breaks after the request had its effect
	silentReply               // the request has its effect, and no answer ever comes
	lateEffect                // a time-out is answered, and the effect comes up to 300 s later
	twice                     // a proxy sends the request again
	tokenRefused              // 401: the token is not taken any more
	tokenDown                 // the identity provider answers 503
	tooMany                   // 429 with Retry-After
	tooManyBare               // 429 without
	serverError               // 500 by FirECREST, with or without effect
	gatewayError              // 502, 503 or 504 in plain text, with or without effect
	htmlError                 // 502 as a web page, with or without effect
	htmlSuccess               // 200 as a web page, without effect
	timedOut                  // 408 without effect
	timedOutLate              // 408 with effect
	dependency                // 424, with or without effect
	listFails                 // 500 when jobs are read
	HiddenRows                // the list of jobs leaves out rows
	acceptLag                 // a new job is unknown for a while
	endLag                    // a job that ended is shown as running, or not at all, for a while
	noFiles                   // the file system is unhealthy for a while
	noScheduler               // the scheduler is unhealthy for a while
	apiDown                   // nothing answers for a while, or for hours
	jobLimit                  // 403: too many jobs
	adminCancel               // somebody cancels a job in the queue
	killed                    // somebody cancels a job that runs
	nodeFail                  // a node dies under a job
	requeued                  // the same, and the scheduler runs the job again
	outOfMemory               // the payload needs too much
	walltime                  // the payload takes too long
	forgotten                 // the scheduler loses the record of a job that ended
	staleList                 // what jobs wrote last is not listed for a while
	faults                    // how many kinds there are
)

var faultNames = [faults]string{
	"crash", "refused", "lost_request", "lost_reply", "silent_reply", "late_effect", "twice", "token_refused",
	"token_down", "too_many", "too_many_bare", "server_error", "gateway_error", "html_error", "html_success",
	"timed_out", "timed_out_late", "dependency", "list_fails", "hidden_rows", "accept_lag", "end_lag", "no_files",
	"no_scheduler", "api_down", "job_limit", "admin_cancel", "killed", "node_fail", "requeued", "out_of_memory", "walltime",
	"forgotten", "stale_list",
}

// String is the name of the fault in traces and summaries.
func (f Fault) String() string { return faultNames[f] }

// FaultNamed finds a kind by its name.
func FaultNamed(name string) (Fault, bool) {
	i := slices.Index(faultNames[:], name)
	return Fault(i), i >= 0
}

// Faults lists all kinds.
func Faults() []Fault {
	all := make([]Fault, faults)
	for i := range all {
		all[i] = Fault(i)
	}
	return all
}

// fate is what becomes of one request.
type fate struct {
	fault   Fault
	strikes bool
	// Of these at most one is set; none of them lets the request through.
	refuse, drop bool
	instead      *answer // given without any effect
	// What becomes of the answer to a request that had its effect.
	cut, mute bool
	replace   *answer
	late      time.Duration // the effect comes that long after the answer
	copied    time.Duration // the request comes again that much later
	kill      bool          // the sender dies right after the effect
}

// fate draws what becomes of a request: of the kinds of trouble there are, the
// first that the dice name.
func (w *World) fate(r *request) fate {
	if f, told := w.mishap(r); told {
		return f
	}
	if w.fair() || r.op == opUnknown {
		return fate{}
	}
	if f, down := w.outage(r); down {
		return f
	}
	for _, t := range w.schedule.Troubles {
		d := w.about("trouble", t.Fault.String(), r.key, r.nth)
		if t.Operation == r.op.String() && (t.Nth == 0 || strconv.Itoa(t.Nth) == r.nth) && d.hits(t.Chance) {
			f := trouble(t.Fault, r, d)
			f.fault, f.strikes = t.Fault, true
			return f
		}
	}
	for _, kind := range r.op.troubles() {
		chance := w.schedule.Weather[kind]
		if chance == 0 {
			continue
		}
		d := w.about(kind.String(), r.key, r.nth)
		if !d.hits(chance) {
			continue
		}
		f := trouble(kind, r, d)
		f.fault, f.strikes = kind, true
		return f
	}
	return fate{}
}

// troubles lists what can happen to a request of a kind.
func (o op) troubles() []Fault {
	everything := []Fault{
		refused, lostRequest, LostReply, silentReply, tokenRefused, tooMany, tooManyBare, serverError, gatewayError,
		htmlError, htmlSuccess, timedOut, timedOutLate, dependency,
	}
	switch o {
	case opToken:
		return []Fault{refused, LostReply, tokenDown}
	case opSubmit:
		return append([]Fault{lateEffect, twice, jobLimit}, everything...)
	case opSymlink, opCancel:
		return append([]Fault{lateEffect}, everything...)
	case opJobs, opJob:
		return append([]Fault{listFails}, everything...)
	}
	return everything
}

// trouble is what a kind does to a request.
func trouble(kind Fault, r *request, d *dice) fate {
	effect := d.hits(0.5) // for the kinds that come with and without
	with := func(a *answer) fate {
		if effect {
			return fate{replace: a}
		}
		return fate{instead: a}
	}
	switch kind {
	case refused:
		return fate{refuse: true}
	case lostRequest:
		return fate{drop: true}
	case LostReply:
		return fate{cut: true}
	case silentReply:
		return fate{mute: true}
	case lateEffect:
		a := pick(d, []*answer{failure(408, commandTimeout), gatewayAnswer(504), serverErrorAnswer(r, d)})
		return fate{replace: a, late: d.between(time.Second, 300*time.Second)}
	case twice:
		return fate{copied: d.between(time.Millisecond, 45*time.Second)}
	case tokenRefused:
		return fate{instead: failure(401, "Access token expired")}
	case tokenDown:
		return fate{instead: &answer{status: 503, text: "identity provider unavailable\n"}}
	case tooMany, tooManyBare:
		return fate{instead: tooManyRequests(kind == tooMany, d)}
	case serverError:
		return with(serverErrorAnswer(r, d))
	case gatewayError:
		return with(gatewayAnswer(pick(d, []int{502, 503, 504})))
	case htmlError:
		return with(page(502))
	case htmlSuccess:
		return fate{instead: page(200)}
	case timedOut:
		return fate{instead: failure(408, pick(d, []string{commandTimeout, "SSH connection timeout limit exceeded."}))}
	case timedOutLate:
		return fate{replace: failure(408, commandTimeout)}
	case dependency:
		if effect {
			return fate{replace: failure(424, "SSH connection Reset.")}
		}
		return fate{instead: failure(424, pick(d, []string{
			"SSH connection pool capacity exceeded", "Unable to open a new SSH channel.", "SSH connection Reset.",
		}))}
	case listFails:
		return fate{instead: queryFailure(pick(d, []string{
			"Unexpected Slurm command response. exit_status:1 std_err:sacct: error: Problem talking to the database: Connection refused\n",
			commandTimeout,
		}))}
	case jobLimit:
		return fate{instead: failure(403, limitReached)}
	}
	panic("no such trouble for a request: " + kind.String())
}

// outage tells whether something is down for a while that the request needs.
func (w *World) outage(r *request) (fate, bool) {
	now := w.now()
	for _, o := range w.schedule.Outages {
		if now < o.From || now >= o.From+o.For {
			continue
		}
		switch {
		case o.Fault == apiDown && r.op == opToken && !o.Hard:
		case o.Fault == apiDown && o.Hard:
			return fate{fault: apiDown, strikes: true, refuse: true}, true
		case o.Fault == apiDown:
			return fate{fault: apiDown, strikes: true, instead: page(503)}, true
		case o.Fault == noFiles && r.op.files():
			a := failure(503, "The requested filesystem (/home on "+system+") is unhealthy.")
			if o.Hard {
				a = failure(424, "SSH connection Reset.")
			}
			return fate{fault: noFiles, strikes: true, instead: a}, true
		case o.Fault == noScheduler && r.op.compute():
			a := failure(503, "The scheduler service for the requested system ("+system+") is unhealthy.")
			return fate{fault: noScheduler, strikes: true, instead: a}, true
		}
	}
	return fate{}, false
}
