package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// code is the code of the error that the client of everybody got.
func code(err error) string {
	var e interface{ ErrorCode() string }
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || code(err) != want {
		t.Errorf("%v; want %s", err, want)
	}
}

func TestSDK(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	ctx, c := t.Context(), s.sdk()
	box := aws.String("box")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: box}); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: box})
	wantCode(t, err, "BucketAlreadyOwnedByYou")
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: box}); err != nil {
		t.Error(err)
	}
	key := aws.String("a b/ü&=+?#%41/../x")
	for _, a := range []types.ChecksumAlgorithm{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: box, Key: key, Body: strings.NewReader("text"), ChecksumAlgorithm: a, ContentType: aws.String("text/plain"), Metadata: map[string]string{"who": "me"},
		})
		if err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(got.Body)
	got.Body.Close()
	if err != nil || string(text) != "text" || aws.ToString(got.ContentType) != "text/plain" || got.Metadata["who"] != "me" || aws.ToString(got.ChecksumSHA256) == "" {
		t.Errorf("%q, %v, %v", text, err, got)
	}
	list, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 1 || aws.ToString(list.Buckets[0].Name) != "box" {
		t.Errorf("%v, %v", list, err)
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: aws.String("nothing")})
	wantCode(t, err, "NoSuchKey")
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: aws.String("nothing")})
	wantCode(t, err, "NotFound")
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("nowhere"), Key: key})
	wantCode(t, err, "NoSuchBucket")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: box, Key: aws.String("copy"), CopySource: aws.String("box/x")})
	wantCode(t, err, "NotImplemented")
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: box})
	wantCode(t, err, "BucketNotEmpty")
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: box, Key: key}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: box}); err != nil {
		t.Error(err)
	}
	if n := s.files("data"); n != 0 {
		t.Errorf("%d files left", n)
	}
}

func TestSDKRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "text")
	for want, change := range map[string]func(*s3.Options){
		"AccessDenied": func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} },
		"SignatureDoesNotMatch": func(o *s3.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: s.credentials.AccessKey, SecretAccessKey: "wrong"}, nil
			})
		},
		"InvalidAccessKeyId": func(o *s3.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "nobody", SecretAccessKey: s.credentials.SecretKey}, nil
			})
		},
		"InvalidToken": func(o *s3.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: s.credentials.AccessKey, SecretAccessKey: s.credentials.SecretKey, SessionToken: "x"}, nil
			})
		},
		"AuthorizationHeaderMalformed": func(o *s3.Options) { o.Region = "eu-west-1" },
	} {
		_, err := s.sdk(change).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("k")})
		wantCode(t, err, want)
	}
}

func TestPublicBucket(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "text")
	if err := s.MakeBucket("box", BucketOptions{Public: true}); err != nil {
		t.Fatal(err)
	}
	s.do("GET", s.base+"/box/k", "").want(t, 200, "text")
	s.do("GET", s.base+"/box?list-type=2", "").want(t, 200, "<Key>k</Key>")
	s.do("PUT", s.base+"/box/k", "mine").want(t, 403, "AccessDenied")
	s.do("DELETE", s.base+"/box/k", "").want(t, 403, "AccessDenied")
	s.do("GET", s.base+"/", "").want(t, 403, "AccessDenied")
}

func TestSDKMultipart(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	ctx, c := t.Context(), s.sdk()
	box, key := aws.String("box"), aws.String("k")
	for _, a := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmSha256} {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: box, Key: key, ChecksumAlgorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		var done types.CompletedMultipartUpload
		for i, text := range []string{"hello ", "world"} {
			n := aws.Int32(int32(i + 1))
			p, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: box, Key: key, UploadId: up.UploadId, PartNumber: n, Body: strings.NewReader(text), ChecksumAlgorithm: a})
			if err != nil {
				t.Fatal(err)
			}
			done.Parts = append(done.Parts, types.CompletedPart{ETag: p.ETag, PartNumber: n, ChecksumCRC32: p.ChecksumCRC32, ChecksumSHA256: p.ChecksumSHA256})
		}
		if _, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: box, Key: key, UploadId: up.UploadId, MultipartUpload: &done}); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || string(text) != "hello world" {
			t.Errorf("%s: %q, %v", a, text, err)
		}
		head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: key, PartNumber: aws.Int32(1)})
		if err != nil || aws.ToInt64(head.ContentLength) != 6 || aws.ToInt32(head.PartsCount) != 2 {
			t.Errorf("part 1: %v, %v", head, err)
		}
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: box, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: box, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: box, Key: key, UploadId: up.UploadId}); err != nil {
		t.Fatal(err)
	}
	if n := s.files("data"); n != 2 {
		t.Errorf("%d files of bytes for an object of two parts", n)
	}
}

