package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outside is a directory next to a sandbox's root, to see whether anything in
// it is read or changed.
type outside struct {
	dir    string
	before string
}

func newOutside(t *testing.T) outside {
	t.Helper()
	o := outside{dir: t.TempDir()}
	for name, content := range map[string]string{"secret": "TOP SECRET", "dir/file": "TOP SECRET"} {
		path := filepath.Join(o.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o.before = o.listing(t)
	return o
}

func (o outside) listing(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		content := ""
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(data)
		}
		b.WriteString(d.Type().String() + " " + path + " " + content + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// untouched checks the outside and that an answer tells nothing about it.
func (o outside) untouched(t *testing.T, what string, a answer) {
	t.Helper()
	if bytes.Contains(a.body, []byte("TOP SECRET")) || bytes.Contains(a.body, []byte(`"name":"secret"`)) {
		t.Errorf("%s: read outside the root: %d %s", what, a.status, a.body)
	}
	if now := o.listing(t); now != o.before {
		t.Errorf("%s: answered %d and changed what is outside the root:\n%s\nbefore:\n%s", what, a.status, now, o.before)
	}
}

// TestLinksDoNotLeaveTheRoot: a job script may make any link, but no request
// follows one out of the file systems, nor into the sandbox's own state.
func TestLinksDoNotLeaveTheRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := newOutside(t)
	link(t, o.dir, r.home+"/out")
	link(t, o.dir+"/secret", r.home+"/secret")
	link(t, r.srv.Root(), r.home+"/state")
	link(t, "../../../../../../../../../../"+o.dir, r.home+"/dots")
	link(t, o.dir+"/new", r.home+"/dangling")
	r.write("src/f", "x")
	link(t, o.dir, r.home+"/src/out")
	want(t, r.compress(members{"path": r.home + "/src/f", "targetPath": r.home + "/a.tgz"}), 204)

	for _, at := range []string{"out", "dots", "state", "out/dir", "dots/dir"} {
		p := r.home + "/" + at
		for _, a := range []answer{
			r.ops("GET", "ls", p+"/"), r.ops("GET", "ls", p, "dereference", "1"), r.ops("GET", "ls", p+"/dir"),
			r.ops("GET", "stat", p+"/secret"), r.ops("GET", "stat", p, "dereference", "1"), r.ops("GET", "view", p+"/secret"),
			r.ops("GET", "view", p+"/site.json"), r.ops("GET", "head", p+"/secret"), r.ops("GET", "tail", p+"/secret"),
			r.ops("GET", "checksum", p+"/secret"), r.ops("GET", "download", p+"/secret"), r.ops("DELETE", "rm", p+"/secret"),
			r.ops("DELETE", "rm", p+"/"+"dir"),
			r.upload(p, "new", "x"), r.upload(p, "secret", "x"), r.upload(r.home, at+"/secret", "x"),
			r.do("POST", "/filesystem/alps/ops/mkdir", members{"path": p + "/made", "parent": true}),
			r.do("POST", "/filesystem/alps/ops/symlink", members{"path": r.home, "linkPath": p + "/made"}),
			r.compress(members{"path": r.home + "/src/f", "targetPath": p + "/t"}),
			r.compress(members{"path": p + "/secret", "targetPath": r.home + "/t"}),
			r.compress(members{"path": p + "/dir", "targetPath": r.home + "/t", "matchPattern": ".*"}),
			r.extract(r.home+"/a.tgz", p, "gzip"), r.extract(p+"/secret", r.home, "none"),
			r.do("POST", jobs, members{"job": members{"workingDirectory": p, "script": "#!/bin/sh\n"}}),
			r.do("POST", jobs, members{"job": members{"workingDirectory": r.home, "scriptPath": p + "/secret"}}),
		} {
			if a.status < 400 {
				t.Errorf("%s: status %d, body %s", at, a.status, a.body)
			}
			o.untouched(t, at, a)
		}
	}
	for _, a := range []answer{
		r.ops("GET", "view", r.home+"/secret"), r.upload(r.home, "secret", "x"), r.upload(r.home, "dangling", "x"),
		r.upload(r.home, "../../../../../../../.."+o.dir+"/new", "x"), r.upload(r.home, "/../../.."+o.dir+"/secret", "x"),
		r.ops("GET", "ls", r.home+"/src", "recursive", "1", "dereference", "1"),
		r.compress(members{"path": r.home + "/src", "targetPath": r.home + "/t", "dereference": true}),
		r.compress(members{"path": r.home + "/src/f", "targetPath": o.dir + "/t"}),
		r.compress(members{"path": r.home + "/src/f", "targetPath": "../../../../../../../../" + o.dir + "/t"}),
		r.do("POST", "/filesystem/alps/ops/symlink", members{"path": r.home, "linkPath": o.dir + "/made"}),
	} {
		if a.status < 400 {
			t.Errorf("status %d, body %s", a.status, a.body)
		}
		o.untouched(t, "files", a)
	}
	// A link is removed, what it points to stays.
	want(t, r.ops("DELETE", "rm", r.home+"/out"), 204)
	a := r.ops("DELETE", "rm", r.home+"/src")
	want(t, a, 204)
	o.untouched(t, "rm", a)
}

// TestStandardFilesOfJobsStayInside: the server opens the standard files of a
// job, so they are held to the file systems like everything a request names.
func TestStandardFilesOfJobsStayInside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := newOutside(t)
	link(t, o.dir, r.home+"/out")
	link(t, o.dir+"/secret", r.home+"/secret")
	link(t, o.dir+"/new", r.home+"/dangling")
	state := r.srv.Root()
	key, err := os.ReadFile(state + "/key.json")
	if err != nil {
		t.Fatal(err)
	}
	dots := "../../../../../../../../.." + o.dir
	for _, test := range []struct{ member, path string }{
		{"standardOutput", o.dir + "/new"}, {"standardOutput", o.dir + "/secret"}, {"standardOutput", dots + "/new"},
		{"standardOutput", "out/new"}, {"standardOutput", "secret"}, {"standardOutput", "dangling"},
		{"standardOutput", state + "/key.json"}, {"standardOutput", "../../new.json"}, {"standardOutput", state + "/batch/jobs/9.json"},
		{"standardError", o.dir + "/new"}, {"standardError", "out/secret"}, {"standardError", state + "/key.json"},
		{"standardInput", o.dir + "/secret"}, {"standardInput", dots + "/secret"}, {"standardInput", "secret"},
		{"standardInput", "out/dir/file"}, {"standardInput", state + "/key.json"},
	} {
		t.Run(test.member+" "+test.path, func(t *testing.T) {
			path := r.finished("#!/bin/sh\ncat\necho written\necho written >&2\n", test.member, test.path)
			if job := r.jobs(path)[0]; job.Status.State != "FAILED" || *job.Status.InterruptSignal != 53 {
				t.Errorf("status %+v, want a job that could not start", job.Status)
			}
			o.untouched(t, test.path, answer{})
			if now, err := os.ReadFile(state + "/key.json"); err != nil || !bytes.Equal(now, key) {
				t.Errorf("the sandbox's key is %q now: %v", now, err)
			}
			if _, err := os.Stat(state + "/new.json"); err == nil {
				t.Error("a file was made in the sandbox's state")
			}
		})
	}
	link(t, r.scratch+"/far", r.home+"/near") // from one file system to another
	r.write(r.scratch+"/far", "")
	r.finished("#!/bin/sh\necho through\n", "standardOutput", "near")
	if got := r.view(r.scratch + "/far"); got != "through\n" {
		t.Errorf("output through a link between file systems: %q", got)
	}
}

func TestLinksInsideTheRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(r.scratch+"/data/f", "from scratch")
	link(t, r.scratch+"/data", r.home+"/absolute")
	link(t, "../../scratch/demo/data", r.home+"/relative")
	for _, name := range []string{"absolute", "relative"} {
		if got := r.view(r.home + "/" + name + "/f"); got != "from scratch" {
			t.Errorf("%s: %q", name, got)
		}
		want(t, r.upload(r.home+"/"+name, name, "x"), 204)
	}
	// The gate folds dots as text, the walk takes them after links.
	if got := r.view(r.home + "/absolute/../data/f"); got != "from scratch" {
		t.Errorf("after a link: %q", got)
	}
}

