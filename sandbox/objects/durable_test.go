package objects

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const chunked = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

// signedChunks presigns a PUT of "k" with the headers of a body in chunks.
func (s *served) signedChunks(body, decoded string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, s.base+"/box/k?X-Amz-Expires=60", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", chunked)
	r.Header.Set("X-Amz-Decoded-Content-Length", decoded)
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	signed, _, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true }).
		PresignHTTP(context.Background(), s.awsCredentials(), r, chunked, "s3", DefaultRegion, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

// files counts the files of a directory of the store, however deep.
func (s *Store) files(dir string) (n int) {
	err := filepath.WalkDir(s.path(dir), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		return -1
	}
	return n
}

func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	again, err := Open(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestRestart: objects, uploads, buckets and credentials are there again; what a
// dead process was writing is not.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	if err := s.MakeBucket("open", BucketOptions{Public: true, ExpireDays: 3}); err != nil {
		t.Fatal(err)
	}
	s.put("k", "first")
	s.put("k", "second")
	id, err := s.CreateMultipart("box", "parts")
	if err != nil {
		t.Fatal(err)
	}
	etag, err := s.PutPart("box", "parts", id, 1, strings.NewReader("one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.path("data", "HALF"), filepath.Join(s.buckets["box"].dir, "x"+temporary)} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.path("uploads", "BEGUN"), 0o700); err != nil {
		t.Fatal(err)
	}
	u := s.presign("GET", "k", nil)

	again := serve(t, s.cfg)
	if again.Credentials() != s.Credentials() {
		t.Error("other credentials")
	}
	if again.files("data") != 2 || again.files("buckets") != 3 {
		t.Errorf("%d files of bytes, %d of buckets", again.files("data"), again.files("buckets"))
	}
	old, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, again.base+"/box/k?"+old.RawQuery, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = old.Host
	resp, err := again.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "second" {
		t.Errorf("%q, %v", text, err)
	}
	if b := again.buckets["open"]; b == nil || !b.Public || b.ExpireDays != 3 {
		t.Errorf("%+v", b)
	}
	if _, err := again.CompleteMultipart("box", "parts", id, []Part{{Number: 1, ETag: etag}}); err != nil {
		t.Error(err)
	}
	third := reopen(t, again.Store)
	if _, err := third.CompleteMultipart("box", "parts", id, []Part{{Number: 1, ETag: etag}}); err != nil {
		t.Errorf("a repeated completion: %v", err)
	}
	if info, err := third.Stat("box", "parts"); err != nil || info.Size != 3 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestDiedInCompletion: the object was made, the upload not yet forgotten.
func TestDiedInCompletion(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	id, err := s.CreateMultipart("box", "k")
	if err != nil {
		t.Fatal(err)
	}
	etag, err := s.PutPart("box", "k", id, 1, strings.NewReader("one"))
	if err != nil {
		t.Fatal(err)
	}
	u := s.uploads[id]
	o, err := s.assemble(u, []Part{{Number: 1, ETag: etag}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.putObject("box", o, precondition{}); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, s.Store)
	if err := again.AbortMultipart("box", "k", id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("abort: %v", err)
	}
	r, err := again.Open("box", "k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "one" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestReplacedWhileRead: a reader keeps the object it opened.
func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "first")
	r, err := s.Open("box", "k")
	if err != nil {
		t.Fatal(err)
	}
	s.put("k", "second")
	if text, err := io.ReadAll(r); err != nil || string(text) != "first" {
		t.Errorf("%q, %v", text, err)
	}
	if s.files("data") != 2 {
		t.Errorf("%d files", s.files("data"))
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if s.files("data") != 1 {
		t.Errorf("%d files after the reader left", s.files("data"))
	}
	if err := s.Remove("box", "k"); err != nil || s.files("data") != 0 {
		t.Errorf("%v, %d files", err, s.files("data"))
	}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.MakeBucket("box", BucketOptions{ExpireDays: 2}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put("box", "k", strings.NewReader("text")); err != nil {
			t.Fatal(err)
		}
		id, err := s.CreateMultipart("box", "never completed")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutPart("box", "never completed", id, 1, strings.NewReader("text")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*day - time.Second)
		if again := reopen(t, s); again.files("data") != 2 || again.files("uploads") != 2 {
			t.Errorf("%d files and %d of uploads, before their time", again.files("data"), again.files("uploads"))
		}
		if _, err := s.Stat("box", "k"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if _, err := s.Stat("box", "k"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if found, _, _, err := s.list("box", listing{max: 10}); err != nil || len(found) > 0 {
			t.Errorf("%v, %v", found, err)
		}
		if again := reopen(t, s); again.files("data") != 0 || again.files("uploads") != 0 {
			t.Error("the bytes are still there")
		}
	})
}

// FuzzKey: whatever a key says, it is stored and found under itself, and nothing
// is made outside the directory of the store.
func FuzzKey(f *testing.F) {
	for _, key := range []string{"a", "../../x", "/etc/passwd", "a//b/./..", "\x00", "con", "a\nb", "ü%2f..%2f", strings.Repeat("x", 1024), "x.object", ".tmp"} {
		f.Add(key, "box")
		f.Add("k", key)
	}
	f.Fuzz(func(t *testing.T, key, bucket string) {
		outer := t.TempDir()
		s, err := Open(Config{Dir: filepath.Join(outer, "in", "store")})
		if err != nil {
			t.Fatal(err)
		}
		if s.MakeBucket(bucket, BucketOptions{}) != nil {
			return
		}
		_, err = s.Put(bucket, key, strings.NewReader("text"))
		if (err == nil) != (checkKey(key) == nil) {
			t.Fatalf("put %q: %v", key, err)
		}
		if err != nil {
			return
		}
		again := reopen(t, s)
		found, _, _, err := again.list(bucket, listing{max: 10})
		if err != nil || len(found) != 1 || found[0].Key != key {
			t.Errorf("%v, %v", found, err)
		}
		for dir, want := range map[string]string{outer: "in", filepath.Join(outer, "in"): "store"} {
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != want {
				t.Errorf("%v, %v", entries, err)
			}
		}
	})
}
