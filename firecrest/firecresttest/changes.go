package firecresttest

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) changes() []subtest {
	return []subtest{
		{"mkdir makes a directory, once", s.testMkdir},
		{"mkdir makes parents, as often as asked", s.testMkdirParents},
		{"mkdir succeeds for one of many", s.testMkdirRace},
		{"mkdir wants a boolean for parent", s.testMkdirBoolean},
		{"symlink makes a link, once", s.testSymlink},
		{"symlink into a directory makes the link inside", s.testSymlinkInside},
		{"symlink may point to nothing", s.testSymlinkDangling},
		{"symlink wants a place for the link", s.testSymlinkPlace},
		{"rm removes a file, once", s.testRemove},
		{"rm removes a tree", s.testRemoveTree},
		{"rm removes a link, not what it points to", s.testRemoveLink},
	}
}

func (s *suite) testMkdir(t *testing.T) {
	dir := s.directory(t) + "/new"
	made, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != dir || !made.IsDir() || !s.stat(t, dir, false).IsDir() {
		t.Errorf("got %+v", made)
	}
	_, err = s.client.Filesystem.Mkdir(t.Context(), s.System, dir, false)
	wantError(t, err, firecrest.ErrExists, fileExists)
	file := s.write(t, dir, "file", "x")
	_, err = s.client.Filesystem.Mkdir(t.Context(), s.System, file, true)
	wantError(t, err, firecrest.ErrExists, fileExists)
	_, err = s.client.Filesystem.Mkdir(t.Context(), s.System, dir+"/missing/new", false)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testMkdirParents(t *testing.T) {
	dir := s.directory(t) + "/a/b/c"
	for range 2 {
		made, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir, true)
		if err != nil || made.Name != dir || !made.IsDir() {
			t.Errorf("got %+v, %v", made, err)
		}
	}
}

func (s *suite) testMkdirRace(t *testing.T) {
	dir := s.directory(t) + "/new"
	var made atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := s.client.Filesystem.Mkdir(t.Context(), s.System, dir, false)
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, firecrest.ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d callers made the directory, want 1", made.Load())
	}
}

func (s *suite) testMkdirBoolean(t *testing.T) {
	s.post(t, s.ops("mkdir"), members{"path": s.dir + "/new", "parent": "perhaps"}).wantRefused(t, "body", "parent")
	s.absent(t, s.dir+"/new")
}

func (s *suite) testSymlink(t *testing.T) {
	s.except(t, FollowsNewLinks)
	dir := s.tree(t)
	made, err := s.client.Filesystem.Symlink(t.Context(), s.System, dir+"/file", dir+"/new")
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != dir+"/new" || !made.IsLink() || made.LinkTarget != dir+"/file" {
		t.Errorf("got %+v", made)
	}
	_, err = s.client.Filesystem.Symlink(t.Context(), s.System, dir+"/file", dir+"/new")
	wantError(t, err, firecrest.ErrExists, fileExists)
	_, err = s.client.Filesystem.Symlink(t.Context(), s.System, dir+"/file", dir+"/missing/new")
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testSymlinkInside(t *testing.T) {
	s.except(t, FollowsNewLinks)
	dir := s.tree(t)
	made, err := s.client.Filesystem.Symlink(t.Context(), s.System, dir+"/file", dir+"/sub")
	if err != nil || made.Name != dir+"/sub" || !made.IsDir() {
		t.Errorf("got %+v, %v, want the directory", made, err)
	}
	if got := s.read(t, dir+"/sub/file"); got != "12345" {
		t.Errorf("content %q", got)
	}
}

func (s *suite) testSymlinkDangling(t *testing.T) {
	s.except(t, FollowsNewLinks)
	dir := s.directory(t)
	made, err := s.client.Filesystem.Symlink(t.Context(), s.System, dir+"/missing", dir+"/link")
	if err != nil || made.LinkTarget != dir+"/missing" {
		t.Errorf("got %+v, %v", made, err)
	}
	_, err = s.client.Filesystem.View(t.Context(), s.System, dir+"/link", nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchFile)
}

func (s *suite) testSymlinkPlace(t *testing.T) {
	s.post(t, s.ops("symlink"), members{"sourcePath": s.dir}).wantRefused(t, "body", "linkPath")
	s.post(t, s.ops("symlink"), members{"sourcePath": s.dir, "linkPath": nil}).wantRefused(t, "body", "linkPath")
}

func (s *suite) testRemove(t *testing.T) {
	file := s.write(t, s.directory(t), "file", "x")
	if err := s.client.Filesystem.Remove(t.Context(), s.System, file); err != nil {
		t.Fatal(err)
	}
	s.absent(t, file)
	err := s.client.Filesystem.Remove(t.Context(), s.System, file)
	if failure := wantError(t, err, firecrest.ErrNotFound, noSuchFile); failure.Status != http.StatusNotFound {
		t.Errorf("status %d", failure.Status)
	}
}

func (s *suite) testRemoveTree(t *testing.T) {
	dir := s.tree(t)
	if err := s.client.Filesystem.Remove(t.Context(), s.System, dir); err != nil {
		t.Fatal(err)
	}
	s.absent(t, dir)
}

func (s *suite) testRemoveLink(t *testing.T) {
	dir := s.tree(t)
	s.link(t, dir+"/sub", dir+"/to-sub")
	for _, link := range []string{"/link", "/to-sub"} {
		if err := s.client.Filesystem.Remove(t.Context(), s.System, dir+link); err != nil {
			t.Fatal(err)
		}
		s.absent(t, dir+link)
	}
	if got := s.read(t, dir+"/file") + s.read(t, dir+"/sub/child"); got != "12345x" {
		t.Errorf("content %q", got)
	}
}
