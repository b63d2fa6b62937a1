package simulation

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// release is the FirecREST that the world imitates.
const release = "2.5.6"

// user is who every token belongs to, system the machine there is.
const (
	user   = "ada"
	system = "alps"
)

// Texts of the server that programs know by heart.
const (
	commandTimeout = "Command execution timeout limit exceeded."
	limitReached   = "Job submission rejected: accounting/QOS policy limit exceeded. sbatch: error: QOSMaxSubmitJobPerUserLimit\n" +
		"sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)

// answer is what comes back for a request: of FirecREST, if signed, or of
// something in front of it.
type answer struct {
	status int
	signed bool
	json   any
	raw    []byte
	text   string
	html   bool
	header map[string]string
}

func success(status int, body any) *answer { return &answer{status: status, signed: true, json: body} }

// output is the envelope of file operations.
func output(status int, body any) *answer { return success(status, map[string]any{"output": body}) }

// problem is the body of every refusal.
type problem struct {
	ErrorType string   `json:"errorType"`
	Message   string   `json:"message"`
	CausedBy  []string `json:"causedBy"`
	Data      any      `json:"data"`
	User      string   `json:"user"`
}

func failure(status int, message string) *answer {
	return success(status, problem{ErrorType: "error", Message: message, User: user})
}

// queryFailure is how every trouble shows that comes while jobs are read.
func queryFailure(reason string) *answer {
	return success(500, problem{ErrorType: "error", Message: "Error executing Slurm command.", CausedBy: []string{reason}, User: user})
}

// slurmFailure is a command of the scheduler that said no.
func slurmFailure(stderr string) *answer {
	return failure(500, "Unexpected Slurm command response. exit_status:1 std_err:"+stderr+"\n")
}

// commandFailure is a command on files that said no.
func commandFailure(status, code int, stderr string) *answer {
	return failure(status, "Remote process failed with exit status:"+strconv.Itoa(code)+" and error message:"+stderr)
}

func gatewayAnswer(status int) *answer {
	return &answer{status: status, text: "upstream connect error or disconnect/reset before headers\n"}
}

func page(status int) *answer {
	return &answer{status: status, html: true, text: "<html><head><title>Service</title></head><body><h1>" + http.StatusText(status) + "</h1></body></html>\n"}
}

func tooManyRequests(told bool, d *dice) *answer {
	a := &answer{status: 429, text: "local_rate_limited"}
	if told {
		a.header = map[string]string{"Retry-After": strconv.Itoa(1 + d.below(90))}
	}
	return a
}

// serverErrorAnswer is a 500 whose words prove nothing.
func serverErrorAnswer(r *request, d *dice) *answer {
	if r.op != opSubmit {
		return success(500, problem{ErrorType: "error", Message: "Internal Server Error", CausedBy: []string{"SSH connection lost"}, User: user})
	}
	return pick(d, []*answer{
		failure(500, "Unable to submit new job"),
		slurmFailure("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"),
		slurmFailure("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"),
		slurmFailure("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying"),
	})
}

// response is the answer as net/http hands it out.
func (a *answer) response(r *http.Request) *http.Response {
	h := http.Header{}
	body := []byte(a.text)
	switch {
	case a.json != nil:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(a.json); err != nil {
			panic(err) // the world wrote it
		}
		body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
		h.Set("Content-Type", "application/json")
	case a.raw != nil:
		body = a.raw
		h.Set("Content-Type", "application/octet-stream")
	case a.html:
		h.Set("Content-Type", "text/html")
	case a.signed:
		h.Set("Content-Type", "application/json")
	default:
		h.Set("Content-Type", "text/plain")
	}
	now := time.Now()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	if a.signed {
		h.Set("F7t-Appversion", release)
		h.Set("F7t-Timestamp", strconv.FormatFloat(float64(now.UnixMicro())/1e6, 'f', -1, 64))
		if id := r.Header.Get("X-Request-ID"); id != "" {
			h.Set("X-Request-ID", id)
		}
		if p, isProblem := a.json.(problem); isProblem && p.User != "" {
			h.Set("F7t-Authusername", p.User)
		}
	}
	for name, value := range a.header {
		h.Set(name, value)
	}
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: r,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// words is the answer in a trace.
func (a *answer) words() string {
	words := strconv.Itoa(a.status)
	switch body := a.json.(type) {
	case problem:
		words += " " + strings.TrimSpace(body.Message)
	case nil:
		words += " " + strings.TrimSpace(a.text)
	}
	return strings.TrimSpace(words)
}
