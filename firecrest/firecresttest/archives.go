package firecresttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) archives() []subtest {
	list := []subtest{
		{"members of an archive are below the name of the source", s.testMembers},
		{"an archive may hold files instead of links", s.testMembersDereferenced},
		{"an archive may hold what matches a pattern", s.testMembersMatching},
		{"both spellings of the members of a request are understood", s.testArchiveSpellings},
		{"an unknown compression is refused", s.testUnknownCompression},
		{"an archive of nothing is not made", s.testArchiveMissing},
		{"extracting needs an archive and a directory", s.testExtractMissing},
		{"extracting overwrites", s.testExtractOverwrites},
		{"extracting with another compression fails", s.testExtractWrong},
	}
	for _, c := range []firecrest.Compression{
		"", firecrest.CompressionNone, firecrest.CompressionGzip, firecrest.CompressionBzip2, firecrest.CompressionXz,
	} {
		list = append(list, subtest{"what is packed is unpacked: compression=" + string(c), func(t *testing.T) { s.testRoundTrip(t, c) }})
	}
	return list
}

// archive reads a gzip archive: contents of files and targets of links by
// name; directories end in a slash. What tar found a second time is a file too.
func (s *suite) archive(t *testing.T, file string) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(s.read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if _, err := io.Copy(&content, in); err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header.Linkname + content.String()
		if header.Typeflag == tar.TypeLink {
			found[header.Name] = found[header.Linkname]
		}
	}
}

func (s *suite) compress(t *testing.T, source, target string, opts *firecrest.CompressOptions) {
	t.Helper()
	if err := s.client.Filesystem.Compress(t.Context(), s.System, source, target, opts); err != nil {
		t.Fatal(err)
	}
}

// source is the directory r with a, a/y.txt, x.txt and l, a link to x.txt.
func (s *suite) source(t *testing.T) (dir string) {
	t.Helper()
	dir = s.directory(t)
	if _, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir+"/r/a", true); err != nil {
		t.Fatal(err)
	}
	s.write(t, dir+"/r", "x.txt", "x")
	s.write(t, dir+"/r/a", "y.txt", "y")
	s.link(t, dir+"/r/x.txt", dir+"/r/l")
	return dir
}

