package datatransfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fcflow/fcflow/sandbox/objects"
)

// TestObjectFaults: what passes is tried again, and what does not pass is an
// error; the bytes are right or there is an error.
func TestObjectFaults(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	want := text(95)
	put := func(size int) error {
		_, err := b.Put(t.Context(), at, strings.NewReader(want[:size]), int64(size), PutOptions{})
		return err
	}
	get := func() error {
		var got bytes.Buffer
		_, _, err := b.Get(t.Context(), at, &got, nil)
		if err == nil && got.String() != want {
			t.Errorf("silent corruption: %q", got.String())
		}
		return err
	}
	once := func(op string, f objects.Fault) func(string, int) *objects.Fault {
		return func(got string, n int) *objects.Fault {
			if got == op && n == 2 {
				return &f
			}
			return nil
		}
	}
	for name, fault := range map[string]func(string, int) *objects.Fault{
		"slow down":   once("UploadPart", objects.Fault{Status: 503, Code: "SlowDown"}),
		"too many":    once("UploadPart", objects.Fault{Status: 429}),
		"internal":    once("UploadPart", objects.Fault{Status: 500, Code: "InternalError"}),
		"request cut": once("UploadPart", objects.Fault{CutRequest: true, After: 3}),
		"answer lost": once("UploadPart", objects.Fault{CutReply: true}),
		"complete fails": func(op string, n int) *objects.Fault {
			return only(op == "CompleteMultipartUpload" && n == 1, objects.Fault{Status: 200, Code: "InternalError"})
		},
		"complete lost": func(op string, n int) *objects.Fault {
			return only(op == "CompleteMultipartUpload" && n == 1, objects.Fault{CutReply: true})
		},
		"complete lost and forgotten": func(op string, n int) *objects.Fault {
			return map[int]*objects.Fault{1: {CutReply: true}, 2: {Status: 404, Code: "NoSuchUpload"}}[n*btoi(op == "CompleteMultipartUpload")]
		},
	} {
		b.faults(fault)
		if err := put(95); err != nil {
			t.Errorf("put, %s: %v", name, err)
		}
		b.faults(nil)
		if err := get(); err != nil {
			t.Errorf("get, %s: %v", name, err)
		}
	}
	for name, f := range map[string]objects.Fault{
		"slow down": {Status: 503, Code: "SlowDown"}, "lost": {CutReply: true}, "cut": {CutReply: true, After: 7}, "cut early": {CutReply: true, After: 1},
	} {
		b.faults(once("GetObject", f))
		if err := get(); err != nil {
			t.Errorf("get, %s: %v", name, err)
		}
	}
	b.faults(once("GetObject", objects.Fault{Truncate: true, After: 50}))
	if err := get(); err == nil {
		t.Error("a truncated object passed")
	}

	b.faults(func(op string, n int) *objects.Fault {
		return only(op == "UploadPart" && n == 3, objects.Fault{Lose: true})
	})
	if err := put(95); !strings.Contains(fmt.Sprint(err), "InvalidPart") {
		t.Errorf("a lost part: %v", err)
	}
	if b.count("AbortMultipartUpload") != 1 {
		t.Error("the upload was not ended")
	}
	for f, want := range map[objects.Fault]string{
		{Lose: true}:               "the store took it, and does not have it",
		{Truncate: true, After: 3}: "it has 3 bytes of the 9 that were sent",
	} {
		if err := b.server.Remove("box", at.Key); err != nil {
			t.Fatal(err)
		}
		b.faults(func(op string, _ int) *objects.Fault { return only(op == "PutObject", f) })
		if err := put(9); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func only(when bool, f objects.Fault) *objects.Fault {
	if when {
		return &f
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestObjectDamage: bytes that change on the way, at the store or in the network,
// are found by the digest.
func TestObjectDamage(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	want := text(35)
	for _, opts := range []PutOptions{{}, {SHA256: digestOf(want)}} {
		for _, size := range []int{9, 35} {
			if opts.SHA256 != "" {
				opts.SHA256 = digestOf(want[:size])
			}
			if _, err := b.Put(t.Context(), at, strings.NewReader(want[:size]), int64(size), opts); err != nil {
				t.Fatal(err)
			}
			config := b.config
			config.Transport = flip{http.DefaultTransport}
			bad, err := NewObjectStore(config)
			if err != nil {
				t.Fatal(err)
			}
			bad.piece = 10
			var got bytes.Buffer
			_, _, err = bad.Get(t.Context(), at, &got, nil)
			var answer *ObjectError
			if !errors.Is(err, errDigest) || !errors.As(err, &answer) || answer.Retryable() {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// flip damages one byte of every object.
type flip struct{ http.RoundTripper }

func (f flip) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if len(body) > 0 {
		body[0] ^= 1
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}

// TestObjectChanges: an object that is replaced while it is read.
func TestObjectChanges(t *testing.T) {
	t.Parallel()
	b := newBox(t, func(c *StoreConfig) { c.Connections = 1 })
	if _, err := b.server.Put("box", at.Key, strings.NewReader(text(100))); err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.server.Put("box", at.Key, strings.NewReader(text(200)[100:])); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
}

// TestObjectSources: sources that are not what was said.
func TestObjectSources(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	broken := errors.New("the disk is gone")
	for name, r := range map[string]io.Reader{
		"short file":         strings.NewReader(text(25)),
		"short stream":       io.LimitReader(strings.NewReader(text(50)), 25),
		"long file":          strings.NewReader(text(36)),
		"long stream":        io.LimitReader(strings.NewReader(text(50)), 36),
		"broken":             io.MultiReader(strings.NewReader(text(25)), iotest.ErrReader(broken)),
		"short small stream": io.LimitReader(strings.NewReader(text(50)), 2),
	} {
		size := int64(35)
		if strings.Contains(name, "small") {
			size = 5
		}
		_, err := b.Put(t.Context(), at, r, size, PutOptions{})
		var local *LocalError
		if !errors.As(err, &local) || name == "broken" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Stat(t.Context(), at); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an object is there: %v", name, err)
		}
	}
	if opened, ended := b.count("CreateMultipartUpload"), b.count("AbortMultipartUpload"); opened == 0 || opened != ended {
		t.Errorf("%d uploads begun, %d ended", opened, ended)
	}
	if _, err := b.Put(t.Context(), at, strings.NewReader(text(35)), 35, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.Get(t.Context(), at, iotest.TruncateWriter(failing{broken}, 0), nil)
	if err != nil {
		t.Errorf("a writer that takes all: %v", err)
	}
	_, _, err = b.Get(t.Context(), at, failing{broken}, nil)
	var local *LocalError
	if !errors.As(err, &local) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestObjectCancel(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	_, err := b.Put(ctx, at, strings.NewReader(text(500)), 500, PutOptions{Progress: func(int64, int64) { cancel(stop) }})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if b.count("AbortMultipartUpload") != 1 {
		t.Error("the upload was not ended")
	}
	if _, _, err := b.Get(ctx, at, io.Discard, nil); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

// TestObjectErrors: what a person is told, and what a program can ask.
func TestObjectErrors(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if _, err := b.server.Put("box", "k", strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	k := Location{"box", "k"}
	with := func(change func(*StoreConfig)) *ObjectStore {
		config := b.config
		change(&config)
		s, err := NewObjectStore(config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	list := func(s *ObjectStore, at Location) error {
		for _, err := range s.List(t.Context(), at, "") {
			return err
		}
		return nil
	}
	dead := httptest.NewServer(nil)
	dead.Close()
	tests := []struct {
		name  string
		store *ObjectStore
		at    Location
		is    error
		again bool
		has   string
	}{
		{"missing bucket", b.ObjectStore, Location{"nowhere", ""}, fs.ErrNotExist, false, "list s3://nowhere/: object store 127.0.0.1: NoSuchBucket"},
		{"wrong secret", with(func(c *StoreConfig) { c.SecretKey = "wrong" }), k, fs.ErrPermission, false, "SignatureDoesNotMatch: "},
		{"wrong key", with(func(c *StoreConfig) { c.AccessKey = "nobody" }), k, fs.ErrPermission, false, "check the access key"},
		{"anonymous", with(func(c *StoreConfig) { c.Anonymous = true }), k, fs.ErrPermission, false, "AccessDenied"},
		{"session token", with(func(c *StoreConfig) { c.SessionToken = "x" }), k, nil, false, "InvalidToken"},
		{"region", with(func(c *StoreConfig) { c.Region = "mars-1" }), k, nil, false, "expecting 'us-east-1'; the region may be wrong"},
		{"nobody listens", with(func(c *StoreConfig) { c.Endpoint, c.Tries = dead.URL, 2 }), k, nil, true, "connection refused"},
	}
	for _, test := range tests {
		err := list(test.store, test.at)
		var answer *ObjectError
		if !errors.As(err, &answer) || test.is != nil && !errors.Is(err, test.is) || answer.Retryable() != test.again || !strings.Contains(err.Error(), test.has) {
			t.Errorf("%s: %v", test.name, err)
		}
		for _, secret := range []string{string(b.config.SecretKey), "X-Amz", "Signature="} {
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("%s: the error holds %q: %v", test.name, secret, err)
			}
		}
	}
	_, err := b.Stat(t.Context(), Location{"box", "nothing"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	for _, config := range []StoreConfig{{}, {Anonymous: true, Endpoint: "ftp://x"}, {Anonymous: true, Endpoint: "x"}, {Anonymous: true, Endpoint: "https://u:p@x"}} {
		if _, err := NewObjectStore(config); err == nil {
			t.Errorf("%+v was accepted", config)
		}
	}
	if s := fmt.Sprintf("%+v", b.config); strings.Contains(s, string(b.config.SecretKey)) {
		t.Errorf("the configuration prints its secret")
	}
}

// TestObjectStall: a store that stops in the middle of an answer.
func TestObjectStall(t *testing.T) {
	t.Parallel()
	b := newBox(t, func(c *StoreConfig) { c.Stall = 50 * time.Millisecond })
	if _, err := b.server.Put("box", at.Key, strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	b.faults(func(op string, n int) *objects.Fault {
		return only(op == "GetObject" && n == 1, objects.Fault{Delay: time.Hour})
	})
	var got bytes.Buffer
	if _, _, err := b.Get(t.Context(), at, &got, nil); err != nil || got.String() != "text" {
		t.Errorf("%q, %v", got.String(), err)
	}
}
