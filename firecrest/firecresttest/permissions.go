package firecresttest

import (
	"context"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) permissions() []subtest {
	return []subtest{
		{"what permissions deny is forbidden", s.testDenied},
		{"chmod changes permissions and shows them", s.testChmod},
		{"chown gives to own groups only", s.testChown},
		{"chown wants text", s.testChownText},
	}
}

// testDenied lets a job take away permissions, which no operation of the client
// does, and another give them back, so that everything can be removed.
func (s *suite) testDenied(t *testing.T) {
	dir := s.source(t)
	s.write(t, dir, "secret", "x")
	s.compress(t, dir+"/r/x.txt", dir+"/archive", nil)
	chmod := func(ctx context.Context, commands string) {
		if job := s.run(t, ctx, dir, "#!/bin/sh\nset -e\n"+commands); !job.Succeeded() {
			t.Fatalf("job %s ended %s", job.ID, job.Status.State)
		}
	}
	chmod(t.Context(), "mkdir closed fixed\necho x > fixed/file\nchmod 0 secret closed\nchmod 555 fixed\n")
	t.Cleanup(func() { chmod(context.WithoutCancel(t.Context()), "chmod 700 closed fixed\n") })

	for _, f := range fileCalls {
		path := dir + "/closed"
		switch f.name {
		case "stat", "mkdir", "rm":
			path += "/file"
		case "view", "head", "tail", "checksum", "download":
			path = dir + "/secret"
		case "compress", "extract", "symlink":
			continue // have two paths
		case "file", "chmod", "chown":
			continue // an owner may, and file says what it may not read
		}
		err := f.call(t.Context(), s.client.Filesystem, s.System, path)
		wantError(t, err, firecrest.ErrForbidden, denied)
	}
	fs := s.client.Filesystem
	_, err := fs.Symlink(t.Context(), s.System, dir, dir+"/fixed/link")
	wantError(t, err, firecrest.ErrForbidden, denied)
	wantError(t, fs.Remove(t.Context(), s.System, dir+"/fixed/file"), firecrest.ErrForbidden, denied)
	wantError(t, fs.Compress(t.Context(), s.System, dir+"/secret", dir+"/out", nil), firecrest.ErrForbidden, denied)
	wantError(t, fs.Compress(t.Context(), s.System, dir+"/r", dir+"/fixed/out", nil), firecrest.ErrForbidden, denied)
	wantError(t, fs.Extract(t.Context(), s.System, dir+"/archive", dir+"/fixed", ""), firecrest.ErrForbidden, denied)
}

func (s *suite) testChmod(t *testing.T) {
	dir := s.directory(t)
	file := s.write(t, dir, "file", "x")
	for _, test := range []struct{ mode, want string }{
		{"750", "rwxr-x---"}, {"u-x,g+w", "rw-rwx---"}, {"0600", "rw-------"}, {"a+r", "rw-r--r--"},
	} {
		got, err := s.client.Filesystem.Chmod(t.Context(), s.System, file, test.mode)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != file || got.Type != "-" || strings.TrimRight(got.Permissions, ".+") != test.want {
			t.Errorf("%s: %+v, want %s", test.mode, got, test.want)
		}
	}
	if stat := s.stat(t, file, false); stat.Mode&0o777 != 0o644 {
		t.Errorf("mode %o, want 644", stat.Mode)
	}
	s.put(t, "chmod", members{"path": file, "mode": "999"}).wantFailure(t, http.StatusInternalServerError, "invalid mode")
	_, err := s.client.Filesystem.Chmod(t.Context(), s.System, dir+"/missing", "600")
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	s.put(t, "chmod", members{"path": file, "mode": "640"}).want(t, http.StatusOK, nil)
	s.put(t, "chmod", members{"path": file}).wantRefused(t, "body", "mode")
	s.put(t, "chmod", members{"path": nil, "mode": "640"}).wantFailure(t, http.StatusBadRequest, "require a path or source_path")
}

func (s *suite) put(t *testing.T, operation string, body any) answer {
	t.Helper()
	return s.send(t, s.request(t, http.MethodPut, s.ops(operation), nil, body))
}

func (s *suite) testChown(t *testing.T) {
	file := s.write(t, s.directory(t), "file", "x")
	before := s.list(t, file, nil)[file]
	got, err := s.client.Filesystem.Chown(t.Context(), s.System, file, before.User, before.Group)
	if err != nil || got.User != before.User || got.Group != before.Group || got.Name != file {
		t.Errorf("got %+v, %v, want %+v", got, err, before)
	}
	_, err = s.client.Filesystem.Chown(t.Context(), s.System, file, "root", "")
	wantError(t, err, firecrest.ErrForbidden, "Operation not permitted")
	_, err = s.client.Filesystem.Chown(t.Context(), s.System, path.Dir(file)+"/missing", before.User, "")
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	_, err = s.client.Filesystem.Chown(t.Context(), s.System, file, "", "no-such-group")
	wantError(t, err, nil, "invalid group")
	if after := s.list(t, file, nil)[file]; after.User != before.User || after.Group != before.Group {
		t.Errorf("owner %s:%s, was %s:%s", after.User, after.Group, before.User, before.Group)
	}
}

func (s *suite) testChownText(t *testing.T) {
	s.except(t, TakesNull)
	file := s.write(t, s.directory(t), "file", "x")
	s.put(t, "chown", members{"path": file, "owner": nil, "group": "users"}).wantRefused(t, "body", "owner")
	s.put(t, "chown", members{"path": file, "owner": "", "group": nil}).wantRefused(t, "body", "group")
	s.put(t, "chown", members{"path": file}).want(t, http.StatusOK, nil) // changes nothing
}
