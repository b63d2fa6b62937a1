package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	fullToken = "FULLFULLFULLFULLFULLFULLFU"
	readToken = "READREADREADREADREADREADRE"
	ownHost   = "127.0.0.1:8888"
)

func guardedDiary() (*diary, http.Handler) {
	d := newDiary()
	g := &Guard{Full: fullToken, ReadOnly: readToken, Hosts: []string{ownHost}}
	return d, g.protect(NewHost(d).Handler())
}

// bodyOf is a good body for a route that takes one.
func bodyOf(r *route) string {
	switch r.takes.(type) {
	case StartRequest:
		return `{"workflow":"w"}`
	case resolveRequest:
		return `{"step":"s","as":"failed","by":"me"}`
	case approveRequest:
		return `{"step":"s","by":"me"}`
	case backfillRequest:
		return `{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}`
	case nil:
		return ""
	}
	return `{"by":"me"}`
}

// request is a good request for a route.
func (r *route) request(ctx context.Context) *http.Request {
	method, path, _ := strings.Cut(r.pattern, " ")
	req := httptest.NewRequestWithContext(ctx, method, pathParameter.ReplaceAllString(path, "A"), strings.NewReader(bodyOf(r)))
	req.Host = ownHost
	for _, p := range r.query {
		if p.required {
			req.URL.RawQuery = p.name + "=A"
		}
	}
	if method == http.MethodGet && strings.HasSuffix(path, "/backfill") {
		req.URL.RawQuery = "from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z"
	}
	req.Header.Set("Authorization", "Bearer "+fullToken)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// attack is a request that must not be served.
type attack struct {
	name  string
	only  string // the method it is about; "" = every
	spoil func(*http.Request, *route)
	want  int
}

func attacks() []attack {
	header := func(name, value string) func(*http.Request, *route) {
		return func(r *http.Request, _ *route) { r.Header.Set(name, value) }
	}
	body := func(text string) func(*http.Request, *route) {
		return func(r *http.Request, _ *route) { r.Body = io.NopCloser(strings.NewReader(text)) }
	}
	return []attack{
		{"no token", "", func(r *http.Request, _ *route) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		{"empty token", "", header("Authorization", "Bearer "), http.StatusUnauthorized},
		{"wrong token", "", header("Authorization", "Bearer "+fullToken+"X"), http.StatusUnauthorized},
		{"beginning of the token", "", header("Authorization", "Bearer "+fullToken[:len(fullToken)-1]), http.StatusUnauthorized},
		{"token in other letters", "", header("Authorization", "Bearer "+strings.ToLower(fullToken)), http.StatusUnauthorized},
		{"token of another kind", "", header("Authorization", "Basic "+fullToken), http.StatusUnauthorized},
		{"token in a cookie and in the address", "", func(r *http.Request, _ *route) {
			r.Header.Del("Authorization")
			r.AddCookie(&http.Cookie{Name: "token", Value: fullToken})
			r.URL.RawQuery = "token=" + fullToken + "&access_token=" + fullToken
		}, http.StatusUnauthorized},
		{"no token, for a stream", "", func(r *http.Request, _ *route) {
			r.Header.Del("Authorization")
			r.Header.Set("Accept", "text/event-stream")
		}, http.StatusUnauthorized},
		{"no token, for the head", http.MethodGet, func(r *http.Request, _ *route) {
			r.Header.Del("Authorization")
			r.Method = http.MethodHead
		}, http.StatusUnauthorized},
		{"read-only token", http.MethodPost, header("Authorization", "Bearer "+readToken), http.StatusForbidden},
		{"read-only token, another method", "", func(r *http.Request, _ *route) {
			r.Header.Set("Authorization", "Bearer "+readToken)
			r.Method = http.MethodPut
		}, http.StatusForbidden},
		{"foreign origin", "", header("Origin", "http://evil.example"), http.StatusForbidden},
		{"origin of another port", "", header("Origin", "http://127.0.0.1:9999"), http.StatusForbidden},
		{"origin null", "", header("Origin", "null"), http.StatusForbidden},
		{"cross-site", "", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		{"foreign host", "", func(r *http.Request, _ *route) { r.Host = "evil.example:8888" }, http.StatusForbidden},
		{"foreign host with its origin", "", func(r *http.Request, _ *route) {
			r.Host = "evil.example:8888"
			r.Header.Set("Origin", "http://evil.example:8888")
		}, http.StatusForbidden},
		{"form", http.MethodPost, header("Content-Type", "application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType},
		{"form of text", http.MethodPost, header("Content-Type", "text/plain"), http.StatusUnsupportedMediaType},
		{"form that names JSON", http.MethodPost, header("Content-Type", "text/plain; x=application/json"), http.StatusUnsupportedMediaType},
		{"no kind", http.MethodPost, func(r *http.Request, _ *route) { r.Header.Del("Content-Type") }, http.StatusUnsupportedMediaType},
		{"oversized body", http.MethodPost, func(r *http.Request, route *route) {
			size := maxBody
			if route.large {
				size = maxSource
			}
			body(`{"by":"`+strings.Repeat("x", size)+`"}`)(r, route)
		}, http.StatusRequestEntityTooLarge},
		{"body that is none", http.MethodPost, body("by=me"), http.StatusBadRequest},
		{"body that is null", http.MethodPost, body("null"), http.StatusBadRequest},
		{"two bodies", http.MethodPost, func(r *http.Request, route *route) { body(bodyOf(route)+"{}")(r, route) }, http.StatusBadRequest},
		{"body with a member that is not known", http.MethodPost, func(r *http.Request, route *route) {
			body(strings.Replace(bodyOf(route), "{", `{"bye":"me",`, 1))(r, route)
		}, http.StatusBadRequest},
		{"parameter that is not known", "", func(r *http.Request, _ *route) { r.URL.RawQuery += "&colour=red" }, http.StatusBadRequest},
	}
}

// TestAttacks: whatever route there is, it changes nothing and tells nothing to
// whom it should not.
func TestAttacks(t *testing.T) {
	t.Parallel()
	d, handler := guardedDiary()
	for _, r := range routes(Forms{}) {
		if r.open {
			continue
		}
		for _, a := range attacks() {
			ctx, stop := context.WithTimeout(t.Context(), time.Second) // a stream that lets them in would go on
			req := r.request(ctx)
			if a.only != "" && req.Method != a.only {
				stop()
				continue
			}
			a.spoil(req, &r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			stop()
			if w.Code != a.want {
				t.Errorf("%s, %s: status %d, want %d: %s", r.pattern, a.name, w.Code, a.want, w.Body)
			}
			if named := w.Header().Get("WWW-Authenticate") == "Bearer"; named != (a.want == http.StatusUnauthorized) {
				t.Errorf("%s, %s: WWW-Authenticate is there: %v", r.pattern, a.name, named)
			}
			checkHeader(t, r.pattern+", "+a.name, w)
			judge(t, r.pattern+", "+a.name, d, w)
		}
	}
}

// checkHeader makes sure that an answer, whatever it is, forbids other uses of it,
// and lets no page of another origin read it.
func checkHeader(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
	for name := range w.Header() {
		if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
			t.Errorf("%s: %s is there", what, name)
		}
	}
}

// judge makes sure that nothing was done and nothing was told. A run may have been
// looked up: that is neither.
func judge(t *testing.T, what string, d *diary, w *httptest.ResponseRecorder) {
	t.Helper()
	for _, asked := range d.take() {
		if asked != "find" {
			t.Errorf("%s: the host was asked for %s", what, asked)
		}
	}
	for _, secret := range []string{"secret-of-the-run", fullToken, readToken} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: the answer tells %q", what, w.Body)
		}
	}
}

// TestPathsThatLeadOut: no name in a path reaches the host that could be a way out
// of a directory.
func TestPathsThatLeadOut(t *testing.T) {
	t.Parallel()
	d, handler := guardedDiary()
	for _, r := range routes(Forms{}) {
		_, path, _ := strings.Cut(r.pattern, " ")
		if !strings.Contains(path, "{") {
			continue
		}
		parameters := pathParameter.FindAllString(path, -1)
		for _, name := range []string{"..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5c..", "a%2fb", "a%5cb", "%00", "%0a", strings.Repeat("x", 300)} {
			for _, bad := range parameters { // the others are good
				target := pathParameter.ReplaceAllString(strings.Replace(path, bad, name, 1), "A")
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				req := r.request(ctx)
				u, err := req.URL.Parse(target)
				if err != nil {
					t.Fatal(err)
				}
				req.URL = u
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, req)
				stop()
				if w.Code != http.StatusNotFound && w.Code/100 != 3 {
					t.Errorf("%s, %s: status %d", r.pattern, target, w.Code)
				}
				if asked := d.take(); len(asked) > 0 {
					t.Errorf("%s, %s: the host was asked for %s", r.pattern, target, asked)
				}
			}
		}
	}
}

// TestGoodRequests: the same requests are served when nothing is wrong with them,
// with headers that forbid other uses. A read-only token reads all.
func TestGoodRequests(t *testing.T) {
	t.Parallel()
	_, handler := guardedDiary()
	for _, r := range routes(Forms{}) {
		for _, token := range []string{fullToken, readToken} {
			ctx, w := passBy(t)
			req := r.request(ctx)
			req.Header.Set("Authorization", "bearer "+token)
			req.Header.Set("Origin", "http://"+ownHost)
			if token == fullToken || req.Method == http.MethodGet {
				handler.ServeHTTP(w, req)
				if w.Code != r.status && !strings.Contains(r.pattern, "/blobs/") {
					t.Errorf("%s: status %d, want %d: %s", r.pattern, w.Code, r.status, w.Body)
				}
				checkHeader(t, r.pattern, w.ResponseRecorder)
			}
		}
	}
}

// TestHealth needs no token, and tells nothing.
func TestHealth(t *testing.T) {
	t.Parallel()
	_, handler := guardedDiary()
	req := httptest.NewRequest("GET", "/healthz", nil)
	req.Host = ownHost
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	if w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// TestBadBodies: what makes no sense, and paths of this machine, are not taken over
// the network.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	d, handler := guardedDiary()
	long := strings.Repeat("x", maxName+1)
	for path, bodies := range map[string][]string{
		"/v1/runs": {
			`{"file":"/etc/passwd"}`, `{"workflow":"w","dir":"/etc"}`, `{"workflow":"w","output_dir":"/etc"}`, `{"workflow":"w","source":"x"}`, `{}`,
			`{"workflow":"w","key":"short"}`, `{"workflow":"w","key":"` + long + `"}`,
		},
		"/v1/runs/A/rerun": {`{"key":"short"}`},
		"/v1/runs/A/resume": {
			`{"file":"/etc/passwd"}`, `{"source":"x","dir":"/etc"}`, `{"source":"x","file":"/x"}`, `{"dry_run":true}`, `{"cancel_running":true}`,
			`{"inputs":{"a":1}}`, `{"texts":{"a":"1"}}`, `{"source":"x","inputs":{},"texts":{}}`, `{"by":"` + long + `"}`,
		},
	} {
		for _, body := range bodies {
			req := httptest.NewRequest("POST", path, strings.NewReader(body))
			req.Host = ownHost
			req.Header.Set("Authorization", "Bearer "+fullToken)
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			if w.Code != http.StatusBadRequest || len(d.take()) > 0 {
				t.Errorf("%s %s: status %d", path, body, w.Code)
			}
		}
	}
}