// TestEvilArchives: whatever an archive says, nothing outside the target
// directory changes.
func TestEvilArchives(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	}
	symlink := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
	}
	for name, tc := range map[string]struct {
		members []tar.Header
		status  int
		text    string
	}{
		"dots":              {[]tar.Header{file("../../../../../../../.." + o.dir + "/new")}, 500, "Member name contains '..'"},
		"dots to secret":    {[]tar.Header{file("x/../../../../../../../.." + o.dir + "/secret")}, 500, "Member name contains '..'"},
		"next door":         {[]tar.Header{file("../escaped")}, 500, "Member name contains '..'"},
		"link, then file":   {[]tar.Header{symlink("l", o.dir), file("l/secret")}, 403, "Cannot open: Permission denied"},
		"link, then dir":    {[]tar.Header{symlink("l", o.dir), {Name: "l/made/", Typeflag: tar.TypeDir, Mode: 0o755}}, 403, "Permission denied"},
		"link to the side":  {[]tar.Header{symlink("l", ".."), file("l/escaped")}, 403, "Cannot open: Permission denied"},
		"two links":         {[]tar.Header{symlink("a", "."), symlink("a/b", o.dir), file("a/b/secret")}, 403, "Permission denied"},
		"hard link":         {[]tar.Header{{Name: "h", Linkname: "../../../../../.." + o.dir + "/secret", Typeflag: tar.TypeLink}}, 500, "contains '..'"},
		"hard link by link": {[]tar.Header{symlink("l", o.dir), {Name: "h", Linkname: "l/secret", Typeflag: tar.TypeLink}}, 403, "Permission denied"},
		"hard link on high": {[]tar.Header{{Name: "h", Linkname: o.dir + "/secret", Typeflag: tar.TypeLink}}, 404, "No such file or directory"},
		"device":            {[]tar.Header{{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}}, 403, "Operation not permitted"},
		"absolute":          {[]tar.Header{file(o.dir + "/secret")}, 204, ""}, // below the target, as tar does
		"over a link":       {[]tar.Header{symlink("l", o.dir+"/secret"), file("l")}, 204, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range append(tc.members, file("last")) {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if h.Size > 0 {
					_, _ = w.Write([]byte("!"))
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r.write("evil.tar", b.String())
			r.write("target/keep", "")
			a := r.extract(r.home+"/evil.tar", r.home+"/target", "none")
			want(t, a, tc.status)
			if tc.status >= 400 {
				wantError(t, a, tc.status, tc.text)
			}
			o.untouched(t, name, a)
			want(t, r.ops("GET", "stat", r.home+"/escaped"), 404)
			if got := r.view(r.home + "/target/last"); got != "!" {
				t.Errorf("tar goes on after a member it refuses; last is %q", got)
			}
		})
	}
}

