package sandbox

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/fcflow/fcflow/sandbox/objects"
)

// faultKind is one word of the fault switches.
type faultKind struct {
	name  string
	value faultValue
	// ops is where the kind applies unless the switch says ops=…; "" is every
	// operation of the API that needs a token.
	ops string
	// keys are the parameters besides those that every switch has.
	keys []string
	help string

	// What the kind does to a request to the API, or to the object store. A kind
	// with neither is asked for where it applies.
	request func(*faultSwitch) *Fault
	store   func(*faultSwitch) *objects.Fault
}

// faultValue is what stands behind the "=" of a kind.
type faultValue string

const (
	faultRate     faultValue = "RATE"     // 0 to 1, default 1
	faultDuration faultValue = "DURATION" // such as 200ms; required
	faultStatus   faultValue = "STATUS"   // an HTTP status; required
	faultService  faultValue = "SERVICE"  // scheduler, ssh, s3, home or scratch; required
	faultEnd      faultValue = "END"      // node_fail, out_of_memory, preempted or boot_fail; required
)

const (
	submitting   = "POST /compute/*/jobs"
	jobQueries   = "GET /compute/*/jobs*"
	storeRequest = "s3 *"
	jobStart     = "job start"

	latency = "latency"
)

// faultKinds in the order in which the documentation has them.
var faultKinds = []faultKind{
	{
		name: "429", value: faultRate, keys: []string{"retry-after"}, request: (*faultSwitch).tooMany,
		help: "a gateway has had too many requests; Retry-After is 1 unless retry-after=TEXT says otherwise, or none",
	},
	{
		name: "5xx", value: faultRate, request: (*faultSwitch).gatewayTrouble,
		help: "a gateway cannot reach the server: 502, 503 or 504, in turn, in plain text",
	},
	{
		name: "html", value: faultRate, keys: []string{"status"}, request: (*faultSwitch).page,
		help: "a gateway answers a page of HTML, with status 502 or status=N; with 200 it looks like a login page",
	},
	{
		name: "status", value: faultStatus, keys: []string{"retry-after"}, request: (*faultSwitch).plainStatus, store: (*faultSwitch).storeStatus,
		help: "a gateway answers with that status; the object store, with its own error document",
	},
	{
		name: "408", value: faultRate, keys: []string{"effect"}, request: (*faultSwitch).slowCommand,
		help: "the server says that a command took too long; effect=yes carries the request out nevertheless",
	},
	{
		name: "424", value: faultRate, keys: []string{"effect"}, request: (*faultSwitch).lostSSH,
		help: "the server lost its SSH connection; effect=yes as with 408",
	},
	{
		name: "500", value: faultRate, keys: []string{"effect"}, ops: jobQueries, request: (*faultSwitch).accountingDown,
		help: "the accounting of the scheduler is down: job queries answer 500 with the reason in causedBy",
	},
	{
		name: latency, value: faultDuration, request: (*faultSwitch).delayed, store: (*faultSwitch).storeDelayed,
		help: "requests wait that long before they are handled",
	},
	{
		name: "drop-request", value: faultRate, request: func(*faultSwitch) *Fault { return &Fault{DropRequest: true} },
		help: "the connection is cut and the request not handled",
	},
	{
		name: "drop-reply", value: faultRate, request: func(*faultSwitch) *Fault { return &Fault{DropReply: true} },
		help: "the request is handled, then the connection is cut",
	},
	{
		name: "drop-submit", value: faultRate, ops: submitting, request: func(*faultSwitch) *Fault { return &Fault{DropReply: true} },
		help: "drop-reply for submissions: the job is accepted and its id lost",
	},
	{
		name: "accounting-lag", value: faultDuration, ops: jobQueries,
		help: "job queries do not know a job that is younger",
	},
	{
		name: "hide-rows", value: faultRate, ops: "GET /compute/*/jobs",
		help: "job lists lack that share of their rows, others every time",
	},
	{
		name: "fail-job", value: faultEnd, ops: jobStart, keys: []string{"wait"},
		help: "a job ends as node_fail, out_of_memory, preempted or boot_fail, wait=DURATION after its start (default at once)",
	},
	{
		name: "token-lifetime", value: faultDuration, ops: "POST " + TokenPath,
		help: "tokens are issued for that long; at most 30s means that each is refused",
	},
	{
		name: "unhealthy", value: faultService, ops: "*", keys: []string{"system"},
		help: "the probe of a service fails, on all systems or on system=NAME: scheduler, ssh, s3, home or scratch",
	},
	{
		name: "presigned-expiry", value: faultDuration, ops: "POST /filesystem/*/transfer/*",
		help: "URLs of transfers expire after that long",
	},
	{
		name: "expired-urls", value: faultRate, ops: storeRequest, store: func(*faultSwitch) *objects.Fault { return &objects.Fault{Expired: true} },
		help: "the object store takes a URL for expired",
	},
	{
		name: "lost-parts", value: faultRate, ops: "s3 UploadPart", store: func(*faultSwitch) *objects.Fault { return &objects.Fault{Lose: true} },
		help: "the object store acknowledges a part and keeps nothing of it",
	},
	{
		name: "truncated-parts", value: faultRate, ops: "s3 UploadPart", keys: []string{"bytes"}, store: (*faultSwitch).truncated,
		help: "the object store acknowledges a part and keeps its first bytes=N (default 0)",
	},
	{
		name: "cut-parts", value: faultRate, ops: "s3 UploadPart", keys: []string{"bytes"},
		store: func(f *faultSwitch) *objects.Fault { return &objects.Fault{CutRequest: true, After: f.bytes} },
		help:  "the connection is cut after bytes=N (default 0) of a part",
	},
	{
		name: "truncated-objects", value: faultRate, ops: "s3 GetObject", keys: []string{"bytes"}, store: (*faultSwitch).truncated,
		help: "the object store sends the first bytes=N (default 0) of an object as if that were all",
	},
	{
		name: "cut-objects", value: faultRate, ops: "s3 GetObject", keys: []string{"bytes"}, store: (*faultSwitch).cutReply,
		help: "the connection is cut after bytes=N (default 0) of an object",
	},
	{
		name: "failed-completion", value: faultRate, ops: "s3 CompleteMultipartUpload",
		store: func(*faultSwitch) *objects.Fault { return &objects.Fault{Status: 200, Code: "InternalError"} },
		help:  "the object store answers a completion with status 200 and an error document",
	},
	{
		name: "lost-completion", value: faultRate, ops: "s3 CompleteMultipartUpload", store: (*faultSwitch).cutReply,
		help: "the object store completes an upload, then the connection is cut",
	},
	{
		name: "disk-quota", value: faultRate, ops: "*", keys: []string{"bytes"},
		help: "the disk is full after bytes=N (default 0) of an upload's target: of ops/upload (POST /filesystem/*/ops/upload), or in the job of a large upload (job upload)",
	},
}

