package firecresttest

import (
	"context"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) permissions() []subtest {
	return []subtest{{"what permissions deny is forbidden", s.testDenied}}
}

// testDenied lets a job take away permissions, which no operation of the client
// does, and another give them back, so that everything can be removed.
func (s *suite) testDenied(t *testing.T) {
	dir := s.source(t)
	s.write(t, dir, "secret", "x")
	s.compress(t, dir+"/r", dir+"/archive", nil)
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
