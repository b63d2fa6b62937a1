package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEveryAnswerHasHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, path := range []string{"/status/systems", "/nothing", "/status/nope/userinfo", "/status/systems/"} {
		h := r.do("GET", path, nil).header
		if got := h.Get("F7T-AppVersion"); got != DefaultRelease {
			t.Errorf("%s: F7T-AppVersion %q, want %q", path, got, DefaultRelease)
		}
		seconds, err := strconv.ParseFloat(h.Get("F7T-Timestamp"), 64)
		if age := time.Since(time.UnixMicro(int64(seconds * 1e6))); err != nil || age < -time.Second || age > time.Minute {
			t.Errorf("%s: F7T-Timestamp %q is not now", path, h.Get("F7T-Timestamp"))
		}
		if id := h.Get("X-Request-ID"); len(id) != 32 || !uuid.MatchString(id) || id == h.Get("X-Correlation-ID") {
			t.Errorf("%s: X-Request-ID %q, want 32 hex digits of its own", path, id)
		}
	}
}

func TestTracingHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"X-Request-ID", "X-Correlation-ID"} {
		for value, good := range map[string]bool{
			"3f2504e0-4f89-11d3-9a0c-0305e82c3301": true, "3F2504E04F8911D39A0C0305E82C3301": true,
			"not-a-uuid": false, "3f2504e0": false,
		} {
			req := r.request("GET", "/status/systems", nil)
			req.Header.Set(name, value)
			a := r.send(req)
			switch {
			case good && (a.status != 200 || a.header.Get(name) != value):
				t.Errorf("%s: %s answered %d with %q, want it echoed", name, value, a.status, a.header.Get(name))
			case !good && (a.status != 400 || len(a.body) > 0 || a.header.Get("F7T-AppVersion") != ""):
				t.Errorf("%s: %s answered %d %q %v, want a bare 400", name, value, a.status, a.body, a.header)
			}
		}
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Prefix = "/hpc/firecrest/" })
	for path, status := range map[string]int{
		"/hpc/firecrest/status/systems": 200, "/HPC/Firecrest/status/systems": 200, "/status/systems": 200,
		"/hpc/firecrestatus/systems": 404, "/hpc/firecrest": 404,
	} {
		if a := r.do("GET", path, nil); a.status != status {
			t.Errorf("%s: status %d, want %d", path, a.status, status)
		}
	}
	a := r.do("GET", "/hpc/firecrest/status/systems/?x=1", nil)
	if want := r.url + "/hpc/firecrest/status/systems?x=1"; a.status != 307 || a.header.Get("Location") != want {
		t.Errorf("status %d to %q, want 307 to %q", a.status, a.header.Get("Location"), want)
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256", "HS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.TokenAlgorithm = alg })
			creds := r.srv.Credentials()
			form := url.Values{"grant_type": {"client_credentials"}}
			post := url.Values{"grant_type": {"client_credentials"}, "client_id": {creds.ClientID}, "client_secret": {creds.ClientSecret}}
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(creds.ClientID+":"+creds.ClientSecret))
			for name, tc := range map[string]struct {
				form   url.Values
				auth   string
				status int
				code   string
			}{
				"post":           {post, "", 200, ""},
				"basic":          {form, basic, 200, ""},
				"no secret":      {form, "", 401, "invalid_client"},
				"wrong secret":   {form, "Basic " + base64.StdEncoding.EncodeToString([]byte(creds.ClientID+":x")), 401, "invalid_client"},
				"another grant":  {url.Values{"grant_type": {"password"}}, basic, 400, "unsupported_grant_type"},
				"nothing at all": {url.Values{}, "", 400, "unsupported_grant_type"},
			} {
				req := r.request("POST", creds.TokenPath, tc.form.Encode())
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Del("Authorization")
				if tc.auth != "" {
					req.Header.Set("Authorization", tc.auth)
				}
				a := r.send(req)
				want(t, a, tc.status)
				var out struct {
					AccessToken string  `json:"access_token"`
					ExpiresIn   float64 `json:"expires_in"`
					TokenType   string  `json:"token_type"`
					Error       string
				}
				a.decode(t, &out)
				if out.Error != tc.code {
					t.Errorf("%s: error %q, want %q", name, out.Error, tc.code)
				}
				if tc.status == 200 {
					if out.ExpiresIn != 300 || out.TokenType != "Bearer" {
						t.Errorf("%s: %s", name, a.body)
					}
					r.token = out.AccessToken
					want(t, r.do("GET", "/status/systems", nil), 200)
				}
			}
			header, rest, _ := strings.Cut(r.token, ".")
			claims, _, _ := strings.Cut(rest, ".")
			r.token = header + "." + claims + ".AAAA"
			wantError(t, r.do("GET", "/status/systems", nil), 401, "Access token is invalid.")
			r.token = "garbage"
			wantError(t, r.do("GET", "/status/systems", nil), 401, "Access token is invalid.")
		})
	}
}

