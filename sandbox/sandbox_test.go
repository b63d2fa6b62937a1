package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(childRoot); root != "" {
		os.Exit(serveAsChild(root))
	}
	goleak.VerifyTestMain(m)
}

// rig is an open sandbox behind a real listener, and a client of it.
type rig struct {
	t       *testing.T
	srv     *Server
	url     string
	token   string
	home    string // of the user demo
	scratch string
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	cfg := Config{Root: t.TempDir(), Systems: []string{"alps"}}
	for _, f := range change {
		f(&cfg)
	}
	srv, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(srv.Handler())
	r := &rig{
		t: t, srv: srv, url: ts.URL,
		home: filepath.Join(srv.Root(), "home", "demo"), scratch: filepath.Join(srv.Root(), "scratch", "demo"),
	}
	t.Cleanup(func() {
		r.endJobs()
		ts.Close()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	if r.token, err = srv.issueToken("demo", time.Hour); err != nil {
		t.Fatal(err)
	}
	return r
}

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// errorBody is the error envelope as a client sees it.
type errorBody struct {
	ErrorType string   `json:"errorType"`
	Message   string   `json:"message"`
	CausedBy  []string `json:"causedBy"`
	Data      *struct {
		Fields []struct {
			Location string `json:"location"`
			Name     any    `json:"name"`
			Message  string `json:"message"`
		} `json:"fields"`
	} `json:"data"`
	User *string `json:"user"`
}

func (a answer) error(t *testing.T) errorBody {
	t.Helper()
	var keys map[string]any
	var e errorBody
	if err := json.Unmarshal(a.body, &keys); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	for _, key := range []string{"errorType", "message", "causedBy", "data", "user"} {
		if _, has := keys[key]; !has || len(keys) != 5 {
			t.Fatalf("error body %s: want exactly the five keys of the envelope", a.body)
		}
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
}

// noRedirect is a client that shows what the server said.
var noRedirect = http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute},
}

func (r *rig) send(req *http.Request) answer {
	r.t.Helper()
	resp, err := noRedirect.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, body}
}

func (r *rig) request(method, path string, body any) *http.Request {
	r.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, r.url+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func (r *rig) do(method, path string, body any) answer {
	r.t.Helper()
	return r.send(r.request(method, path, body))
}

// ops calls a file operation that takes its path in the query.
func (r *rig) ops(method, op, path string, more ...string) answer {
	r.t.Helper()
	q := url.Values{"path": {path}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return r.do(method, "/filesystem/alps/ops/"+op+"?"+q.Encode(), nil)
}

type members map[string]any

func (r *rig) upload(dir, name, content string) answer {
	r.t.Helper()
	return r.uploadPart("file", dir, name, content)
}

func (r *rig) uploadPart(part, dir, name, content string) answer {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	f, err := w.CreateFormFile(part, name)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = f.Write([]byte(content))
	w.Close()
	req := r.request("POST", "/filesystem/alps/ops/upload?path="+url.QueryEscape(dir), body.String())
	req.Header.Set("Content-Type", w.FormDataContentType())
	return r.send(req)
}

func (r *rig) write(name, content string) string {
	r.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.home, name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return name
}

func want(t *testing.T, a answer, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.400s", a.status, status, a.body)
	}
}

// wantError checks status and that the message contains text.
func wantError(t *testing.T, a answer, status int, text string) {
	t.Helper()
	want(t, a, status)
	if e := a.error(t); !strings.Contains(e.Message, text) {
		t.Fatalf("message %q, want it to contain %q", e.Message, text)
	}
}
