package firecresttest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) listings() []subtest {
	return []subtest{
		{"a listing describes files, directories and links", s.testList},
		{"a listing may show hidden files", s.testListHidden},
		{"a recursive listing names what is below", s.testListRecursive},
		{"a listing of a file is that file with its path", s.testListFile},
		{"a listing of an empty directory is empty", s.testListEmpty},
		{"a listing may show numbers for names", s.testListNumeric},
		{"a listing may follow links, and then fails on a dangling one", s.testListDereference},
		{"what is missing cannot be listed", s.testListMissing},
		{"flags take many words but not all", s.testFlags},
		{"stat describes a file and a directory", s.testStat},
		{"stat describes a link or what it points to", s.testStatLink},
		{"stat has ten numbers", s.testStatNumbers},
		{"stat does not find what is missing", s.testStatMissing},
	}
}

// tree makes a directory with a file, a link to it, a hidden file and a
// directory with a file.
func (s *suite) tree(t *testing.T) string {
	t.Helper()
	dir := s.directory(t)
	s.write(t, dir, "file", "12345")
	s.write(t, dir, ".hidden", "x")
	if _, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir+"/sub", false); err != nil {
		t.Fatal(err)
	}
	s.write(t, dir+"/sub", "child", "x")
	s.link(t, dir+"/file", dir+"/link")
	return dir
}

func (s *suite) link(t *testing.T, target, link string) {
	t.Helper()
	if _, err := s.client.Filesystem.Symlink(t.Context(), s.System, target, link); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) list(t *testing.T, path string, opts *firecrest.ListOptions) map[string]firecrest.FileEntry {
	t.Helper()
	entries, err := s.client.Filesystem.List(t.Context(), s.System, path, opts)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]firecrest.FileEntry{}
	for _, e := range entries {
		byName[e.Name] = e
	}
	if len(byName) != len(entries) {
		t.Errorf("a name is listed twice in %+v", entries)
	}
	return byName
}

func wantNames(t *testing.T, entries map[string]firecrest.FileEntry, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(entries))); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func (s *suite) testList(t *testing.T) {
	dir := s.tree(t)
	entries := s.list(t, dir, nil)
	wantNames(t, entries, "file", "link", "sub")
	if e := entries["file"]; e.Type != "-" || e.Size != 5 || e.LinkTarget != "" {
		t.Errorf("file %+v", e)
	}
	if e := entries["sub"]; !e.IsDir() {
		t.Errorf("directory %+v", e)
	}
	if e := entries["link"]; !e.IsLink() || e.LinkTarget != dir+"/file" || e.Size != int64(len(dir+"/file")) {
		t.Errorf("link %+v", e)
	}
	for _, e := range entries {
		// The clock and the time zone of the login node are not known here.
		modified, err := time.Parse("2006-01-02T15:04:05", e.LastModified)
		if age := time.Since(modified).Abs(); err != nil || age > 48*time.Hour {
			t.Errorf("%s: last modified %q", e.Name, e.LastModified)
		}
		if len(e.Permissions) < 9 || strings.Trim(e.Permissions, "rwxst-.+ST") != "" || e.User == "" || e.Group == "" {
			t.Errorf("%s: %q of %q in %q", e.Name, e.Permissions, e.User, e.Group)
		}
	}
}

func (s *suite) testListHidden(t *testing.T) {
	wantNames(t, s.list(t, s.tree(t), &firecrest.ListOptions{ShowHidden: true}), ".hidden", "file", "link", "sub")
}

func (s *suite) testListRecursive(t *testing.T) {
	wantNames(t, s.list(t, s.tree(t), &firecrest.ListOptions{Recursive: true}), "file", "link", "sub", "sub/child")
}

func (s *suite) testListFile(t *testing.T) {
	file := s.tree(t) + "/file"
	wantNames(t, s.list(t, file, nil), file)
}

func (s *suite) testListEmpty(t *testing.T) {
	dir := s.directory(t)
	wantNames(t, s.list(t, dir, nil))
	a := s.get(t, s.ops("ls"), url.Values{"path": {dir}})
	var got struct {
		Output []any `json:"output"`
	}
	if a.want(t, http.StatusOK, &got); got.Output == nil {
		t.Errorf("body %s, want an empty list", a.body)
	}
}

func (s *suite) testListNumeric(t *testing.T) {
	for _, e := range s.list(t, s.tree(t), &firecrest.ListOptions{NumericUID: true}) {
		if strings.Trim(e.User, "0123456789") != "" || strings.Trim(e.Group, "0123456789") != "" || e.User == "" {
			t.Errorf("%s: of %q in %q, want numbers", e.Name, e.User, e.Group)
		}
	}
}

