package objects

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var fault *Fault
	seen := map[string]int{}
	s := serve(t, Config{
		Fault: func(op string, _ *http.Request) *Fault {
			mu.Lock()
			defer mu.Unlock()
			return fault
		},
		Observe: func(op string, status int) {
			mu.Lock()
			defer mu.Unlock()
			seen[op] = status
		},
	}).bucket("box")
	set := func(f *Fault) {
		mu.Lock()
		defer mu.Unlock()
		fault = f
	}
	s.put("k", "0123456789")
	get, put := s.presign("GET", "k", nil), s.presign("PUT", "new", nil)

	set(&Fault{Status: 503, Code: "SlowDown"})
	s.do("GET", get, "").want(t, 503, "<Code>SlowDown</Code>")
	set(&Fault{Status: 200, Code: "InternalError"})
	s.do("GET", get, "").want(t, 200, "<Error><Code>InternalError</Code>")
	set(&Fault{Expired: true})
	s.do("GET", get, "").want(t, 403, "Request has expired")
	set(&Fault{Truncate: true, After: 4})
	if got := s.do("GET", get, "").want(t, 200, ""); got.body != "0123" {
		t.Errorf("%q", got.body)
	}
	set(&Fault{CutReply: true, After: 4})
	if text, err := s.cut("GET", get, ""); text != "0123" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", text, err)
	}
	set(&Fault{CutReply: true})
	if text, err := s.cut("GET", get, ""); text != "" || err == nil {
		t.Errorf("%q, %v", text, err)
	}
	set(&Fault{CutRequest: true, After: 2})
	if _, err := s.cut("PUT", put, "text"); err == nil {
		t.Error("an answer came")
	}
	set(&Fault{Lose: true})
	s.do("PUT", put, "text").want(t, 200, "")
	if _, err := s.Stat("box", "new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	set(&Fault{CutReply: true})
	if _, err := s.cut("PUT", put, "text"); err == nil {
		t.Error("an answer came")
	}
	if got := s.content("new"); got != "text" {
		t.Errorf("%q: the effect of a lost answer", got)
	}
	set(&Fault{Truncate: true, After: 2})
	s.do("PUT", put, "text").want(t, 200, "")
	if got := s.content("new"); got != "te" {
		t.Errorf("%q", got)
	}
	set(nil)
	s.do("GET", get, "").want(t, 200, "")
	mu.Lock()
	defer mu.Unlock()
	if seen["GetObject"] != 200 || seen["PutObject"] != 200 {
		t.Errorf("%v", seen)
	}
}

// cut makes a request whose answer may break off.
func (s *served) cut(method, u, body string) (string, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, u, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Close = true // or the client tries again on what it takes for a stale connection
	resp, err := s.http.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
