package steps

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// heard is what a web server was sent.
type heard struct {
	Method, Path, Type, Body string
	Header                   http.Header
}

// web is a server with a certificate of its own.
type web struct {
	*httptest.Server
	mu    sync.Mutex
	heard []heard
}

// newWebServer answers what answer says, with TLS.
func newWebServer(t *testing.T, answer http.HandlerFunc) *web {
	t.Helper()
	w := &web{}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.heard = append(w.heard, heard{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), string(body), r.Header})
		w.mu.Unlock()
		answer(rw, r)
	}))
	w.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

func (w *web) all() []heard {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard)
}

// local is a place to run steps that need no system.
func local(t *testing.T, trusted ...*web) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), output: filepath.Join(t.TempDir(), "out"), logs: t.TempDir(), private: t.TempDir(), store: memory.New()}
	roots := x509.NewCertPool()
	for _, w := range trusted {
		roots.AddCert(w.Certificate())
	}
	s.library = New(Config{RootCAs: roots})
	t.Cleanup(s.library.Close)
	return s
}

// webSecret is a secret address, as far as its host is not concerned. Its parts are
// words: a number is in the random name of some directory, sooner or later.
const webSecret = "/services/T0K4N4RI/b7531vogel/k4n4ri-vogel-7531?key=käfig/nestling"

// drivenWith executes steps that may use the secret HOOK.
func (s *site) drivenWith(steps, hook string) (*workflow.Run, string) {
	s.t.Helper()
	return s.drivenFile("version: 1\nname: test\nsecrets: [HOOK]\nsteps:\n"+indent(strings.Trim(strings.ReplaceAll(steps, "\t", ""), "\n")), hook)
}