// FuzzPaths: no path, by whatever links, reads or writes outside the volumes.
func FuzzPaths(f *testing.F) {
	for _, seed := range []string{
		"/home/demo/x", "../x", "out/secret", "/out/../out/secret", "a/../../..", "loop/x", "./out/.", "//home//demo", "up/up/up/up/secret",
		"in/in/../out/secret", "\x00", "", "out/new", strings.Repeat("in/", 50), "~root", "/proc/self/root/etc/passwd",
	} {
		f.Add(seed, seed)
	}
	root, err := makeRoot(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	top := f.TempDir()
	secret := filepath.Join(top, "secret")
	if err := os.WriteFile(secret, []byte("TOP SECRET"), 0o600); err != nil {
		f.Fatal(err)
	}
	vs, err := openVolumes(root, (&site{}).users())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = vs.close() })
	x := session{vs, vs.users.first(), context.Background()}
	home := vs.home("demo")
	renew := func(t *testing.T) {
		for _, dir := range []string{home, filepath.Join(root, "scratch", "demo")} {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, to := range map[string]string{
			"out": top, "up": "..", "in": home, "loop": "loop", "new": top + "/new", "state": root, "side": "../../scratch/demo",
		} {
			link(t, to, filepath.Join(home, name))
		}
	}
	f.Fuzz(func(t *testing.T, name, linkTo string) {
		if len(name)+len(linkTo) > 200 {
			t.Skip("depth is not what this is about")
		}
		renew(t)
		if linkTo != "" && !strings.ContainsRune(linkTo, 0) {
			_ = os.Symlink(linkTo, filepath.Join(home, "fuzz")) // too long a name is no link
		}
		for _, path := range []string{name, home + "/" + name, "fuzz/" + name, "out/" + name, "up/up/up/" + name} {
			for _, follow := range []bool{false, true} {
				p, err := x.locate(path, follow)
				if err != nil || p.volume == nil {
					continue
				}
				real, err := filepath.EvalSymlinks(filepath.Dir(p.absolute()))
				if err == nil && !within(real, p.volume.path) && p.rel != "." {
					t.Fatalf("%q led to %s, which is %s", path, p.absolute(), real)
				}
			}
			if f, err := x.create(path); err == nil {
				_, _ = f.WriteString("written")
				f.Close()
			}
			_ = x.mkdirAll(path)
		}
		content, err := os.ReadFile(secret)
		entries, derr := os.ReadDir(top)
		if err != nil || derr != nil || string(content) != "TOP SECRET" || len(entries) != 1 {
			t.Fatalf("%q and a link to %q reached outside: %q %v %v", name, linkTo, content, entries, err)
		}
		if state, err := os.ReadDir(root); err != nil || len(state) != 2 {
			t.Fatalf("%q and a link to %q reached the state: %v %v", name, linkTo, state, err)
		}
	})
}
