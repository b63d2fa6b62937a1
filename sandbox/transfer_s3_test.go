package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// withTransfer is an open-handed site whose one system moves files like this.
func withTransfer(tc TransferConfig) func(*Config) {
	return func(c *Config) {
		c.Systems, c.Site = nil, &SiteConfig{Systems: []SystemConfig{{Name: "alps", Transfer: tc}}}
	}
}

// quick is a store with parts of a mebibyte and jobs that look often.
var quick = TransferConfig{MaxPartSize: 1 << 20, Poll: Duration(5 * time.Millisecond)}

func s3Upload(path string, size int) members {
	return members{"path": path, "transferDirectives": members{"transferMethod": "s3", "fileSize": size}}
}

func s3Download(path string) members {
	return members{"path": path, "transferDirectives": members{"transferMethod": "s3"}}
}

// pattern is that many bytes, no two mebibytes of which are alike.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i>>20 + i*7)
	}
	return b
}

// TestUploadAndDownload takes files of several sizes in and out again.
func TestUploadAndDownload(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	for _, test := range []struct {
		size, parts int
		shown       string
	}{{1, 1, "0.000"}, {1 << 20, 1, "1.000"}, {1<<20 + 1, 2, "1.000"}, {5<<20 - 3, 5, "5.000"}} {
		t.Run(fmt.Sprint(test.size), func(t *testing.T) {
			content := pattern(test.size)
			target := r.write("over me", "an older and longer file")
			up := r.transfer("upload", s3Upload(target, test.size))
			if len(up.Directives.Parts) != test.parts || up.Directives.MaxPartSize != 1<<20 || up.Directives.Method != "s3" {
				t.Fatalf("directives %+v", up.Directives)
			}
			up.send(t, content)
			got := r.outcome(up)
			log := "DATE Waiting till file to tranfer is available...\nDATE File to transfer found in S3 bucket\n" +
				"DATE Downloading file to: ~/over me ...\nDATE Received " + fmt.Sprint(test.size) + " bytes\n" +
				"DATE File was successfully downloaded (size: " + test.shown + "MB)\n"
			if diff := cmp.Diff(outcome{batch.Completed, 0, log, ""}, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if is, err := os.ReadFile(target); err != nil || !bytes.Equal(is, content) {
				t.Fatalf("target of %d bytes (%v) is not what was sent", len(is), err)
			}
			source := r.write("out.bin", string(content))
			down := r.transfer("download", s3Download(source))
			if got := r.outcome(down); got.state != batch.Completed || !strings.HasSuffix(got.out, "[INFO] Multipart file upload successfully completed\n") {
				t.Fatalf("%+v", got)
			}
			u, err := url.Parse(down.Directives.Download)
			if err != nil || !uuids.MatchString(u.Path) || !strings.HasSuffix(u.Path, "/out.bin") || u.Host != strings.TrimPrefix(r.url, "http://") {
				t.Errorf("download URL %q", down.Directives.Download)
			}
			if is := fetched(t, down.Directives.Download, ""); !bytes.Equal(is.body, content) {
				t.Errorf("object of %d bytes is not the file", len(is.body))
			}
			if is := fetched(t, down.Directives.Download, "bytes=0-0"); is.status != 206 || string(is.body) != string(content[:1]) {
				t.Errorf("range: status %d, %q", is.status, is.body)
			}
			if _, err := os.Stat(r.home + "/tmp/"); err != nil {
				t.Error("the folder of the parts was not made:", err)
			}
		})
	}
}

func fetched(t *testing.T, u, byteRange string) answer {
	t.Helper()
	req, err := http.NewRequest("GET", u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	return (&rig{t: t}).send(req)
}

// unwritten is the outcome for a target that cannot be written: success, but for
// the error log.
func unwritten(target, reason string) outcome {
	return outcome{batch.Completed, 0, "", "/var/spool/slurmd/jobID/slurm_script: line 54: " + target + ": " + reason +
		"\nrm: cannot remove '" + target + ".1': " + reason + "\n"}
}

func TestUploadFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, target string
		size         int // -1: never sent
		want         outcome
	}{
		{"a directory", "~/dir", 3, outcome{batch.Failed, exitDirectory, "", "DATE targetPath must point to a file path:  is a directory.\n"}},
		{"no such directory", "~/no/f", 3, unwritten("~/no/f", "No such file or directory")},
		{"a foreign path", "/etc/f", 3, unwritten("/etc/f", "Permission denied")},
		{"a link that leads out", "~/out/f", 3, unwritten("~/out/f", "Permission denied")},
		{"up and out", "~/../../../f", 3, unwritten("~/../../../f", "Permission denied")},
		{"empty", "~/f", 0, outcome{batch.Failed, exitFetch, "", "DATE Download failed: part 1\n"}},
		{"never sent", "~/f", -1, outcome{batch.Completed, 0, "DATE Waiting till file to tranfer is available...\n", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tc := quick
			if test.size < 0 {
				tc.GiveUp = Duration(30 * time.Millisecond)
			}
			r := newRig(t, withTransfer(tc))
			r.write("dir/f", "")
			outside := t.TempDir()
			link(t, outside, r.home+"/out")
			up := r.transfer("upload", s3Upload(strings.Replace(test.target, "~", r.home, 1), 3))
			switch test.size {
			case 0: // no part, hence no completion: it gets there by another way
				if _, err := r.srv.objects.Put("demo", keyOf(t, up), strings.NewReader("")); err != nil {
					t.Fatal(err)
				}
			case -1:
			default:
				up.send(t, []byte("abc"))
			}
			got := r.outcome(up)
			got.err = strings.NewReplacer(r.home, "~", fmt.Sprintf("job%05s/", up.Job.ID), "jobID/").Replace(got.err)
			if test.want.out == "" {
				got.out = ""
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if left := tree(t, outside); len(left) > 0 {
				t.Errorf("outside of the volumes: %v", left)
			}
		})
	}
}

// keyOf is the key of an upload's object.
func keyOf(t *testing.T, tr transferred) string {
	t.Helper()
	u, err := url.Parse(tr.Directives.Complete)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/s3/demo/")
}

// TestPastedPaths: what a path turns into on its way through the script.
func TestPastedPaths(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	for name, became := range map[string]string{
		"a&b": "a&amp;b", "a<b": "a&lt;b", "it's": "it&#39;s", "é b": "é b",
		"a$HOME-b": "a-b", "a${X}b": "ab", "a$(rm x)b": "ab", "a`rm x`b": "ab", `a\$b`: "a$b", `a\b`: `a\b`, "cost$": "cost$",
	} {
		up := r.transfer("upload", s3Upload(r.home+"/up/"+name, 3))
		if err := os.MkdirAll(r.home+"/up", 0o755); err != nil {
			t.Fatal(err)
		}
		up.send(t, []byte("abc"))
		if got := r.outcome(up); got.state != batch.Completed {
			t.Errorf("%q: %+v", name, got)
		}
		if diff := cmp.Diff(map[string]string{became: "-rw-r--r-- abc"}, tree(t, r.home+"/up")); diff != "" {
			t.Errorf("%q (-want +got)\n%s", name, diff)
		}
		if err := os.RemoveAll(r.home + "/up"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDownloadFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path     string
		change   string // what the file becomes between request and job
		exitCode int
		stderr   string
	}{
		"a directory": {"dir", "", exitNoSource, "file_not_found\n"},
		"a space":     {"a b", "", exitNoSource, "file_not_found\n"},
		"ampersand":   {"a&b", "", exitNoSource, "file_not_found\n"},
		"outgrown":    {"f", strings.Repeat("x", 1<<20+1), exitTooLarge, "[ERROR] The file is larger than it was when the transfer was requested\n"},
		"no place":    {"placeless", "", exitNoSource, "mkdir: cannot create directory 'tmp/"},
		"empty":       {"empty", "", exitRejected, "division by 0"},
		"emptied":     {"f", "", exitRejected, "curl: (22) The requested URL returned error: 400\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := test.change != "" || name == "emptied"
			r := newRig(t, withTransfer(quick), func(c *Config) {
				if changes {
					c.Site.Systems[0].TransferDirectives = []string{"#SBATCH --begin=now+1"} // time for that
				}
			})
			for _, f := range []string{"dir/f", "a b", "a&b", "f", "placeless"} {
				r.write(f, "content")
			}
			r.write("empty", "")
			if test.path == "placeless" {
				r.write("tmp", "a file")
			}
			down := r.transfer("download", s3Download(filepath.Join(r.home, test.path)))
			if changes {
				r.write(test.path, test.change)
			}
			got := r.outcome(down)
			if got.state != batch.Failed || got.exitCode != test.exitCode || !strings.Contains(got.err, test.stderr) {
				t.Errorf("%+v, want exit code %d and %q", got, test.exitCode, test.stderr)
			}
			if is := fetched(t, down.Directives.Download, ""); is.status != 404 {
				t.Errorf("the object of a failed job: status %d", is.status)
			}
		})
	}
}

// TestCancelledDownload: what the job made for itself goes with it.
func TestCancelledDownload(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(TransferConfig{}))
	if err := os.Truncate(r.write("big", ""), 8<<30); err != nil {
		t.Fatal(err)
	}
	down := r.transfer("download", s3Download(r.home+"/big"))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if made, _ := filepath.Glob(r.home + "/tmp/*"); len(made) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the job has not begun")
		}
	}
	want(t, r.do("DELETE", jobs+"/"+down.Job.ID, nil), 204)
	if job := r.wait(down.Job.ID); job.State != batch.Cancelled {
		t.Errorf("the job is %s", job.State)
	}
	if left, err := os.ReadDir(r.home + "/tmp"); err != nil || len(left) > 0 {
		t.Errorf("the job leaves %v, %v", left, err)
	}
}

