package firecresttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) paths() []subtest {
	return []subtest{
		{"every operation knows the systems", s.testUnknownSystem},
		{"every file operation looks at its path", s.testForeignPath},
		{"a path must be absolute", s.testRelativePath},
		{"a path must be given", s.testMissingPath},
		{"the path of a body has three spellings", s.testSpellings},
		{"paths that cannot be quoted are not sent", s.testUnquotable},
		{"a quote breaks the remote command", s.testQuote},
		{"spaces and signs and letters of all scripts survive", s.testOddNames},
	}
}

// fileCall is a call of a file operation on a path.
type fileCall struct {
	name string
	call func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error
}

var fileCalls = []fileCall{
	{"ls", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.List(ctx, system, path, nil)
		return err
	}},
	{"stat", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Stat(ctx, system, path, false)
		return err
	}},
	{"view", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.View(ctx, system, path, nil)
		return err
	}},
	{"head", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Head(ctx, system, path, nil)
		return err
	}},
	{"tail", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Tail(ctx, system, path, nil)
		return err
	}},
	{"checksum", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Checksum(ctx, system, path)
		return err
	}},
	{"download", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Download(ctx, system, path, io.Discard)
		return err
	}},
	{"upload", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		return fs.Upload(ctx, system, path, "file", bytes.NewReader([]byte("x")), 1)
	}},
	{"file", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.FileType(ctx, system, path)
		return err
	}},
	{"chmod", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Chmod(ctx, system, path, "700")
		return err
	}},
	{"chown", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Chown(ctx, system, path, "", "")
		return err
	}},
	{"mkdir", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Mkdir(ctx, system, path, false)
		return err
	}},
	{"symlink", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		_, err := fs.Symlink(ctx, system, path, path)
		return err
	}},
	{"compress", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		return fs.Compress(ctx, system, path, path, nil)
	}},
	{"extract", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		return fs.Extract(ctx, system, path, path, "")
	}},
	{"rm", func(ctx context.Context, fs *firecrest.FilesystemService, system, path string) error {
		return fs.Remove(ctx, system, path)
	}},
}

