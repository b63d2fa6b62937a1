package datatransfer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// describe is the content of a directory by name: mode, and text of a file or
// link.
func describe(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			all[rel], err = os.Readlink(p)
			all[rel] = "-> " + all[rel]
			return err
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text = " " + string(b)
		}
		all[rel] = info.Mode().String() + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func unpack(t *testing.T, archive io.Reader, dir string, limits ArchiveLimits) error {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return UnpackArchive(t.Context(), archive, root, limits)
}

func TestArchiveRoundTrip(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	plant(t, src, "f", "d/run.sh", "d/.hidden", "d/with space 'quote\" & \n line é", "d/e/up -> ../run.sh", "d/alias -> e", "d/gone -> nothing",
		"d/"+strings.Repeat("long/", 60)+"name", "empty/", "locked/in")
	for name, mode := range map[string]fs.FileMode{"d/run.sh": 0o750, "f": 0o444 | fs.ModeSetuid, "empty": 0o777 | fs.ModeSticky, "locked": 0o555} {
		if err := os.Chmod(filepath.Join(src, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(src, "locked"), 0o755) })
	past := time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(src, "f"), past, past); err != nil {
		t.Fatal(err)
	}
	want := describe(t, src)
	want["f"] = strings.Replace(want["f"], "u", "-", 1) // no set-user-ID
	want["empty"] = strings.Replace(want["empty"], "dt", "d", 1)

	files, err := FindLocal(src)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := PackArchive(t.Context(), &archive, files); err != nil {
		t.Fatal(err)
	}
	for name, extract := range map[string]func(dir string) error{
		"here":     func(dir string) error { return unpack(t, bytes.NewReader(archive.Bytes()), dir, ArchiveLimits{}) },
		"over it":  func(dir string) error { return unpackTwice(t, archive.Bytes(), dir) },
		"with tar": func(dir string) error { return tarExtract(t, archive.Bytes(), dir) },
	} {
		dst := t.TempDir()
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(dst, "locked"), 0o755) })
		err := extract(dst)
		if diff := cmp.Diff(want, describe(t, dst)); err != nil || diff != "" {
			t.Errorf("unpacked %s: %v %s", name, err, diff)
		}
		if info, err := os.Stat(filepath.Join(dst, "f")); err != nil || !info.ModTime().Equal(past) {
			t.Errorf("unpacked %s: time %v, %v", name, info.ModTime(), err)
		}
	}
}

func unpackTwice(t *testing.T, archive []byte, dir string) error {
	first := unpack(t, bytes.NewReader(archive), dir, ArchiveLimits{})
	if err := os.Chmod(filepath.Join(dir, "locked"), 0o755); err != nil {
		t.Fatal(err)
	}
	return errors.Join(first, unpack(t, bytes.NewReader(archive), dir, ArchiveLimits{}))
}

func tarExtract(t *testing.T, archive []byte, dir string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "tar", "-xzpf", "-", "-C", dir)
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.CombinedOutput()
	if len(out) > 0 {
		t.Logf("tar: %s", out)
	}
	return err
}

