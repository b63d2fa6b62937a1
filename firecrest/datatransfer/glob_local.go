package datatransfer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

// ErrLoop says that a link leads back to a directory it lies in.
var ErrLoop = errors.New("link leads back to a directory it lies in")

// maxLocal bounds what a pattern may find. Links can make a tree of a few
// directories endless without a loop.
const maxLocal = 1_000_000

// LocalFile is a file, directory or link that a pattern found.
type LocalFile struct {
	// Path opens it.
	Path string
	// Name is its slash-separated path below the target. A file that was named
	// has its base name; a directory that was named is ".", and what lies below
	// it is named from there.
	Name string
	// Info describes what Path leads to, or the link itself if Link is set.
	Info fs.FileInfo
	// Link is the text of a link that is kept as a link.
	Link string
}

// FindLocal finds local files, sorted by Name: the file or everything in the
// directory that has this path, or what the pattern matches. A path that exists
// as written is found even if it holds wildcards, unless the pattern matches.
//
// A pattern follows links. In a directory that is named they are kept, and must
// lead to what lies in it. Anything but regular files, directories and links is
// refused, and so is looking at more than 1,000,000 files.
//
// Errors: [ErrNoMatch], [ErrLoop], [ErrPattern].
func FindLocal(pattern string) ([]LocalFile, error) {
	var bad error
	if IsGlob(pattern) {
		var found []LocalFile
		if found, bad = findGlob(pattern, maxLocal); len(found) > 0 || bad != nil && !errors.Is(bad, ErrPattern) {
			return found, bad
		}
	}
	for _, name := range []string{pattern, unescape(pattern)} {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			continue
		case err != nil:
			return nil, err
		case info.IsDir():
			return findDirectory(name)
		case !info.Mode().IsRegular():
			return nil, notRegular(name)
		}
		return []LocalFile{{Path: name, Name: filepath.Base(name), Info: info}}, nil
	}
	if bad != nil {
		return nil, bad
	}
	return nil, fmt.Errorf("%w %q", ErrNoMatch, pattern)
}

func notRegular(name string) error {
	return fmt.Errorf("%s is not a regular file", name)
}

// findDirectory lists a directory and what is in it, links as links.
func findDirectory(dir string) ([]LocalFile, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []LocalFile
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		f := LocalFile{Path: filepath.Join(dir, name), Name: name}
		if f.Info, err = d.Info(); err != nil {
			return err
		}
		switch mode := f.Info.Mode(); {
		case mode&fs.ModeSymlink != 0:
			if f.Link, err = root.Readlink(name); err == nil {
				err = CheckLink(name, f.Link)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", dir, err)
			}
		case !mode.IsRegular() && !mode.IsDir():
			err = notRegular(f.Path)
		case len(found) == maxLocal:
			err = tooMany(dir)
		}
		found = append(found, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortByName(found)
	return found, nil
}

func tooMany(pattern string) error {
	return fmt.Errorf("%q is more than %d files to look at", pattern, maxLocal)
}

func sortByName(files []LocalFile) {
	slices.SortFunc(files, func(a, b LocalFile) int { return cmp.Compare(a.Name, b.Name) })
}

// findGlob lists what a pattern matches: nothing is not an error.
func findGlob(pattern string, limit int) ([]LocalFile, error) {
	base, rest := splitGlob(pattern)
	g, err := parseGlob(rest)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrPattern, pattern, err)
	}
	info, err := os.Stat(base)
	if err != nil || !info.IsDir() {
		return nil, nil //nolint:nilerr // nothing is there to match
	}
	s := search{pattern: pattern, base: base, glob: g, left: limit}
	if err := s.list(".", g.start(), false, []fs.FileInfo{info}); err != nil {
		return nil, err
	}
	sortByName(s.found)
	return s.found, nil
}

// search walks the directories that a pattern may match in.
type search struct {
	pattern, base string
	glob          glob
	found         []LocalFile
	left          int // how many more files may be looked at
}

// list visits the entries of a directory. Whole says that all of it is taken;
// above are the directories it is in, itself last.
func (s *search) list(dir string, at progress, whole bool, above []fs.FileInfo) error {
	entries, err := os.ReadDir(filepath.Join(s.base, dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if next := s.glob.step(at, entry.Name()); whole || next != 0 {
			if err := s.visit(path.Join(dir, entry.Name()), next, whole, above); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *search) visit(name string, at progress, whole bool, above []fs.FileInfo) error {
	if s.left--; s.left < 0 {
		return tooMany(s.pattern)
	}
	f := LocalFile{Path: filepath.Join(s.base, name), Name: name}
	var err error
	if f.Info, err = os.Stat(f.Path); err != nil {
		return err // a link to nothing, too
	}
	isDir := f.Info.IsDir()
	whole = whole || s.glob.accepts(at, isDir)
	switch {
	case whole && !isDir && !f.Info.Mode().IsRegular():
		return notRegular(f.Path)
	case whole:
		s.found = append(s.found, f)
	}
	if !isDir {
		return nil
	}
	if slices.ContainsFunc(above, func(dir fs.FileInfo) bool { return os.SameFile(dir, f.Info) }) {
		return fmt.Errorf("%s: %w", f.Path, ErrLoop)
	}
	return s.list(name, at, whole, append(slices.Clip(above), f.Info))
}
