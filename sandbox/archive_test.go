package sandbox

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (r *rig) compress(more members) answer {
	r.t.Helper()
	return r.do("POST", "/filesystem/alps/ops/compress", more)
}

func (r *rig) extract(source, target, compression string) answer {
	r.t.Helper()
	return r.do("POST", "/filesystem/alps/ops/extract", members{"sourcePath": source, "targetPath": target, "compression": compression})
}

func TestArchiveRoundTrip(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"gzip", "none", "bzip2", "xz"} {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			if compression == "bzip2" || compression == "xz" {
				if _, err := exec.LookPath(compression); err != nil {
					t.Skip(err)
				}
			}
			r := newRig(t)
			script := r.write("src/deep/run.sh", "#!/bin/sh\n")
			chmod(t, script, 0o750)
			r.write("src/empty", "")
			link(t, "deep/run.sh", r.home+"/src/link")
			old := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
			for _, path := range []string{script, r.home + "/src/deep"} {
				if err := os.Chtimes(path, old, old); err != nil {
					t.Fatal(err)
				}
			}
			r.write("out/src/empty", "in the way")
			want(t, r.compress(members{
				"source_path": r.home + "/src/", "target_path": r.home + "/src/a.tar", "match_pattern": nil,
				"dereference": false, "compression": compression,
			}), 204)
			want(t, r.extract(r.home+"/src/a.tar", r.home+"/out", compression), 204)
			if got := r.names(r.ops("GET", "ls", r.home+"/out", "recursive", "1")); !slices.Equal(got,
				[]string{"src", "src/deep", "src/empty", "src/link", "src/deep/run.sh"}) {
				t.Errorf("unpacked %q", got)
			}
			info, err := os.Stat(r.home + "/out/src/deep/run.sh")
			if err != nil || info.Mode().Perm() != 0o750 || !info.ModTime().Equal(old) || r.view(r.home+"/out/src/link") != "#!/bin/sh\n" ||
				r.view(r.home+"/out/src/empty") != "" {
				t.Errorf("unpacked file: %v %v", info, err)
			}
			if info, err := os.Stat(r.home + "/out/src/deep"); err != nil || !info.ModTime().Equal(old) {
				t.Errorf("unpacked directory: %v %v", info, err)
			}
		})
	}
}

// TestArchiveIsTars: the system's tar reads what the sandbox writes, and the
// other way round.
func TestArchiveIsTars(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("tar")
	if err != nil {
		t.Skip(err)
	}
	r := newRig(t)
	r.write("src/f", "content")
	want(t, r.compress(members{"path": r.home + "/src", "targetPath": r.home + "/a.tgz"}), 204)
	list, err := exec.Command(program, "-tzf", r.home+"/a.tgz").Output()
	if err != nil || string(list) != "src/\nsrc/f\n" {
		t.Errorf("tar -t: %q %v", list, err)
	}
	if out, err := exec.Command(program, "-czf", r.home+"/b.tgz", "-C", r.home, "src").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	want(t, r.extract(r.home+"/b.tgz", r.scratch, "gzip"), 204)
	if got := r.view(r.scratch + "/src/f"); got != "content" {
		t.Errorf("content %q", got)
	}
}

// TestArchiveHeadersArePlain: where GNU tar may keep more times, others look for
// the beginning of the name.
func TestArchiveHeadersArePlain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("src/f", "x")
	want(t, r.compress(members{"path": r.home + "/src", "targetPath": r.home + "/a.tar", "compression": "none"}), 204)
	header, err := os.ReadFile(r.home + "/a.tar")
	if err != nil {
		t.Fatal(err)
	}
	if more := header[345:512]; !bytes.Equal(more, make([]byte, len(more))) {
		t.Errorf("the header goes on with %q", more)
	}
}

