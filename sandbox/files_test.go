package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (r *rig) names(a answer) []string {
	r.t.Helper()
	want(r.t, a, 200)
	var out struct{ Output []struct{ Name string } }
	a.decode(r.t, &out)
	names := []string{}
	for _, f := range out.Output {
		names = append(names, f.Name)
	}
	return names
}

func TestLsNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{`qu"ote`, `back\slash`, "new\nline", "bell\a", "bad\xffbyte", "\x7f", "été"} {
		r.write("odd/"+name, "")
	}
	got := r.names(r.ops("GET", "ls", r.home+"/odd"))
	want := []string{`back\slash`, `bad\377byte`, `bell\a`, `new\nline`, `qu"ote`, `\177`, "été"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	file := r.write("plain", "x")
	if got := r.names(r.ops("GET", "ls", file)); len(got) != 1 || got[0] != file {
		t.Errorf("ls of a file: %q, want its whole path", got)
	}
	wantError(t, r.ops("GET", "ls", file+"/"), 500, "Not a directory")
	wantError(t, r.ops("GET", "ls", file+"/x"), 500, "Not a directory")
}

func TestLsFollowsLinks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("d/f", "123")
	link(t, r.home+"/d", r.home+"/l")
	if got := r.names(r.ops("GET", "ls", r.home+"/l")); got[0] != r.home+"/l" {
		t.Errorf("a link as argument shows itself, got %q", got)
	}
	for _, a := range []answer{r.ops("GET", "ls", r.home+"/l/"), r.ops("GET", "ls", r.home+"/l", "dereference", "1")} {
		if got := r.names(a); len(got) != 1 || got[0] != "f" {
			t.Errorf("followed link: %q", got)
		}
	}
	link(t, "loop", r.home+"/loop")
	wantError(t, r.ops("GET", "ls", r.home+"/loop", "dereference", "t"), 500, "Too many levels of symbolic links")
	if got := r.names(r.ops("GET", "ls", r.home, "recursive", "1")); !cmp.Equal(got, []string{"d", "l", "loop", "d/f"}) {
		t.Errorf("recursion does not follow links: %q", got)
	}
}

func TestLsOverOutputLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxOpsFileSize = 1000 })
	for i := range 20 {
		r.write("many/"+strings.Repeat(string(rune('a'+i)), 100), "")
	}
	wantError(t, r.ops("GET", "ls", r.home+"/many"), 413, "Command output exceeded buffer limit.")
}

func TestPermissionLetters(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]string{
		0o644: "rw-r--r--", 0o7: "------rwx", 0o755 | os.ModeSetuid: "rwsr-xr-x", 0o644 | os.ModeSetgid: "rw-r-Sr--",
		0o777 | os.ModeSticky: "rwxrwxrwt", 0o776 | os.ModeSticky: "rwxrwxrwT",
	} {
		if got := permissions(mode); got != want {
			t.Errorf("%v: %s, want %s", mode, got, want)
		}
	}
}

func TestPermissionsAreTheTables(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.write("closed/secret", "s")
	for _, dir := range []string{filepath.Dir(r.home), filepath.Dir(r.scratch)} { // owned by root
		wantError(t, r.do("POST", "/filesystem/alps/ops/mkdir", members{"path": dir + "/x"}), 403, "Permission denied")
		wantError(t, r.upload(dir, "x", "x"), 403, "Permission denied")
		wantError(t, r.ops("DELETE", "rm", dir), 403, "Permission denied")
		wantError(t, r.ops("DELETE", "rm", dir+"/demo"), 403, "Permission denied")
	}
	chmod(t, secret, 0o400)
	wantError(t, r.upload(r.home+"/closed", "secret", "x"), 403, "Permission denied")
	chmod(t, filepath.Dir(secret), 0o500)
	wantError(t, r.ops("DELETE", "rm", secret), 403, "Permission denied")
	wantError(t, r.ops("DELETE", "rm", r.home+"/closed"), 403, "Permission denied")
	wantError(t, r.do("POST", "/filesystem/alps/ops/symlink", members{"path": secret, "linkPath": r.home + "/closed/l"}), 403, "Permission denied")
	chmod(t, filepath.Dir(secret), 0o600)
	wantError(t, r.ops("GET", "view", secret), 403, "Permission denied")
	chmod(t, filepath.Dir(secret), 0o700)
	if got := r.view(secret); got != "s" {
		t.Errorf("secret %q", got)
	}
}