// TestTokenForgedAlgorithm: the header of a token must not choose how it is
// checked.
func TestTokenForgedAlgorithm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"preferred_username":"demo"}`))
	for _, alg := range []string{"none", "HS256"} {
		header, _ := json.Marshal(map[string]string{"alg": alg, "kid": r.srv.key.kid})
		r.token = base64.RawURLEncoding.EncodeToString(header) + "." + claims + "."
		wantError(t, r.do("GET", "/status/systems", nil), 401, "Access token is invalid.")
	}
}

func TestTokenLifetime(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.TokenLifetime = 10 * time.Second })
	var err error
	if r.token, err = r.srv.issueToken("demo", r.srv.cfg.TokenLifetime); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.do("GET", "/status/systems", nil), 401, "Access token expires too soon (less than 30s remaining).")
}

func TestOpenAPIListsOperations(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	req := r.request("GET", "/openapi.json", nil)
	req.Header.Del("Authorization")
	a := r.send(req)
	want(t, a, 200)
	var doc struct {
		Openapi string
		Info    struct{ Version string }
		Paths   map[string]map[string]any
	}
	a.decode(t, &doc)
	if doc.Openapi != "3.1.0" || doc.Info.Version != DefaultRelease {
		t.Errorf("document %s of %s", doc.Openapi, doc.Info.Version)
	}
	if got := slices.Sorted(maps.Keys(doc.Paths["/compute/{system_name}/jobs"])); !slices.Equal(got, []string{"get", "post"}) {
		t.Errorf("methods of the job list: %v", got)
	}
	if _, has := doc.Paths[TokenPath]; has {
		t.Errorf("%s is not part of the API", TokenPath)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]*Fault{
		"GET /status/systems": {
			Status: 429, Header: http.Header{"Retry-After": {"1"}, "content-type": {"text/html"}}, Body: "<html>slow down</html>",
		},
		"POST /filesystem/{system_name}/ops/mkdir": {DropReply: true},
		"GET /status/{system_name}/userinfo":       {Delay: time.Millisecond},
	}
	var mu sync.Mutex
	seen := map[string]int{}
	r := newRig(t, func(c *Config) {
		c.Fault = func(op string, _ *http.Request) *Fault { return faults[op] }
		c.Observe = func(op string, status int) {
			mu.Lock()
			defer mu.Unlock()
			seen[op] = status
		}
	})
	a := r.do("GET", "/status/systems", nil)
	if a.status != 429 || string(a.body) != "<html>slow down</html>" || a.header.Get("Retry-After") != "1" || a.header.Get("F7T-AppVersion") != "" {
		t.Errorf("gateway's answer: %d %s %v", a.status, a.body, a.header)
	}
	resp, err := noRedirect.Do(r.request("POST", "/filesystem/alps/ops/mkdir", members{"path": r.home + "/made"}))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("dropped reply: %v, want an early end", err)
	}
	want(t, r.ops("GET", "stat", r.home+"/made"), 200)
	want(t, r.do("GET", "/status/alps/userinfo", nil), 200)
	mu.Lock()
	defer mu.Unlock()
	if _, has := seen["POST /filesystem/{system_name}/ops/mkdir"]; has || seen["GET /status/systems"] != 429 ||
		seen["GET /status/{system_name}/userinfo"] != 200 {
		t.Errorf("observed %v", seen)
	}
}

// TestDelayEndsWithTheClient: also when the request has a body, without which
// being read the server does not notice that the client left.
func TestDelayEndsWithTheClient(t *testing.T) {
	t.Parallel()
	answered := make(chan int, 1)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r := newRig(t, func(c *Config) {
		c.Fault = func(string, *http.Request) *Fault {
			leave()
			return &Fault{Delay: time.Hour}
		}
		c.Observe = func(_ string, status int) { answered <- status }
	})
	req := r.request("POST", "/filesystem/alps/ops/mkdir", members{"path": r.home + "/made"}).WithContext(ctx)
	if resp, err := noRedirect.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("status %d before the delay was over", resp.StatusCode)
	}
	select {
	case status := <-answered:
		if status != 201 {
			t.Errorf("the request was answered with %d, want it handled as ever", status)
		}
	case <-time.After(20 * time.Second):
		t.Error("the delay goes on without the client")
	}
}

func TestAdminAddsSystems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	add := func(secret string, body any) answer {
		req := r.request("POST", "/sandbox/systems", body)
		req.Header.Set("Authorization", "Bearer "+secret)
		return r.send(req)
	}
	secret := r.srv.site.AdminSecret
	want(t, r.do("GET", "/status/daint/userinfo", nil), 404)
	want(t, add(secret, members{"systems": []string{"Daint"}}), 200)
	want(t, r.do("GET", "/status/DAINT/userinfo", nil), 200)
	want(t, add(r.token, members{"systems": []string{"x"}}), 401)
	want(t, add("", members{"systems": []string{"x"}}), 401)
	want(t, add(secret, members{"systems": []string{"../x"}}), 400)
	want(t, add(secret, members{"systems": "x"}), 400)
	want(t, add(secret, `{"systems":`), 400)

	far := httptest.NewRequest("POST", "/sandbox/systems", strings.NewReader(`{"systems":["x"]}`))
	far.RemoteAddr = "192.0.2.1:4711"
	far.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	r.srv.Handler().ServeHTTP(w, far)
	if w.Code != 401 {
		t.Errorf("from another machine: status %d, want 401", w.Code)
	}
	if got := r.srv.site.systems(); !slices.Equal(got, []string{"alps", "daint"}) {
		t.Errorf("systems %v", got)
	}
}

func TestServeRefusesOtherMachines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	if err := r.srv.Serve(l); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
		t.Errorf("Serve: %v", err)
	}
}

// TestPrecedence: which complaint comes first when there are several.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mkdir := func(system, token, body string) answer {
		req := r.request("POST", "/filesystem/"+system+"/ops/mkdir", body)
		req.Header.Set("Authorization", "Bearer "+token)
		return r.send(req)
	}
	wantError(t, mkdir("nope", "bad", `{"path":`), 400, "1 validation error")
	wantError(t, mkdir("nope", "bad", `{"parent":"perhaps"}`), 401, "Access token is invalid.")
	wantError(t, mkdir("nope", r.token, `{"parent":"perhaps"}`), 404, "System not found")
	wantError(t, mkdir("alps", r.token, `{"parent":"perhaps"}`), 400, "Unable to decode request")
	wantError(t, mkdir("alps", r.token, `{"path":"/etc","parent":"perhaps"}`), 400, "does not match any")
	wantError(t, mkdir("alps", r.token, `{"path":"`+r.home+`","parent":"perhaps"}`), 400, "1 validation error")
	wantError(t, mkdir("alps", r.token, `{"path":null}`), 400, "All filesystem requests require a path or source_path parameter.")
	wantError(t, mkdir("alps", r.token, `{"path":"`+r.home+`"}`), 400, "File exists")
	e := mkdir("alps", "bad", `{bad`).error(t)
	if f := e.Data.Fields[0]; e.User != nil || f.Location != "body" || f.Name != 1.0 || f.Message != "JSON decode error" {
		t.Errorf("malformed JSON: %+v", e)
	}
}