// TestCancelledUpload: the job goes, and what is sent afterwards stays away.
func TestCancelledUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	up := r.transfer("upload", s3Upload(r.home+"/f", 3))
	r.until(up.Job.ID, func(s batch.State) bool { return s == batch.Running })
	want(t, r.do("DELETE", jobs+"/"+up.Job.ID, nil), 204)
	r.wait(up.Job.ID)
	job := r.jobs(jobs + "/" + up.Job.ID)[0]
	if job.Name != "IngressFileTransfer" || job.Status.State != "CANCELLED by 1000" || *job.Status.ExitCode != 0 || *job.Status.InterruptSignal != 15 {
		t.Errorf("job %+v", job)
	}
	up.send(t, []byte("abc"))
	if _, err := os.Stat(r.home + "/f"); err == nil {
		t.Error("the target was written")
	}
}

// TestPresignedURLsExpire: the URLs of a transfer are good for its ttl.
func TestPresignedURLsExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(TransferConfig{TTL: Duration(time.Second)}))
	up := r.transfer("upload", s3Upload(r.home+"/f", 3))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		got := r.send(put(t, up.Directives.Parts[0]))
		if got.status == 403 {
			break
		}
		if got.status != 200 || time.Now().After(deadline) {
			t.Fatalf("status %d, body %s", got.status, got.body)
		}
	}
	other := strings.Replace(up.Directives.Parts[0], "partNumber=1", "partNumber=2", 1)
	if got := r.send(put(t, other)); got.status != 403 {
		t.Errorf("a changed URL: status %d", got.status)
	}
}

