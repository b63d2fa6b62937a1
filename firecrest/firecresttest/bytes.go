package firecresttest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) bytes() []subtest {
	return []subtest{
		{"any bytes go up and come down", s.testBytes},
		{"an upload overwrites", s.testOverwrite},
		{"an upload has a limit", s.testUploadLimit},
		{"an upload of nothing makes an empty file", s.testUploadEmpty},
		{"an upload needs a part named file", s.testUploadPart},
		{"an upload needs a directory", s.testUploadMissing},
		{"a download has a limit", s.testDownloadLimit},
		{"a download comes whole and as bytes", s.testDownloadWhole},
		{"a download follows links", s.testDownloadLink},
	}
}

// pattern is n bytes that are not the same everywhere.
func pattern(n int64) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return content
}

func (s *suite) testBytes(t *testing.T) {
	dir := s.directory(t)
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for name, content := range map[string]string{
		"all bytes": string(all[:]), "no line end": "x", "carriage returns": "a\r\nb\rc\n", "a boundary": "\r\n--boundary--\r\n",
	} {
		if got := s.read(t, s.write(t, dir, name, content)); got != content {
			t.Errorf("%s: got %q, want %q", name, got, content)
		}
	}
}

func (s *suite) testOverwrite(t *testing.T) {
	dir := s.directory(t)
	file := s.write(t, dir, "file", "a long content")
	s.write(t, dir, "file", "short")
	if got := s.read(t, file); got != "short" {
		t.Errorf("got %q", got)
	}
}

func (s *suite) testUploadLimit(t *testing.T) {
	s.except(t, UploadsLess)
	dir, limit := s.directory(t), s.system.MaxUpload()
	if s.system.MaxFileSize == 5<<20 && !s.differs(HidesLimits) && limit != 5_242_880 {
		t.Errorf("the limit is %d, want 5242880", limit)
	}
	content := pattern(s.system.MaxFileSize + 1)
	if err := s.upload(t.Context(), dir, "largest", content[:limit]); err != nil {
		t.Fatal(err)
	}
	if stat := s.stat(t, dir+"/largest", false); stat.Size != limit {
		t.Errorf("size %d, want %d", stat.Size, limit)
	}
	err := s.upload(t.Context(), dir, "larger", content)
	wantError(t, err, firecrest.ErrTooLarge, "File to upload is too large.")
	s.absent(t, dir+"/larger")
}

func (s *suite) testUploadEmpty(t *testing.T) {
	dir := s.directory(t)
	if err := s.upload(t.Context(), dir, "empty", nil); err != nil {
		t.Fatal(err)
	}
	if stat := s.stat(t, dir+"/empty", false); !stat.IsRegular() || stat.Size != 0 {
		t.Errorf("file %+v", stat)
	}
	if got := s.read(t, dir+"/empty"); got != "" {
		t.Errorf("content %q", got)
	}
	// What the client works around: the server waits for input until its limit.
	s.postFile(t, dir, "file", "empty", "").wantFailure(t, http.StatusRequestTimeout, "") // in the words of who gives up first
	err := s.upload(t.Context(), dir+"/missing", "empty", nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testUploadPart(t *testing.T) {
	dir := s.directory(t)
	s.postFile(t, dir, "content", "name", "x").wantRefused(t, "body", "file")
	req := s.request(t, http.MethodPost, s.ops("upload"), url.Values{"path": {dir}}, members{"file": "x"})
	s.send(t, req).wantRefused(t, "body", "file")
	s.absent(t, dir+"/name")
	s.postFile(t, dir, "file", "name", "x").want(t, http.StatusNoContent, nil)
}

// channelClosed is the message for an upload if the remote command fails before
// the server has sent it the first byte.
const channelClosed = "('Channel not open for sending',)"

func (s *suite) testUploadMissing(t *testing.T) {
	dir := s.directory(t)
	var failure *firecrest.Error
	if err := s.upload(t.Context(), dir+"/missing", "file", []byte("x")); !errors.As(err, &failure) || failure.Message != channelClosed {
		wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	}
	file := s.write(t, dir, "file", "x")
	wantError(t, s.upload(t.Context(), file, "file", []byte("x")), nil, "Not a directory")
	wantError(t, s.upload(t.Context(), s.dir, dir[len(s.dir)+1:], []byte("x")), nil, isDirectory)
}

func (s *suite) testDownloadLimit(t *testing.T) {
	dir, limit := s.directory(t), s.system.MaxDownload()
	if s.system.MaxFileSize == 5<<20 && limit != 3_932_157 {
		t.Errorf("the limit is %d, want 3932157", limit)
	}
	content := pattern(limit + 1)
	for _, n := range []int64{limit, limit + 1} {
		if err := s.upload(t.Context(), dir, fmt.Sprint(n), content[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read(t, fmt.Sprintf("%s/%d", dir, limit)); got != string(content[:limit]) {
		t.Errorf("%d bytes came, and not those sent", len(got))
	}
	var sink bytes.Buffer
	n, err := s.client.Filesystem.Download(t.Context(), s.System, fmt.Sprintf("%s/%d", dir, limit+1), &sink)
	wantError(t, err, firecrest.ErrTooLarge, tooMuchOutput)
	if n != 0 || sink.Len() != 0 {
		t.Errorf("%d bytes came of a file that is too large", sink.Len())
	}
}

func (s *suite) testDownloadWhole(t *testing.T) {
	file := s.write(t, s.directory(t), "file", "0123456789")
	req := s.request(t, http.MethodGet, s.ops("download"), url.Values{"path": {file}}, nil)
	req.Header.Set("Range", "bytes=2-4")
	a := s.send(t, req)
	a.want(t, http.StatusOK, nil)
	if got := a.header.Get("Content-Type"); string(a.body) != "0123456789" || got != "application/octet-stream" || a.header.Get("Content-Length") != "10" {
		t.Errorf("%q as %s of %s bytes", a.body, got, a.header.Get("Content-Length"))
	}
}

func (s *suite) testDownloadLink(t *testing.T) {
	if got := s.read(t, s.tree(t)+"/link"); got != "12345" {
		t.Errorf("got %q", got)
	}
}
