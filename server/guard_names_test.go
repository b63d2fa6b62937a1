package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// pageGuard lets in to a page beside the API.
func pageGuard(g Guard) http.Handler {
	g.Hosts = []string{ownHost, "pipelines.example.org"}
	g.Page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	return g.protect(NewHost(newDiary()).Handler())
}

// ask sends a request to the guard and returns the status.
func askGuard(h http.Handler, method, path, host string, header http.Header) int {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	r.Header.Set("Authorization", "Bearer "+fullToken)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// TestHosts: by no name that is only like one of its own does the server answer,
// not even with its page.
func TestHosts(t *testing.T) {
	t.Parallel()
	h := pageGuard(Guard{Full: fullToken})
	for path, good := range map[string]int{"/v1/session": http.StatusOK, "/healthz": http.StatusOK, "/": http.StatusTeapot} {
		for host, mine := range map[string]bool{
			ownHost: true, "PIPELINES.example.org": true,
			"": false, "127.0.0.1": false, "127.0.0.1:9999": false, "127.0.0.1:88888": false, "127.0.0.1:8888.evil.example": false,
			"evil.example127.0.0.1:8888": false, "pipelines.example.org.": false, "pipelines.example.org:80": false, "xpipelines.example.org": false,
			"example.org": false, "localhost:8888": false, // it listens on another name here
		} {
			want := http.StatusForbidden
			if mine {
				want = good
			}
			if got := askGuard(h, "GET", path, host, nil); got != want {
				t.Errorf("%s of %q: status %d, want %d", path, host, got, want)
			}
		}
	}
}

// TestOrigins: only a page of the very origin may ask.
func TestOrigins(t *testing.T) {
	t.Parallel()
	h := pageGuard(Guard{Full: fullToken})
	for origin, want := range map[string]int{
		"http://" + ownHost: http.StatusOK, "https://" + ownHost: http.StatusOK, // behind a proxy
		"http://127.0.0.1:88888": http.StatusForbidden, "http://evil127.0.0.1:8888": http.StatusForbidden, "http://127.0.0.1:8888.evil.example": http.StatusForbidden,
		"http://127.0.0.1:8888@evil.example": http.StatusForbidden, "http://127.0.0.1": http.StatusForbidden, "http://pipelines.example.org": http.StatusForbidden,
		"null": http.StatusForbidden, "file://": http.StatusForbidden, "%": http.StatusForbidden,
	} {
		if got := askGuard(h, "GET", "/v1/session", ownHost, http.Header{"Origin": {origin}}); got != want {
			t.Errorf("%s: status %d, want %d", origin, got, want)
		}
	}
}

// TestCrossSite: another site may lead a person to the page, and do nothing else.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	h := pageGuard(Guard{Full: fullToken})
	cross := http.Header{"Sec-Fetch-Site": {"cross-site"}}
	for request, want := range map[[2]string]int{
		{"GET", "/"}: http.StatusTeapot, {"POST", "/"}: http.StatusForbidden, {"GET", "/v1/session"}: http.StatusForbidden, {"GET", "/metrics"}: http.StatusForbidden,
	} {
		if got := askGuard(h, request[0], request[1], ownHost, cross); got != want {
			t.Errorf("%s: status %d, want %d", request, got, want)
		}
	}
}

// TestPreflight: a browser that asks for a foreign page is told nothing that would
// let it.
func TestPreflight(t *testing.T) {
	t.Parallel()
	_, h := guardedDiary()
	for _, origin := range []string{"http://evil.example", "http://" + ownHost} {
		r := httptest.NewRequest(http.MethodOptions, "/v1/runs", nil)
		r.Host = ownHost
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 {
			t.Errorf("%s: status %d", origin, w.Code)
		}
		checkHeader(t, origin, w)
	}
}

// TestGuardWithoutTokens lets nobody in.
func TestGuardWithoutTokens(t *testing.T) {
	t.Parallel()
	h := pageGuard(Guard{})
	for _, given := range []string{"Bearer ", "Bearer", "", "Bearer  ", "Bearer " + fullToken} {
		if got := askGuard(h, "GET", "/v1/session", ownHost, http.Header{"Authorization": {given}}); got != http.StatusUnauthorized {
			t.Errorf("%q: status %d", given, got)
		}
	}
}

func TestLoopbackHosts(t *testing.T) {
	t.Parallel()
	got := LoopbackHosts(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, "pipelines.example.org")
	slices.Sort(got)
	want := []string{"127.0.0.1:80", "[::1]:80", "localhost:80", "pipelines.example.org"}
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
