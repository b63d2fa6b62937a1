package transfertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
	"github.com/fcflow/fcflow/workflow"
)

// fault is one way in which a transfer goes wrong. Exactly one of the functions
// and marks below on says what happens; all of it happens on the server's side.
type fault struct {
	name     string
	up, down bool
	ways     []way
	single   bool // of single files only
	empty    bool // of empty files

	on    string // the operation that is struck, as opOf has it
	hits  int    // most requests struck in one transfer; 0 is 1
	spare int    // most requests spared before

	// What the object store and the service do instead, in words of the sandbox.
	store func(t *transfer, r *http.Request) *objects.Fault
	api   func(t *transfer) *sandbox.Fault
	// before does something ahead of the request; an error means that it could not.
	before func(m *move, r *http.Request) error
	// reply changes what was done or is answered, and reports whether it did.
	reply func(m *move, r *http.Request, answer *httptest.ResponseRecorder) bool
	// toggle is a fault switch of the sandbox.
	toggle func(t *transfer) string
	cut    bool // of the stream
	kill   bool // of the process

	// brief says that the addresses expire after a second.
	brief bool
	// loses says that the id of a job may be lost.
	loses bool
	// may are the failures that tell the truth about it. Without any the transfer
	// must succeed.
	may []truth
}

// truth is a failure that tells what happened.
type truth struct {
	cause workflow.Cause
	words []string // one of them is in the message
}

var (
	damaged = truth{workflow.CauseTransfer, []string{
		"another SHA-256", "bytes after the upload", "the object store got", "bytes, and", "had the SHA-256", "not as it was packed",
		"the digest is not that of what was sent", "is not there after its upload",
	}}
	noSpace = truth{workflow.CauseDiskQuota, []string{"Disk quota exceeded"}}
)