func put(t *testing.T, u string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("PUT", u, strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestUploadAcrossARestart: URLs, the parts sent so far and the waiting job are
// there again after a restart, and the target gets its bytes.
func TestUploadAcrossARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	content := pattern(2 << 20)
	up := r.transfer("upload", s3Upload(r.home+"/f", len(content)))
	r.until(up.Job.ID, func(s batch.State) bool { return s == batch.Running })
	first := stored(t, "PUT", up.Directives.Parts[0], content[:1<<20]).Get("ETag")
	again := r.reopened()
	if job, _ := again.srv.jobs.Get("alps", up.Job.ID); job.State != batch.Running {
		t.Fatalf("job %s after the restart", job.State)
	}
	// The sandbox is on another port now; a client has the name of its host.
	at := func(u string) string {
		p, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		return p.Host
	}
	send := func(method, u string, body []byte) answer {
		req, err := http.NewRequest(method, strings.Replace(u, r.url, again.url, 1), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = at(u)
		return again.send(req)
	}
	second := send("PUT", up.Directives.Parts[1], content[1<<20:])
	want(t, second, 200)
	done := fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>2</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
		first, second.header.Get("ETag"))
	want(t, send("POST", up.Directives.Complete, []byte(done)), 200)
	if got := again.outcome(up); got.state != batch.Completed || !strings.Contains(got.out, "File was successfully downloaded (size: 2.000MB)") {
		t.Errorf("%+v", got)
	}
	if is, err := os.ReadFile(again.home + "/f"); err != nil || !bytes.Equal(is, content) {
		t.Errorf("target of %d bytes (%v) is not what was sent", len(is), err)
	}
}

// TestUploadSurvivesAKill: whoever attaches next serves the object store and
// finishes the job of a process that was killed.
func TestUploadSurvivesAKill(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	holder, _ := child(t, root)
	a := attach(t, Config{Root: root})
	c := newAttachedClient(t, a)
	target := filepath.Join(a.Root(), "home", "demo", "f")
	var up transferred
	c.call("POST", a.BaseURL()+"/filesystem/child/transfer/upload", s3Upload(target, 3), &up)
	if err := holder.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	c.http.CloseIdleConnections()
	etag := c.call("PUT", up.Directives.Parts[0], "abc", nil).Get("ETag")
	c.call("POST", up.Directives.Complete,
		"<CompleteMultipartUpload><Part><ETag>"+etag+"</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", nil)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if is, err := os.ReadFile(target); err == nil && string(is) == "abc" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the upload was not completed")
		}
	}
	if a.srv == nil || a.Credentials() != a.srv.Credentials() || a.StoreURL() != a.BaseURL()+StorePath {
		t.Error("the process that took over has other credentials than the one that was killed")
	}
}

