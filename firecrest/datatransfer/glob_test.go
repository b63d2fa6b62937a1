package datatransfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

// plant makes files below dir: "name" with the text of its name, "dir/" a
// directory, "name -> text" a link.
func plant(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		link, text, isLink := strings.Cut(name, " -> ")
		at := filepath.Join(dir, link)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(text, at)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		default:
			err = os.WriteFile(at, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func namesOf(files []LocalFile) []string {
	all := []string{}
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

// The same tree is searched by FindLocal and, as a listing, by MatchRemote.
func TestGlob(t *testing.T) {
	t.Parallel()
	tree := []string{
		"a.nc", "b.nc", "notes.txt", ".hidden.nc", "[1].nc", "star*.txt", `back\slash`,
		"run-1/out.nc", "run-1/log", "run-1/.cache/x.nc", "run-2/out.nc", "run-2/deep/er/out.nc",
		"grid.zarr/.zgroup", "grid.zarr/t/0.0", "grid.zarr/t/.zarray", "empty/", ".git/config",
	}
	for pattern, want := range map[string][]string{
		"*.nc":                   {"[1].nc", "a.nc", "b.nc"},
		"[ab].nc":                {"a.nc", "b.nc"},
		"[!a].nc":                {"b.nc"},
		"[^a].nc":                {"b.nc"},
		"[!]a].nc":               {"b.nc"},
		"?.nc":                   {"a.nc", "b.nc"},
		".*.nc":                  {".hidden.nc"},
		`\.*.nc`:                 {".hidden.nc"},
		"[[:alpha:]].nc":         nil,
		"[.]*.nc":                nil,
		`\[*`:                    {"[1].nc"},
		`star\*.t?t`:             {"star*.txt"},
		"run-*/out.nc":           {"run-1/out.nc", "run-2/out.nc"},
		"run-1/*":                {"log", "out.nc"},
		"run-1/.c*":              {".cache", ".cache/x.nc"},
		"./run-*//./log":         {"run-1/log"},
		"**/out.nc":              {"run-1/out.nc", "run-2/deep/er/out.nc", "run-2/out.nc"},
		"run-2/**":               {"deep/er/out.nc", "out.nc"},
		"run-2/**/*":             {"deep/er/out.nc", "out.nc"},
		"run-2/**/deep":          {"deep", "deep/er", "deep/er/out.nc"},
		"**/deep/**/out.nc":      {"run-2/deep/er/out.nc"},
		"**/.cache/**/x*":        {"run-1/.cache/x.nc"},
		"**/**/**/log":           {"run-1/log"},
		"*.zarr":                 {"grid.zarr", "grid.zarr/.zgroup", "grid.zarr/t", "grid.zarr/t/.zarray", "grid.zarr/t/0.0"},
		"*.zarr/t":               {"grid.zarr/t", "grid.zarr/t/.zarray", "grid.zarr/t/0.0"},
		"**.txt":                 {"notes.txt", "star*.txt"},
		"emp*":                   {"empty"},
		"nothing*":               nil,
		"run-1/out.nc/*":         nil,
		"no/such/dir/*":          nil,
		"*/../run-1/out.nc":      nil,
		"[ab.nc":                 nil,
		"run-*/[":                nil,
		strings.Repeat("*/", 70): nil,
	} {
		t.Run(strings.ReplaceAll(pattern, "/", "|"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plant(t, dir, tree...)
			found, err := FindLocal(filepath.Join(dir, "") + "/" + pattern)
			if want == nil {
				if !errors.Is(err, ErrNoMatch) && !errors.Is(err, ErrPattern) {
					t.Errorf("local: %q, %v; want no match or a bad pattern", namesOf(found), err)
				}
			} else if diff := cmp.Diff(want, namesOf(found)); err != nil || diff != "" {
				t.Errorf("local: %v %s", err, diff)
			}
			for _, f := range found {
				if info, err := os.Stat(f.Path); err != nil || !os.SameFile(info, f.Info) {
					t.Errorf("path %s of %q: %v", f.Path, f.Name, err)
				}
			}

			pattern := "/data/set/" + pattern
			base := GlobBase(pattern)
			listing := list(t, dir, strings.TrimPrefix(base, "/data/set"))
			remote, err := MatchRemote(pattern, listing)
			if want == nil {
				if !errors.Is(err, ErrNoMatch) && !errors.Is(err, ErrPattern) {
					t.Errorf("remote: %v, %v; want no match or a bad pattern", remote, err)
				}
				return
			}
			got := []string{}
			for _, f := range remote {
				got = append(got, f.Name)
				if f.Path != path.Join(base, f.Name) {
					t.Errorf("path %s of %q", f.Path, f.Name)
				}
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("remote: %v %s", err, diff)
			}
		})
	}
}

// list imitates a recursive listing with hidden names, links followed.
func list(t *testing.T, dir, below string) []firecrest.FileEntry {
	t.Helper()
	var entries []firecrest.FileEntry
	top := filepath.Join(dir, below)
	_ = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return nil //nolint:nilerr // nothing to list
		}
		rel, _ := filepath.Rel(top, p)
		kind := "-"
		if d.IsDir() {
			kind = "d"
		}
		entries = append(entries, firecrest.FileEntry{Name: rel, Type: kind})
		return nil
	})
	slices.SortFunc(entries, func(a, b firecrest.FileEntry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

func TestGlobBase(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"*": ".", "a/*": "a", "/a/b/*.x/c": "/a/b", "/*": "/", "//*": "/", "a//*": "a", "a/./b/*": "a/./b",
		`a\*/b?`: "a*", "../*": "..", "a": "a", "/a/b": "/a/b",
	} {
		if got := GlobBase(pattern); got != want {
			t.Errorf("GlobBase(%q) = %q, want %q", pattern, got, want)
		}
	}
}

func TestFindLocalNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plant(t, dir, "out[1].nc", "x*y", "d/.hidden", "d/sub/f", "d/in -> sub/f", "d/gone -> nothing", "d/sub/up -> ../.hidden",
		"alias -> d", "file -> x*y", "none/")
	for pattern, want := range map[string][]string{
		"out[1].nc":    {"out[1].nc"},
		`out\[1\].nc`:  {"out[1].nc"},
		"x*y":          {"x*y"},
		"file":         {"file"},
		"d":            {".", ".hidden", "gone", "in", "sub", "sub/f", "sub/up"},
		"d/":           {".", ".hidden", "gone", "in", "sub", "sub/f", "sub/up"},
		"alias":        {".", ".hidden", "gone", "in", "sub", "sub/f", "sub/up"},
		"none":         {"."},
		"d/../d/sub/f": {"f"},
	} {
		found, err := FindLocal(dir + "/" + pattern)
		if diff := cmp.Diff(want, namesOf(found)); err != nil || diff != "" {
			t.Errorf("%q: %v %s", pattern, err, diff)
		}
		for _, f := range found {
			if isLink := f.Info.Mode()&fs.ModeSymlink != 0; isLink != (f.Link != "") {
				t.Errorf("%q: %q has mode %v and link %q", pattern, f.Name, f.Info.Mode(), f.Link)
			}
		}
	}
	for _, pattern := range []string{"", "nothing", "d/nothing", "nothing/*"} {
		if _, err := FindLocal(dir + "/x/" + pattern); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%q: %v, want %v", pattern, err, ErrNoMatch)
		}
	}
}

func TestFindLocalRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tree    []string
		pattern string
		want    error
		text    string
	}{
		"link out of a named directory":         {[]string{"d/l -> ../x", "x"}, "d", nil, "leads out"},
		"absolute link in a named directory":    {[]string{"d/l -> /etc/passwd"}, "d", nil, "leads out"},
		"link that goes back up":                {[]string{"d/e/f/x", "d/g -> e/f", "d/l -> g/../../../x"}, "d", nil, "leads out"},
		"link bent outside by another":          {[]string{"d/e/f/", "d/e/f/g -> ../..", "d/l -> e/f/g/../x"}, "d", nil, "goes back up"},
		"loop that a glob follows":              {[]string{"d/e/back -> ..", "d/e/x"}, "d/**", ErrLoop, ""},
		"loop in a directory that a glob takes": {[]string{"d/e/back -> .", "d/e/x"}, "d/*", ErrLoop, ""},
		"loop through the base":                 {[]string{"d/e/back -> ../../d"}, "d/*", ErrLoop, ""},
		"dangling link that a glob matches":     {[]string{"d/l -> nothing", "d/x"}, "d/*", fs.ErrNotExist, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			plant(t, dir, c.tree...)
			found, err := FindLocal(filepath.Join(dir, c.pattern))
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("found %q, error %v; want %v %s", namesOf(found), err, c.want, c.text)
			}
		})
	}
}

// A glob that only passes by something strange is not bothered.
func TestFindLocalPassesBy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plant(t, dir, "a.nc", "gone -> nothing", "self -> self")
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := FindLocal(filepath.Join(dir, "*.nc"))
	if diff := cmp.Diff([]string{"a.nc"}, namesOf(found)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, pattern := range []string{"p*", "pipe", "."} {
		if found, err := FindLocal(filepath.Join(dir, pattern)); err == nil {
			t.Errorf("%q found %q", pattern, namesOf(found))
		}
	}
}

// Links make 2^30 paths of thirty directories, with no loop in any.
func TestFindLocalEndless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 30 {
		plant(t, dir, fmt.Sprintf("d%d/l -> ../d%d", i, i+1), fmt.Sprintf("d%d/r -> ../d%d", i, i+1))
	}
	plant(t, dir, "d30/x")
	for _, pattern := range []string{"d0*", "d0/**/nothing"} {
		if _, err := findGlob(filepath.Join(dir, pattern), 1000); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%s: error %v, want a refusal", pattern, err)
		}
	}
}

func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a"}, {"**/x", "a/b/x"}, {"[!a]*", "b"}, {`\*`, "*"}, {"[", "["}, {".*", ".a"}, {"[!]", "]"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		base, rest := splitGlob(pattern)
		if base == "" {
			t.Fatalf("%q has no base", pattern)
		}
		g, err := parseGlob(rest)
		if err != nil {
			return
		}
		if path.Clean(name) != name || !g.matches(name, false) {
			return
		}
		for part := range strings.SplitSeq(name, "/") {
			if part == "" || part == ".." {
				t.Fatalf("%q matches %q", pattern, name)
			}
		}
		// `**/` before a pattern matches at least the same.
		if wider, err := parseGlob("**/" + rest); err == nil && !g.filesOnly && !wider.filesOnly && !wider.matches(name, false) {
			t.Fatalf("%q matches %q, **/ before it does not", pattern, name)
		}
	})
}