// classes are the faults, by what they are counted as.
var classes = map[string][]fault{
	"none": {{name: "nothing", up: true, down: true, ways: []way{direct, s3, s3, stream}}},

	"part-lost": {
		{
			name: "acknowledged and not kept", up: true, ways: []way{s3}, on: "UploadPart", hits: 2, spare: 2,
			store: func(*transfer, *http.Request) *objects.Fault { return &objects.Fault{Lose: true} },
			may:   []truth{{workflow.CauseTransfer, []string{"InvalidPart"}}},
		},
		{
			name: "left out by the job of a download", down: true, ways: []way{s3}, on: "GetObject",
			before: (*move).losePart, may: []truth{damaged},
		},
	},
	"cut": {
		{
			name: "in a part", up: true, ways: []way{s3}, on: "UploadPart", hits: 4, spare: 2,
			store: func(t *transfer, r *http.Request) *objects.Fault {
				return &objects.Fault{CutRequest: true, After: t.within(r.ContentLength)}
			},
		},
		{
			name: "before the answer to a part", up: true, ways: []way{s3}, on: "UploadPart", hits: 4, spare: 2,
			store: func(*transfer, *http.Request) *objects.Fault { return &objects.Fault{CutReply: true} },
		},
		{
			name: "before the answer to the completion", up: true, ways: []way{s3}, on: "CompleteMultipartUpload", hits: 4,
			store: func(*transfer, *http.Request) *objects.Fault { return &objects.Fault{CutReply: true} },
		},
		{
			name: "in an object", down: true, ways: []way{s3}, on: "GetObject", hits: 8, spare: 3,
			store: func(t *transfer, _ *http.Request) *objects.Fault {
				return &objects.Fault{CutReply: true, After: t.within(30_000)}
			},
		},
		{
			name: "before an upload in one request", up: true, ways: []way{direct}, on: "ops/upload", hits: 4,
			api: func(*transfer) *sandbox.Fault { return &sandbox.Fault{DropRequest: true} },
		},
		{
			name: "after an upload in one request", up: true, ways: []way{direct}, on: "ops/upload", hits: 4,
			api: func(*transfer) *sandbox.Fault { return &sandbox.Fault{DropReply: true} },
		},
		{
			name: "in a download in one request", down: true, ways: []way{direct}, on: "ops/download", hits: 4, reply: (*move).cutDownload,
		},
		{
			name: "before the job is known", up: true, down: true, ways: []way{s3, stream}, on: "transfer/", hits: 2, loses: true,
			api: func(*transfer) *sandbox.Fault { return &sandbox.Fault{DropReply: true} },
		},
		{
			name: "in a stream", up: true, down: true, ways: []way{stream}, cut: true,
			may: []truth{{workflow.CauseTransfer, []string{"transfer job"}}},
		},
	},
	"expired-url": {
		{
			name: "of a part", up: true, ways: []way{s3}, on: "UploadPart", hits: 6, spare: 3, store: expired,
			may: []truth{{workflow.CauseTransfer, []string{"the addresses of 3 transfers"}}},
		},
		{name: "of a completion", up: true, ways: []way{s3}, on: "CompleteMultipartUpload", hits: 2, store: expired},
		{
			name: "of an object", down: true, ways: []way{s3}, on: "GetObject", hits: 6, spare: 3, store: expired,
			may: []truth{{workflow.CauseTransfer, []string{"the addresses of 3 transfers"}}},
		},
		{
			name: "by the clock", up: true, down: true, ways: []way{s3}, on: "UploadPart GetObject", brief: true,
			store: func(*transfer, *http.Request) *objects.Fault { return &objects.Fault{Delay: 1100 * time.Millisecond} },
			may:   []truth{{workflow.CauseTransfer, []string{"the addresses of 3 transfers"}}},
		},
	},
	"truncated": {
		{
			name: "part", up: true, ways: []way{s3}, on: "UploadPart", hits: 4, spare: 2,
			store: func(t *transfer, r *http.Request) *objects.Fault {
				return &objects.Fault{Truncate: true, After: t.within(r.ContentLength) - 1}
			},
			may: []truth{damaged},
		},
		{
			name: "object", down: true, ways: []way{s3}, on: "GetObject", hits: 4, spare: 2,
			store: func(t *transfer, _ *http.Request) *objects.Fault {
				return &objects.Fault{Truncate: true, After: t.within(80_000)}
			},
			may: []truth{damaged, {workflow.CauseTransfer, []string{"the object was replaced", "it does not say which bytes", "InvalidRange"}}},
		},
		{name: "download in one request", down: true, ways: []way{direct}, on: "ops/download", reply: (*move).truncateDownload, may: []truth{damaged}},
		{name: "upload in one request", up: true, ways: []way{direct}, on: "ops/upload", reply: (*move).truncateTarget, may: []truth{damaged}},
	},
	"damaged": {
		{name: "download in one request", down: true, ways: []way{direct}, on: "ops/download", reply: (*move).flipAnswer, may: []truth{damaged}},
		{name: "part on its way", up: true, ways: []way{s3}, on: "UploadPart", hits: 2, spare: 3, before: (*move).flipRequest},
		{name: "object", down: true, ways: []way{s3}, on: "GetObject", spare: 3, reply: (*move).flipAnswer, may: []truth{damaged}},
		{name: "target", up: true, ways: []way{direct, s3, stream}, single: true, on: "ops/checksum", before: (*move).flipTarget, may: []truth{damaged}},
	},
	"empty": {
		{name: "upload", up: true, ways: []way{direct}, single: true, empty: true, on: "ops/upload", reply: timedOut},
		{name: "download", down: true, ways: []way{direct}, single: true, empty: true, on: "ops/download", reply: nothingSent},
	},
	"quota": {
		{name: "in one request", up: true, ways: []way{direct}, on: "ops/upload", toggle: quota("POST /filesystem/*/ops/upload", 4_000), may: []truth{noSpace}},
		{name: "in the job", up: true, ways: []way{s3}, toggle: quota("job upload", 80_000), may: []truth{noSpace}},
	},
	"408": {
		{name: "nothing was done", up: true, ways: []way{direct}, on: "ops/upload", hits: 4, toggle: slow("no")},
		{name: "all was done", up: true, ways: []way{direct}, on: "ops/upload", hits: 4, toggle: slow("yes")},
		{name: "half was done", up: true, ways: []way{direct}, on: "ops/upload", hits: 4, reply: (*move).halfDone},
	},
	"5xx-completion": {
		{
			name: "before it was tried", up: true, ways: []way{s3}, on: "CompleteMultipartUpload", hits: 8,
			store: func(t *transfer, _ *http.Request) *objects.Fault {
				return &objects.Fault{Status: 500 + int(t.seed%4), Code: "InternalError"}
			},
			may: []truth{{workflow.CauseTransfer, []string{"501 not implemented"}}},
		},
		{
			name: "after the status was sent", up: true, ways: []way{s3}, on: "CompleteMultipartUpload", hits: 8,
			store: func(*transfer, *http.Request) *objects.Fault {
				return &objects.Fault{Status: http.StatusOK, Code: "InternalError"}
			},
		},
	},
	"killed": {
		{name: "program", up: true, down: true, ways: []way{direct, s3, s3, s3}, hits: 3, spare: 12, kill: true, loses: true},
		{name: "program with a stream", up: true, down: true, ways: []way{stream}, hits: 1, spare: 7, kill: true, loses: true},
	},

	"busy": {
		{
			name: "object store", up: true, down: true, ways: []way{s3}, on: "UploadPart GetObject", hits: 8, spare: 3,
			store: func(*transfer, *http.Request) *objects.Fault {
				return &objects.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
			},
		},
		{
			name: "service", up: true, down: true, ways: []way{direct, s3, stream}, on: "ops/ transfer/ compute/", hits: 8, spare: 10,
			api: func(t *transfer) *sandbox.Fault { return &sandbox.Fault{Status: 502 + int(t.seed%3), Body: "upstream"} },
		},
	},
	"job-cancelled": {
		{
			name: "at once", up: true, down: true, ways: []way{s3}, on: "transfer/upload transfer/download", reply: (*move).cancelJob,
			may: []truth{{workflow.CauseKilled, []string{"CANCELLED"}}, {workflow.CauseTransfer, []string{"CANCELLED"}}},
		},
		{
			name: "in the middle", up: true, ways: []way{s3}, on: "UploadPart CompleteMultipartUpload", spare: 5, before: (*move).cancelLast,
			may: []truth{{workflow.CauseKilled, []string{"CANCELLED"}}, {workflow.CauseTransfer, []string{"CANCELLED"}}},
		},
	},
	"source-changed": {
		{
			name: "here", up: true, ways: []way{direct, s3}, single: true, on: "ops/upload UploadPart CompleteMultipartUpload", spare: 4, before: (*move).changeLocal,
			may: []truth{{workflow.CauseInputChanged, []string{"the file has changed since its upload began"}}, damaged},
		},
		{
			name: "there", down: true, ways: []way{direct, s3}, single: true, on: "ops/download transfer/download GetObject", spare: 1, before: (*move).changeRemote,
			may: []truth{damaged, {workflow.CauseTransfer, []string{"changed while it was downloaded"}}},
		},
	},
}