// FaultKind is a kind of fault for people: what can be switched on.
type FaultKind struct {
	Name  string
	Value string   // what stands behind "=": RATE, which may be left out, DURATION, STATUS, SERVICE or END
	Keys  []string // parameters besides rate, times, after, ops and match
	Help  string
}

// FaultKinds are all kinds of faults.
func FaultKinds() []FaultKind {
	var kinds []FaultKind
	for _, k := range faultKinds {
		kinds = append(kinds, FaultKind{k.name, string(k.value), slices.Clone(k.keys), k.help})
	}
	return kinds
}

func findFaultKind(name string) (faultKind, bool) {
	for _, k := range faultKinds {
		if k.name == name {
			return k, true
		}
	}
	return faultKind{}, false
}

func (f *faultSwitch) tooMany() *Fault {
	return fromGateway(http.StatusTooManyRequests, f.retryAfter)
}

func (f *faultSwitch) gatewayTrouble() *Fault {
	return fromGateway(502+(f.fired-1)%3, "")
}

func (f *faultSwitch) plainStatus() *Fault { return fromGateway(f.status, f.retryAfter) }

func (f *faultSwitch) page() *Fault {
	text := http.StatusText(f.status)
	return &Fault{
		Status: f.status, Header: http.Header{"Content-Type": {"text/html"}},
		Body: "<html>\n<head><title>" + text + "</title></head>\n<body><h1>" + strconv.Itoa(f.status) + " " + text + "</h1></body>\n</html>\n",
	}
}

// fromGateway is an answer that has nothing of FirecREST's.
func fromGateway(status int, retryAfter string) *Fault {
	fault := &Fault{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: http.StatusText(status) + "\n"}
	if retryAfter != "" {
		fault.Header.Set("Retry-After", retryAfter)
	}
	return fault
}

func (f *faultSwitch) slowCommand() *Fault {
	return &Fault{Late: f.effect, own: errCommandTime}
}

// lostSSH says of a request that had its effect that the connection broke, and
// of others, in turn, all that can be wrong with one.
func (f *faultSwitch) lostSSH() *Fault {
	texts := []string{"SSH connection Reset.", "Unable to open a new SSH channel.", "SSH connection pool capacity exceeded"}
	if f.effect {
		texts = texts[:1]
	}
	return &Fault{Late: f.effect, own: fail(http.StatusFailedDependency, "%s", texts[(f.fired-1)%len(texts)])}
}

func (f *faultSwitch) accountingDown() *Fault {
	reason := "Unexpected Slurm command response. exit_status:1 std_err:sacct: error: Problem talking to the database: Connection refused\n"
	return &Fault{Late: f.effect, own: queryFailed(reason)}
}

func (f *faultSwitch) delayed() *Fault { return &Fault{Delay: f.duration} }

func (f *faultSwitch) storeDelayed() *objects.Fault { return &objects.Fault{Delay: f.duration} }

func (f *faultSwitch) storeStatus() *objects.Fault {
	code := "InternalError"
	if f.status == http.StatusServiceUnavailable {
		code = "SlowDown"
	}
	return &objects.Fault{Status: f.status, Code: code}
}

func (f *faultSwitch) truncated() *objects.Fault {
	return &objects.Fault{Truncate: true, After: f.bytes}
}

func (f *faultSwitch) cutReply() *objects.Fault {
	return &objects.Fault{CutReply: true, After: f.bytes}
}
