package firecrest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A call goes through layers, outermost first: withRetry repeats it, withLimits
// waits for a slot, withToken puts the token on it, withPace waits until it may
// start, send makes one request of it and reads the answer. Each layer is a
// function around the next.

// exchange makes one try of a call, or with its retries, all of them. The
// error is always an *Error.
type exchange func(ctx context.Context, c *call) *Error

// call is one operation to be carried out. It can be sent any number of times:
// the body is made anew for each try.
type call struct {
	method   string
	template string // path with {system_name} and {job_id}
	system   string
	jobID    string
	query    url.Values
	body     func() *payload // nil: none
	replay   replay
	bulk     bool // moves the bytes of a file: has longer
	unsigned bool // an answer without release header counts

	anonymous bool // goes without token

	want int                   // status of success
	into any                   // JSON answer goes here; nil: none
	sink func(io.Reader) error // raw answer goes here instead

	token   Token // set by withToken
	attempt int   // set by withRetry
	sunk    bool  // the sink has been given bytes: too late to repeat
}

// payload is the body of one try. Its length is known.
type payload struct {
	reader      io.Reader
	size        int64
	contentType string
}

func (c *call) operation() string { return c.method + " " + c.template }

// path is the escaped path below the base URL.
func (c *call) path() string {
	path := strings.ReplaceAll(c.template, "{job_id}", url.PathEscape(c.jobID))
	return strings.ReplaceAll(path, "{system_name}", url.PathEscape(c.system))
}

func (c *call) fail(cause error) *Error {
	return &Error{Operation: c.operation(), System: c.system, Job: JobID(c.jobID), Attempts: c.attempt, listed: c.listed(), cause: cause}
}

// listed is the path that the call lists, "" if it does something else. Where links are
// followed, one that leads nowhere is missing for good.
func (c *call) listed() string {
	if c.template != opsTemplate+"ls" || c.query.Has("dereference") {
		return ""
	}
	return c.query.Get("path")
}

// jsonBody returns a body that is v, encoded once.
func jsonBody(v any) (func() *payload, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return func() *payload {
		return &payload{bytes.NewReader(b), int64(len(b)), "application/json"}
	}, nil
}

// RequestInfo tells an observer about one try of a request. It holds no
// header, no query, no body and nothing secret.
type RequestInfo struct {
	Operation     string // "GET /filesystem/{system_name}/ops/ls"
	Path          string // as sent, without the query
	System        string
	Attempt       int           // from 1
	Status        int           // 0 if no answer came
	RequestID     string        // of this try
	ServerVersion string        // empty if FirecREST did not answer
	Start         time.Time     // after waiting for its turn
	Duration      time.Duration // to the last byte read
	Sent          int64         // bytes of the body
	Received      int64         // bytes of the answer's body
	// ServerTime is the server's clock as it answered; zero if it did not say.
	// Between Start and Start plus Duration, if both clocks are right.
	ServerTime time.Time
	Err        error // nil on success
}

// send makes one request and reads its answer.
func (c *Client) send(ctx context.Context, call *call) *Error {
	timeout := c.settings.timeout
	if call.bulk {
		timeout *= 10
	}
	tryCtx, cancel := context.WithTimeoutCause(ctx, timeout, errTryTimeout)
	defer cancel()
	info := RequestInfo{
		Operation: call.operation(), Path: c.base.Path + call.path(), System: call.system,
		Attempt: call.attempt, RequestID: newRequestID(), Start: time.Now(),
	}
	failure := c.try(tryCtx, call, &info)
	info.Duration = time.Since(info.Start)
	if failure != nil {
		if failure.Status < 300 {
			failure.explainEnd(ctx, tryCtx)
		}
		failure.scrub(string(call.token.Value))
		info.Err = failure
	}
	if c.settings.observer != nil {
		c.settings.observer(info)
	}
	if trace, ok := ctx.Value(traceKey).(func(RequestInfo)); ok {
		trace(info)
	}
	return failure
}

