package firecresttest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) staging() []subtest {
	return []subtest{
		{"an upload gets a URL for each part", s.testPartURLs},
		{"an upload may be spelled otherwise", s.testUploadSpellings},
		{"directives are required and name the method of the system", s.testDirectives},
		{"a system without a method stages nothing", s.testBare},
		{"parts are put in any order and answered with a tag", s.testParts},
		{"a list of parts completes an object", s.testCompletion},
		{"the job of an upload fetches the object and replaces the target", s.testIngress},
		{"the job of an upload waits for the object", s.testIngressWaits},
		{"a download is staged and read whole or in ranges", s.testEgress},
		{"what is missing is not staged", s.testEgressMissing},
		{"an expired URL is refused", s.testExpiredURL},
	}
}

// staged is an upload that waits for its parts.
type staged struct {
	submission
	parts    []string
	complete string
	size     int64 // of a part
}

// stage asks for an upload as the official client does.
func (s *suite) stage(t *testing.T, system, path string, size int) staged {
	t.Helper()
	return s.stagedBy(t, system, members{
		"path": path, "transfer_directives": members{"file_size": size, "transfer_method": "s3"},
	})
}

// stagedBy asks for an upload with any body. The job is cancelled in the end.
func (s *suite) stagedBy(t *testing.T, system string, body members) staged {
	t.Helper()
	s.except(t, SpellsDirectives)
	sub := s.accepted(t, s.post(t, transferPath(system, "upload"), body), http.StatusCreated)
	s.endLater(t, system, sub.Job.ID)
	if diff := cmp.Diff([]string{"completeUploadUrl", "maxPartSize", "partsUploadUrls", "transferMethod"}, keys(sub.Directives)); diff != "" {
		t.Errorf("directives (-want +got):\n%s", diff)
	}
	up := staged{submission: sub}
	up.complete, _ = sub.Directives["completeUploadUrl"].(string)
	size, _ := sub.Directives["maxPartSize"].(float64)
	up.size = int64(size)
	list, _ := sub.Directives["partsUploadUrls"].([]any)
	for _, part := range list {
		link, _ := part.(string)
		up.parts = append(up.parts, link)
	}
	if up.size <= 0 || sub.Directives["transferMethod"] != "s3" || !strings.Contains(up.complete, "uploadId=") {
		t.Fatalf("directives without what is needed: %q", keys(sub.Directives))
	}
	return up
}

func keys(m members) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// plain sends a request to a presigned URL: without a token.
func (s *suite) plain(t *testing.T, method, link string, body []byte, header ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, link, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.send(t, req)
}

// put uploads all parts at once and returns their tags.
func (up staged) put(t *testing.T, s *suite, content []byte) []string {
	t.Helper()
	tags := make([]string, len(up.parts))
	var all sync.WaitGroup
	for i, link := range up.parts {
		part := content[int64(i)*up.size : min(int64(i+1)*up.size, int64(len(content)))]
		all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link, bytes.NewReader(part))
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := s.http.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			sum := md5.Sum(part)
			if tags[i] = resp.Header.Get("ETag"); resp.StatusCode != http.StatusOK || tags[i] != `"`+hex.EncodeToString(sum[:])+`"` {
				t.Errorf("part %d: %d with the tag %s", i+1, resp.StatusCode, tags[i])
			}
		})
	}
	all.Wait()
	return tags
}

