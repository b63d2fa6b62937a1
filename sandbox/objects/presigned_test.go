package objects

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPresignedMultipart does what a client of a transfer does, with nothing but
// HTTP.
func TestPresignedMultipart(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	key := "1b2c/big file+ü.bin"
	id, err := s.CreateMultipart("box", key)
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{strings.Repeat("a", 1000), strings.Repeat("b", 1000), "c"}
	etags := make([]string, len(parts))
	var all sync.WaitGroup
	for i, text := range parts {
		all.Go(func() {
			u := s.presign("PUT", key, url.Values{"uploadId": {id}, "partNumber": {strconv.Itoa(i + 1)}})
			etags[i] = s.do("PUT", u, text, "Expect", "100-continue").want(t, 200, "").Header.Get("Etag")
		})
	}
	all.Wait()
	sum := md5.Sum([]byte(parts[0]))
	if etags[0] != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Errorf("ETag of the part: %s", etags[0])
	}
	s.do("GET", s.presign("GET", key, nil), "").want(t, 404, "<Code>NoSuchKey</Code>")

	complete := s.presign("POST", key, url.Values{"uploadId": {id}})
	document := "<?xml version='1.0' encoding='utf-8'?>\n" + `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	for i, etag := range etags {
		if i%2 == 0 {
			document += fmt.Sprintf("<Part><ETag>%s</ETag><PartNumber>%d</PartNumber></Part>", etag, i+1)
		} else {
			document += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, strings.Trim(etag, `"`))
		}
	}
	document += "</CompleteMultipartUpload>"
	s.do("POST", complete, "<Complete").want(t, 400, "MalformedXML")
	done := s.do("POST", complete, document).want(t, 200, "<CompleteMultipartUploadResult").want(t, 200, "-3&#34;</ETag>")
	if done.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("content type %s", done.Header.Get("Content-Type"))
	}
	s.do("POST", complete, document, "Content-Type", "application/x-www-form-urlencoded").want(t, 200, "-3&#34;</ETag>") // the first answer may be lost
	if got := s.content(key); got != strings.Join(parts, "") {
		t.Errorf("%d bytes", len(got))
	}
	s.do("DELETE", s.presign("DELETE", key, url.Values{"uploadId": {id}}), "").want(t, 404, "NoSuchUpload")
}

func TestCompletionRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{MinPartSize: 5}).bucket("box")
	id, err := s.CreateMultipart("box", "k")
	if err != nil {
		t.Fatal(err)
	}
	etags := map[int]string{}
	for i, text := range []string{"12345", "12", "12345"} {
		if etags[i+1], err = s.PutPart("box", "k", id, i+1, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	named := func(numbers ...int) string {
		text := "<CompleteMultipartUpload>"
		for _, n := range numbers {
			text += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, etags[n])
		}
		return text + "</CompleteMultipartUpload>"
	}
	u := s.presign("POST", "k", url.Values{"uploadId": {id}})
	s.do("POST", u, named()).want(t, 400, "MalformedXML")
	s.do("POST", u, named(3, 1)).want(t, 400, "InvalidPartOrder")
	s.do("POST", u, named(1, 4)).want(t, 400, "InvalidPart")
	s.do("POST", u, strings.Replace(named(1), etags[1], `"00"`, 1)).want(t, 400, "InvalidPart")
	s.do("POST", u, named(1, 2, 3)).want(t, 400, "EntityTooSmall")
	s.do("POST", s.presign("POST", "other", url.Values{"uploadId": {id}}), named(1)).want(t, 404, "NoSuchUpload")
	s.do("POST", u, named(1, 3)).want(t, 200, "")
	if got := s.content("k"); got != "1234512345" {
		t.Errorf("%q", got)
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	id, err := s.CreateMultipart("box", "k")
	if err != nil {
		t.Fatal(err)
	}
	var parts []Part
	for i, text := range []string{"0123", "4567", "89"} { // ranges cross parts
		etag, err := s.PutPart("box", "k", id, i+1, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, Part{Number: i + 1, ETag: etag})
	}
	if _, err := s.CompleteMultipart("box", "k", id, parts); err != nil {
		t.Fatal(err)
	}
	u := s.presign("GET", "k", nil)
	for spec, want := range map[string]string{
		"bytes=0-0": "0", "bytes=3-4": "34", "bytes=2-": "23456789", "bytes=-3": "789", "bytes=-99": "0123456789", "bytes=8-99": "89", "bytes=0-9": "0123456789",
	} {
		got := s.do("GET", u, "", "Range", spec).want(t, 206, "")
		first := strings.Index("0123456789", want)
		if wantRange := fmt.Sprintf("bytes %d-%d/10", first, first+len(want)-1); got.body != want || got.Header.Get("Content-Range") != wantRange || got.ContentLength != int64(len(want)) {
			t.Errorf("%s: %q, %s, %d", spec, got.body, got.Header.Get("Content-Range"), got.ContentLength)
		}
	}
	for _, spec := range []string{"", "bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=--1"} {
		if got := s.do("GET", u, "", "Range", spec).want(t, 200, ""); got.body != "0123456789" {
			t.Errorf("%q: %q", spec, got.body)
		}
	}
	for _, spec := range []string{"bytes=10-", "bytes=99-100", "bytes=-0"} {
		if got := s.do("GET", u, "", "Range", spec).want(t, 416, "<ActualObjectSize>10<"); got.Header.Get("Content-Range") != "bytes */10" {
			t.Errorf("%s: %s", spec, got.Header.Get("Content-Range"))
		}
	}
	s.put("empty", "")
	s.do("GET", s.presign("GET", "empty", nil), "", "Range", "bytes=0-4").want(t, 416, "InvalidRange")
	s.do("GET", s.presign("GET", "empty", nil), "").want(t, 200, "")
	if got := s.do("HEAD", s.presign("HEAD", "k", nil), ""); got.StatusCode != 200 || got.ContentLength != 10 {
		t.Errorf("HEAD: %s, %d bytes", got.Status, got.ContentLength)
	}
}

// TestTampering changes one thing of a request that is right.
func TestTampering(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "text")
	s.put("other", "text")
	u := s.presign("GET", "k", nil)
	s.do("GET", u, "").want(t, 200, "text")
	replaced := func(old, text string) string {
		t.Helper()
		if !strings.Contains(u, old) {
			t.Fatalf("no %s in the URL", old)
		}
		return strings.Replace(u, old, text, 1)
	}
	signature := u[strings.LastIndex(u, "=")+1:]
	for what, changed := range map[string]string{
		"key":       replaced("/box/k", "/box/other"),
		"bucket":    replaced("/box/", "/box2/"),
		"expiry":    replaced("X-Amz-Expires=3600", "X-Amz-Expires=7200"),
		"signature": replaced(signature, strings.Repeat("0", 64)),
		"no more":   replaced(signature, ""),
		"query":     u + "&partNumber=1",
		"encoded":   replaced("/box/k", "/box/%6b%20"),
	} {
		t.Run(what, func(t *testing.T) { s.do("GET", changed, "").want(t, 403, "<Code>SignatureDoesNotMatch</Code>") })
	}
	if got := s.do("HEAD", u, ""); got.StatusCode != 403 { // the method is signed
		t.Errorf("HEAD with the URL of a GET: %s", got.Status)
	}
	s.do("PUT", u, "x").want(t, 403, "SignatureDoesNotMatch")
	s.do("GET", replaced("SANDBOX", "SANDCUP"), "").want(t, 403, "InvalidAccessKeyId")
	s.do("GET", replaced("us-east-1", "eu-west-1"), "").want(t, 400, "<Region>us-east-1</Region>")
	s.do("GET", replaced("X-Amz-Expires=3600", "X-Amz-Expires=604801"), "").want(t, 400, "AuthorizationQueryParametersError")
	s.do("GET", replaced("&X-Amz-SignedHeaders=host", ""), "").want(t, 400, "AuthorizationQueryParametersError")
	s.do("GET", u, "", "Authorization", "Bearer x").want(t, 400, "Only one auth mechanism allowed")
	s.do("GET", u, "", "X-Amz-Meta-More", "x").want(t, 403, "<HeadersNotSigned>x-amz-meta-more<")
	s.do("GET", s.base+"/box/k", "").want(t, 403, "AccessDenied")
	s.do("GET", s.base+"/box/k?AWSAccessKeyId=x&Signature=y&Expires=1", "").want(t, 400, "Please use AWS4-HMAC-SHA256")
	s.do("GET", s.base+"/box/k", "", "Authorization", "Bearer x").want(t, 400, "AuthorizationHeaderMalformed")
	s.do("GET", u, "", "Accept", "*/*", "Range", "bytes=0-1").want(t, 206, "te") // others may be added
	if got := s.content("k"); got != "text" {
		t.Errorf("%q", got)
	}
}