func TestPipesDoNotBlock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := syscall.Mkfifo(r.home+"/fifo", 0o644); err != nil {
		t.Skip(err)
	}
	for _, op := range []string{"view", "head", "tail", "checksum", "download"} {
		wantError(t, r.ops("GET", op, r.home+"/fifo"), 408, "Command execution timeout limit exceeded.")
	}
	want(t, r.upload(r.home, "fifo", "x"), 500)
	if got := r.names(r.ops("GET", "ls", r.home+"/fifo")); len(got) != 1 {
		t.Errorf("ls of a pipe: %q", got)
	}
}

func TestCommandTimeLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.CommandTimeout = time.Nanosecond })
	r.write("d/f", "x")
	for _, a := range []answer{
		r.ops("GET", "checksum", r.home+"/d/f"), r.ops("GET", "ls", r.home+"/d"), r.ops("DELETE", "rm", r.home+"/d"),
		r.do("POST", "/filesystem/alps/ops/compress", members{"path": r.home + "/d", "targetPath": r.home + "/t"}),
	} {
		wantError(t, a, 408, "Command execution timeout limit exceeded.")
	}
}

func TestHeadAndTailCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := strings.Repeat("x", scanBlock)
	file := r.write("f", "1\n"+long+"\n3\n4") // no end of line at the end
	empty := r.write("empty", "")
	for _, tc := range []struct {
		op, path, count, n, skip string
		content                  string
		start, end               int
	}{
		{"head", file, "lines", "1", "", "1\n", 0, 1},
		{"head", file, "lines", "99", "", "1\n" + long + "\n3\n4", 0, 99},
		{"head", file, "bytes", "3", "", "1\nx", 0, 3},
		{"head", file, "bytes", "4", "skipTrailing", "1\n" + long, 0, -4},
		{"head", file, "lines", "2", "skipTrailing", "1\n" + long + "\n", 0, -2},
		{"head", file, "lines", "4", "skipTrailing", "", 0, -4},
		{"head", empty, "bytes", "4", "skipTrailing", "", 0, -4},
		{"tail", file, "lines", "1", "", "4", -1, -1},
		{"tail", file, "lines", "2", "", "3\n4", -2, -1},
		{"tail", file, "lines", "99", "", "1\n" + long + "\n3\n4", -99, -1},
		{"tail", file, "lines", "3", "skipHeading", "3\n4", 3, -1},
		{"tail", file, "bytes", "2", "", "\n4", -2, -1},
		{"tail", file, "bytes", "99999999", "skipHeading", "", 99999999, -1},
		{"tail", empty, "lines", "5", "", "", -5, -1},
	} {
		args := []string{tc.count, tc.n}
		if tc.skip != "" {
			args = append(args, tc.skip, "true")
		}
		var out struct {
			Output struct {
				Content, ContentType       string
				StartPosition, EndPosition int
			}
		}
		a := r.ops("GET", tc.op, tc.path, args...)
		want(t, a, 200)
		a.decode(t, &out)
		if got := out.Output; got.Content != tc.content || got.ContentType != tc.count || got.StartPosition != tc.start || got.EndPosition != tc.end {
			t.Errorf("%s %v: %q %s %d %d", tc.op, args, got.Content[:min(40, len(got.Content))], got.ContentType, got.StartPosition, got.EndPosition)
		}
	}
	wantError(t, r.ops("GET", "head", file, "lines", "-1", "skipTrailing", "1"), 500, "head: invalid number of lines: '--1'")
}

func TestOutputLimits(t *testing.T) {
	t.Parallel()
	const limit = 4000
	r := newRig(t, func(c *Config) { c.MaxOpsFileSize = limit })
	for _, tc := range []struct {
		size    int
		op      string
		options []string
		status  int
	}{
		{limit - 1, "view", nil, 200}, {limit, "view", nil, 413}, {limit, "view", []string{"size", "1999"}, 200},
		{limit, "view", []string{"size", "2000"}, 413}, {limit, "view", []string{"size", "2000", "offset", "4000"}, 200},
		{limit - 1, "head", []string{"bytes", "99999"}, 200}, {limit, "head", []string{"bytes", "99999"}, 413},
		{limit, "tail", []string{"lines", "1"}, 413},
		{2997, "download", nil, 200}, {2998, "download", nil, 413}, {0, "download", nil, 200},
	} {
		f := r.write("f", strings.Repeat("x", tc.size))
		if a := r.ops("GET", tc.op, f, tc.options...); a.status != tc.status {
			t.Errorf("%s %v of %d bytes: status %d, want %d", tc.op, tc.options, tc.size, a.status, tc.status)
		}
	}
	want(t, r.upload(r.home, "up", strings.Repeat("x", limit)), 204)
	wantError(t, r.upload(r.home, "over", strings.Repeat("x", limit+1)), 413, "File to upload is too large.")
	want(t, r.ops("GET", "stat", r.home+"/over"), 404)
}