// completion is the document of the official client, tags as they came.
func completion(tags []string) []byte {
	var b strings.Builder
	b.WriteString("<?xml version='1.0' encoding='utf-8'?>\n<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">")
	for i, tag := range tags {
		fmt.Fprintf(&b, "<Part><ETag>%s</ETag><PartNumber>%d</PartNumber></Part>", tag, i+1)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return []byte(b.String())
}

// send puts the parts and completes the object.
func (up staged) send(t *testing.T, s *suite, content []byte) {
	t.Helper()
	tags := up.put(t, s, content)
	a := s.plain(t, http.MethodPost, up.complete, completion(tags))
	a.want(t, http.StatusOK, nil)
	if !bytes.Contains(a.body, []byte("CompleteMultipartUploadResult")) {
		t.Fatalf("completion: %s", a.body)
	}
}

// partSize is the size of parts of the main system.
func (s *suite) partSize(t *testing.T) int {
	t.Helper()
	s.except(t, HidesLimits)
	size := s.system.Transfer.MaxPartSize
	if size <= 0 || size > 64<<20 {
		s.skip(t, string(HasLargeParts))
	}
	return int(size)
}

func (s *suite) testPartURLs(t *testing.T) {
	dir, part := s.directory(t), s.partSize(t)
	for _, size := range []int{1, part - 1, part, part + 1, 2*part + 1} {
		up := s.stage(t, s.System, dir+"/file", size)
		if want := (size + part - 1) / part; len(up.parts) != want || up.size != int64(part) {
			t.Errorf("%d bytes: %d parts of %d bytes, want %d", size, len(up.parts), up.size, want)
		}
		for _, link := range up.parts {
			signed, err := url.Parse(link)
			if err != nil || signed.Query().Get("X-Amz-SignedHeaders") != "host" || signed.Query().Get("X-Amz-Expires") == "" {
				t.Errorf("URL of a part is not presigned: %v", err)
			}
		}
	}
}

func (s *suite) testUploadSpellings(t *testing.T) {
	dir := s.directory(t)
	for name, body := range map[string]members{
		"camel case, size as text":  {"sourcePath": dir + "/file", "transferDirectives": members{"transferMethod": "s3", "fileSize": "3"}},
		"snake case":                {"source_path": dir + "/file", "transfer_directives": members{"transfer_method": "s3", "file_size": 3}},
		"account that is not asked": {"path": dir + "/file", "account": "any", "transferDirectives": members{"transferMethod": "s3", "fileSize": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			up := s.stagedBy(t, s.System, body)
			up.send(t, s, []byte("abc"))
			s.finish(t, up.submission)
			if got := s.read(t, dir+"/file"); got != "abc" {
				t.Errorf("content %q", got)
			}
		})
	}
}

func (s *suite) testDirectives(t *testing.T) {
	s.except(t, MixesMethods)
	file := s.write(t, s.directory(t), "file", "x")
	const unavailable = "Requested transfer method is not available."
	for _, operation := range []string{"upload", "download"} {
		path := transferPath(s.System, operation)
		s.post(t, path, members{"path": file}).wantRefused(t, "body", "transferDirectives")
		s.post(t, path, members{"path": file, "transferDirectives": members{"transferMethod": "ftp", "fileSize": 1}}).
			wantRefused(t, "body", "transferDirectives")
		s.post(t, path, members{"path": file, "transferDirectives": members{"transferMethod": "streamer"}}).
			wantMessage(t, http.StatusBadRequest, unavailable)
	}
	_, err := s.client.Transfer.Upload(t.Context(), s.System, file, firecrest.UploadRequest{Method: firecrest.MethodStreamer})
	wantError(t, err, firecrest.ErrUnsupported, unavailable)
	_, err = s.client.Transfer.Download(t.Context(), s.System, file, firecrest.DownloadRequest{Method: firecrest.MethodStreamer})
	wantError(t, err, firecrest.ErrUnsupported, unavailable)
}

func (s *suite) testBare(t *testing.T) {
	bare := s.oddSystem(t, BareSystem)
	_, err := s.client.Transfer.Upload(t.Context(), bare.Name, s.homeOn(t, bare)+"/file", firecrest.UploadRequest{Method: firecrest.MethodS3, FileSize: 1})
	if failure := wantError(t, err, firecrest.ErrUnsupported, "'service_type'"); failure.Status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", failure.Status)
	}
}

func (s *suite) testParts(t *testing.T) {
	part := s.partSize(t)
	content := pattern(int64(2*part + 7))
	up := s.stage(t, s.System, s.directory(t)+"/file", len(content))
	up.put(t, s, content)
	if a := s.plain(t, http.MethodPut, up.parts[0], []byte("x"), "Expect", "100-continue"); a.status != http.StatusOK {
		t.Errorf("a part again: %d", a.status)
	}
	a := s.plain(t, http.MethodPut, up.parts[0], []byte("x"), "Authorization", "Bearer "+s.token(t))
	if a.status != http.StatusBadRequest && a.status != http.StatusForbidden {
		t.Errorf("a part with a token beside the signature: %d", a.status)
	}
	if a := s.plain(t, http.MethodGet, up.parts[0], nil); a.status != http.StatusForbidden {
		t.Errorf("the URL of a part with another method: %d, want 403", a.status)
	}
	tampered := strings.Replace(up.parts[0], "partNumber=1", "partNumber=2", 1)
	if a := s.plain(t, http.MethodPut, tampered, []byte("x")); a.status != http.StatusForbidden {
		t.Errorf("the URL of a part with another number: %d, want 403", a.status)
	}
	bare, err := url.Parse(up.parts[0])
	if err != nil {
		t.Fatal(err)
	}
	bare.RawQuery = url.Values{"partNumber": {"1"}, "uploadId": {bare.Query().Get("uploadId")}}.Encode()
	if a := s.plain(t, http.MethodPut, bare.String(), []byte("x")); a.status != http.StatusForbidden {
		t.Errorf("the URL of a part without a signature: %d, want 403", a.status)
	}
}

func (s *suite) testCompletion(t *testing.T) {
	dir, part := s.directory(t), s.partSize(t)
	content := pattern(int64(part + 1))
	up := s.stage(t, s.System, dir+"/file", len(content))
	tags := up.put(t, s, content)

	wrong := slices.Clone(tags)
	wrong[1] = `"00000000000000000000000000000000"`
	a := s.plain(t, http.MethodPost, up.complete, completion(wrong))
	if a.status < 400 && !bytes.Contains(a.body, []byte("<Error>")) {
		t.Errorf("a part with a wrong tag: %d %s", a.status, a.body)
	}
	a = s.plain(t, http.MethodPost, up.complete, completion(tags))
	a.want(t, http.StatusOK, nil)
	if tag := "-2&#34;"; !bytes.Contains(a.body, []byte(`-2"`)) && !bytes.Contains(a.body, []byte(tag)) && !bytes.Contains(a.body, []byte(`-2&quot;`)) {
		t.Errorf("completion %s, want a tag that ends in -2", a.body)
	}

	// Elements in another order, and the type that curl gives a form.
	up = s.stage(t, s.System, dir+"/other", 3)
	tags = up.put(t, s, []byte("abc"))
	document := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + tags[0] + "</ETag></Part></CompleteMultipartUpload>"
	s.plain(t, http.MethodPost, up.complete, []byte(document), "Content-Type", "application/x-www-form-urlencoded").want(t, http.StatusOK, nil)
}

func (s *suite) testIngress(t *testing.T) {
	dir, part := s.directory(t), s.partSize(t)
	content := pattern(int64(2*part + 12345))
	file := s.write(t, dir, "file", "what was there before")
	up, err := s.client.Transfer.Upload(t.Context(), s.System, file, firecrest.UploadRequest{Method: firecrest.MethodS3, FileSize: int64(len(content))})
	if err != nil {
		t.Fatal(err)
	}
	raw := staged{complete: string(up.CompleteURL), size: up.PartSize}
	for _, link := range up.PartURLs {
		raw.parts = append(raw.parts, string(link))
	}
	raw.send(t, s, content)
	if job := s.wait(t, t.Context(), up.Job.ID); !job.Succeeded() || job.Name != "IngressFileTransfer" {
		t.Errorf("job %+v", job)
	}
	if err := s.client.Transfer.Result(t.Context(), up.Job); err != nil {
		t.Error(err)
	}
	if stat := s.stat(t, file, false); stat.Size != int64(len(content)) {
		t.Errorf("%d bytes, want %d", stat.Size, len(content))
	}
	s.wantChecksum(t, file, content)
	want := fmt.Sprintf("File was successfully downloaded (size: %.3fMB)", float64(len(content))/(1<<20))
	if text := s.log(t, s.System, up.Job.OutputLog); !strings.Contains(text, want) || !strings.Contains(text, "Ingress File Transfer Job (id:"+string(up.Job.ID)+")") {
		t.Errorf("log %q, want %s", text, want)
	}

	into := s.stage(t, s.System, dir, 1)
	into.send(t, s, []byte("x"))
	if job := s.finish(t, into.submission); job.Succeeded() || job.Status.ExitCode == nil || *job.Status.ExitCode != 3 {
		t.Errorf("the target is a directory: job %+v, want exit code 3", job)
	}

	gone := s.stage(t, s.System, s.dir+"/no-such-directory/file", 1)
	gone.send(t, s, []byte("x"))
	s.finish(t, gone.submission)
	var failed *firecrest.TransferError // though the script reports success
	if err := s.client.Transfer.Result(t.Context(), firecrest.TransferJob{
		ID: gone.Job.ID, System: s.System, Kind: firecrest.TransferIngress, OutputLog: gone.Job.Logs.Output, ErrorLog: gone.Job.Logs.Error,
	}); !errors.As(err, &failed) || !strings.Contains(failed.Reason, noSuchFile) {
		t.Errorf("a directory that is missing: %v", err)
	}
}

// testIngressWaits: the job is there before the object, and looks for it.
func (s *suite) testIngressWaits(t *testing.T) {
	file := s.directory(t) + "/file"
	up := s.stage(t, s.System, file, 3)
	s.waitUntil(t, t.Context(), up.Job.ID, func(job firecrest.Job) bool { return job.Status.State == "RUNNING" })
	s.eventually(t, "the job does not say that it waits", func() bool {
		text, err := s.client.Filesystem.View(t.Context(), s.System, up.Job.Logs.Output, nil)
		return err == nil && strings.Contains(text, "Waiting")
	})
	began := time.Now()
	up.send(t, s, []byte("abc"))
	s.finish(t, up.submission)
	if took := time.Since(began); took > s.IngressInterval+s.Patience/2 {
		t.Errorf("the job needed %s, it should look every %s", took, s.IngressInterval)
	}
	if got := s.read(t, file); got != "abc" {
		t.Errorf("content %q", got)
	}
}

// eventually asks until an answer is yes.
func (s *suite) eventually(t *testing.T, complaint string, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), s.Patience)
	defer cancel()
	pause := s.Poll.Min
	if pause <= 0 {
		pause = 2 * time.Second
	}
	again := time.NewTicker(pause)
	defer again.Stop()
	for !ask() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal(complaint)
		}
	}
}