// drivenFile executes a workflow that may use the secret HOOK, and returns the run
// with everything that its history says.
func (s *site) drivenFile(text, hook string) (*workflow.Run, string) {
	s.t.Helper()
	w, problems := workflow.Load("test.yaml", []byte(text), s.library, workflow.CheckOptions{})
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	e := engine.New(engine.Config{
		Library: s.library, Watcher: s.library.Watcher(), LogDir: func(workflow.RunID) string { return s.logs },
		Secrets: func(string) (string, error) { return hook, nil },
	})
	inputs, problems := w.BindInputs(nil, workflow.BindOptions{WorkflowDir: s.dir, CallerDir: s.dir})
	if len(problems) > 0 {
		s.t.Fatal(problems)
	}
	x, err := e.Create(s.t.Context(), s.store, w, workflow.RunCreated{Dir: s.dir, OutputDir: s.output, Version: "test", Inputs: inputs})
	if err != nil {
		s.t.Fatal(err)
	}
	r := s.drive(x)
	h, err := s.store.Open(s.t.Context(), r.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	defer h.Close()
	var all strings.Builder
	err = h.Read(s.t.Context(), 0, func(event workflow.Event) error {
		line, err := json.Marshal(event)
		all.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return r, all.String()
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	w := newWebServer(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Set-Cookie", "session=k4n4ri")
		rw.Header().Set("X-Kind", "test")
		switch r.URL.Path {
		case "/json":
			rw.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			_, _ = io.WriteString(rw, ` {"state":"ok","levels":[1,2.50]} `)
		case "/long":
			_, _ = io.WriteString(rw, strings.Repeat("é", 50_000))
		case "/endless":
			rw.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		case "/created":
			rw.WriteHeader(http.StatusCreated)
		case "/gone":
			http.Error(rw, "it is gone", http.StatusGone)
		}
	})
	s := local(t, w)
	r := s.run(strings.ReplaceAll(`
		- { id: json, uses: http, with: { url: "WEB/json?x=1", headers: { X-Key: abc } } }
		- { id: long, uses: http, with: { url: WEB/long } }
		- { id: endless, uses: http, with: { url: WEB/endless } }
		- { id: text, uses: http, with: { url: WEB/created, method: POST, body: "${{ 'wéll' }}" } }
		- { id: value, uses: http, with: { url: WEB/created, method: PUT, body: { levels: "${{ steps.json.outputs.json.levels }}" }, expect: [201] } }
		- { id: gone, uses: http, with: { url: WEB/gone, expect: [200, 410] } }
		- { id: head, uses: http, with: { url: WEB/json, method: HEAD, headers: { Content-Type: x/y } } }
	`, "WEB", w.URL))
	if r.State != workflow.RunSucceeded {
		t.Fatalf("%s\n%s", r.State, states(r))
	}
	out := s.outputs(r, "json")
	if out["status"] != 200.0 || out["json"].(map[string]any)["state"] != "ok" || !strings.Contains(out["body"].(string), `"levels":[1,2.50]`) {
		t.Errorf("json: %v", out)
	}
	if headers := out["headers"].(map[string]any); headers["x-kind"] != "test" || headers["set-cookie"] != nil {
		t.Errorf("headers: %v", headers)
	}
	if out := s.outputs(r, "long"); out["body_truncated"] != true || len(out["body"].(string)) > maxText || len(out["body"].(string)) < maxText-8 {
		t.Errorf("long: %d bytes, truncated %v", len(out["body"].(string)), out["body_truncated"])
	}
	if out := s.outputs(r, "endless"); out["body_truncated"] != true || len(out["json"].(map[string]any)) != 0 {
		t.Errorf("endless: %v %v", out["body_truncated"], out["json"])
	}
	if out := s.outputs(r, "gone"); out["status"] != 410.0 || out["body"] != "it is gone\n" {
		t.Errorf("gone: %v", out)
	}
	sent := map[string]heard{}
	for _, h := range w.all() {
		sent[h.Method+" "+h.Path] = h
	}
	if h := sent["GET /json?x=1"]; h.Header.Get("X-Key") != "abc" || h.Header.Get("User-Agent") != "fcflow/test" || h.Type != "" {
		t.Errorf("%+v", h)
	}
	if h := sent["POST /created"]; h.Body != "wéll" || h.Type != "text/plain; charset=utf-8" {
		t.Errorf("%+v", h)
	}
	if h := sent["PUT /created"]; h.Body != `{"levels":[1,2.5]}` || h.Type != "application/json" {
		t.Errorf("%+v", h)
	}
	if len(w.all()) != 7 {
		t.Errorf("%d requests", len(w.all()))
	}
}

// TestHTTPFails: causes, and how often each request was sent.
func TestHTTPFails(t *testing.T) {
	t.Parallel()
	w := newWebServer(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			http.Error(rw, "come back later", http.StatusServiceUnavailable)
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-time.After(patience):
			}
		case "/broken":
			panic(http.ErrAbortHandler)
		case "/moved":
			http.Redirect(rw, r, "https://other.example.org/?key=1", http.StatusFound)
		default:
			http.Error(rw, "no such \x1b[1mthing", http.StatusNotFound)
		}
	})
	s := local(t, w)
	r := s.run(strings.ReplaceAll(`
		- { id: busy, uses: http, max_attempts: 1, with: { url: "WEB/busy?key=1" } }
		- { id: slow, uses: http, with: { url: WEB/slow, method: POST, timeout: 50ms } }
		- { id: broken, uses: http, with: { url: WEB/broken, method: DELETE } }
		- { id: moved, uses: http, with: { url: WEB/moved, headers: { Authorization: x } } }
		- { id: missing, uses: http, with: { url: WEB/missing } }
		- { id: strict, uses: http, with: { url: WEB/missing, expect: [200] } }
		- { id: header, uses: http, with: { url: WEB/missing, headers: { "a b": "c" } } }
		- { id: nobody, uses: http, max_attempts: 1, with: { url: "https://127.0.0.1:1/x?key=1" } }
	`, "WEB", w.URL))
	host := strings.TrimPrefix(w.URL, "https://")
	want := map[string]struct {
		cause   workflow.Cause
		message string
	}{
		"busy":    {workflow.CauseAPI, "GET to " + host + " was answered 503 Service Unavailable: come back later"},
		"slow":    {workflow.CauseAPI, "POST to " + host + ": no answer within 50ms"},
		"broken":  {workflow.CauseAPI, "DELETE to " + host + ": EOF"},
		"moved":   {workflow.CauseRejected, "GET to " + host + " was answered 302 Found; redirects are not followed: write the address that it leads to"},
		"missing": {workflow.CauseRejected, "GET to " + host + " was answered 404 Not Found: no such"},
		"strict":  {workflow.CauseRejected, "GET to " + host + " was answered 404 Not Found: no such"},
		"header":  {workflow.CauseRejected, "GET to " + host + `: invalid header field name "a b"`},
		"nobody":  {workflow.CauseAPI, "GET to 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
	}
	for step, want := range want {
		u := unit(t, r, step)
		if u.Cause != want.cause || !strings.HasPrefix(u.Message, want.message) || strings.Contains(u.Message, "key=") {
			t.Errorf("%s: %s %q, want %s %q", step, u.Cause, u.Message, want.cause, want.message)
		}
		if len(u.Attempts) != 1 {
			t.Errorf("%s: %d attempts", step, len(u.Attempts))
		}
	}
}