// TestTrailingChecksum: the framing that the client uses over TLS.
func TestTrailingChecksum(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	body := "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
	send := func(body string) answer {
		return s.do("PUT", s.signedChunks(body, "11"), body, "X-Amz-Content-Sha256", chunked, "X-Amz-Decoded-Content-Length", "11",
			"X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked")
	}
	send(body).want(t, 200, "")
	if got := s.content("k"); got != "hello world" {
		t.Errorf("%q", got)
	}
	send(strings.Replace(body, "world", "earth", 1)).want(t, 400, "BadDigest")
	send(strings.Replace(body, "6\r\n world\r\n", "", 1)).want(t, 400, "IncompleteBody")
	send(strings.Replace(body, "0\r\n", "2\r\nxx\r\n0\r\n", 1)).want(t, 400, "IncompleteBody")
	send("no chunks at all").want(t, 400, "IncompleteBody")
	if got := s.do("GET", s.presign("GET", "k", nil), ""); got.body != "hello world" || got.Header.Get("Content-Encoding") != "" {
		t.Errorf("%q, %v", got.body, got.Header)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	keys := []string{"a", "a/1", "a/2", "a/b/3", "b", "c/1", "c/2", "ü"}
	for _, k := range keys {
		s.put(k, k)
	}
	all := func(in s3.ListObjectsV2Input) (got []string) {
		t.Helper()
		in.Bucket = aws.String("box")
		pages := s3.NewListObjectsV2Paginator(s.sdk(), &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range page.Contents {
				names = append(names, *o.Key)
			}
			for _, p := range page.CommonPrefixes {
				names = append(names, *p.Prefix+"*")
			}
			if int(*page.KeyCount) != len(names) || in.MaxKeys != nil && len(names) > int(*in.MaxKeys) {
				t.Errorf("%d keys counted of %v", *page.KeyCount, names)
			}
			got = append(got, names...)
		}
		return got
	}
	tests := []struct {
		in   s3.ListObjectsV2Input
		want []string
	}{
		{s3.ListObjectsV2Input{}, keys},
		{s3.ListObjectsV2Input{MaxKeys: aws.Int32(1)}, keys},
		{s3.ListObjectsV2Input{MaxKeys: aws.Int32(3)}, keys},
		{s3.ListObjectsV2Input{Prefix: aws.String("a/")}, []string{"a/1", "a/2", "a/b/3"}},
		{s3.ListObjectsV2Input{StartAfter: aws.String("a/2")}, keys[3:]},
		{s3.ListObjectsV2Input{Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)}, []string{"a", "a/*", "b", "c/*", "ü"}},
		{s3.ListObjectsV2Input{Delimiter: aws.String("/"), Prefix: aws.String("a/")}, []string{"a/1", "a/2", "a/b/*"}},
		{s3.ListObjectsV2Input{Delimiter: aws.String("/"), StartAfter: aws.String("c/1"), MaxKeys: aws.Int32(1)}, []string{"c/*", "ü"}},
		{s3.ListObjectsV2Input{Prefix: aws.String("nothing")}, nil},
	}
	for i, test := range tests {
		if diff := cmp.Diff(test.want, all(test.in)); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
	if found, prefixes, next, err := s.list("box", listing{}); len(found)+len(prefixes) > 0 || next != "" || err != nil {
		t.Errorf("no keys wanted: %v %v %q %v", found, prefixes, next, err)
	}
	_, err := s.sdk().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("nowhere")})
	wantCode(t, err, "NoSuchBucket")
	_, err = s.sdk().ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String("box")})
	wantCode(t, err, "MethodNotAllowed")
	_, err = s.sdk().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("box"), ContinuationToken: aws.String("%")})
	wantCode(t, err, "InvalidArgument")
}