// counted are the classes of which every full campaign must have struck enough
// transfers.
var counted = []string{"part-lost", "cut", "expired-url", "truncated", "empty", "quota", "408", "5xx-completion", "killed"}

func expired(*transfer, *http.Request) *objects.Fault { return &objects.Fault{Expired: true} }

// within is where in a number of bytes the fault strikes.
func (t *transfer) within(n int64) int64 { return 1 + int64(t.share*float64(n-1)) }

// quota is a switch that has the disk full for a while.
func quota(ops string, most int64) func(*transfer) string {
	return func(t *transfer) string {
		return fmt.Sprintf("disk-quota,ops=%s,match=%s,times=%d,bytes=%d", ops, t.id(), t.hits, t.within(min(most, max(t.bytes(), 2)))-1)
	}
}

// slow is a switch that has an upload take too long.
func slow(effect string) func(*transfer) string {
	return func(t *transfer) string {
		return fmt.Sprintf("408,ops=POST /filesystem/*/ops/upload,match=%s,times=%d,effect=%s", t.id(), t.hits, effect)
	}
}

// opOf is the operation of a request, in short: the end of its path, or that of
// the object store.
func opOf(r *http.Request) string {
	query := r.URL.Query()
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, sandbox.StorePath) && query.Has("partNumber"):
		return "UploadPart"
	case strings.HasPrefix(p, sandbox.StorePath) && r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case strings.HasPrefix(p, sandbox.StorePath):
		return "GetObject"
	case strings.HasPrefix(p, "/compute/"):
		return "compute/"
	case strings.HasPrefix(p, "/filesystem/"):
		return strings.SplitN(p, "/", 4)[3]
	default:
		return p
	}
}

// meant reports whether the fault is about an operation.
func (f *fault) meant(op string) bool {
	for _, on := range strings.Fields(f.on) {
		if op == on || strings.HasSuffix(on, "/") && strings.HasPrefix(op, on) {
			return true
		}
	}
	return false
}