func (s *suite) testMembers(t *testing.T) {
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", nil)
	want := map[string]string{"r/": "", "r/a/": "", "r/a/y.txt": "y", "r/x.txt": "x", "r/l": dir + "/r/x.txt"}
	if diff := cmp.Diff(want, s.archive(t, dir+"/out")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	s.compress(t, dir+"/r/x.txt", dir+"/out", nil)
	if diff := cmp.Diff(map[string]string{"x.txt": "x"}, s.archive(t, dir+"/out")); diff != "" {
		t.Errorf("members of an archive of a file (-want +got):\n%s", diff)
	}
}

func (s *suite) testMembersDereferenced(t *testing.T) {
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", &firecrest.CompressOptions{Dereference: true})
	if got := s.archive(t, dir+"/out")["r/l"]; got != "x" {
		t.Errorf("link became %q, want the content of its target", got)
	}
}

func (s *suite) testMembersMatching(t *testing.T) {
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", &firecrest.CompressOptions{
		MatchPattern: `.*/[xy]\.txt`, Compression: firecrest.CompressionNone, // and is gzip all the same
	})
	want := map[string]string{"./r/a/y.txt": "y", "./r/x.txt": "x"}
	if diff := cmp.Diff(want, s.archive(t, dir+"/out")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func (s *suite) testArchiveSpellings(t *testing.T) {
	dir := s.source(t)
	s.post(t, s.ops("compress"), members{
		"source_path": dir + "/r", "target_path": dir + "/out", "match_pattern": nil, "dereference": false, "compression": "gzip",
	}).want(t, http.StatusNoContent, nil)
	if got := s.archive(t, dir+"/out")["r/x.txt"]; got != "x" {
		t.Errorf("content %q", got)
	}
	s.post(t, s.ops("extract"), members{"source_path": dir + "/out", "target_path": s.directory(t)}).want(t, http.StatusNoContent, nil)
	s.post(t, s.ops("compress"), members{"sourcePath": dir}).wantRefused(t, "body", "targetPath")
	s.post(t, s.ops("extract"), members{"sourcePath": dir}).wantRefused(t, "body", "targetPath")
}

func (s *suite) testUnknownCompression(t *testing.T) {
	s.except(t, KnowsGzipOnly)
	dir := s.source(t)
	err := s.client.Filesystem.Compress(t.Context(), s.System, dir+"/r", dir+"/out", &firecrest.CompressOptions{Compression: "zip"})
	wantRefusedField(t, err, "compression")
	s.absent(t, dir+"/out")
	wantRefusedField(t, s.client.Filesystem.Extract(t.Context(), s.System, dir+"/out", dir, "zip"), "compression")
}

func (s *suite) testArchiveMissing(t *testing.T) {
	dir := s.directory(t)
	for _, opts := range []*firecrest.CompressOptions{nil, {MatchPattern: ".*"}} {
		err := s.client.Filesystem.Compress(t.Context(), s.System, dir+"/missing/r", dir+"/out", opts)
		wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	}
	err := s.client.Filesystem.Compress(t.Context(), s.System, dir, dir+"/missing/out", nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testExtractMissing(t *testing.T) {
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", nil)
	for archive, target := range map[string]string{dir + "/missing": dir, dir + "/out": dir + "/missing"} {
		err := s.client.Filesystem.Extract(t.Context(), s.System, archive, target, "")
		wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	}
}

func (s *suite) testExtractOverwrites(t *testing.T) {
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", nil)
	s.write(t, dir+"/r", "x.txt", "something else")
	s.write(t, dir+"/r", "more.txt", "stays")
	if err := s.client.Filesystem.Extract(t.Context(), s.System, dir+"/out", dir, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.read(t, dir+"/r/x.txt") + " " + s.read(t, dir+"/r/more.txt"); got != "x stays" {
		t.Errorf("contents %q", got)
	}
}

func (s *suite) testExtractWrong(t *testing.T) {
	s.except(t, KnowsGzipOnly)
	dir := s.source(t)
	s.compress(t, dir+"/r", dir+"/out", &firecrest.CompressOptions{Compression: firecrest.CompressionNone})
	err := s.client.Filesystem.Extract(t.Context(), s.System, dir+"/out", dir, firecrest.CompressionGzip)
	if failure := wantError(t, err, nil, "Remote process failed with exit status:2"); failure.Status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", failure.Status)
	}
	file := s.write(t, dir, "text", "no archive at all, but long enough to be taken for one: "+strings.Repeat("x", 600))
	err = s.client.Filesystem.Extract(t.Context(), s.System, file, dir, firecrest.CompressionNone)
	wantError(t, err, nil, "This does not look like a tar archive")
}

func (s *suite) testRoundTrip(t *testing.T, c firecrest.Compression) {
	if c != "" && c != firecrest.CompressionGzip {
		s.except(t, KnowsGzipOnly)
	}
	if c == firecrest.CompressionBzip2 || c == firecrest.CompressionXz {
		s.except(t, LacksPrograms)
	}
	dir, to := s.source(t), s.directory(t)
	s.compress(t, dir+"/r", dir+"/out", &firecrest.CompressOptions{Compression: c})
	if err := s.client.Filesystem.Extract(t.Context(), s.System, dir+"/out", to, c); err != nil {
		t.Fatal(err)
	}
	entries := s.list(t, to, &firecrest.ListOptions{Recursive: true})
	wantNames(t, entries, "r", "r/a", "r/a/y.txt", "r/l", "r/x.txt")
	if got := s.read(t, to+"/r/x.txt") + s.read(t, to+"/r/a/y.txt"); got != "xy" {
		t.Errorf("contents %q", got)
	}
	if e := entries["r/l"]; e.LinkTarget != dir+"/r/x.txt" {
		t.Errorf("link %+v", e)
	}
}
