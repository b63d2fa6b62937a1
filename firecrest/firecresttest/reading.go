package firecresttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) reading() []subtest {
	return []subtest{
		{"head returns the beginning", s.testHead},
		{"tail returns the end", s.testTail},
		{"lines and bytes exclude each other", s.testLinesAndBytes},
		{"view returns a file or a window of it", s.testView},
		{"view replaces what is no text", s.testViewBinary},
		{"view refuses windows that make no sense", s.testViewWindow},
		{"view has a limit", s.testViewLimit},
		{"checksum is SHA-256", s.testChecksum},
		{"checksum cannot cope with spaces", s.testChecksumSpace},
		{"file tells what something is", s.testFileType},
		{"what is missing cannot be read", s.testReadMissing},
		{"a directory cannot be read", s.testReadDirectory},
	}
}

// rows writes a file of 12 lines: row 1 to row 12.
func (s *suite) rows(t *testing.T) string {
	t.Helper()
	return s.write(t, s.directory(t), "rows", rows(1, 12))
}

func rows(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "row %d\n", i)
	}
	return b.String()
}

func (s *suite) testHead(t *testing.T) {
	file := s.rows(t)
	for name, test := range map[string]struct {
		opts *firecrest.PartOptions
		want firecrest.Content
	}{
		"default":        {nil, firecrest.Content{Content: rows(1, 10), ContentType: "lines", EndPosition: 10}},
		"lines":          {&firecrest.PartOptions{Lines: 2}, firecrest.Content{Content: rows(1, 2), ContentType: "lines", EndPosition: 2}},
		"too many":       {&firecrest.PartOptions{Lines: 99}, firecrest.Content{Content: rows(1, 12), ContentType: "lines", EndPosition: 99}},
		"bytes":          {&firecrest.PartOptions{Bytes: 4}, firecrest.Content{Content: "row ", ContentType: "bytes", EndPosition: 4}},
		"all but lines":  {&firecrest.PartOptions{Lines: 11, Skip: true}, firecrest.Content{Content: rows(1, 1), ContentType: "lines", EndPosition: -11}},
		"all but bytes":  {&firecrest.PartOptions{Bytes: 70, Skip: true}, firecrest.Content{Content: rows(1, 12)[:5], ContentType: "bytes", EndPosition: -70}},
		"skip no number": {&firecrest.PartOptions{Skip: true}, firecrest.Content{Content: rows(1, 10), ContentType: "lines", EndPosition: 10}},
	} {
		got, err := s.client.Filesystem.Head(t.Context(), s.System, file, test.opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func (s *suite) testTail(t *testing.T) {
	file := s.rows(t)
	for name, test := range map[string]struct {
		opts *firecrest.PartOptions
		want firecrest.Content
	}{
		"default":        {nil, firecrest.Content{Content: rows(3, 12), ContentType: "lines", StartPosition: 10, EndPosition: -1}},
		"lines":          {&firecrest.PartOptions{Lines: 2}, firecrest.Content{Content: rows(11, 12), ContentType: "lines", StartPosition: -2, EndPosition: -1}},
		"bytes":          {&firecrest.PartOptions{Bytes: 3}, firecrest.Content{Content: "12\n", ContentType: "bytes", StartPosition: -3, EndPosition: -1}},
		"from line":      {&firecrest.PartOptions{Lines: 12, Skip: true}, firecrest.Content{Content: rows(12, 12), ContentType: "lines", StartPosition: 12, EndPosition: -1}},
		"from byte":      {&firecrest.PartOptions{Bytes: 7, Skip: true}, firecrest.Content{Content: rows(2, 12), ContentType: "bytes", StartPosition: 7, EndPosition: -1}},
		"skip no number": {&firecrest.PartOptions{Skip: true}, firecrest.Content{Content: rows(3, 12), ContentType: "lines", StartPosition: 10, EndPosition: -1}},
	} {
		got, err := s.client.Filesystem.Tail(t.Context(), s.System, file, test.opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func (s *suite) testLinesAndBytes(t *testing.T) {
	file := s.rows(t)
	both := &firecrest.PartOptions{Lines: 1, Bytes: 1}
	_, err := s.client.Filesystem.Head(t.Context(), s.System, file, both)
	wantError(t, err, firecrest.ErrInvalid, "Only one of `bytes` or `lines` can be specified.")
	_, err = s.client.Filesystem.Tail(t.Context(), s.System, file, both)
	wantError(t, err, firecrest.ErrInvalid, "Only one of `bytes` or `lines` can be specified.")
	for _, operation := range []string{"head", "tail"} {
		s.get(t, s.ops(operation), url.Values{"path": {file}, "lines": {"few"}}).wantRefused(t, "query", "lines")
		var got struct{ Output firecrest.Content }
		s.get(t, s.ops(operation), url.Values{"path": {file}, "lines": {"0"}, "bytes": {"4"}}).want(t, http.StatusOK, &got)
		if got.Output.ContentType != "bytes" || len(got.Output.Content) != 4 {
			t.Errorf("%s: no lines and 4 bytes gave %+v", operation, got.Output)
		}
	}
}

func (s *suite) testView(t *testing.T) {
	file := s.write(t, s.directory(t), "file", "0123456789")
	for _, test := range []struct {
		opts *firecrest.ViewOptions
		want string
	}{
		{nil, "0123456789"},
		{&firecrest.ViewOptions{Size: 3}, "012"},
		{&firecrest.ViewOptions{Size: 3, Offset: 2}, "234"},
		{&firecrest.ViewOptions{Size: 4, Offset: 7}, "789"},
		{&firecrest.ViewOptions{Offset: 8}, "89"},
		{&firecrest.ViewOptions{Offset: 10}, ""},
		{&firecrest.ViewOptions{Size: 5, Offset: 1000}, ""},
	} {
		got, err := s.client.Filesystem.View(t.Context(), s.System, file, test.opts)
		if err != nil || got != test.want {
			t.Errorf("%+v: %q, %v, want %q", test.opts, got, err, test.want)
		}
	}
	// A window is of characters, whatever their bytes.
	letters := s.write(t, s.directory(t), "letters", "äöüx")
	got, err := s.client.Filesystem.View(t.Context(), s.System, letters, &firecrest.ViewOptions{Size: 4, Offset: 1})
	if err != nil || got != "öüx" {
		t.Errorf("letters: %q, %v, want %q", got, err, "öüx")
	}
}

func (s *suite) testViewBinary(t *testing.T) {
	s.except(t, BreaksBytes)
	file := s.write(t, s.directory(t), "file", "a\xff\xfe\x00ü")
	got, err := s.client.Filesystem.View(t.Context(), s.System, file, nil)
	if want := "a\uFFFD\uFFFD\x00ü"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func (s *suite) testViewWindow(t *testing.T) {
	file := s.rows(t)
	over := strconv.FormatInt(s.system.MaxFileSize+1, 10)
	for name, values := range map[string][]string{"size": {"0", "-1", over}, "offset": {"-1"}} {
		for _, value := range values {
			s.get(t, s.ops("view"), url.Values{"path": {file}, name: {value}}).
				wantFailure(t, http.StatusBadRequest, "`"+name+"` value must be")
		}
		s.get(t, s.ops("view"), url.Values{"path": {file}, name: {"x"}}).wantRefused(t, "query", name)
	}
	_, err := s.client.Filesystem.View(t.Context(), s.System, file, &firecrest.ViewOptions{Size: s.system.MaxFileSize + 1})
	wantError(t, err, firecrest.ErrInvalid, "`size` value must be less than")
}

func (s *suite) testViewLimit(t *testing.T) {
	view := func(file string, opts *firecrest.ViewOptions) (int, error) {
		text, err := s.client.Filesystem.View(t.Context(), s.System, file, opts)
		return len(text), err
	}
	limit := s.system.MaxFileSize
	dir := s.directory(t)
	below := s.write(t, dir, "below", strings.Repeat("x", int(limit-1)))
	if n, err := view(below, nil); err != nil || int64(n) != limit-1 {
		t.Errorf("%d bytes, %v, want %d", n, err, limit-1)
	}
	at := s.write(t, dir, "at", strings.Repeat("x", int(s.system.MaxUpload()-1))+"y")
	_, err := view(at, nil)
	if s.system.MaxUpload() == limit {
		wantError(t, err, firecrest.ErrTooLarge, tooMuchOutput)
	}
	window := s.system.MaxView()
	if n, err := view(at, &firecrest.ViewOptions{Size: window, Offset: 1}); err != nil || int64(n) != window {
		t.Errorf("%d bytes, %v, want %d", n, err, window)
	}
	_, err = view(at, &firecrest.ViewOptions{Size: window + 1})
	if s.system.MaxUpload() == limit {
		wantError(t, err, firecrest.ErrTooLarge, tooMuchOutput)
	}
}

func (s *suite) testChecksum(t *testing.T) {
	const content = "checked\n"
	file := s.write(t, s.directory(t), "file", content)
	got, err := s.client.Filesystem.Checksum(t.Context(), s.System, file)
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(content))); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	var raw struct {
		Output struct{ Algorithm string }
	}
	s.get(t, s.ops("checksum"), url.Values{"path": {file}}).want(t, http.StatusOK, &raw)
	if raw.Output.Algorithm != "SHA256" {
		t.Errorf("algorithm %q", raw.Output.Algorithm)
	}
}

func (s *suite) testChecksumSpace(t *testing.T) {
	file := s.write(t, s.directory(t), "two words", "x")
	s.get(t, s.ops("checksum"), url.Values{"path": {file}}).wantFailure(t, http.StatusInternalServerError, "Invalid output")
}

func (s *suite) testFileType(t *testing.T) {
	dir := s.directory(t)
	for path, want := range map[string]string{
		s.write(t, dir, "text", "some words\n"): "ASCII text",
		dir:                                     "directory",
	} {
		got, err := s.client.Filesystem.FileType(t.Context(), s.System, path)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	// The server tells of what is missing as if that were a type.
	var got struct{ Output string }
	s.get(t, s.ops("file"), url.Values{"path": {dir + "/missing"}}).want(t, http.StatusOK, &got)
	if !strings.Contains(got.Output, noSuchFile) {
		t.Errorf("type %q", got.Output)
	}
	if _, err := s.client.Filesystem.FileType(t.Context(), s.System, dir+"/missing"); !errors.Is(err, firecrest.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func (s *suite) testReadMissing(t *testing.T) {
	for _, f := range fileCalls {
		switch f.name {
		case "view", "head", "tail", "checksum", "download":
			wantError(t, f.call(t.Context(), s.client.Filesystem, s.System, s.dir+"/missing"), firecrest.ErrNotFound, noSuchFile)
		}
	}
}

func (s *suite) testReadDirectory(t *testing.T) {
	dir := s.directory(t)
	for _, f := range fileCalls {
		switch f.name {
		case "view", "head", "tail", "checksum", "download":
			failure := wantError(t, f.call(t.Context(), s.client.Filesystem, s.System, dir), nil, isDirectory)
			if failure.Status != http.StatusInternalServerError {
				t.Errorf("%s: status %d, want 500", f.name, failure.Status)
			}
		}
	}
}
