package sandbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (r *rig) change(op string, body members) answer {
	r.t.Helper()
	return r.do("PUT", "/filesystem/alps/ops/"+op, body)
}

// entry is the described file of a good answer.
func (r *rig) entry(a answer) file {
	r.t.Helper()
	want(r.t, a, 200)
	var out struct{ Output file }
	a.decode(r.t, &out)
	return out.Output
}

func TestChmod(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, test := range []struct {
		before fs.FileMode
		mode   string
		want   string
	}{
		{0o644, "750", "rwxr-x---"},
		{0o644, "u+x,g-r", "rwx---r--"},
		{0o640, "a=r", "r--r--r--"},
		{0o600, "+w", "rw-------"}, // what the umask leaves
		{0o600, "+r", "rw-r--r--"},
		{0o640, "o=g", "rw-r--r--"},
		{0o740, "g=u,u-x", "rw-rwx---"},
		{0o644, "+X", "rw-r--r--"},
		{0o744, "+X", "rwxr-xr-x"},
		{0o755, "u+s,g+s", "rwsr-sr-x"},
		{0o644, "u-rwx", "---r--r--"},
		{0o600, "1777", "rwxrwxrwt"},
		{0o600, "u=,go+r-r", "---------"},
	} {
		name := r.write("f", "")
		if err := os.Chmod(name, test.before); err != nil {
			t.Fatal(err)
		}
		if got := r.entry(r.change("chmod", members{"path": name, "mode": test.mode})); got.Permissions != test.want || got.Name != name {
			t.Errorf("%o with %s: %+v, want %s", test.before, test.mode, got, test.want)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	f := r.write("d/f", "")
	for _, mode := range []string{"", "8", "u+q", "-R", "u+x,", "u+x g+x", "77777"} {
		wantError(t, r.change("chmod", members{"path": f, "mode": mode}), 500, "chmod: invalid mode: '"+mode+"'")
	}
	// A directory keeps its set-group bit unless it is spelt out.
	for _, step := range []struct{ mode, want string }{
		{"2750", "rwxr-s---"}, {"700", "rwx--S---"}, {"g=x", "rwx--s---"}, {"00700", "rwx------"}, {"g+s", "rwx--S---"}, {"g-s", "rwx------"},
	} {
		if got := r.entry(r.change("chmod", members{"path": r.home + "/d", "mode": step.mode})).Permissions; got != step.want {
			t.Errorf("directory after %s: %s, want %s", step.mode, got, step.want)
		}
	}
	// Through a link it is the file that changes, and the link that is described.
	link(t, f, r.home+"/l")
	if got := r.entry(r.change("chmod", members{"path": r.home + "/l", "mode": "600"})); got.Type != "l" {
		t.Errorf("through a link: %+v", got)
	}
	if got := r.entry(r.change("chmod", members{"path": f, "mode": "a+"})).Permissions; got != "rw-------" {
		t.Errorf("the file after a change through a link: %s", got)
	}
	link(t, "nowhere", r.home+"/dangling")
	wantError(t, r.change("chmod", members{"path": r.home + "/dangling", "mode": "600"}), 500, "cannot operate on dangling symlink")
	wantError(t, r.change("chmod", members{"path": r.srv.Root() + "/home", "mode": "777"}), 403, "Operation not permitted")
	wantError(t, r.change("chmod", members{"path": f, "mode": "6'0"}), 500, "unexpected EOF")
}

func TestChown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.write("f", "x")
	for _, test := range []struct{ owner, group, want string }{
		{"", "", "demo users"},
		{"demo", "proj", "demo proj"},
		{"", "", "demo proj"},
		{"1000", "", "demo users"}, // an owner alone stands for the login group, too
		{"", "200", "demo proj"},
	} {
		got := r.entry(r.change("chown", members{"path": f, "owner": test.owner, "group": test.group}))
		if got.User+" "+got.Group != test.want {
			t.Errorf("%q:%q gives %s %s, want %s", test.owner, test.group, got.User, got.Group, test.want)
		}
	}
	for _, test := range []struct {
		owner, group string
		status       int
		text         string
	}{
		{"root", "", 403, "changing ownership of '" + f + "': Operation not permitted"},
		{"", "root", 403, "changing group of '" + f + "': Operation not permitted"},
		{"nosuch", "users", 400, "invalid user: 'nosuch:users'"},
		{"nosuch", "", 500, "invalid spec: 'nosuch:'"},
		{"demo", "nosuch", 500, "invalid group: 'demo:nosuch'"},
	} {
		wantError(t, r.change("chown", members{"path": f, "owner": test.owner, "group": test.group}), test.status, test.text)
	}
	wantError(t, r.change("chown", members{"path": r.home + "/nope", "group": "proj"}), 404, "chown: cannot access")
	link(t, "nowhere", r.home+"/dangling")
	wantError(t, r.change("chown", members{"path": r.home + "/dangling", "group": "proj"}), 404, "chown: cannot dereference")

	// stat and listings know it, also after a restart; another file of the name
	// does not inherit it.
	gid := func(r *rig) int {
		t.Helper()
		var out struct{ Output statOutput }
		a := r.ops("GET", "stat", f)
		want(t, a, 200)
		a.decode(t, &out)
		return out.Output.GID
	}
	if got := gid(r); got != 200 {
		t.Errorf("gid %d after chown", got)
	}
	again := r.reopened()
	if got := gid(again); got != 200 {
		t.Errorf("gid %d after a restart", got)
	}
	if err := os.Rename(f, f+".old"); err != nil {
		t.Fatal(err)
	}
	again.write("f", "another")
	if got := gid(again); got != 100 {
		t.Errorf("gid %d of a new file", got)
	}
}

// TestMovedAndCopiedFilesKeepTheirGroup: mv takes it along, and so does cp.
func TestMovedAndCopiedFilesKeepTheirGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.write("d/f", "x")
	want(t, r.change("chown", members{"path": f, "group": "proj"}), 200)
	for _, step := range []struct{ call, from, to, verb string }{
		{"cp", r.home + "/d", r.home + "/copy", "copied"},
		{"mv", r.home + "/d", r.home + "/moved", "moved"},
		{"mv", r.home + "/moved", r.scratch + "/far", "moved"},
	} {
		got := r.outcome(r.transfer(step.call, members{"path": step.from, "targetPath": step.to}))
		if diff := cmp.Diff(done(step.verb), got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.call, diff)
		}
		if got := r.entry(r.change("chown", members{"path": step.to + "/f"})).Group; got != "proj" {
			t.Errorf("%s to %s: group %s", step.call, step.to, got)
		}
	}
}