// call makes a request, with a token if it is for the API.
func (c *attachedClient) call(method, u string, body, into any) http.Header {
	c.t.Helper()
	text, isText := body.(string)
	if !isText {
		data, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(data)
	}
	req, err := http.NewRequest(method, u, strings.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	if !isText {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		c.t.Fatalf("%s %s: status %d, %s (%v)", method, req.URL.Path, resp.StatusCode, data, err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			c.t.Fatal(err)
		}
	}
	return resp.Header
}

// TestTransfersAreRepeatable: a job that was done when its process ended, and
// did not live to say so, is done again and succeeds again.
func TestTransfersAreRepeatable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind, target string
		want         map[string]string
	}{
		{"mv", "~/e", map[string]string{"e": "drwxr-xr-x", "e/f": "-rw-r--r-- x"}},
		{"mv", "~/into", map[string]string{"into/d/f": "-rw-r--r-- x"}},
		{"mv", "@/e", nil},
		{"cp", "~/e", map[string]string{"e": "drwxr-xr-x", "e/f": "-rw-r--r-- x", "d/f": "-rw-r--r-- x"}},
		{"cp", "~/into", map[string]string{"into/d/f": "-rw-r--r-- x"}},
		{"rm", "", nil},
		{"compress", "~/a.tgz", map[string]string{"d/f": "-rw-r--r-- x"}},
	} {
		t.Run(test.kind+" "+test.target, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("d/f", "x")
			r.write("into/g", "")
			target := strings.NewReplacer("~", r.home, "@", r.scratch).Replace(test.target)
			args, err := json.Marshal(order{Source: r.home + "/d", Target: target, Compression: "gzip"})
			if err != nil {
				t.Fatal(err)
			}
			run := batch.BuiltinRun{
				Job:  batch.Job{ID: "1", Spec: batch.Spec{User: "demo", Stdout: r.home + "/.f7t_out", Stderr: r.home + "/.f7t_err"}},
				Args: args, Dir: t.TempDir(),
			}
			for range 2 {
				if code := r.srv.runTransfer(context.Background(), transferKinds[test.kind], run); code != 0 {
					t.Fatalf("exit code %d", code)
				}
				if log := r.view(run.Job.Spec.Stdout); !strings.Contains(log, "Files were successfully") {
					t.Fatalf("output %q, error %q", log, r.view(run.Job.Spec.Stderr))
				}
			}
			after := tree(t, r.home)
			for name, is := range test.want {
				if after[name] != is {
					t.Errorf("%s is %q, want %q", name, after[name], is)
				}
			}
			if test.target == "~/e" && after["e/d"] != "" {
				t.Error("the second time it went into what the first had made")
			}
		})
	}
}

// TestDownloadIsRepeatable: an object that was sent is not sent again.
func TestDownloadIsRepeatable(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick))
	down := r.transfer("download", s3Download(r.write("f", "abc")))
	r.wait(down.Job.ID)
	job, _ := r.srv.jobs.Get("alps", down.Job.ID)
	run := batch.BuiltinRun{Job: job, Args: job.Spec.Builtin.Args, Dir: t.TempDir()}
	if code := r.srv.runTransfer(context.Background(), transferKinds["egress"], run); code != 0 {
		t.Errorf("exit code %d: %s", code, r.view(down.Job.Logs.Error))
	}
	if is := fetched(t, down.Directives.Download, ""); string(is.body) != "abc" {
		t.Errorf("object %q", is.body)
	}
}

// TestRefusedTransferLeavesNothing: an upload in parts begins before the job that
// it is for, which the scheduler may refuse.
func TestRefusedTransferLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, withTransfer(quick), func(c *Config) {
		c.Admit = func(*batch.Spec) error { return &batch.RejectedError{Stderr: "sbatch: error: no"} }
	})
	source := r.write("f", "content")
	want(t, r.do("POST", "/filesystem/alps/transfer/upload", s3Upload(r.home+"/up", 3)), 500)
	want(t, r.do("POST", "/filesystem/alps/transfer/download", s3Download(source)), 500)
	left, err := os.ReadDir(filepath.Join(r.srv.Root(), "objects", "uploads"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d uploads are left, %v", len(left), err)
	}
}