func (s *suite) testUnknownSystem(t *testing.T) {
	const unknown = "no-such-system"
	for _, f := range fileCalls {
		err := f.call(t.Context(), s.client.Filesystem, unknown, s.dir)
		wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	}
	_, err := s.client.Status.UserInfo(t.Context(), unknown)
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Compute.List(t.Context(), unknown, nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Compute.Get(t.Context(), unknown, "1")
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Compute.Metadata(t.Context(), unknown, "1")
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	wantError(t, s.client.Compute.Cancel(t.Context(), unknown, "1"), firecrest.ErrNotFound, noSuchSystem)
	wantError(t, s.client.Compute.Attach(t.Context(), unknown, "1", "true"), firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Compute.Submit(t.Context(), unknown, firecrest.JobSpec{WorkingDirectory: s.dir, Script: "#!/bin/sh\n"})
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	wantSubmitError(t, err, firecrest.SubmitNotSent, true)
}

func (s *suite) testForeignPath(t *testing.T) {
	s.except(t, LetsForeignPathsPass)
	fs, _ := s.system.FileSystemOf(s.Dir)
	for _, f := range fileCalls {
		for _, path := range []string{"/etc/hostname", fs.Path + "/../etc", strings.TrimRight(fs.Path, "/") + "-other/file"} {
			err := f.call(t.Context(), s.client.Filesystem, s.System, path)
			wantError(t, err, firecrest.ErrInvalid, foreignPath)
		}
	}
}

func (s *suite) testRelativePath(t *testing.T) {
	s.except(t, LetsForeignPathsPass)
	for _, path := range []string{"file", "~/file", "./file", ""} {
		for _, operation := range []string{"ls", "head", "tail", "view", "checksum", "stat", "download"} {
			s.get(t, s.ops(operation), url.Values{"path": {path}}).wantFailure(t, http.StatusBadRequest, "is not an absolute path")
		}
		s.post(t, s.ops("mkdir"), members{"path": path}).wantFailure(t, http.StatusBadRequest, "is not an absolute path")
	}
}

func (s *suite) testMissingPath(t *testing.T) {
	s.except(t, LetsForeignPathsPass)
	for _, operation := range []string{"ls", "head", "tail", "view", "checksum", "stat", "download"} {
		s.get(t, s.ops(operation), nil).wantMessage(t, http.StatusBadRequest, unreadablePath)
	}
	s.send(t, s.request(t, http.MethodDelete, s.ops("rm"), nil, nil)).wantFailure(t, http.StatusBadRequest, unreadablePath)
	for _, operation := range []string{"mkdir", "symlink", "compress", "extract"} {
		for _, body := range []any{nil, members{}, []string{"path"}} {
			s.post(t, s.ops(operation), body).wantFailure(t, http.StatusBadRequest, unreadablePath)
		}
		s.post(t, s.ops(operation), members{"path": nil}).wantFailure(t, http.StatusBadRequest,
			"All filesystem requests require a path or source_path parameter.")
	}
}

func (s *suite) testSpellings(t *testing.T) {
	dir := s.directory(t)
	for _, name := range []string{"path", "sourcePath", "source_path"} {
		s.post(t, s.ops("mkdir"), members{name: dir + "/" + name, "parent": "true"}).want(t, http.StatusCreated, nil)
		s.post(t, s.ops("symlink"), members{name: dir, "link_path": dir + "/link-" + name}).want(t, http.StatusCreated, nil)
	}
}

// silentTransport fails the test if anything is sent.
type silentTransport struct{ t *testing.T }

func (s silentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	s.t.Errorf("%s %s was sent", req.Method, req.URL)
	return nil, errors.New("nothing should be sent")
}

func (s *suite) testUnquotable(t *testing.T) {
	client, err := firecrest.New(s.URL, firecrest.WithTokenSource(s.Tokens), firecrest.WithTransport(silentTransport{t}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	refuse := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, firecrest.ErrPath) {
			t.Errorf("%s: %v, want a refused path", name, err)
		}
	}
	for _, path := range []string{s.dir + "/it's", s.dir + "/a\nb", s.dir + "/a\x00b", "file", "~/file", ""} {
		for _, f := range fileCalls {
			refuse(f.name, f.call(t.Context(), client.Filesystem, s.System, path))
		}
		_, err := client.Compute.Submit(t.Context(), s.System, firecrest.JobSpec{WorkingDirectory: path, Script: "#!/bin/sh\n"})
		refuse("submit", err)
	}
	const quote = "/it's"
	fs := client.Filesystem
	_, err = fs.Symlink(t.Context(), s.System, s.dir, s.dir+quote)
	refuse("link", err)
	refuse("archive", fs.Compress(t.Context(), s.System, s.dir, s.dir+quote, nil))
	refuse("pattern", fs.Compress(t.Context(), s.System, s.dir, s.dir, &firecrest.CompressOptions{MatchPattern: "'"}))
	refuse("target", fs.Extract(t.Context(), s.System, s.dir, s.dir+quote, ""))
	refuse("file name", fs.Upload(t.Context(), s.System, s.dir, "it's", bytes.NewReader(nil), 0))
	refuse("file name with slash", fs.Upload(t.Context(), s.System, s.dir, "a/b", bytes.NewReader(nil), 0))
	_, err = fs.Checksum(t.Context(), s.System, s.dir+"/a b")
	refuse("checksum with space", err)
}

func (s *suite) testQuote(t *testing.T) {
	for _, operation := range []string{"ls", "stat", "view", "head", "tail", "checksum", "download"} {
		a := s.get(t, s.ops(operation), url.Values{"path": {s.dir + "/it's"}})
		a.wantFailure(t, http.StatusInternalServerError, "unexpected EOF while looking for matching")
	}
}

func (s *suite) testOddNames(t *testing.T) {
	dir := s.directory(t)
	for _, name := range []string{"two words", "a&b=c", "50%41 +#?;", "$HOME `x` \\n", "été ☃ 測試", "-rf", "*"} {
		t.Run(name, func(t *testing.T) {
			made, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir+"/"+name, false)
			if err != nil {
				t.Fatal(err)
			}
			file := s.write(t, dir+"/"+name, name, name)
			if got := s.read(t, file); got != name {
				t.Errorf("content %q", got)
			}
			if got, err := s.client.Filesystem.View(t.Context(), s.System, file, nil); err != nil || got != name {
				t.Errorf("view %q, %v", got, err)
			}
			if stat, err := s.client.Filesystem.Stat(t.Context(), s.System, file, false); err != nil || stat.Size != int64(len(name)) {
				t.Errorf("stat %+v, %v", stat, err)
			}
			if !isASCII(name) {
				s.except(t, EscapesNames)
			}
			if made.Name != dir+"/"+name {
				t.Errorf("directory %q", made.Name)
			}
			entries, err := s.client.Filesystem.List(t.Context(), s.System, dir+"/"+name, nil)
			if err != nil || len(entries) != 1 || entries[0].Name != name {
				t.Errorf("listing %+v, %v", entries, err)
			}
		})
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}