// What a remote tar packs, hard links included, is unpacked here.
func TestUnpackOfTar(t *testing.T) {
	t.Parallel()
	src, dst := t.TempDir(), t.TempDir()
	plant(t, src, "top/a", "top/d/b", "top/l -> d/b")
	if err := os.Link(filepath.Join(src, "top/a"), filepath.Join(src, "top/d/hard")); err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(t.Context(), "tar", "-czf", "-", "-C", src, "./top").Output()
	if err != nil {
		t.Fatal(err)
	}
	err = unpack(t, bytes.NewReader(archive), dst, ArchiveLimits{})
	if diff := cmp.Diff(describe(t, filepath.Join(src, "top")), describe(t, filepath.Join(dst, "top"))); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plant(t, dir, "f", "g", "h", "l -> f")
	find := func(name string) LocalFile {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return LocalFile{Path: filepath.Join(dir, name), Name: name, Info: info}
	}
	grown := find("f")
	replaced := find("g")
	if err := os.Rename(filepath.Join(dir, "h"), replaced.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(grown.Path, []byte("longer than before"), 0o644); err != nil {
		t.Fatal(err)
	}
	outside, absolute, unclean := find("f"), find("f"), find("f")
	outside.Name, absolute.Name, unclean.Name = "../f", "/f", "a/../f"
	escaping, empty := find("l"), find("l")
	escaping.Link = "../f"
	for _, f := range []LocalFile{grown, replaced} {
		if err := PackArchive(t.Context(), io.Discard, []LocalFile{f}); !errors.Is(err, ErrChanged) {
			t.Errorf("changed file: %v", err)
		}
	}
	for name, f := range map[string]LocalFile{
		"name outside": outside, "absolute name": absolute,
		"unclean name": unclean, "link outside": escaping, "link without text": empty,
	} {
		if err := PackArchive(t.Context(), io.Discard, []LocalFile{f}); err == nil {
			t.Errorf("%s: packed", name)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := PackArchive(ctx, io.Discard, []LocalFile{find("f")}); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}

// pack writes members in order: a header each, files with the given text.
func pack(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range members {
		text := ""
		if h.Typeflag == tar.TypeReg {
			text, h.Linkname, h.Size = h.Linkname, "", int64(len(h.Linkname))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := errors.Join(w.WriteHeader(&h), second(w.Write([]byte(text)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second(_ int, err error) error { return err }

func entry(kind byte, name, text string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: text}
}

func hostile(t testing.TB) map[string][]byte {
	const file, link, hard, dir = tar.TypeReg, tar.TypeSymlink, tar.TypeLink, tar.TypeDir
	good := pack(t, entry(file, "a", strings.Repeat("text", 200)))
	damagedSum := bytes.Clone(good)
	damagedSum[len(damagedSum)-5] ^= 1
	return map[string][]byte{
		"absolute name":              pack(t, entry(file, "/tmp/evil", "x")),
		"name with dots":             pack(t, entry(file, "../evil", "x")),
		"name with dots inside":      pack(t, entry(file, "a/../../evil", "x")),
		"directory with dots":        pack(t, entry(dir, "../evil", "")),
		"empty name":                 pack(t, entry(file, "", "x")),
		"file as the directory":      pack(t, entry(file, ".", "x")),
		"link as the directory":      pack(t, entry(link, ".", "secret")),
		"absolute link":              pack(t, entry(link, "a", "/etc/passwd")),
		"link outside":               pack(t, entry(link, "a", "../secret")),
		"link outside from below":    pack(t, entry(link, "a/b", "../../secret")),
		"link to the directory":      pack(t, entry(link, "a", "..")),
		"link with an empty text":    pack(t, entry(link, "a", "")),
		"write through a link":       pack(t, entry(link, "a", ".."), entry(file, "a/evil", "x")),
		"write through a kept link":  pack(t, entry(dir, "d", ""), entry(link, "a", "d"), entry(file, "a/x", "x")),
		"write over a link":          pack(t, entry(link, "a", "../secret"), entry(file, "a", "x")),
		"links that add up":          pack(t, entry(dir, "d/e", ""), entry(link, "d/e/up", "../.."), entry(link, "out", "d/e/up/../secret")),
		"links that add up, swapped": pack(t, entry(link, "out", "d/e/up/../secret"), entry(link, "d/e/up", "../..")),
		"link over a directory":      pack(t, entry(dir, "d", ""), entry(file, "d/x", "x"), entry(link, "d", "e")),
		"directory over a file":      pack(t, entry(file, "d", "x"), entry(dir, "d", "")),
		"file over a directory":      pack(t, entry(dir, "d", ""), entry(file, "d", "x")),
		"file below a file":          pack(t, entry(file, "d", "x"), entry(file, "d/x", "x")),
		"hard link outside":          pack(t, entry(hard, "a", "../secret")),
		"absolute hard link":         pack(t, entry(hard, "a", "/etc/passwd")),
		"hard link to nothing":       pack(t, entry(hard, "a", "b")),
		"hard link to a directory":   pack(t, entry(dir, "d", ""), entry(hard, "a", "d")),
		"hard link to a later file":  pack(t, entry(hard, "a", "b"), entry(file, "b", "x")),
		"hard link to a link":        pack(t, entry(link, "b", "c"), entry(hard, "a", "b")),
		"device":                     pack(t, entry(tar.TypeBlock, "a", "")),
		"terminal":                   pack(t, entry(tar.TypeChar, "a", "")),
		"pipe":                       pack(t, entry(tar.TypeFifo, "a", "")),
		"cut short":                  good[:len(good)-20],
		"cut in the header":          good[:8],
		"nothing":                    {},
		"wrong checksum":             damagedSum,
		"no gzip":                    []byte("this is text"),
		"gzip of text":               zipped(t, strings.Repeat("this is text", 100)),
		"huge tail":                  zipped(t, strings.Repeat("\x00", maxPadding+2048)),
		"too many bytes":             pack(t, entry(file, "a", strings.Repeat("x", 600)), entry(file, "b", strings.Repeat("x", 600))),
		"too many files":             pack(t, many(20)...),
		"too deep":                   pack(t, entry(file, strings.Repeat("d/", 20)+"x", "x")),
	}
}

// damagedOnes are those of the hostile archives of which another copy may be good.
var damagedOnes = []string{"cut short", "cut in the header", "nothing", "wrong checksum", "no gzip", "gzip of text", "huge tail"}

func zipped(t testing.TB, text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(second(z.Write([]byte(text))), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func many(n int) []tar.Header {
	var all []tar.Header
	for i := range n {
		all = append(all, entry(tar.TypeReg, string(rune('a'+i)), "x"))
	}
	return all
}

// outside is a directory with a secret, and in it the one to unpack to.
func outside(t *testing.T) (top, target string) {
	top = t.TempDir()
	plant(t, top, "secret", "target/mine", "target/alias -> ../elsewhere", "target/inner -> kept", "target/kept/", "elsewhere/")
	return top, filepath.Join(top, "target")
}

func checkOutside(t *testing.T, top string) {
	t.Helper()
	got := describe(t, top)
	want := map[string]string{"secret": "-rw-r--r-- secret", "elsewhere": "drwxr-xr-x", "target/kept": "drwxr-xr-x", "target/mine": "-rw-r--r-- target/mine"}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is %q, was %q", name, got[name], text)
		}
	}
	for name, text := range got {
		if !strings.HasPrefix(name, "target") && name != "." && want[name] == "" {
			t.Errorf("%s was written", name)
		}
		if strings.Contains(text, "secret") && name != "secret" {
			t.Errorf("%s leads to the secret: %s", name, text)
		}
	}
}

func TestUnpackHostile(t *testing.T) {
	t.Parallel()
	for name, archive := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top, target := outside(t)
			err := unpack(t, bytes.NewReader(archive), target, ArchiveLimits{Bytes: 1 << 10, Entries: 15})
			if err == nil {
				t.Error("unpacked")
			}
			if got := errors.Is(err, ErrArchive) && !errors.Is(err, ErrRefused); got != slices.Contains(damagedOnes, name) {
				t.Errorf("%v: damaged %v", err, got)
			}
			checkOutside(t, top)
		})
	}
}

// What lies in the target already is no way out either.
func TestUnpackBesideLinks(t *testing.T) {
	t.Parallel()
	for name, archive := range map[string][]byte{
		"file through a link outside": pack(t, entry(tar.TypeReg, "alias/x", "x")),
		"file through a link inside":  pack(t, entry(tar.TypeReg, "inner/x", "x")),
		"directory over a link":       pack(t, entry(tar.TypeDir, "alias", "")),
		"link through a link":         pack(t, entry(tar.TypeSymlink, "inner/x", "../../secret")),
	} {
		top, target := outside(t)
		if err := unpack(t, bytes.NewReader(archive), target, ArchiveLimits{}); err == nil {
			t.Errorf("%s: unpacked", name)
		}
		checkOutside(t, top)
	}
	// A file replaces a link, it does not follow it.
	top, target := outside(t)
	if err := unpack(t, bytes.NewReader(pack(t, entry(tar.TypeReg, "alias", "x"))), target, ArchiveLimits{}); err != nil {
		t.Error(err)
	}
	checkOutside(t, top)
	if b, err := os.ReadFile(filepath.Join(target, "alias")); string(b) != "x" {
		t.Errorf("alias holds %q, %v", b, err)
	}
}

func TestUnpackDropsSpecialBits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, folder := entry(tar.TypeReg, "f", "x"), entry(tar.TypeDir, "d", "")
	file.Mode, folder.Mode = 0o6755, 0o3755
	if err := unpack(t, bytes.NewReader(pack(t, file, folder)), dir, ArchiveLimits{}); err != nil {
		t.Fatal(err)
	}
	got := describe(t, dir)
	if got["f"] != "-rwxr-xr-x x" || got["d"] != "drwxr-xr-x" {
		t.Errorf("unpacked as %v", got)
	}
}

func TestUnpackCancelled(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := UnpackArchive(ctx, bytes.NewReader(pack(t, entry(tar.TypeReg, "a", "x"))), root, ArchiveLimits{}); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// FuzzUnpackArchive makes archives of lines such as "f name text": a kind (f d l
// h), a name, the text of a file or link.
func FuzzUnpackArchive(f *testing.F) {
	for _, seed := range []string{
		"d a\nf a/b text\nl a/c b\nh a/d a/b", "l a ..\nf a/evil x", "l a d\nd d\nf a/x x", "d d/e\nl d/e/up ../..\nl out d/e/up/../secret",
		"f /x x", "f ../x x", "l inner x\nf inner x", "f alias/x x", "h a ../secret", "l a/b ../../secret", "f a x\nf a y\nd a", "l mine alias/x",
	} {
		f.Add(seed)
	}
	kinds := map[string]byte{"f": tar.TypeReg, "d": tar.TypeDir, "l": tar.TypeSymlink, "h": tar.TypeLink}
	f.Fuzz(func(t *testing.T, script string) {
		var members []tar.Header
		for line := range strings.Lines(script) {
			kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			name, text, _ := strings.Cut(rest, " ")
			h := entry(kinds[kind], name, text)
			if tar.NewWriter(io.Discard).WriteHeader(&h) != nil || kinds[kind] == 0 || kind == "f" && strings.HasSuffix(name, "/") {
				return
			}
			members = append(members, h)
		}
		top, target := outside(t)
		_ = unpack(t, bytes.NewReader(pack(t, members...)), target, ArchiveLimits{Bytes: 1 << 16, Entries: 30})
		for dir, want := range map[string]int{top: 3, filepath.Join(top, "elsewhere"): 0} {
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != want {
				t.Errorf("%s holds %v, %v", dir, entries, err)
			}
		}
		if b, err := os.ReadFile(filepath.Join(top, "secret")); string(b) != "secret" {
			t.Errorf("the secret is %q, %v", b, err)
		}
		leaks(t, top, target)
	})
}

// leaks looks for a link in target that leads out of it, but for those that
// outside planted.
func leaks(t *testing.T, top, target string) {
	t.Helper()
	for name, text := range describe(t, target) {
		if !strings.HasPrefix(text, "-> ") || name == "alias" {
			continue
		}
		to, err := filepath.EvalSymlinks(filepath.Join(target, name))
		if err == nil && to != target && !strings.HasPrefix(to, target+"/") && to != filepath.Join(top, "elsewhere") {
			t.Errorf("%s %s leads to %s", name, text, to)
		}
	}
}