func (s *suite) wantChecksum(t *testing.T, file string, content []byte) {
	t.Helper()
	got, err := s.client.Filesystem.Checksum(t.Context(), s.System, file)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(content)); got != want {
		t.Errorf("%s has the checksum %s, want %s", file, got, want)
	}
}

func (s *suite) testEgress(t *testing.T) {
	s.partSize(t)
	content := pattern(s.system.MaxUpload())
	dir := s.directory(t)
	if err := s.upload(t.Context(), dir, "file", content); err != nil {
		t.Fatal(err)
	}
	down, err := s.client.Transfer.Download(t.Context(), s.System, dir+"/file", firecrest.DownloadRequest{Method: firecrest.MethodS3})
	if err := s.concluded(t, &down.Job, err); err != nil {
		t.Fatal(err)
	}
	if text := s.log(t, s.System, down.Job.OutputLog); !strings.Contains(text, "Upload File Job (id:"+string(down.Job.ID)+")") ||
		!strings.HasSuffix(text, "Multipart file upload successfully completed\n") {
		t.Errorf("log %q", text)
	}
	link := string(down.URL)
	a := s.plain(t, http.MethodGet, link, nil)
	if a.status != http.StatusOK || !bytes.Equal(a.body, content) {
		t.Errorf("%d and %d bytes, want %d", a.status, len(a.body), len(content))
	}
	a = s.plain(t, http.MethodGet, link, nil, "Range", "bytes=10-19")
	if want := fmt.Sprintf("bytes 10-19/%d", len(content)); a.status != http.StatusPartialContent || a.header.Get("Content-Range") != want || !bytes.Equal(a.body, content[10:20]) {
		t.Errorf("%d %q and %d bytes, want 206 %q", a.status, a.header.Get("Content-Range"), len(a.body), want)
	}
	if a := s.plain(t, http.MethodGet, link, nil, "Range", fmt.Sprintf("bytes=%d-", len(content))); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end: %d, want 416", a.status)
	}
	if a := s.plain(t, http.MethodHead, link, nil); a.status != http.StatusForbidden {
		t.Errorf("another method than the signed one: %d, want 403", a.status)
	}
	if a := s.plain(t, http.MethodGet, strings.Replace(link, "X-Amz-Signature=", "X-Amz-Signature=0", 1), nil); a.status != http.StatusForbidden {
		t.Errorf("a wrong signature: %d, want 403", a.status)
	}
}