func (c *Client) try(ctx context.Context, call *call, info *RequestInfo) *Error {
	failure := call.fail(nil)
	failure.RequestID = info.RequestID

	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, body, err := c.request(ctx, call, info.RequestID)
	if err != nil {
		failure.local, failure.cause = true, err
		return failure
	}
	client := c.http
	if call.replay != replayAlways {
		client = c.once // an idle connection may be dead, and then nobody knows what was sent
	}
	resp, err := client.Do(req)
	info.Sent = body.read.Load()
	if err != nil {
		failure.sent, failure.cause = connected.Load(), withoutURL(err)
		failure.local = body.failed.Load()
		return failure
	}
	defer resp.Body.Close()

	failure.sent = true
	info.Status, failure.Status = resp.StatusCode, resp.StatusCode
	info.ServerVersion = clean(hide(resp.Header.Get("F7T-AppVersion"), string(call.token.Value)))
	failure.ServerVersion = info.ServerVersion
	info.ServerTime = serverTime(resp.Header)
	if v := info.ServerVersion; v != "" {
		c.version.Store(&v)
	}
	answer := &countingReader{reader: resp.Body, count: &info.Received}
	if resp.StatusCode == call.want && (info.ServerVersion != "" || call.unsigned) {
		if failure.cause = readAnswer(call, resp.ContentLength, answer, failure); failure.cause == nil {
			return nil
		}
		return failure
	}
	failure.readFailure(resp, answer)
	return failure
}

// serverTime reads the clock of whoever answered: FirecREST gives it to the
// fraction of a second, others to the second.
func serverTime(h http.Header) time.Time {
	seconds, err := strconv.ParseFloat(h.Get("F7T-Timestamp"), 64)
	if err == nil && seconds > 0 && seconds < 1<<40 {
		return time.UnixMicro(int64(seconds * 1e6)).UTC()
	}
	date, _ := http.ParseTime(h.Get("Date")) // zero if there is none
	return date
}

// request builds one request. The token is put on it here and goes nowhere
// but below the base URL.
func (c *Client) request(ctx context.Context, call *call, id string) (*http.Request, *trackedBody, error) {
	u := *c.base
	u.RawPath = c.base.EscapedPath() + call.path()
	path, err := url.PathUnescape(u.RawPath)
	if err != nil {
		return nil, nil, err
	}
	u.Path, u.RawQuery = path, call.query.Encode()

	body := &trackedBody{}
	var reader io.Reader
	var size int64
	var contentType string
	if call.body != nil {
		p := call.body()
		body.reader, size, contentType = p.reader, p.size, p.contentType
		reader = body // hides the type: the transport must not be able to rewind it
	}
	req, err := http.NewRequestWithContext(ctx, call.method, u.String(), reader)
	if err != nil {
		return nil, nil, err
	}
	req.ContentLength = size
	req.Header.Set("User-Agent", c.settings.userAgent)
	req.Header.Set("X-Request-ID", id)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if call.token.Value != "" {
		req.Header.Set("Authorization", "Bearer "+string(call.token.Value))
	}
	return req, body, nil
}

// withToken puts a token on every request. A refused token is replaced and the
// request sent again, once; requests that must not be repeated are not.
func withToken(tokens *tokenCache, next exchange) exchange {
	if tokens == nil {
		return next
	}
	return func(ctx context.Context, c *call) *Error {
		if c.anonymous {
			return next(ctx, c)
		}
		var refused Token
		for {
			token, err := tokens.token(ctx)
			if err != nil {
				failure := c.fail(err)
				failure.local = ctx.Err() != nil
				return failure
			}
			c.token = token
			failure := next(ctx, c)
			if failure == nil || failure.Status != http.StatusUnauthorized {
				return failure
			}
			tokens.drop(token)
			if c.replay == replayNever || refused.Value != "" {
				return failure
			}
			refused = token
		}
	}
}
