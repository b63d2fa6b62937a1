package sandbox

import (
	"archive/tar"
	"bytes"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// transfer sends a transfer and returns its answer.
func (r *rig) transfer(call string, body members) transferred {
	r.t.Helper()
	var got answer
	if call == "rm" {
		got = r.do("DELETE", transfers+"rm?"+url.Values{"path": {body["path"].(string)}}.Encode(), nil)
		want(r.t, got, 200)
	} else {
		got = r.do("POST", transfers+call, body)
		want(r.t, got, 201)
	}
	var tr transferred
	got.decode(r.t, &tr)
	return tr
}

const transfers = "/filesystem/alps/transfer/"

// outcome is how a transfer ended: its job, and its logs without dates and
// without the first line.
type outcome struct {
	state    batch.State
	exitCode int
	out, err string
}

func (r *rig) outcome(tr transferred) outcome {
	r.t.Helper()
	job := r.wait(tr.Job.ID)
	_, out, _ := strings.Cut(r.view(tr.Job.Logs.Output), "\n")
	clean := func(log string) string {
		return strings.ReplaceAll(dates.ReplaceAllString(log, "DATE"), r.home+"/", "~/")
	}
	return outcome{job.State, job.ExitCode, clean(out), clean(r.view(tr.Job.Logs.Error))}
}

// done and failed are the outcomes of the jobs that stay on the system: both
// are COMPLETED with 0.
func done(verb string) outcome {
	return outcome{batch.Completed, 0, "DATE Files were successfully " + verb + ".\n", ""}
}

func failed(verb, stderr string) outcome {
	return outcome{batch.Completed, 0, "", stderr + "\nDATE Unable to " + verb + " files exit code:0 error: \n"}
}

// tree lists what is below a directory: name, mode and content or target.
func tree(t *testing.T, top string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.Walk(top, func(name string, info os.FileInfo, err error) error {
		rel, _ := filepath.Rel(top, name)
		if err != nil || rel == "." || strings.HasPrefix(info.Name(), ".f7t") {
			return err
		}
		switch {
		case info.IsDir():
			found[rel] = info.Mode().String()
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(name)
			found[rel] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(name)
			found[rel] = info.Mode().String() + " " + string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestMove(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, source, target string
		want                 outcome
		moved                string // where the source is afterwards, "" if still there
	}{
		{"rename", "f", "~/g", done("moved"), "~/g"},
		{"into a directory", "f", "~/d", done("moved"), "~/d/f"},
		{"over a file", "f", "~/other", done("moved"), "~/other"},
		{"a directory", "d", "~/e", done("moved"), "~/e"},
		{"a link, not its target", "l", "~/m", done("moved"), "~/m"},
		{"across file systems", "d", "@/d", done("moved"), "@/d"},
		{"over a file across", "f", "@/old", done("moved"), "@/old"},
		{"spaces", "a b", "~/c d", done("moved"), "~/c d"},

		{"missing", "nope", "~/g", failed("move", "mv: cannot stat '~/nope': No such file or directory"), ""},
		{"onto itself", "f", "~/f", failed("move", "mv: '~/f' and '~/f' are the same file"), ""},
		{"into itself", "d", "~/d/sub/x", failed("move", "mv: cannot move '~/d' to a subdirectory of itself, '~/d/sub/x'"), ""},
		{"directory over file", "d", "~/f", failed("move", "mv: cannot overwrite non-directory '~/f' with directory '~/d'"), ""},
		{"over a full directory", "x/d", "~", failed("move", "mv: cannot move '~/x/d' to '~/d': Directory not empty"), ""},
		{"no such directory", "f", "~/no/f", failed("move", "mv: cannot move '~/f' to '~/no/f': No such file or directory"), ""},
		{"file as a directory", "f", "~/g/", failed("move", "mv: cannot move '~/f' to '~/g/': Not a directory"), ""},
		{"a foreign target", "f", "/etc/f", failed("move", "mv: cannot stat '/etc/f': Permission denied"), ""},
		{"through a link that leads out", "f", "~/out/f", failed("move", "mv: cannot stat '~/out/f': Permission denied"), ""},
		{"up and out", "f", "~/../../../f", failed("move", "mv: cannot stat '~/../../../f': Permission denied"), ""},
		{"ampersand", "a&b", "~/g", failed("move", "mv: cannot stat '~/a&amp;b': No such file or directory"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for name, content := range map[string]string{"f": "file", "other": "other", "a b": "spaces", "a&b": "amp", "d/sub/g": "deep", "x/d/h": "h", r.scratch + "/old": "old"} {
				r.write(name, content)
			}
			link(t, "f", r.home+"/l")
			link(t, t.TempDir(), r.home+"/out")
			at := func(p string) string {
				return strings.Replace(strings.Replace(p, "~", r.home, 1), "@", r.scratch, 1)
			}
			before := tree(t, r.home)
			source := path.Join(r.home, test.source)
			got := r.outcome(r.transfer("mv", members{"sourcePath": source, "targetPath": at(test.target)}))
			got.err = strings.ReplaceAll(got.err, r.home, "~")
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if test.moved == "" {
				if diff := cmp.Diff(before, tree(t, r.home)); diff != "" {
					t.Errorf("a failed move changed something (-before +after)\n%s", diff)
				}
				return
			}
			if _, err := os.Lstat(source); err == nil {
				t.Error("the source is still there")
			}
			_, err := os.Lstat(at(test.moved))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, source, target string
		dereference          bool
		want                 outcome
		made                 map[string]string // below the home directory
	}{
		{"a file", "d/f", "copy", false, done("copied"), map[string]string{"copy": "-rwxr-x--- file"}},
		{"over a file that is read-only", "d/f", "sealed", false, done("copied"), map[string]string{"sealed": "-rwxr-x--- file"}},
		{"a tree", "d", "copy", false, done("copied"), map[string]string{
			"copy": "drwxr-x---", "copy/f": "-rwxr-x--- file", "copy/l": "-> f", "copy/dangling": "-> nowhere", "copy/sub": "drwxr-xr-x", "copy/sub/g": "-rw-r--r-- deep",
		}},
		{"into a directory", "d/f", "e", false, done("copied"), map[string]string{"e/f": "-rwxr-x--- file"}},
		{"a link", "d/l", "copy", false, done("copied"), map[string]string{"copy": "-> f"}},
		{"what a link leads to", "d/l", "copy", true, done("copied"), map[string]string{"copy": "-rwxr-x--- file"}},
		{"missing", "nope", "copy", false, failed("copy", "cp: cannot stat '~/nope': No such file or directory"), nil},
		{"into itself", "d", "d/sub", false, failed("copy", "cp: cannot copy a directory, '~/d', into itself, '~/d/sub/d'"), nil},
		{"onto itself", "d/f", "d/l", false, failed("copy", "cp: '~/d/f' and '~/d/l' are the same file"), nil},
		{"no such directory", "d/f", "no/copy", false, failed("copy", "cp: cannot create regular file '~/no/copy': No such file or directory"), nil},
		{"unreadable", "secret", "copy", false, failed("copy", "cp: cannot open '~/secret' for reading: Permission denied"), nil},
		{"a link that leads out", "d/l", "out/x", false, failed("copy", "cp: cannot stat '~/out/x': Permission denied"), nil},
		{"the contents of a link that leads out", "out", "copy", true, failed("copy", "cp: cannot stat '~/out': Permission denied"), nil},
		{"dangling, followed", "d", "copy", true, failed("copy", "cp: cannot stat '~/d/dangling': No such file or directory"), map[string]string{
			"copy": "drwxr-x---", "copy/f": "-rwxr-x--- file", "copy/l": "-rwxr-x--- file", "copy/sub": "drwxr-xr-x", "copy/sub/g": "-rw-r--r-- deep",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for name, content := range map[string]string{"d/f": "file", "d/sub/g": "deep", "e/x": "x", "sealed": "sealed", "secret": "s"} {
				r.write(name, content)
			}
			link(t, "f", r.home+"/d/l")
			link(t, "nowhere", r.home+"/d/dangling")
			outside := t.TempDir()
			link(t, outside, r.home+"/out")
			for name, mode := range map[string]os.FileMode{"d/f": 0o750, "d": 0o750, "sealed": 0o444, "secret": 0} {
				chmod(t, filepath.Join(r.home, name), mode)
			}
			got := r.outcome(r.transfer("cp", members{
				"source_path": path.Join(r.home, test.source), "target_path": path.Join(r.home, test.target), "dereference": test.dereference,
			}))
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			chmod(t, r.home+"/secret", 0o600) // tree reads it
			after := tree(t, r.home)
			for name, is := range test.made {
				if after[name] != is {
					t.Errorf("%s is %q, want %q", name, after[name], is)
				}
			}
			if left := tree(t, outside); len(left) > 0 {
				t.Errorf("outside of the volumes: %v", left)
			}
			if info, err := os.Stat(filepath.Join(r.home, "copy")); err == nil && test.name == "a file" {
				original, _ := os.Stat(filepath.Join(r.home, "d/f"))
				if !info.ModTime().Equal(original.ModTime()) {
					t.Errorf("time %v, want that of the original, %v", info.ModTime(), original.ModTime())
				}
			}
		})
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("d/e/f", "x")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, outside, r.home+"/d/out")
	for _, test := range []struct {
		path string
		want outcome
	}{
		{r.home + "/d", done("deleted")},
		{r.home + "/d", failed("delete", "rm: cannot remove '~/d': No such file or directory")},
	} {
		if diff := cmp.Diff(test.want, r.outcome(r.transfer("rm", members{"path": test.path})), cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Error("it followed a link:", err)
	}
}

func TestTransferArchives(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"none", "gzip", "bzip2", "xz"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("d/e/f", "x")
			archive := members{"path": r.home + "/d", "targetPath": r.home + "/a", "compression": kind}
			if got := r.outcome(r.transfer("compress", archive)); got != done("compressed") {
				t.Skip("no such program here:", got.err)
			}
			back := members{"path": r.home + "/a", "targetPath": r.scratch, "compression": kind}
			if got := r.outcome(r.transfer("extract", back)); got != done("extracted") {
				t.Fatalf("%+v", got)
			}
			if diff := cmp.Diff(tree(t, r.home+"/d"), tree(t, r.scratch+"/d")); diff != "" {
				t.Errorf("(-packed +unpacked)\n%s", diff)
			}
		})
	}
}

// TestTransferExtractStaysInside unpacks archives that point elsewhere.
func TestTransferExtractStaysInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for name, members := range map[string][]tar.Header{
		"up":            {{Name: "../../../../x", Typeflag: tar.TypeReg}},
		"through links": {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: outside}, {Name: "l/x", Typeflag: tar.TypeReg}},
		"to a neighbour": {
			{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../home"}, {Name: "l/x", Typeflag: tar.TypeReg},
		},
		"hard link": {{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../../site.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, h := range members {
				h.Mode = 0o644
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r.write("a.tar", archive.String())
			got := r.outcome(r.transfer("extract", map[string]any{"path": r.home + "/a.tar", "targetPath": r.scratch, "compression": "none"}))
			if got.state != batch.Completed || got.exitCode != 0 || !strings.Contains(got.err, "Unable to extract files exit code:0") {
				t.Errorf("%+v", got)
			}
			if left := tree(t, outside); len(left) > 0 {
				t.Errorf("outside of the volumes: %v", left)
			}
			for _, dir := range []string{filepath.Join(r.srv.Root(), "home"), r.srv.Root(), filepath.Dir(r.srv.Root())} {
				if _, err := os.Lstat(filepath.Join(dir, "x")); err == nil {
					t.Errorf("x is in %s", dir)
				}
			}
		})
	}
}

// TestTransferMetadata: who looks for the job of a path finds it by its script.
func TestTransferMetadata(t *testing.T) {
	t.Parallel()
	r := described(t)
	tr := r.transfer("upload", members{"path": r.home + "/in.bin", "transfer_directives": members{"transfer_method": "s3", "file_size": "3"}})
	var got struct {
		Jobs []struct{ Script, StandardInput, StandardOutput, StandardError string }
	}
	a := r.do("GET", jobs+"/"+tr.Job.ID+"/metadata", nil)
	want(t, a, 200)
	a.decode(t, &got)
	meta := got.Jobs[0]
	for _, line := range []string{"#SBATCH --time=0-00:15:00", "Ingress File Transfer Job", r.home + "/in.bin"} {
		if !strings.Contains(meta.Script, line) {
			t.Errorf("script without %q:\n%s", line, meta.Script)
		}
	}
	if meta.StandardInput != "/dev/null" || meta.StandardOutput != tr.Job.Logs.Output || meta.StandardError != tr.Job.Logs.Error {
		t.Errorf("standard files %+v, logs %+v", meta, tr.Job.Logs)
	}
	if job, _ := r.srv.jobs.Get("alps", tr.Job.ID); job.TimeLimit != 15*time.Minute || job.Spec.User != "alice" {
		t.Errorf("limit %v, user %s: the directives of the site count", job.TimeLimit, job.Spec.User)
	}
}

// TestTransferOnPBS: the jobs of a PBS site do the same under its own directives.
func TestTransferOnPBS(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Systems, c.Site = nil, &SiteConfig{Systems: []SystemConfig{{
			Name: "alps", Scheduler: "pbs", TransferDirectives: []string{"#PBS -l walltime=00:10:00"},
		}}}
	})
	f := r.write("f", "x")
	if got := r.outcome(r.transfer("mv", members{"path": f, "targetPath": r.home + "/g"})); got != done("moved") {
		t.Errorf("%+v", got)
	}
	tr := r.transfer("upload", s3Upload(r.home+"/h", 1))
	if job, _ := r.srv.jobs.Get("alps", tr.Job.ID); job.TimeLimit != 10*time.Minute {
		t.Errorf("limit %v", job.TimeLimit)
	}
	tr.send(t, []byte("x"))
	if got := r.outcome(tr); got.state != batch.Completed {
		t.Errorf("%+v", got)
	}
}

// TestUnwritableLog: a job whose log cannot be written fails.
func TestUnwritableLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := r.write(r.scratch+"/f", "x")
	chmod(t, r.home, 0o500)
	t.Cleanup(func() { chmod(t, r.home, 0o700) })
	tr := r.transfer("rm", members{"path": f})
	if job := r.wait(tr.Job.ID); job.State != batch.Failed {
		t.Errorf("job %+v", job)
	}
	if _, err := os.Stat(f); err != nil {
		t.Error("it worked without a log:", err)
	}
}

// TestTransferPanics: who looks for the reason finds it, in the log of the job
// and in that of the sandbox.
func TestTransferPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := newRig(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	run := batch.BuiltinRun{Job: batch.Job{ID: "7", Spec: batch.Spec{User: "demo", Stdout: r.home + "/out", Stderr: r.home + "/err"}}, Args: []byte("{}")}
	func() {
		defer func() { _ = recover() }()
		r.srv.runTransfer(t.Context(), transferKind{run: func(*transferJob) int { panic("out of ideas") }}, run)
	}()
	if got := r.view(r.home + "/err"); got != "panic: out of ideas\n" || !strings.Contains(log.String(), "out of ideas") {
		t.Errorf("error log %q, log %q", got, &log)
	}
}