func (s *suite) testEgressMissing(t *testing.T) {
	dir := s.directory(t)
	_, err := s.client.Transfer.Download(t.Context(), s.System, dir+"/missing", firecrest.DownloadRequest{Method: firecrest.MethodS3})
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	_, err = s.client.Transfer.Download(t.Context(), "no-such-system", dir, firecrest.DownloadRequest{Method: firecrest.MethodS3})
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	// A directory and an empty file are accepted, and fail later.
	for name, path := range map[string]string{"directory": dir, "empty file": s.write(t, dir, "empty", "")} {
		down, err := s.client.Transfer.Download(t.Context(), s.System, path, firecrest.DownloadRequest{Method: firecrest.MethodS3})
		if err != nil {
			t.Fatal(err)
		}
		if job := s.wait(t, t.Context(), down.Job.ID); job.Succeeded() {
			t.Errorf("%s: job %+v", name, job)
		}
		if err := s.client.Transfer.Result(t.Context(), down.Job); err == nil {
			t.Errorf("%s: the result is success", name)
		}
	}
}

func (s *suite) testExpiredURL(t *testing.T) {
	system := s.oddSystem(t, HastySystem)
	up := s.stage(t, system.Name, s.homeOn(t, system)+"/never", 3)
	s.eventually(t, "the URLs live on", func() bool {
		return s.plain(t, http.MethodPut, up.parts[0], []byte("abc")).status == http.StatusForbidden
	})
	a := s.plain(t, http.MethodPost, up.complete, completion([]string{`"x"`}))
	if a.status != http.StatusForbidden || !bytes.Contains(a.body, []byte("AccessDenied")) {
		t.Errorf("completion: %d %s, want 403 AccessDenied", a.status, a.body)
	}
}
