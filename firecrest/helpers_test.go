package firecrest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// roundTrip is a transport in memory. As a real one it says when there is a
// connection: at once, unless the error is a *dialError.
type roundTrip func(*http.Request) (*http.Response, error)

type dialError struct{ error }

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := f(req)
	if _, ok := err.(dialError); !ok {
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{})
		}
	}
	return resp, err
}

// answer is an answer of FirecREST, release 2.5.6.
func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"F7t-Appversion": {"2.5.6"}},
		Body:       io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// gateway makes an answer one that FirecREST did not write.
func gateway(r *http.Response) *http.Response {
	r.Header.Del("F7T-AppVersion")
	return r
}

func withHeader(r *http.Response, key, value string) *http.Response {
	r.Header.Set(key, value)
	return r
}

func errorBody(message string) string {
	b, _ := json.Marshal(map[string]any{"errorType": "error", "message": message, "causedBy": nil, "data": nil, "user": "alice"})
	return string(b)
}

// memoryClient is a client without network and without token.
func memoryClient(t *testing.T, f roundTrip, options ...Option) *Client {
	t.Helper()
	client, err := New("https://f7t.example.org/v2", append([]Option{WithTransport(f)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// request is what a test server saw.
type request struct {
	Method, Path, Query, Body, ContentType string
}

// recorder is a real HTTP server that gives one answer and keeps what it saw.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
	headers  []http.Header
}

func newRecorder(t *testing.T, status int, body string, header http.Header) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.requests = append(r.requests, request{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, string(b), req.Header.Get("Content-Type")})
		r.headers = append(r.headers, req.Header.Clone())
		r.mu.Unlock()
		w.Header().Set("F7T-AppVersion", "2.5.6")
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(r.Server.Close)
	return r
}

func (r *recorder) seen() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

// newClient is a client of a test server, with a token, that repeats nothing.
func newClient(t *testing.T, url string, options ...Option) *Client {
	t.Helper()
	client, err := New(url, append([]Option{WithTokenSource(StaticToken("t0k3n")), WithRetry(RetryPolicy{MaxAttempts: 1})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// asError returns the *Error of err, or fails.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v (%T), want an *Error", err, err)
	}
	return failure
}

func content(s string) (*bytes.Reader, int64) { return bytes.NewReader([]byte(s)), int64(len(s)) }