func TestCompressByPattern(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"r/a/y", "r/a/x", "r/b.c", "s/y"} {
		r.write(name, name)
	}
	for pattern, members := range map[string][]string{
		`.*y`:             {"./r/a/y", "./s/y"}, // the parent of the source is searched
		`.*/[xy]`:         {"./r/a/x", "./r/a/y", "./s/y"},
		`\./r/\(b.c\|a\)`: {"./r/b.c"},
		`y`:               {}, // the whole path has to match
		`.*/b\.c`:         {"./r/b.c"},
		`.*[[:digit:]]`:   {},
		`.*/[^a-x]`:       {"./r/a/y", "./s/y"},
		`.*/\<x\>`:        {"./r/a/x"},
		`.*(y|x)`:         {}, // literal without backslashes
		`.*\w.c`:          {"./r/b.c"},
		`.*/[]y]`:         {"./r/a/y", "./s/y"},
	} {
		target := r.scratch + "/t.tgz"
		want(t, r.compress(byPattern(r.home+"/r", target, pattern)), 204)
		if diff := cmp.Diff(members, tarNames(t, target)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
	}
	wantError(t, r.compress(byPattern(r.home+"/r", r.scratch+"/t", `[`)), 500, "find: unmatched [")
	wantError(t, r.compress(byPattern(r.home+"/r", r.scratch+"/t", `x\`)), 500, "find: trailing backslash")
	wantError(t, r.compress(byPattern(r.home+"/r", r.scratch+"/t", `**`)), 500, "find: invalid regular expression")
	wantError(t, r.compress(byPattern(r.home+"/no/r", r.scratch+"/t", `.*`)), 404, "cd: "+r.home+"/no: No such file or directory")
}

// byPattern asks for a compression that a pattern overrules.
func byPattern(source, target, pattern string) members {
	return members{"path": source, "targetPath": target, "matchPattern": pattern, "compression": "none"}
}

// tarNames lists the members of a gzip archive.
func tarNames(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for in := tar.NewReader(plain); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestCompressFollowsLinks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("other/f", "x")
	r.write("src/g", "x")
	link(t, r.home+"/other", r.home+"/src/l")
	pack := func() answer {
		return r.compress(members{"path": r.home + "/src", "targetPath": r.scratch + "/t.tgz", "dereference": "yes"})
	}
	want(t, pack(), 204)
	if got := tarNames(t, r.scratch+"/t.tgz"); !slices.Equal(got, []string{"src/", "src/g", "src/l/", "src/l/f"}) {
		t.Errorf("members %q", got)
	}
	link(t, r.home+"/src", r.home+"/other/up")
	wantError(t, pack(), 500, "Too many levels of symbolic links")
}

func TestCompressFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	src := r.write("src", "x")
	target := func(path string) answer { return r.compress(members{"path": src, "targetPath": path}) }
	wantError(t, target(r.home+"/no/t"), 404, "tar (child): "+r.home+"/no/t: Cannot open: No such file or directory")
	wantError(t, target(r.home), 500, "Is a directory")
	wantError(t, target(filepath.Dir(r.home)+"/t"), 403, "Permission denied")
	wantError(t, target(r.home+"/it's"), 500, "unexpected EOF while looking for matching")
	chmod(t, r.write("dir/closed", "x"), 0)
	wantError(t, r.compress(members{"path": r.home + "/dir", "targetPath": r.scratch + "/t"}), 403, "tar: dir/closed: Cannot open: Permission denied")
}

func TestExtractFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("src/f", strings.Repeat("random enough ", 1000))
	for _, compression := range []string{"none", "gzip"} {
		want(t, r.compress(members{"path": r.home + "/src", "targetPath": r.home + "/" + compression, "compression": compression}), 204)
	}
	whole, err := os.ReadFile(r.home + "/gzip")
	if err != nil {
		t.Fatal(err)
	}
	r.write("cut", string(whole[:len(whole)-20]))
	r.write("noise", strings.Repeat("noise", 1000))
	for _, tc := range []struct{ source, compression, text string }{
		{"none", "gzip", "gzip: stdin: not in gzip format\ntar: Child returned status 1"},
		{"none", "bzip2", "not in bzip2 format"},
		{"gzip", "none", "tar: "},
		{"noise", "none", "does not look like a tar archive"},
		{"cut", "gzip", "Unexpected EOF in archive"},
		{"src", "gzip", "not in gzip format"},
	} {
		a := r.extract(r.home+"/"+tc.source, r.scratch, tc.compression)
		wantError(t, a, 500, tc.text)
	}
	wantError(t, r.extract(r.home+"/gzip", r.home+"/src/f", "gzip"), 500, "Not a directory")
	wantError(t, r.extract(r.home+"/gzip", filepath.Dir(r.home), "gzip"), 403, "Permission denied")
}

// TestExtractReadsOn: what follows the end of an archive belongs to the
// compressed stream, which has to end well too.
func TestExtractReadsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "f", Mode: 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	archive.Write(make([]byte, 1<<20)) // as of tar --blocking-factor=2048
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(archive.Bytes())
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	r.write("padded.gzip", packed.String())
	packed.Bytes()[packed.Len()-8] ^= 1 // of the checksum
	r.write("spoilt.gzip", packed.String())
	want(t, r.extract(r.home+"/padded.gzip", r.home, "gzip"), 204)
	wantError(t, r.extract(r.home+"/spoilt.gzip", r.home, "gzip"), 500, "crc error\ntar: Child returned status 1")
	for _, compression := range []string{"xz", "bzip2"} {
		program, err := exec.LookPath(compression)
		if err != nil {
			t.Log(err)
			continue
		}
		filter := exec.Command(program, "-c")
		filter.Stdin = bytes.NewReader(archive.Bytes())
		content, err := filter.Output()
		if err != nil {
			t.Fatal(err)
		}
		r.write("padded."+compression, string(content))
		want(t, r.extract(r.home+"/padded."+compression, r.home, compression), 204)
	}
}

func TestFilterMissing(t *testing.T) {
	r := newRig(t)
	src := r.write("src", "x")
	t.Setenv("PATH", t.TempDir())
	a := r.compress(members{"path": src, "targetPath": r.home + "/t", "compression": "xz"})
	wantError(t, a, 501, "Compression xz is not available")
}
