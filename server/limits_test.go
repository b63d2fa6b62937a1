package server

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// TestLongTexts: nobody can have a name or a reason kept that is longer than
// anybody reads.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	d, handler := guardedDiary()
	for _, r := range routes(Forms{}) {
		for member, size := range map[string]int{"by": maxName, "why": workflow.MaxNote} {
			for _, more := range []int{0, 1} {
				req := r.request(t.Context())
				var body map[string]any
				if r.takes == nil || json.Unmarshal([]byte(bodyOf(&r)), &body) != nil || !hasMember(&r, member) {
					continue
				}
				body[member] = strings.Repeat("x", size+more)
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				req.Body = io.NopCloser(strings.NewReader(string(text)))
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, req)
				asked := slices.DeleteFunc(d.take(), func(what string) bool { return what == "find" })
				if refused := w.Code == http.StatusBadRequest; refused != (more == 1) || refused && len(asked) > 0 {
					t.Errorf("%s with %s of %d bytes: status %d, the host was asked for %q", r.pattern, member, size+more, w.Code, asked)
				}
			}
		}
	}
}

// hasMember reports whether the body of a route has a member, as it is described.
func hasMember(r *route, name string) bool {
	text, err := json.Marshal(describe("", Forms{}))
	if err != nil {
		panic(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	method, path, _ := strings.Cut(r.pattern, " ")
	schema := doc.Paths[path][strings.ToLower(method)].RequestBody.Content["application/json"].Schema.Ref
	_, has := doc.Components.Schemas[schema[strings.LastIndexByte(schema, '/')+1:]].Properties[name]
	return has
}

// TestPathsOfTheSocket: who asks on this machine may name files of it, by their
// whole paths.
func TestPathsOfTheSocket(t *testing.T) {
	t.Parallel()
	d := newDiary()
	handler := NewHost(d).Handler()
	for body, want := range map[string]int{
		`{"file":"/w.yaml"}`: http.StatusCreated, `{"workflow":"w","dir":"/d","output_dir":"/o"}`: http.StatusCreated,
		`{"file":"w.yaml"}`: http.StatusBadRequest, `{"workflow":"w","dir":"d"}`: http.StatusBadRequest, `{"workflow":"w","output_dir":"../o"}`: http.StatusBadRequest,
		`{"file":"/w.yaml","workflow":"w"}`: http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/runs", strings.NewReader(body)))
		if asked := d.take(); w.Code != want || (len(asked) > 0) != (want == http.StatusCreated) {
			t.Errorf("%s: status %d, want %d; the host was asked for %q", body, w.Code, want, asked)
		}
	}
}

// TestSession: who has which token is told so.
func TestSession(t *testing.T) {
	t.Parallel()
	_, handler := guardedDiary()
	for token, readOnly := range map[string]bool{fullToken: false, readToken: true} {
		r := httptest.NewRequest("GET", "/v1/session", nil)
		r.Host = ownHost
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var got session
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.ReadOnly != readOnly || got.User != "me" {
			t.Errorf("%+v, %v; want read-only %v", got, err, readOnly)
		}
	}
}

// TestBlobsAreNoPages: whatever a value is, a browser must not take it for a page.
func TestBlobsAreNoPages(t *testing.T) {
	t.Parallel()
	d := newDiary()
	b := workflow.NewBlob([]byte("<html><script>alert(1)</script>"))
	d.run.blobs = []workflow.Blob{b}
	w := httptest.NewRecorder()
	NewHost(d).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/runs/A/blobs/"+b.Digest, nil))
	if kind := w.Header().Get("Content-Type"); w.Code != http.StatusOK || kind != "application/octet-stream" {
		t.Errorf("%d %s", w.Code, kind)
	}
}

// pipes is a listener whose connections are in memory, so that time can be made up.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// TestSlowAndLargeRequests: who sends a request without end is cut off, whether it
// is slow or large.
func TestSlowAndLargeRequests(t *testing.T) {
	t.Parallel()
	head := "POST /v1/runs/A/cancel HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for name, c := range map[string]struct {
		sent   string
		within time.Duration
		answer string // how it begins; "" = none
	}{
		"a head without end": {head, 11 * time.Second, ""},
		"a body without end": {head + "Content-Length: 100\r\n\r\n{", 61 * time.Second, "HTTP/1.1 400"},
		"nothing more":       {head + "Content-Length: 12\r\n\r\n{\"by\": \"me\"}", 62 * time.Second, "HTTP/1.1 202"},
		"a large head":       {head + "X: " + strings.Repeat("x", 2*maxBody), time.Second, "HTTP/1.1 431"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
				s := NewHost(newDiary())
				served := make(chan error, 1)
				go func() { served <- s.Serve(p) }()
				ours, theirs := net.Pipe()
				p.conns <- theirs
				go func() { _, _ = io.WriteString(ours, c.sent) }() // it is cut off in some cases
				began := time.Now()
				answer, _ := io.ReadAll(ours) // until the server closes
				if took := time.Since(began); took > c.within || !strings.HasPrefix(string(answer), c.answer) || c.answer == "" && len(answer) > 0 {
					t.Errorf("closed after %s, want within %s: %.60q", took, c.within, answer)
				}
				_ = ours.Close()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				<-served
			})
		})
	}
}