// TestExpiry: a URL works from its date, fifteen minutes of skew allowed, until
// it expires; then never again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.MakeBucket("box", BucketOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put("box", "k", strings.NewReader("text")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		u, err := s.Presign("http://store", "GET", "box", "k", nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		status := func() (int, string) {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, u, nil))
			return w.Code, w.Body.String()
		}
		check := func(want int, text string) {
			t.Helper()
			if code, body := status(); code != want || !strings.Contains(body, text) {
				t.Errorf("%d %s; want %d %s", code, body, want, text)
			}
		}
		check(200, "text")
		time.Sleep(time.Hour - time.Second)
		check(200, "text")
		time.Sleep(time.Second)
		check(403, "<Message>Request has expired</Message>")
		time.Sleep(1000 * time.Hour)
		check(403, "<Expires>")
	})
}

func TestNotYetValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var soon, late string
	synctest.Test(t, func(t *testing.T) { // whose clock starts in 2000
		time.Sleep(time.Until(time.Date(2095, 1, 1, 0, 0, 0, 0, time.UTC)))
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if soon, err = s.Presign("http://store", "GET", "box", "k", nil, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if late, err = s.Presign("http://store", "GET", "box", "k", nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2094, 12, 31, 23, 55, 0, 0, time.UTC)))
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for u, want := range map[string]string{soon: "NoSuchBucket", late: "Request is not yet valid"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, u, nil))
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s; want %s", w.Body, want)
			}
		}
	})
}

func TestPresignRefuses(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	for _, expires := range []time.Duration{0, -time.Second, 8 * 24 * time.Hour} {
		if u, err := s.Presign(s.base, "GET", "box", "k", nil, expires); err == nil {
			t.Errorf("%s: %s", expires, u)
		}
	}
}

// TestBodyChecks: what does not arrive as announced is not stored.
func TestBodyChecks(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "old")
	u := s.presign("PUT", "k", nil)
	sum := md5.Sum([]byte("else"))
	s.do("PUT", u, "text", "Content-Md5", base64.StdEncoding.EncodeToString(sum[:])).want(t, 400, "BadDigest")
	s.do("PUT", u, "text", "Content-Md5", "nonsense").want(t, 400, "InvalidDigest")
	if got := s.content("k"); got != "old" {
		t.Errorf("%q", got)
	}
	s.do("PUT", u, "new", "If-None-Match", "*").want(t, 412, "PreconditionFailed")
	s.do("PUT", u, "new", "If-Match", `"00"`).want(t, 412, "PreconditionFailed")
	s.do("PUT", s.presign("PUT", "fresh", nil), "new", "If-None-Match", "*").want(t, 200, "")
	s.do("GET", s.presign("GET", "k", nil), "", "If-Match", `"00"`).want(t, 412, "PreconditionFailed")
	if got := s.do("GET", s.presign("GET", "k", nil), "", "If-None-Match", quoted(md5sum("old"))); got.StatusCode != 304 {
		t.Errorf("%s", got.Status)
	}
	r, err := http.NewRequestWithContext(t.Context(), "PUT", u, struct{ *strings.Reader }{strings.NewReader("x")}) // of a size nobody tells
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 411 {
		t.Errorf("no Content-Length: %s", resp.Status)
	}
	if files := s.files("data"); files != 2 {
		t.Errorf("%d files of bytes for two objects", files)
	}
}

func md5sum(text string) []byte {
	sum := md5.Sum([]byte(text))
	return sum[:]
}
