package datatransfer

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what object stores tell
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// store is an object store for one object, which can misbehave.
type store struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	parts  map[int][]byte
	object []byte
	calls  map[string]int
	// fault answers a request instead of the store, if it returns true; n counts
	// the requests of the same method and part from 1.
	fault func(w http.ResponseWriter, r *http.Request, n int) bool
	// etag makes what the store tells of a part; nil: its MD5.
	etag func(part []byte) string
}

func newStore(t *testing.T) *store {
	s := &store{t: t, parts: map[int][]byte{}, calls: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *store) mover() *Mover {
	client, err := firecrest.New("http://127.0.0.1:1")
	if err != nil {
		s.t.Fatal(err)
	}
	m := New(client, Settings{Backoff: time.Millisecond, Stall: 2 * time.Second, Flush: 5 * time.Millisecond})
	s.t.Cleanup(m.Close)
	return m
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, forbidden := range []string{"Authorization", "Content-Type", "Transfer-Encoding"} {
		if r.Header.Get(forbidden) != "" || len(r.TransferEncoding) > 0 {
			s.t.Errorf("%s has a header %s", r.Method, forbidden)
		}
	}
	part := r.URL.Query().Get("partNumber")
	s.mu.Lock()
	key := r.Method + part
	s.calls[key]++
	n := s.calls[key]
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r, n) {
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.put(w, r, part)
	case http.MethodPost:
		s.complete(w, r)
	case http.MethodGet:
		s.mu.Lock()
		object := s.object
		s.mu.Unlock()
		w.Header().Set("ETag", `"object"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
	}
}

func (s *store) put(w http.ResponseWriter, r *http.Request, part string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n, err := strconv.Atoi(part)
	if err != nil || r.ContentLength != int64(len(body)) {
		s.t.Errorf("part %q of %d bytes, %d announced", part, len(body), r.ContentLength)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[n] = body
	w.Header().Set("ETag", s.tag(body))
}

func (s *store) tag(part []byte) string {
	if s.etag != nil {
		return s.etag(part)
	}
	sum := md5.Sum(part) //nolint:gosec // see above
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *store) complete(w http.ResponseWriter, r *http.Request) {
	var list struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&list); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.object != nil {
		refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	object := []byte{}
	for i, part := range list.Part {
		body, ok := s.parts[part.PartNumber]
		if part.PartNumber != i+1 || !ok || s.etag == nil && s.tag(body) != part.ETag {
			refuse(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		object = append(object, body...)
	}
	s.object = object
	fmt.Fprint(w, `<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ETag>"x-1"</ETag></CompleteMultipartUploadResult>`)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// misbehave sets the fault, under way or not.
func (s *store) misbehave(fault func(w http.ResponseWriter, r *http.Request, n int) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// holds reports whether the object is what was sent.
func (s *store) holds(want []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Equal(s.object, want)
}

func (s *store) set(object []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.object = object
}

// count is how often a request came.
func (s *store) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[key]
}

// drop ends a connection without an answer.
func drop(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }

// upload is content as it is sent in parts of some size.
func (s *store) upload(content []byte, partSize int64) *parts {
	p := &parts{size: int64(len(content)), partSize: partSize, content: bytes.NewReader(content)}
	p.etags = make([]string, p.count())
	for i := range p.etags {
		p.links = append(p.links, s.link(fmt.Sprintf("?partNumber=%d&X-Amz-Signature=secret", i+1)))
	}
	p.complete = s.link("?X-Amz-Signature=secret")
	return p
}

func (s *store) link(query string) link {
	l, err := parseLink(firecrest.Secret(s.url + "/bucket/key" + query))
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func noPart(int, string) error { return nil }
func noRange(int) error        { return nil }
func noTick() error            { return nil }

func content(n int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	source.Read(b)
	return b
}

func TestParts(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"none": nil,
		"each part fails once": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"connections are cut": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 2 || r.Method != http.MethodPut {
				return false
			}
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			return drop(w)
		},
		"parts are damaged on the way": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 2 || r.Method != http.MethodPut {
				return false
			}
			w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
			_, _ = io.Copy(io.Discard, r.Body)
			return true
		},
		"an answer without ETag": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 || r.Method != http.MethodPut {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			return true
		},
		"completion says 200 and fails": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 || r.Method != http.MethodPost {
				return false
			}
			fmt.Fprint(w, "<Error><Code>InternalError</Code></Error>")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.misbehave(fault)
			want := content(1_000_003)
			p := s.upload(want, 100_000)
			m := s.mover()
			if err := m.sendParts(t.Context(), p, noPart, noTick); err != nil {
				t.Fatal(err)
			}
			if n := p.meter.bytes.Load(); n != p.size {
				t.Errorf("%d bytes are counted, of %d", n, p.size)
			}
			if certain, err := m.completeParts(t.Context(), p, false); !certain || err != nil {
				t.Fatal(certain, err)
			}
			if !s.holds(want) {
				t.Error("the object is not what was sent")
			}
		})
	}
}

// TestForeignDigests: a store whose ETags only look like MD5.
func TestForeignDigests(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.etag = func([]byte) string { return fmt.Sprintf(`"%032x"`, rand.Uint64()) }
	p := s.upload(content(10_000), 5_000)
	if err := s.mover().sendParts(t.Context(), p, noPart, noTick); err != nil {
		t.Error(err)
	}
}

// TestPartsResume: what the store has is not sent again.
func TestPartsResume(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	want := content(1_000_000)
	m := s.mover()
	p, kept := s.upload(want, 50_000), map[int]string{}
	stop := errors.New("the process is killed")
	err := m.sendParts(t.Context(), p, func(i int, etag string) error {
		kept[i] = etag
		if len(kept) == 9 {
			return stop
		}
		return nil
	}, noTick)
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.calls = map[string]int{}
	s.mu.Unlock()
	p = s.upload(want, 50_000)
	for i, etag := range kept {
		p.etags[i] = etag
	}
	if err := m.sendParts(t.Context(), p, noPart, noTick); err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		if s.count(fmt.Sprint("PUT", i+1)) > 0 {
			t.Errorf("part %d is sent again", i+1)
		}
	}
	if _, err := m.completeParts(t.Context(), p, false); err != nil || !s.holds(want) {
		t.Errorf("%v; same: %v", err, s.holds(want))
	}
}

// TestCompletionLost: the store did it, and the answer was lost.
func TestCompletionLost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p, m := s.upload(content(1000), 100), s.mover()
	if err := m.sendParts(t.Context(), p, noPart, noTick); err != nil {
		t.Fatal(err)
	}
	s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n > 1 {
			return false
		}
		s.complete(httptest.NewRecorder(), r)
		return drop(w)
	})
	certain, err := m.completeParts(t.Context(), p, false)
	if certain || err != nil {
		t.Errorf("%v, %v: nobody can know", certain, err)
	}
	if certain, err := m.completeParts(t.Context(), p, false); certain || err == nil {
		t.Errorf("%v, %v: an upload that was never completed is gone", certain, err)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool {
		refuse(w, http.StatusForbidden, "AccessDenied")
		return true
	})
	m := s.mover()
	err := m.sendParts(t.Context(), s.upload(content(1000), 100), noPart, noTick)
	if !errors.Is(err, ErrExpired) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "X-Amz") {
		t.Error(err)
	}
	if s.count("PUT1") > 1 {
		t.Error("an expired address is tried again")
	}
	if _, err := m.lookAt(t.Context(), s.link("?X-Amz-Signature=secret")); !errors.Is(err, ErrExpired) {
		t.Error(err)
	}
}

// TestNoSecrets: whatever goes wrong on the way to a store, the address is not
// in the error.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := s.mover()
	l, err := parseLink("http://127.0.0.1:1/b/k?X-Amz-Signature=topsecret")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []link{l, s.link("?X-Amz-Signature=topsecret")} {
		s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool { return drop(w) })
		if _, err := m.lookAt(t.Context(), l); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Error(err)
		}
	}
	for _, bad := range []firecrest.Secret{"http://store.example/b/k?X-Amz-Signature=topsecret", "://topsecret", "ftp://h/topsecret"} {
		if _, err := parseLink(bad); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Error(err)
		}
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := s.mover()
	m.settings.Stall, m.settings.Tries = 50*time.Millisecond, 2
	s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool {
		<-r.Context().Done()
		return true
	})
	if _, err := m.lookAt(t.Context(), s.link("")); !errors.Is(err, errStalled) {
		t.Error(err)
	}
}

// fetched fetches what the store has.
func fetched(ctx context.Context, t *testing.T, m *Mover, r *ranges) ([]byte, error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r.file, r.have = file, make([]bool, r.count())
	if err := m.fetchRanges(ctx, r, noRange, noTick); err != nil {
		return nil, err
	}
	if n := r.meter.bytes.Load(); n != r.size {
		t.Errorf("%d bytes are counted, of %d", n, r.size)
	}
	b, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b, nil
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"none": nil,
		"every second request is cut short": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n%2 == 0 {
				return false
			}
			start, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %s-999999/1000000", start))
			w.Header().Set("Content-Length", "50000")
			w.WriteHeader(http.StatusPartialContent)
			from, _ := strconv.Atoi(start)
			_, _ = w.Write(content(1_000_000)[from:min(from+1000, 1_000_000)])
			return drop(w)
		},
		"some fail": func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n%3 != 0 {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.object, s.fault = content(1_000_000), fault
			got, err := fetched(t.Context(), t, s.mover(), &ranges{link: s.link(""), etag: `"object"`, size: 1_000_000, chunk: 70_000})
			if err != nil || !bytes.Equal(got, s.object) {
				t.Errorf("%v; same: %v", err, bytes.Equal(got, s.object))
			}
		})
	}
}

// TestRangesRefused: a store that gives something else than was asked for.
func TestRangesRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.object = content(1000)
	m := s.mover()
	m.settings.Tries = 2
	for name, test := range map[string]struct {
		etag  string
		size  int64
		fault func(w http.ResponseWriter, r *http.Request, n int) bool
		want  error
	}{
		"another object": {etag: `"other"`, size: 1000, want: ErrChanged},
		"another size":   {etag: `"object"`, size: 2000, want: ErrChanged},
		"all of it":      {size: 1000, fault: func(w http.ResponseWriter, r *http.Request, n int) bool { w.Write(s.object); return true }},
		"another range": {size: 1000, fault: func(w http.ResponseWriter, r *http.Request, n int) bool {
			r.Header.Set("Range", "bytes=7-99")
			return false
		}},
		"nothing is said": {size: 1000, fault: func(w http.ResponseWriter, r *http.Request, n int) bool { w.WriteHeader(206); return true }},
	} {
		s.misbehave(test.fault)
		if _, err := fetched(t.Context(), t, m, &ranges{link: s.link(""), etag: test.etag, size: test.size, chunk: 100}); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.object = content(1000)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	r := &ranges{link: s.link(""), size: 1000, chunk: 100, file: full, have: make([]bool, 10)}
	var local *LocalError
	if err := s.mover().fetchRanges(t.Context(), r, noRange, noTick); !errors.As(err, &local) {
		t.Error(err)
	}
}

func TestLookAt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := s.mover()
	s.object = content(1000)
	if got, err := m.lookAt(t.Context(), s.link("")); err != nil || got != (object{1000, `"object"`, true}) {
		t.Errorf("%+v, %v", got, err)
	}
	s.set(nil)
	if got, err := m.lookAt(t.Context(), s.link("")); err != nil || got.size != 0 {
		t.Errorf("empty: %+v, %v", got, err)
	}
	s.set(content(1000))
	s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool { r.Header.Del("Range"); return false })
	if got, err := m.lookAt(t.Context(), s.link("")); err != nil || got.ranges || got.size != 1000 {
		t.Errorf("without ranges: %+v, %v", got, err)
	}
}

// TestConnections: however many transfers there are, one store gets so many
// requests at once, and as many as it should.
func TestConnections(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m := s.mover()
	var mu sync.Mutex
	active, full := 0, make(chan struct{})
	s.misbehave(func(w http.ResponseWriter, r *http.Request, n int) bool {
		mu.Lock()
		active++
		switch active {
		case 8:
			close(full)
		case 9:
			t.Error("nine requests at once")
		}
		mu.Unlock()
		select {
		case <-full:
		case <-r.Context().Done():
		}
		mu.Lock()
		defer mu.Unlock()
		active = 100 // enough was seen
		return false
	})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if err := m.sendParts(t.Context(), s.upload(content(700), 100), noPart, noTick); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
