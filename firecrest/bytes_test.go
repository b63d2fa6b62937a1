package firecrest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// readUpload parses the form of an upload and returns file name and content.
func readUpload(t *testing.T, contentType, body string) (name, content string) {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	form := multipart.NewReader(strings.NewReader(body), params["boundary"])
	part, err := form.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	if part.FormName() != "file" {
		t.Errorf("part is named %q, want file", part.FormName())
	}
	if _, err := form.NextRawPart(); err != io.EOF {
		t.Errorf("more than one part: %v", err)
	}
	return part.FileName(), string(b)
}

func TestUpload(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, 204, "", nil)
	file, size := content("hello\r\n--boundary\x00")
	if err := newClient(t, server.URL).Filesystem.Upload(t.Context(), "alps", "/d", `a "b" ü.txt`, file, size); err != nil {
		t.Fatal(err)
	}
	seen := server.seen()[0]
	if seen.Method != "POST" || seen.Path != "/filesystem/alps/ops/upload" || seen.Query != "path=%2Fd" {
		t.Errorf("request %+v", seen)
	}
	if got := server.headers[0].Get("Content-Length"); got != fmt.Sprint(len(seen.Body)) {
		t.Errorf("Content-Length %q for %d bytes", got, len(seen.Body))
	}
	name, body := readUpload(t, seen.ContentType, seen.Body)
	if name != `a "b" ü.txt` || body != "hello\r\n--boundary\x00" {
		t.Errorf("got file %q with %q", name, body)
	}
}

func TestUploadIsRebuiltForEveryTry(t *testing.T) {
	t.Parallel()
	var bodies []string
	client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_, body := readUpload(t, r.Header.Get("Content-Type"), string(b))
		bodies = append(bodies, body)
		if r.ContentLength != int64(len(b)) {
			t.Errorf("Content-Length %d for %d bytes", r.ContentLength, len(b))
		}
		if len(bodies) < 3 {
			return answer(503, errorBody("The ssh service for the requested system (alps) is unhealthy.")), nil
		}
		return answer(204, ""), nil
	}, WithRetry(RetryPolicy{Base: 1}))
	file, size := content("all of it")
	if err := client.Filesystem.Upload(t.Context(), "alps", "/d", "f", file, size); err != nil {
		t.Fatal(err)
	}
	if want := []string{"all of it", "all of it", "all of it"}; strings.Join(bodies, "|") != strings.Join(want, "|") {
		t.Errorf("bodies %q", bodies)
	}
}

func TestUploadOfAFileThatShrinks(t *testing.T) {
	t.Parallel()
	server := newRecorder(t, 204, "", nil)
	file, size := content("short")
	err := newClient(t, server.URL, WithRetry(RetryPolicy{Base: 1})).Filesystem.Upload(t.Context(), "alps", "/d", "f", file, size+10)
	failure := asError(t, err)
	if !strings.Contains(err.Error(), "10 bytes early") || failure.Retryable() || failure.Attempts != 1 || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestUploadOfNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		upload *http.Response
		stat   *http.Response
		ok     bool
	}{
		{"answered", answer(204, ""), nil, true},
		{"timed out, created", answer(408, errorBody("Command execution timeout limit exceeded.")), answer(200, `{"output":{"mode":33188,"size":0}}`), true},
		{"channel closed, created", answer(500, errorBody("('Channel not open for sending',)")), answer(200, `{"output":{"mode":33188,"size":0}}`), true},
		{"timed out, old content", answer(408, errorBody("Command execution timeout limit exceeded.")), answer(200, `{"output":{"mode":33188,"size":7}}`), false},
		{"timed out, not there", answer(408, errorBody("Command execution timeout limit exceeded.")), answer(404, errorBody("stat: No such file or directory")), false},
		{"directory missing", answer(404, errorBody("bash: line 1: /d/f: No such file or directory")), nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			uploads := 0
			client := memoryClient(t, func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodPost {
					uploads++
					return test.upload, nil
				}
				if test.stat == nil || r.URL.Query().Get("path") != "/d/f" {
					t.Errorf("asked %s", r.URL)
				}
				return test.stat, nil
			})
			err := client.Filesystem.Upload(t.Context(), "alps", "/d", "f", bytes.NewReader(nil), 0)
			if (err == nil) != test.ok || uploads != 1 {
				t.Errorf("got %v after %d uploads", err, uploads)
			}
		})
	}
}

func TestDownloadCutShort(t *testing.T) {
	t.Parallel()
	tries := 0
	client := memoryClient(t, func(*http.Request) (*http.Response, error) {
		tries++
		if tries == 1 {
			return answer(503, errorBody("down")), nil
		}
		r := answer(200, "half")
		r.ContentLength = 8
		return r, nil
	}, WithRetry(RetryPolicy{Base: 1}))
	var b bytes.Buffer
	n, err := client.Filesystem.Download(t.Context(), "alps", "/f", &b)
	if n != 4 || b.String() != "half" || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %d, %v", n, err)
	}
	if tries != 2 {
		t.Errorf("%d tries, want 2: none once bytes have been written", tries)
	}
}

// endless is a file that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func (endless) Close() error { return nil }

func TestDownloadIsBounded(t *testing.T) {
	t.Parallel()
	for name, announced := range map[string]int64{"announced": maxFile + 1, "not announced": -1} {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			r := answer(200, "")
			r.Body, r.ContentLength = endless{}, announced
			return r, nil
		})
		n, err := client.Filesystem.Download(t.Context(), "alps", "/f", io.Discard)
		if !errors.Is(err, ErrTooLarge) || asError(t, err).Attempts != 1 || n > maxFile || announced > 0 && n > 0 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestDownloadToAFullDisk(t *testing.T) {
	t.Parallel()
	client := memoryClient(t, func(*http.Request) (*http.Response, error) { return answer(200, "x"), nil })
	_, err := client.Filesystem.Download(t.Context(), "alps", "/f", fullDisk{})
	if err == nil || !strings.Contains(err.Error(), "disk full") || asError(t, err).Retryable() || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestRemoveAgain(t *testing.T) {
	t.Parallel()
	missing := answer(404, errorBody("rm: cannot remove '/d': No such file or directory"))
	answers := []*http.Response{answer(408, errorBody("Command execution timeout limit exceeded.")), missing}
	client := memoryClient(t, func(*http.Request) (*http.Response, error) {
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}, WithRetry(RetryPolicy{Base: 1}))
	if err := client.Filesystem.Remove(t.Context(), "alps", "/d"); err != nil {
		t.Errorf("the second try found nothing: %v", err)
	}
	answers = []*http.Response{missing}
	if err := client.Filesystem.Remove(t.Context(), "alps", "/d"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the first try found nothing: %v", err)
	}
}
