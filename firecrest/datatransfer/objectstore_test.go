package datatransfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox/objects"
)

// box is a store in a sandbox, and its client, which moves 10 bytes at once.
type box struct {
	*ObjectStore
	t      *testing.T
	server *objects.Store
	config StoreConfig

	mu    sync.Mutex
	fault func(op string, n int) *objects.Fault
	asked map[string]int
	most  int // requests at once
	now   int
}

func newBox(t *testing.T, change ...func(*StoreConfig)) *box {
	t.Helper()
	b := &box{t: t, asked: map[string]int{}}
	var err error
	b.server, err = objects.Open(objects.Config{Dir: t.TempDir(), Path: "/s3", Fault: func(op string, _ *http.Request) *objects.Fault {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.asked[op]++
		if b.fault == nil {
			return nil
		}
		return b.fault(op, b.asked[op])
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.MakeBucket("box", objects.BucketOptions{}); err != nil {
		t.Fatal(err)
	}
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.now++
		b.most = max(b.most, b.now)
		b.mu.Unlock()
		defer func() {
			b.mu.Lock()
			b.now--
			b.mu.Unlock()
		}()
		b.server.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	keys := b.server.Credentials()
	b.config = StoreConfig{
		Endpoint: l.URL + "/s3", PathStyle: true, AccessKey: keys.AccessKey, SecretKey: firecrest.Secret(keys.SecretKey), Backoff: time.Millisecond,
	}
	for _, f := range change {
		f(&b.config)
	}
	if b.ObjectStore, err = NewObjectStore(b.config); err != nil {
		t.Fatal(err)
	}
	b.piece = 10
	t.Cleanup(b.Close)
	return b
}

// faults lets operations misbehave: f gets the number of the request, from 1.
func (b *box) faults(f func(op string, n int) *objects.Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.asked = f, map[string]int{}
}

func (b *box) count(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[op]
}

func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()[:n]
}

var at = Location{"box", "dir/a b+ü.txt"}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestObjectRoundTrip puts and gets objects of sizes around that of a piece, from
// readers of both kinds.
func TestObjectRoundTrip(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for _, size := range []int{0, 1, 9, 10, 11, 20, 21, 333} {
		want := text(size)
		for name, r := range map[string]io.Reader{"stream": iotest.OneByteReader(strings.NewReader(want)), "file": strings.NewReader(want)} {
			for _, sum := range []string{"", digestOf(want)} {
				var done, total int64
				info, err := b.Put(t.Context(), at, r, int64(size), PutOptions{SHA256: sum, Progress: func(d, n int64) {
					if d < done {
						t.Errorf("progress went from %d to %d", done, d)
					}
					done, total = d, n
				}})
				if err != nil {
					t.Fatalf("%d bytes of a %s: %v", size, name, err)
				}
				if info.Size != int64(size) || info.SHA256 != sum || done != int64(size) || total != int64(size) {
					t.Errorf("%d bytes of a %s: %+v, %d of %d", size, name, info, done, total)
				}
				var got bytes.Buffer
				_, verified, err := b.Get(t.Context(), at, &got, func(d, _ int64) { done = d })
				wantVerified := VerifiedMD5
				if sum != "" {
					wantVerified = VerifiedDigest
				}
				if err != nil || got.String() != want || verified != wantVerified || done != int64(size) {
					t.Errorf("%d bytes of a %s: %d bytes back, %s, %v", size, name, got.Len(), verified, err)
				}
				r = strings.NewReader(want)
			}
		}
	}
}

// TestObjectConnections: no more than the connections may carry is asked for at once,
// and a reader that nobody reads stops asking.
func TestObjectConnections(t *testing.T) {
	t.Parallel()
	b := newBox(t, func(c *StoreConfig) { c.Connections = 3 })
	want := text(1000)
	if _, err := b.Put(t.Context(), at, strings.NewReader(want), 1000, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	b.faults(nil)
	r, err := b.Open(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if n := b.count("GetObject"); n > 4 {
		t.Errorf("%d pieces were asked for and the first not yet read", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("read after close: %v", err)
	}
	b.mu.Lock() // a request may still be on its way
	defer b.mu.Unlock()
	if b.most > 3 {
		t.Errorf("%d requests at once", b.most)
	}
}

func TestObjectList(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	keys := []string{"a/1", "a/2 +%41\x01", "a/b/3", "c", "ü"}
	for _, k := range keys {
		if _, err := b.server.Put("box", k, strings.NewReader(k)); err != nil {
			t.Fatal(err)
		}
	}
	all := func(prefix, delimiter string) (got []string) {
		for info, err := range b.List(t.Context(), Location{"box", prefix}, delimiter) {
			if err != nil {
				t.Fatal(err)
			}
			if !info.Prefix && (info.Size != int64(len(info.Key)) || info.ETag == "" || info.Modified.IsZero()) {
				t.Errorf("%+v", info)
			}
			got = append(got, info.Key)
		}
		return got
	}
	for _, test := range []struct {
		prefix, delimiter string
		want              []string
	}{
		{"", "", keys}, {"a/", "", keys[:3]}, {"", "/", []string{"c", "ü", "a/"}}, {"a/", "/", []string{"a/1", keys[1], "a/b/"}}, {"x", "", nil},
	} {
		if diff := cmp.Diff(test.want, all(test.prefix, test.delimiter)); diff != "" {
			t.Errorf("%q %q: %s", test.prefix, test.delimiter, diff)
		}
	}
	for range b.List(t.Context(), Location{"box", ""}, "") {
		break // and nothing is left running
	}
}

func TestPublicObjects(t *testing.T) {
	t.Parallel()
	b := newBox(t, func(c *StoreConfig) { c.Anonymous, c.AccessKey, c.SecretKey = true, "", "" })
	if err := b.server.MakeBucket("box", objects.BucketOptions{Public: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.server.Put("box", at.Key, strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, verified, err := b.Get(t.Context(), at, &got, nil); err != nil || got.String() != "text" || verified != VerifiedMD5 {
		t.Errorf("%q, %s, %v", got.String(), verified, err)
	}
}

// TestMatches: the same content, other content, and an object of which only the
// size is known.
func TestMatches(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	for _, size := range []int{0, 9, 35} {
		want := text(size)
		info, err := b.Put(t.Context(), at, strings.NewReader(want), int64(size), PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			text string
			same bool
		}{{want, true}, {want + "x", false}, {"x" + want, false}, {strings.Repeat("y", size+btoi(size == 0)), false}} {
			if how, same, err := b.Matches(t.Context(), info, strings.NewReader(test.text)); same != test.same || how != VerifiedMD5 || err != nil {
				t.Errorf("%d bytes, %q: %v by %s, %v", size, test.text, same, how, err)
			}
		}
		info.ETag = "unknown"
		if how, same, err := b.Matches(t.Context(), info, strings.NewReader(want)); same || how != VerifiedSize || err != nil {
			t.Errorf("%d bytes, no digest: %v by %s, %v", size, same, how, err)
		}
	}
}

// TestUntoldDigest: stores whose ETags are no digests, and objects of unequal
// parts.
func TestUntoldDigest(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	id, err := b.server.CreateMultipart("box", at.Key)
	if err != nil {
		t.Fatal(err)
	}
	var parts []objects.Part
	for i, size := range []int{3, 30, 2} {
		etag, err := b.server.PutPart("box", at.Key, id, i+1, strings.NewReader(text(size)))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, objects.Part{Number: i + 1, ETag: etag})
	}
	if _, err := b.server.CompleteMultipart("box", at.Key, id, parts); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, verified, err := b.Get(t.Context(), at, &got, nil); err != nil || got.String() != text(3)+text(30)+text(2) || verified != VerifiedSize {
		t.Errorf("%q, %s, %v", got.String(), verified, err)
	}
	for _, etag := range []string{"", "0x8DC", `"d41d8cd98f00b204e9800998ecf8427e-x"`, `"some-1"`} {
		if d := b.digester(t.Context(), ObjectInfo{ETag: etag, Size: 3, digest: true}); d.name != VerifiedSize || !d.right() {
			t.Errorf("%q: %s", etag, d.name)
		}
	}
	if d := b.digester(t.Context(), ObjectInfo{ETag: `"d41d8cd98f00b204e9800998ecf8427e"`}); d.name != VerifiedSize {
		t.Errorf("encrypted with other keys: %s", d.name)
	}
}

// TestRandomPuts compares many objects with what was put while requests fail.
func TestRandomPuts(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBox(t)
	b.faults(func(string, int) *objects.Fault {
		switch random.IntN(12) { // under the lock of the box
		case 0:
			return &objects.Fault{Status: 503, Code: "SlowDown"}
		case 1:
			return &objects.Fault{CutReply: true, After: int64(random.IntN(4))}
		case 2:
			return &objects.Fault{CutRequest: true}
		}
		return nil
	})
	failed := 0
	for i := range 30 {
		b.mu.Lock()
		want := text(random.IntN(300))
		b.mu.Unlock()
		where := Location{"box", fmt.Sprint(i)}
		_, err := b.Put(t.Context(), where, strings.NewReader(want), int64(len(want)), PutOptions{})
		var got bytes.Buffer
		if err == nil {
			_, _, err = b.Get(t.Context(), where, &got, nil)
		}
		switch {
		case err != nil:
			failed++
		case got.String() != want:
			t.Errorf("%d bytes instead of %d", got.Len(), len(want))
		}
	}
	if failed > 5 {
		t.Errorf("%d of 30 failed", failed)
	}
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]Location{
		"s3://b/k": {"b", "k"}, "s3://b/a//b/": {"b", "a//b/"}, "s3://b": {"b", ""}, "s3://b/": {"b", ""}, "s3://b/a%20b?c#d": {"b", "a%20b?c#d"},
	} {
		got, err := ParseLocation(address)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	for _, address := range []string{"", "b/k", "s3:/b/k", "s3://", "s3:///k", "https://b/k", "s3://u:p@b/k", "s3://b?x/k"} {
		if got, err := ParseLocation(address); err == nil {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestStoreEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"AWS_ENDPOINT_URL": "https://general", "AWS_ENDPOINT_URL_S3": "https://special", "AWS_DEFAULT_REGION": "r", "AWS_ACCESS_KEY_ID": "a",
		"AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t",
	}
	got := StoreEnvironment(func(name string) string { return env[name] })
	want := StoreConfig{Endpoint: "https://special", Region: "r", PathStyle: true, AccessKey: "a", SecretKey: "s", SessionToken: "t"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
