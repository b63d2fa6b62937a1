package firecresttest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) transport() []subtest {
	return []subtest{
		{"every answer carries release and time and ids", s.testHeaders},
		{"the release is told to callers without a valid token too", s.testRelease},
		{"a request id is echoed", s.testRequestID},
		{"a request id that is no UUID gets an empty 400", s.testBadRequestID},
		{"every error has the same five members", s.testEnvelope},
		{"an unknown path is not found", s.testUnknownPath},
		{"a wrong method is refused", s.testWrongMethod},
		{"paths are the same in capitals", s.testCapitals},
		{"a slash too many or too few redirects", s.testSlash},
		{"paths work with and without prefix", s.testPrefix},
		{"the description is open to all and lists the operations", s.testDescription},
		{"complaints have an order", s.testPrecedence},
		{"unknown members and parameters are ignored", s.testUnknownMembers},
	}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$`)

func (s *suite) testHeaders(t *testing.T) {
	release := regexp.MustCompile(`^\d+\.(\d+|x)\.(\d+|x)$`)
	for _, path := range []string{"/status/systems", "/no/such/path", "/status/no-such-system/userinfo", s.ops("ls")} {
		header := s.get(t, path, nil).header
		if got := header.Get("F7T-AppVersion"); !release.MatchString(got) {
			t.Errorf("%s: F7T-AppVersion %q", path, got)
		}
		seconds, err := strconv.ParseFloat(header.Get("F7T-Timestamp"), 64)
		if age := time.Since(time.UnixMilli(int64(seconds * 1000))).Abs(); err != nil || age > time.Hour {
			t.Errorf("%s: F7T-Timestamp %q is not now", path, header.Get("F7T-Timestamp"))
		}
		if s.differs(OmitsRequestIDs) {
			continue
		}
		if a, b := header.Get("X-Request-ID"), header.Get("X-Correlation-ID"); !uuid.MatchString(a) || !uuid.MatchString(b) {
			t.Errorf("%s: X-Request-ID %q, X-Correlation-ID %q, want UUIDs", path, a, b)
		}
	}
}

func (s *suite) testRelease(t *testing.T) {
	client := s.newClient(t, firecrest.StaticToken("nonsense"))
	_, err := client.Status.Systems(t.Context())
	wantError(t, err, firecrest.ErrUnauthenticated, "")
	if got, want := client.ServerVersion(), s.client.ServerVersion(); got != want {
		t.Errorf("release %q, with a valid token %q", got, want)
	}
}

func (s *suite) testRequestID(t *testing.T) {
	s.except(t, OmitsRequestIDs)
	for _, name := range []string{"X-Request-ID", "X-Correlation-ID"} {
		const id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
		req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
		req.Header.Set(name, id)
		if got := s.send(t, req).header.Get(name); got != id {
			t.Errorf("%s %q, want %q", name, got, id)
		}
	}
}

func (s *suite) testBadRequestID(t *testing.T) {
	s.except(t, OmitsRequestIDs)
	for _, name := range []string{"X-Request-ID", "X-Correlation-ID"} {
		req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
		req.Header.Set(name, "not-a-uuid")
		if a := s.send(t, req); a.status != http.StatusBadRequest || len(a.body) > 0 {
			t.Errorf("%s: %d %q, want an empty 400", name, a.status, a.body)
		}
	}
}

func (s *suite) testEnvelope(t *testing.T) {
	s.except(t, OmitsCauses)
	anonymous := s.request(t, http.MethodGet, "/status/systems", nil, nil)
	anonymous.Header.Del("Authorization")
	for name, a := range map[string]answer{
		"no token":        s.send(t, anonymous),
		"unknown path":    s.get(t, "/no/such/path", nil),
		"unknown system":  s.get(t, "/status/no-such-system/userinfo", nil),
		"unknown file":    s.get(t, s.ops("stat"), url.Values{"path": {s.dir + "/missing"}}),
		"invalid boolean": s.get(t, s.ops("ls"), url.Values{"path": {s.dir}, "recursive": {"perhaps"}}),
		"unknown job":     s.get(t, s.jobsPath("/99999999"), nil),
	} {
		var got map[string]any
		if err := json.Unmarshal(a.body, &got); err != nil {
			t.Errorf("%s: %q: %v", name, a.body, err)
			continue
		}
		want := []string{"causedBy", "data", "errorType", "message", "user"}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
			t.Errorf("%s: members %q, want %q", name, keys, want)
		}
	}
}

func (s *suite) testUnknownPath(t *testing.T) {
	for _, path := range []string{"/", "/nothing", "/no/such/path", "/jobs/" + s.System + "/1", s.ops("mv")} {
		s.get(t, path, nil).wantMessage(t, http.StatusNotFound, "Not Found")
	}
}

func (s *suite) testWrongMethod(t *testing.T) {
	for path, method := range map[string]string{
		"/status/systems": http.MethodPost, s.ops("ls"): http.MethodDelete, s.ops("rm"): http.MethodGet,
		s.ops("mkdir"): http.MethodPut, s.jobsPath("/1"): http.MethodPatch, s.jobsPath(""): http.MethodOptions,
	} {
		a := s.send(t, s.request(t, method, path, nil, nil))
		a.wantMessage(t, http.StatusMethodNotAllowed, "Method Not Allowed")
		if a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow header", method, path)
		}
	}
}

func (s *suite) testCapitals(t *testing.T) {
	s.except(t, MindsCase)
	lower := s.get(t, "/status/"+s.System+"/userinfo", nil)
	upper := s.get(t, "/STATUS/"+strings.ToUpper(s.System)+"/UserInfo", nil)
	upper.want(t, http.StatusOK, nil)
	s.get(t, "/STATUS/"+strings.ToUpper(s.System)+"/Partitions", nil).want(t, http.StatusOK, nil)
	if string(lower.body) != string(upper.body) {
		t.Errorf("answers differ: %s and %s", lower.body, upper.body)
	}
	// Only the path: parameters keep their case.
	dir := s.directory(t)
	s.write(t, dir, "Capital", "x")
	s.get(t, strings.ToUpper(s.ops("stat")), url.Values{"path": {dir + "/Capital"}}).want(t, http.StatusOK, nil)
	s.get(t, s.ops("stat"), url.Values{"path": {dir + "/capital"}}).wantFailure(t, http.StatusNotFound, noSuchFile)
}

func (s *suite) testSlash(t *testing.T) {
	for path, want := range map[string]string{
		"/status/systems/": "/status/systems",
		s.jobsPath("/"):    s.jobsPath(""),
		"/status/liveness": "/status/liveness/",
	} {
		a := s.get(t, path, nil)
		to, err := url.Parse(a.header.Get("Location"))
		if a.status != http.StatusTemporaryRedirect || err != nil || !to.IsAbs() || !strings.HasSuffix(to.Path, want) {
			t.Errorf("%s: %d to %q, want 307 to an absolute URL with %s", path, a.status, a.header.Get("Location"), want)
		}
	}
}

func (s *suite) testPrefix(t *testing.T) {
	if s.Unprefixed == "" {
		s.skip(t, "the target has one base URL")
	}
	for _, base := range []string{s.URL, s.Unprefixed} {
		req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
		at, err := url.Parse(base + "/status/systems")
		if err != nil {
			t.Fatal(err)
		}
		req.URL = at
		s.send(t, req).want(t, http.StatusOK, nil)
	}
}

func (s *suite) testDescription(t *testing.T) {
	req := s.request(t, http.MethodGet, "/openapi.json", nil, nil)
	req.Header.Del("Authorization")
	var got, own struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	s.send(t, req).want(t, http.StatusOK, &got)
	if err := json.Unmarshal(document, &own); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.OpenAPI, "3.") {
		t.Errorf("OpenAPI version %q", got.OpenAPI)
	}
	for path, methods := range own.Paths {
		for method := range methods {
			if got.Paths[path][method] == nil {
				t.Errorf("%s %s is not described", method, path)
			}
		}
	}
}

func (s *suite) testPrecedence(t *testing.T) {
	mkdir := func(system string, token bool, body any) answer {
		req := s.request(t, http.MethodPost, "/filesystem/"+system+"/ops/mkdir", nil, body)
		if !token {
			req.Header.Set("Authorization", "Bearer nonsense")
		}
		return s.send(t, req)
	}
	const unknown = "no-such-system"
	f := mkdir(unknown, false, `{"path":`).wantFailure(t, http.StatusBadRequest, "")
	if f.Type != "validation" || f.User != nil {
		t.Errorf("malformed JSON: %+v, want a validation error for nobody", f)
	}
	mkdir(unknown, false, members{"path": "/etc"}).wantFailure(t, http.StatusUnauthorized, "")
	mkdir(unknown, true, members{"path": "/etc"}).wantFailure(t, http.StatusNotFound, noSuchSystem)
	s.except(t, LetsForeignPathsPass)
	mkdir(s.System, true, members{"path": "/etc", "parent": "perhaps"}).wantFailure(t, http.StatusBadRequest, foreignPath)
	mkdir(s.System, true, members{"path": s.dir, "parent": "perhaps"}).wantRefused(t, "body", "parent")
	mkdir(s.System, true, members{"path": s.dir, "parent": "no"}).wantFailure(t, http.StatusBadRequest, fileExists)
}

func (s *suite) testUnknownMembers(t *testing.T) {
	s.get(t, s.ops("stat"), url.Values{"path": {s.dir}, "colour": {"red"}}).want(t, http.StatusOK, nil)
	s.post(t, s.ops("mkdir"), members{"path": s.directory(t) + "/new", "colour": "red"}).want(t, http.StatusCreated, nil)
}