// TestHTTPTriesAgain: what may be sent again is, after a failure that may pass.
func TestHTTPTriesAgain(t *testing.T) {
	t.Parallel()
	for with, tries := range map[string]bool{
		`{}`: true, `{"method":"GET"}`: true, `{"method":"HEAD"}`: true, `{"method":"POST"}`: false, `{"method":"PUT"}`: false,
		`{"method":"DELETE"}`: false, `{"method":"POST","idempotent":true}`: true,
	} {
		spec, _ := Catalogue().Step("http")
		if spec.IdempotentWith([]byte(with)) != tries || spec.Idempotent {
			t.Errorf("%s", with)
		}
	}
	w := newWebServer(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
	s := local(t, w)
	x := s.create(s.load("- { id: x, uses: http, with: { url: " + w.URL + " } }"))
	s.driveUntil(x, waiting(workflow.WaitBackoff))
	if n := len(w.all()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestHTTPInterrupted: fcflow ends while a request is on its way. Only what may be
// sent twice is.
func TestHTTPInterrupted(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]struct {
		cause    workflow.Cause
		requests int
	}{"POST": {workflow.CauseInterrupted, 1}, "POST, idempotent: true": {"", 2}, "GET": {"", 2}} {
		arrived := make(chan struct{})
		var first sync.Once
		w := newWebServer(t, func(_ http.ResponseWriter, r *http.Request) {
			first.Do(func() {
				close(arrived)
				<-r.Context().Done()
			})
		})
		s := local(t, w)
		x := s.create(s.load("- { id: x, uses: http, with: { url: " + w.URL + ", method: " + method + " } }"))
		s.interrupt(x, arrived)
		h, err := s.store.Open(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.engine().Open(t.Context(), h, x.Run().Workflow, workflow.Owner{Host: "test"}, "test")
		if err != nil {
			t.Fatal(err)
		}
		if u := unit(t, s.drive(again), "x"); u.Cause != want.cause || len(w.all()) != want.requests {
			t.Errorf("%s: %s %q, %d requests", method, u.Cause, u.Message, len(w.all()))
		}
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	w := newWebServer(t, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "ok") })
	s := local(t, w)
	r, said := s.drivenWith(`
		- { id: slack, uses: notify, with: { webhook: "${{ secrets.HOOK }}", text: "a \"quoted\"\nline" } }
		- { id: discord, uses: notify, needs: slack, with: { webhook: "${{ secrets.HOOK }}", text: two, format: discord } }
		- { id: text, uses: notify, needs: discord, with: { webhook: "${{ secrets.HOOK }}", text: three, format: text } }
	`, w.URL+webSecret)
	if r.State != workflow.RunSucceeded {
		t.Fatalf("%s\n%s", r.State, states(r))
	}
	var bodies []string
	for _, h := range w.all() {
		bodies = append(bodies, h.Method+" "+h.Type+" "+h.Body)
	}
	want := []string{
		`POST application/json {"text":"a \"quoted\"\nline"}`, `POST application/json {"content":"two"}`, `POST text/plain; charset=utf-8 three`,
	}
	if !slices.Equal(bodies, want) {
		t.Errorf("%q", bodies)
	}
	hidden(t, said)
}

// hidden fails if a text shows the secret address, or what opens it.
func hidden(t *testing.T, text string) {
	t.Helper()
	for _, part := range []string{"k4n4ri", "b7531vogel", "nestling", "services/"} {
		if strings.Contains(text, part) {
			t.Errorf("%q is shown:\n%s", part, text)
		}
	}
}

// TestSecretAddress: a secret address is in no error, no output and no event,
// whatever goes wrong, and whatever the server repeats of it.
func TestSecretAddress(t *testing.T) {
	t.Parallel()
	repeats := func(rw http.ResponseWriter, r *http.Request, status int) {
		rw.Header().Set("Location", r.URL.String())
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		text, _ := json.Marshal(map[string]any{"uri": r.URL.RequestURI(), "path": r.URL.Path, "key": r.URL.Query()["key"], "token": filepath.Base(r.URL.Path)})
		_, _ = rw.Write(text)
	}
	var status atomic.Int64
	w := newWebServer(t, func(rw http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			panic(http.ErrAbortHandler)
		}
		repeats(rw, r, int(status.Load()))
	})
	steps := `
		- { id: tell, uses: notify, continue_on_error: true, with: { webhook: "${{ secrets.HOOK }}", text: x } }
		- { id: ask, uses: http, needs: tell, continue_on_error: true, max_attempts: 1, with: { url: "${{ secrets.HOOK }}" } }
		- { id: send, uses: http, needs: ask, with: { url: "${{ secrets.HOOK }}", method: POST, headers: { X-A: "${{ secrets.HOOK }}" }, body: { a: "${{ secrets.HOOK }}" } } }
	`
	for _, test := range []struct {
		name   string
		hook   string
		status int64
		want   workflow.Cause
	}{
		{"good", w.URL + webSecret, 200, ""},
		{"refused", w.URL + webSecret, 403, workflow.CauseRejected},
		{"redirected", w.URL + webSecret, 307, workflow.CauseRejected},
		{"busy", w.URL + webSecret, 503, workflow.CauseAPI},
		{"cut off", w.URL + webSecret, 0, workflow.CauseAPI},
		{"certificate", strings.Replace(w.URL, "127.0.0.1", "localhost", 1) + webSecret, 200, workflow.CauseRejected},
		{"not there", "https://127.0.0.1:1" + webSecret, 200, workflow.CauseAPI},
		{"plain", "http://hooks.example.org" + webSecret, 200, workflow.CauseRejected},
		{"no address", "https:" + webSecret, 200, workflow.CauseRejected},
		{"bad address", "https://hooks example" + webSecret, 200, workflow.CauseRejected},
		{"bad escape", w.URL + webSecret + "%zz/%", 200, ""},
		{"bad port", "https://127.0.0.1:x" + webSecret, 200, workflow.CauseRejected},
	} {
		status.Store(test.status)
		r, said := local(t, w).drivenWith(steps, test.hook)
		for _, step := range []string{"tell", "ask", "send"} {
			if u := unit(t, r, step); u.Cause != test.want {
				t.Errorf("%s: %s: %s %s", test.name, step, u.Cause, u.Message)
			}
		}
		t.Log(test.name, unit(t, r, "tell").Message)
		hidden(t, said+states(r))
	}
}

// TestCertificatesOfTheWeb: what the profile says of its own service is no excuse
// for others, and old TLS is not spoken.
func TestCertificatesOfTheWeb(t *testing.T) {
	t.Parallel()
	w := newWebServer(t, func(http.ResponseWriter, *http.Request) {})
	config := newWeb(nil).Transport.(*http.Transport).TLSClientConfig
	if config.InsecureSkipVerify || config.MinVersion != tls.VersionTLS12 {
		t.Errorf("%+v", config)
	}
	r := local(t).run("- { id: x, uses: http, with: { url: " + w.URL + " } }")
	if u := unit(t, r, "x"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "ca_bundle") {
		t.Errorf("%s %s", u.Cause, u.Message)
	}
}

func TestAssert(t *testing.T) {
	t.Parallel()
	s := local(t)
	r := s.run(`
		- { id: yes, uses: assert, with: { that: "${{ 1 < 2 }}", message: never } }
		- { id: no, uses: assert, with: { that: "${{ 2 < 1 }}", message: "${{ 2 }} is not below 100 %" } }
		- { id: silent, uses: assert, with: { that: false } }
		- { id: after, uses: assert, needs: no, with: { that: true } }
	`)
	for step, want := range map[string]string{
		"yes": "succeeded  ", "no": "failed assertion 2 is not below 100 %", "silent": "failed assertion the condition is false", "after": "skipped upstream_failed because no failed",
	} {
		if u := unit(t, r, step); string(u.State)+" "+string(u.Cause)+" "+u.Message != want || len(u.Attempts) > 1 {
			t.Errorf("%s: %s %s %q", step, u.State, u.Cause, u.Message)
		}
	}
}