func (s *suite) testListDereference(t *testing.T) {
	dir := s.tree(t)
	follow := &firecrest.ListOptions{Dereference: true}
	if e := s.list(t, dir, follow)["link"]; e.Type != "-" || e.Size != 5 {
		t.Errorf("link %+v, want the file it points to", e)
	}
	if err := s.client.Filesystem.Remove(t.Context(), s.System, dir+"/file"); err != nil {
		t.Fatal(err)
	}
	if e := s.list(t, dir, nil)["link"]; !e.IsLink() {
		t.Errorf("dangling link %+v", e)
	}
	_, err := s.client.Filesystem.List(t.Context(), s.System, dir, follow)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testListMissing(t *testing.T) {
	_, err := s.client.Filesystem.List(t.Context(), s.System, s.dir+"/missing", nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
	file := s.write(t, s.directory(t), "file", "x")
	_, err = s.client.Filesystem.List(t.Context(), s.System, file+"/below", nil)
	wantError(t, err, nil, "Not a directory")
}

func (s *suite) testFlags(t *testing.T) {
	dir := s.tree(t)
	hidden := func(word string) answer {
		return s.get(t, s.ops("ls"), url.Values{"path": {dir}, "showHidden": {word}})
	}
	for word, want := range map[string]int{
		"true": 4, "1": 4, "YES": 4, "on": 4, "T": 4, "y": 4, "false": 3, "0": 3, "No": 3, "off": 3, "f": 3, "n": 3,
	} {
		var got struct {
			Output []any `json:"output"`
		}
		hidden(word).want(t, http.StatusOK, &got)
		if len(got.Output) != want {
			t.Errorf("showHidden=%s lists %d, want %d", word, len(got.Output), want)
		}
	}
	hidden("perhaps").wantRefused(t, "query", "showHidden")
	for _, flag := range []string{"recursive", "numericUid", "dereference"} {
		s.get(t, s.ops("ls"), url.Values{"path": {dir}, flag: {"2"}}).wantRefused(t, "query", flag)
	}
	s.get(t, s.ops("stat"), url.Values{"path": {dir}, "dereference": {"perhaps"}}).wantRefused(t, "query", "dereference")
}

func (s *suite) stat(t *testing.T, path string, dereference bool) *firecrest.FileStat {
	t.Helper()
	stat, err := s.client.Filesystem.Stat(t.Context(), s.System, path, dereference)
	if err != nil {
		t.Fatal(err)
	}
	return stat
}

func (s *suite) testStat(t *testing.T) {
	dir := s.tree(t)
	file := s.stat(t, dir+"/file", false)
	if !file.IsRegular() || file.IsDir() || file.Size != 5 || file.Nlink != 1 || file.Ino == 0 || file.Mode&0o600 != 0o600 {
		t.Errorf("file %+v", file)
	}
	for _, at := range []int64{file.Atime, file.Mtime, file.Ctime} {
		if time.Since(time.Unix(at, 0)).Abs() > time.Hour {
			t.Errorf("time %d is not now", at)
		}
	}
	if info, err := s.client.Status.UserInfo(t.Context(), s.System); err != nil || fmt.Sprint(file.UID) != info.User.ID {
		t.Errorf("file of user %d, %v, want the number of %+v", file.UID, err, info)
	}
	if sub := s.stat(t, dir+"/sub", false); !sub.IsDir() || sub.IsRegular() {
		t.Errorf("directory %+v", sub)
	}
}

func (s *suite) testStatLink(t *testing.T) {
	dir := s.tree(t)
	link, file := s.stat(t, dir+"/link", false), s.stat(t, dir+"/file", false)
	if link.IsRegular() || link.IsDir() || link.Mode&0o170000 != 0o120000 {
		t.Errorf("link %+v", link)
	}
	if diff := cmp.Diff(file, s.stat(t, dir+"/link", true)); diff != "" {
		t.Errorf("followed link (-file +link):\n%s", diff)
	}
}

func (s *suite) testStatNumbers(t *testing.T) {
	var got struct {
		Output map[string]int64 `json:"output"`
	}
	s.get(t, s.ops("stat"), url.Values{"path": {s.tree(t) + "/file"}, "dereference": {"false"}}).want(t, http.StatusOK, &got)
	want := []string{"atime", "ctime", "dev", "gid", "ino", "mode", "mtime", "nlink", "size", "uid"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got.Output))); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if mode := got.Output["mode"]; mode&0o170000 != 0o100000 {
		t.Errorf("mode %d is not that of a file", mode)
	}
}

func (s *suite) testStatMissing(t *testing.T) {
	s.absent(t, s.dir+"/missing")
}