// TestConcurrency: many clients write the same key, and each reader gets one of
// their objects, whole.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", strings.Repeat("x", 100_000))
	done := make(chan error)
	for i := range 8 {
		go func() { done <- s.hammer(t.Context(), byte('a'+i)) }()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := s.files("data"); n > 2 {
		t.Errorf("%d files for one object", n)
	}
}

func (s *served) hammer(ctx context.Context, letter byte) error {
	c := s.sdk()
	box, key := aws.String("box"), aws.String("k")
	for range 10 {
		if letter%2 == 0 {
			if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: bytes.NewReader(bytes.Repeat([]byte{letter}, 100_000))}); err != nil {
				return err
			}
		} else if err := s.inParts(letter); err != nil {
			return err
		}
		got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key})
		if err != nil {
			return err
		}
		text, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil {
			return err
		}
		if len(text) != 100_000 || bytes.Count(text, text[:1]) != len(text) {
			return fmt.Errorf("%d bytes, %d of the first letter", len(text), bytes.Count(text, text[:1]))
		}
	}
	return nil
}

func (s *served) inParts(letter byte) error {
	id, err := s.CreateMultipart("box", "k")
	if err != nil {
		return err
	}
	var parts []Part
	for n := range 2 {
		etag, err := s.PutPart("box", "k", id, n+1, bytes.NewReader(bytes.Repeat([]byte{letter}, 50_000)))
		if err != nil {
			return err
		}
		parts = append(parts, Part{Number: n + 1, ETag: etag})
	}
	done := make(chan error)
	for range 2 { // a client whose first answer was late
		go func() { _, err := s.CompleteMultipart("box", "k", id, parts); done <- err }()
	}
	first, second := <-done, <-done
	if first != nil && second != nil {
		return errors.Join(first, second)
	}
	return nil
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{}).bucket("box")
	s.put("k", "text")
	for _, query := range []string{"acl", "tagging", "versionId=1", "attributes"} {
		s.do("GET", s.base+"/box/k?"+query, "").want(t, 501, "NotImplemented")
	}
	s.do("PATCH", s.base+"/box/k", "").want(t, 405, "MethodNotAllowed")
	s.do("GET", strings.TrimSuffix(s.base, "/s3")+"/s3x/box/k", "").want(t, 400, "InvalidURI")
	s.do("GET", s.base+"/box/%ff", "").want(t, 400, "InvalidURI")
	s.do("GET", s.base+"/box/"+strings.Repeat("x", 1025), "").want(t, 400, "KeyTooLongError")
	s.do("PUT", s.presign("PUT", "k", nil), "x", "X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD").want(t, 501, "NotImplemented")
	for _, name := range []string{"", "a/b", "a\x00b", "\xff", strings.Repeat("x", 256)} {
		if err := s.MakeBucket(name, BucketOptions{}); err == nil {
			t.Errorf("bucket %q was made", name)
		}
	}
	if _, err := s.Put("nowhere", "k", strings.NewReader("x")); code(err) == "" || s.files("data") != 1 {
		t.Errorf("%v, %d files", err, s.files("data"))
	}
}

// TestRandomUploads compares objects of random parts with what was sent.
func TestRandomUploads(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := serve(t, Config{}).bucket("box")
	for range 20 {
		var all []byte
		var parts []Part
		id, err := s.CreateMultipart("box", "k")
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 1+random.IntN(5); n++ {
			text := make([]byte, random.IntN(5000))
			for i := range text {
				text[i] = byte(random.Uint32())
			}
			etag, err := s.PutPart("box", "k", id, n, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			all, parts = append(all, text...), append(parts, Part{Number: n, ETag: etag})
		}
		if _, err := s.CompleteMultipart("box", "k", id, parts); err != nil {
			t.Fatal(err)
		}
		if got := s.content("k"); got != string(all) {
			t.Errorf("%d bytes of %d", len(got), len(all))
		}
		if len(all) > 0 {
			from := random.IntN(len(all))
			to := from + random.IntN(len(all)-from)
			got := s.do(http.MethodGet, s.presign("GET", "k", nil), "", "Range", fmt.Sprintf("bytes=%d-%d", from, to))
			if got.body != string(all[from:to+1]) {
				t.Errorf("%d-%d of %d: %d bytes", from, to, len(all), len(got.body))
			}
		}
	}
}
