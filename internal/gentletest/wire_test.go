package gentletest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/sandbox"
)

// request is one that reached the site.
type request struct {
	at        time.Time
	operation string // "GET jobs", "POST jobs", "GET job", "GET ops/ls" …
	system    string
	status    int
	asked     time.Duration // to wait, by the answer
	clock     time.Duration // of the machine
}

// wire carries requests to a handler, each of which takes latency, and keeps
// what went over it. Those for tokens are not part of the API and not kept.
type wire struct {
	handler http.Handler
	latency time.Duration
	limit   *limit // nil: none

	mu       sync.Mutex
	strays   *rand.Rand // if set, requests take up to 2.5 s longer to get there
	requests []request
	inFlight int
	most     int // ever in flight at once
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if req.Body != nil {
		defer req.Body.Close()
	}
	operation, system := name(req)
	api := req.URL.Path != sandbox.TokenPath
	if api {
		w.begin()
		defer w.end()
	}
	if err := w.pause(req, w.latency/2+w.stray()); err != nil {
		return nil, err
	}
	answer := httptest.NewRecorder()
	at := time.Now()
	whole := true
	if !api || w.limit == nil || !w.limit.refuses(at, answer) {
		whole = serve(w.handler, answer, req)
	}
	if api {
		w.keep(request{at, operation, system, answer.Code, asked(answer.Header(), at), realTime()})
	}
	if err := w.pause(req, w.latency-w.latency/2); err != nil {
		return nil, err
	}
	if !whole {
		return nil, io.ErrUnexpectedEOF
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}

// serve reports false if the handler cut the connection.
func serve(handler http.Handler, answer http.ResponseWriter, req *http.Request) (whole bool) {
	got := req.Clone(req.Context())
	got.RequestURI, got.RemoteAddr = req.URL.RequestURI(), "127.0.0.1:1"
	if got.Body == nil {
		got.Body = http.NoBody
	}
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	handler.ServeHTTP(answer, got)
	return true
}

func (w *wire) pause(req *http.Request, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-req.Context().Done():
		return req.Context().Err()
	}
}

func (w *wire) stray() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.strays == nil {
		return 0
	}
	return time.Duration(w.strays.Int64N(int64(2500 * time.Millisecond)))
}

func (w *wire) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight++
	w.most = max(w.most, w.inFlight)
}

func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight--
}

func (w *wire) keep(r request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r)
}

// asked reads how long an answer asks to wait.
func asked(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if date, err := http.ParseTime(value); err == nil {
		return date.Sub(now)
	}
	seconds, _ := time.ParseDuration(value + "s")
	return seconds
}

// take returns the requests since the last time.
func (w *wire) take() requests {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.requests
	w.requests = nil
	return taken
}

// name says which operation of the API a request is: its method and its path
// without what it is about.
func name(req *http.Request) (operation, system string) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	switch {
	case len(parts) == 3 && parts[0] == "compute":
		return req.Method + " jobs", parts[1]
	case len(parts) > 3 && parts[0] == "compute":
		return strings.Join(append([]string{req.Method, "job"}, parts[4:]...), " "), parts[1]
	case len(parts) > 2 && (parts[0] == "filesystem" || parts[0] == "status"):
		return req.Method + " " + strings.Join(parts[2:], "/"), parts[1]
	}
	return req.Method + " " + strings.Join(parts, "/"), ""
}

// requests are those of one time, by the order of their arrival.
type requests []request

// of keeps those of one operation.
func (all requests) of(operations ...string) requests {
	var kept requests
	for _, r := range all {
		for _, o := range operations {
			if r.operation == o {
				kept = append(kept, r)
			}
		}
	}
	return kept
}

// on keeps those of one system.
func (all requests) on(system string) requests {
	var kept requests
	for _, r := range all {
		if r.system == system {
			kept = append(kept, r)
		}
	}
	return kept
}

// busiest is the most requests in any window of a length.
func (all requests) busiest(window time.Duration) int {
	most, first := 0, 0
	for i, r := range all {
		for r.at.Sub(all[first].at) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// count is how many there are of each operation.
func (all requests) count() map[string]int {
	counts := map[string]int{}
	for _, r := range all {
		counts[r.operation]++
	}
	return counts
}

// refused is how many were answered with 429.
func (all requests) refused() int {
	n := 0
	for _, r := range all {
		if r.status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}