// TestChangesOfAnotherUser: what belongs to somebody else is his to change.
func TestChangesOfAnotherUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Site = &SiteConfig{
			Systems: []SystemConfig{{Name: "alps"}},
			Users: []UserConfig{
				{Name: "demo", UID: 1000, Groups: []GroupConfig{{"users", 100}, {"proj", 200}}},
				{Name: "bob", UID: 1001, Groups: []GroupConfig{{"users", 100}, {"proj", 200}}},
			},
		}
	})
	f := r.write(filepath.Join(filepath.Dir(r.home), "bob", "f"), "x")
	wantError(t, r.change("chmod", members{"path": f, "mode": "777"}), 403, "chmod: changing permissions of '"+f+"': Operation not permitted")
	wantError(t, r.change("chown", members{"path": f, "group": "proj"}), 403, "chown: changing group of '"+f+"': Operation not permitted")
	if got := r.entry(r.change("chown", members{"path": f})); got.User != "bob" {
		t.Errorf("a change of nothing: %+v", got)
	}
	own := r.write("f", "x")
	wantError(t, r.change("chown", members{"path": own, "owner": "bob"}), 403, "changing ownership")
	// What bob's group may do follows from the group that a file was given to.
	if err := os.Chmod(own, 0o640); err != nil {
		t.Fatal(err)
	}
	token, err := r.srv.issueToken("bob", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want(t, r.change("chown", members{"path": own, "group": "proj"}), 200)
	r.token = token
	want(t, r.ops("GET", "view", own), 200)
}

func TestFileTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := strings.Repeat("x", 1000)
	for name, test := range map[string]struct{ content, want string }{
		"empty": {"", "empty"}, "text": {"a\n", "ASCII text"}, "utf8": {"é\n", "Unicode text, UTF-8 text"}, "latin": {"\xe9\n", "ISO-8859 text"},
		"crlf": {"a\r\nb\r\n", "ASCII text, with CRLF line terminators"}, "one": {"a", "ASCII text, with no line terminators"},
		"long": {long + "\n", "ASCII text, with very long lines (1000)"},
		"bash": {"#!/bin/bash\n", "Bourne-Again shell script, ASCII text executable"},
		"py":   {"#!/usr/bin/env python3\nprint('é')\n", "Python script, Unicode text, UTF-8 text executable"},
		"odd":  {"#!/opt/x -y\n", "a /opt/x -y script, ASCII text executable"},
		"json": {`{"a": 1}` + "\n", "JSON text data"}, "data": {"\x00\x01", "data"}, "gz": {"\x1f\x8b\x08", "gzip compressed data"},
		"hdf": {"\x89HDF\r\n\x1a\n", "Hierarchical Data Format (version 5) data"}, "big": {strings.Repeat("é", examined), "Unicode text, UTF-8 text, with very long lines"},
	} {
		r.write("t/"+name, test.content)
		if got := r.fileType(r.home + "/t/" + name); !strings.HasPrefix(got, test.want) || strings.HasPrefix(test.want, "ASCII") && got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	link(t, "t/text", r.home+"/l")
	link(t, "loop", r.home+"/loop")
	if err := syscall.Mkfifo(r.home+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	private := r.write("private", "x\n")
	if err := os.Chmod(private, 0o300); err != nil {
		t.Fatal(err)
	}
	closed := r.write("closed/f", "x\n")
	if err := os.Chmod(filepath.Dir(closed), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(closed), 0o700) })
	got := map[string]string{}
	for _, name := range []string{"l", "loop", "pipe", "private", "closed/f", "t"} {
		got[name] = strings.ReplaceAll(r.fileType(r.home+"/"+name), r.home, "~")
	}
	if diff := cmp.Diff(map[string]string{
		"l": "symbolic link to t/text", "loop": "symbolic link in a loop", "pipe": "fifo (named pipe)", "t": "directory",
		"private": "writable, executable, regular file, no read permission", "closed/f": "cannot open `~/closed/f' (Permission denied)",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func (r *rig) fileType(path string) string {
	r.t.Helper()
	a := r.ops("GET", "file", path)
	want(r.t, a, 200)
	var out struct{ Output string }
	a.decode(r.t, &out)
	return out.Output
}