func TestUploadForms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.uploadPart("data", r.home, "f", "x")
	want(t, e, 400)
	if f := e.error(t).Data.Fields[0]; f.Name != "file" || f.Message != "Field required" {
		t.Errorf("other part name: %+v", f)
	}
	wantError(t, r.upload(r.home, "empty", ""), 408, "Command execution timeout limit exceeded.")
	want(t, r.ops("GET", "stat", r.home+"/empty"), 200) // made all the same
	want(t, r.upload(r.home, "long", "first content"), 204)
	want(t, r.upload(r.home, "long", "second"), 204)
	if got := r.view(r.home + "/long"); got != "second" {
		t.Errorf("content %q", got)
	}
	wantError(t, r.upload(r.home+"/long", "x", "x"), 500, "Not a directory")
	r.write("dir/x", "")
	wantError(t, r.upload(r.home, "dir", "x"), 500, "bash: line 1: "+r.home+"/dir: Is a directory")
}

func TestDecodeUTF8(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain é 漢": "plain é 漢", "\xff\xfe": "��", "a\xe2\x82b": "a�b", "\xe2\x82": "�", "\xf0\x9f\x98": "�",
		"\xed\xa0\x80": "���", "\xc3": "�",
	} {
		if got := decodeUTF8([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMkdirParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mkdir := func(path string) answer {
		return r.do("POST", "/filesystem/alps/ops/mkdir", members{"sourcePath": path, "parent": true})
	}
	want(t, mkdir(r.home+"/a/b/c/"), 201)
	want(t, mkdir(r.home+"/a/b/c"), 201)
	link(t, "a/b", r.home+"/l")
	want(t, mkdir(r.home+"/l/d/e"), 201)
	want(t, r.ops("GET", "stat", r.home+"/a/b/d/e"), 200)
	r.write("f", "")
	wantError(t, mkdir(r.home+"/f"), 400, "File exists")
	wantError(t, mkdir(r.home+"/f/g"), 500, "Not a directory")
	link(t, "nowhere", r.home+"/dangling")
	wantError(t, mkdir(r.home+"/dangling/x"), 400, "File exists")
}

func TestSymlinkIntoDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.write("d/f", "x")
	r.write("sub/keep", "")
	symlink := func(target, at string) answer {
		return r.do("POST", "/filesystem/alps/ops/symlink", members{"sourcePath": target, "linkPath": at})
	}
	a := symlink(f, r.home+"/sub")
	want(t, a, 201)
	var out struct{ Output struct{ Name, Type string } }
	a.decode(t, &out)
	if out.Output.Name != r.home+"/sub" || out.Output.Type != "d" {
		t.Errorf("reply %+v, want it to describe the directory", out.Output)
	}
	if got := r.view(r.home + "/sub/f"); got != "x" {
		t.Errorf("through the link: %q", got)
	}
	wantError(t, symlink(f, r.home+"/sub"), 400, "ln: failed to create symbolic link '"+r.home+"/sub/f': File exists")
	wantError(t, symlink(f, r.home+"/d/f"), 400, "File exists")
	want(t, symlink(f, "relative"), 201) // relative to the home directory
	want(t, r.ops("GET", "stat", r.home+"/relative"), 200)
}

func TestRmTrees(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("d/e/f", "x")
	keep := r.write("keep/me", "x")
	link(t, r.home+"/keep", r.home+"/d/link")
	want(t, r.ops("DELETE", "rm", r.home+"/d"), 204)
	want(t, r.ops("GET", "stat", r.home+"/d"), 404)
	want(t, r.ops("GET", "stat", keep), 200)
	wantError(t, r.ops("DELETE", "rm", r.home+"/keep/."), 500, "refusing to remove '.' or '..' directory")
	want(t, r.ops("GET", "stat", keep), 200)
}

func link(t *testing.T, target, at string) {
	t.Helper()
	if err := os.Symlink(target, at); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
