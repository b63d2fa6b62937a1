package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
	"github.com/fcflow/fcflow/workflow"
)

// transfers makes the sandbox's large files move in small parts.
func transfers(change func(*sandbox.TransferConfig)) func(*sandbox.Config) {
	return func(c *sandbox.Config) {
		t := sandbox.TransferConfig{MaxPartSize: 100_000, Poll: sandbox.Duration(50 * time.Millisecond)}
		if change != nil {
			change(&t)
		}
		c.Site = &sandbox.SiteConfig{Systems: []sandbox.SystemConfig{{Name: system, Transfer: t}}}
		c.MaxOpsFileSize = 100_000
	}
}

// large is content that takes several parts.
func large(seed byte) string {
	b := make([]byte, 1_000_003)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return string(b)
}

const thereAndBack = `
	- { id: there, uses: upload, with: { from: large.bin } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}" } }`

// checkBack fails unless the file came back as it went.
func (s *site) checkBack(r *workflow.Run, method string) {
	s.t.Helper()
	for _, step := range []string{"there", "back"} {
		if got := s.outputs(r, step); got["verified"] != "sha256" || got["method"] != method {
			s.t.Errorf("%s: %v", step, got)
		}
	}
	want, err := os.ReadFile(filepath.Join(s.dir, "large.bin"))
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(s.output, "large.bin"))
	if err != nil || !bytes.Equal(got, want) {
		s.t.Errorf("what came back is not what went (%v)", err)
	}
	s.noTraces()
}

// noTraces fails if something of a transfer is left behind on this side.
func (s *site) noTraces() {
	s.t.Helper()
	for _, dir := range []string{s.private, s.output} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && (dir == s.private && !d.IsDir() || strings.HasSuffix(p, ".part")) {
				s.t.Errorf("%s is left", p)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			s.t.Error(err)
		}
	}
}

func TestLargeFiles(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	every := func(k int32, op string, f objects.Fault) func(*sandbox.Config) {
		return func(c *sandbox.Config) {
			c.StoreFault = func(got string, _ *http.Request) *objects.Fault {
				if strings.HasPrefix(got, op) && n.Add(1)%k == 0 {
					return &f
				}
				return nil
			}
		}
	}
	for name, change := range map[string]func(*sandbox.Config){
		"well":                nil,
		"the store is busy":   every(3, "", objects.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}),
		"connections are cut": every(4, "", objects.Fault{CutRequest: true, After: 1000}),
		"replies are cut":     every(5, "Get", objects.Fault{CutReply: true, After: 30_000}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*sandbox.Config){transfers(nil)}
			if change != nil {
				changes = append(changes, change)
			}
			s := newSite(t, changes...)
			s.file("large.bin", large(1))
			s.checkBack(s.run(thereAndBack), "s3")
		})
	}
}

// TestSecretsStayPrivate: nothing that opens a file gets into the history.
func TestSecretsStayPrivate(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	s.file("large.bin", large(2))
	r := s.run(thereAndBack)
	for _, e := range events(t, s, r) {
		if text := fmt.Sprintf("%+v", e.Data); strings.Contains(text, "X-Amz") || strings.Contains(text, "uploadId") {
			t.Errorf("%T: %s", e.Data, text)
		}
	}
}

// TestInterruptedUpload: another process goes on with the parts that are missing.
func TestInterruptedUpload(t *testing.T) {
	t.Parallel()
	var puts, stuck atomic.Int32
	stuck.Store(1)
	release := make(chan struct{})
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(op string, r *http.Request) *objects.Fault {
			if r.Method != http.MethodPut || strings.Contains(r.UserAgent(), "curl") {
				return nil
			}
			if puts.Add(1) > 5 && stuck.Load() == 1 {
				select {
				case <-release:
				case <-r.Context().Done():
				}
				return &objects.Fault{Status: http.StatusServiceUnavailable}
			}
			return nil
		}
	})
	s.file("large.bin", large(3))
	x := s.create(s.load(thereAndBack))
	s.driveUntil(x, func(r *workflow.Run) bool {
		a := r.Steps[0].Units[0].Attempt()
		if a == nil {
			return false
		}
		parts := 0
		for key := range a.Checkpoints {
			if strings.HasPrefix(key, "part.") {
				parts++
			}
		}
		return parts >= 5
	})
	stuck.Store(0)
	close(release)
	first := puts.Swap(0)
	r := s.drive(s.reopen(x))
	s.checkBack(r, "s3")
	if n := puts.Load(); n > 20-5 { // and as many of the download's job
		t.Errorf("%d parts are sent by the second process, %d by the first", n, first)
	}
	if n := len(r.Steps[0].Units[0].Attempts); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// TestExpiredAddresses: a transfer whose addresses are refused is replaced, and
// its job cancelled.
func TestExpiredAddresses(t *testing.T) {
	t.Parallel()
	var puts atomic.Int32
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(op string, r *http.Request) *objects.Fault {
			if r.Method == http.MethodPut && puts.Add(1) == 4 {
				return &objects.Fault{Expired: true}
			}
			return nil
		}
	})
	s.file("large.bin", large(4))
	s.checkBack(s.run(thereAndBack), "s3")
	jobs, err := s.client.Compute.List(t.Context(), system, nil)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for _, j := range jobs {
		states[j.Status.State.Name()]++
	}
	if diff := cmp.Diff(map[string]int{"CANCELLED": 1, "COMPLETED": 2}, states); diff != "" {
		t.Errorf("jobs -want +got\n%s", diff)
	}
}

// TestCancelledUpload: no job goes on that could write to the target.
func TestCancelledUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(func(c *sandbox.TransferConfig) { c.Poll = sandbox.Duration(time.Hour) }))
	s.file("large.bin", large(5))
	x := s.create(s.load("- { id: x, uses: upload, with: { from: large.bin } }"))
	cancelled := make(chan error, 1)
	var once sync.Once
	s.observe(func(r *workflow.Run) {
		if waiting(workflow.WaitJob)(r) {
			go once.Do(func() { cancelled <- x.Cancel(t.Context(), "test") })
		}
	})
	r := s.drive(x)
	if err := <-cancelled; err != nil {
		t.Fatal(err)
	}
	if u := unit(t, r, "x"); u.State != workflow.Cancelled {
		t.Errorf("%s", states(r))
	}
	jobs, err := s.client.Compute.List(t.Context(), system, nil)
	if err != nil || len(jobs) != 1 || jobs[0].Status.State.Name() != "CANCELLED" {
		t.Errorf("%v, %v", jobs, err)
	}
	s.noTraces()
}

// TestGivenUp: a transfer that fails because something stays away for too long,
// or because its job cannot be asked for, leaves no job and no part of a file.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(op string, _ *http.Request) *objects.Fault {
			if op == "CompleteMultipartUpload" {
				return &objects.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
			}
			return nil
		}
	})
	s.file("large.bin", large(10))
	if err := os.WriteFile(filepath.Join(s.root, "home", "demo", "two words"), []byte(large(11)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.run(fmt.Sprintf(`
	- { id: there, uses: upload, max_attempts: 1, give_up_after: 1s, with: { from: large.bin } }
	- { id: back, uses: download, max_attempts: 1, with: { from: "%s/home/demo/two words" } }`, s.root))
	for step, want := range map[string]workflow.Cause{"there": workflow.CauseAPI, "back": workflow.CauseRejected} {
		if u := unit(t, r, step); u.State != workflow.Failed || u.Cause != want {
			t.Errorf("%s", states(r))
		}
	}
	jobs, err := s.client.Compute.List(t.Context(), system, nil)
	if err != nil || len(jobs) != 1 || jobs[0].Status.State.Name() != "CANCELLED" {
		t.Errorf("%v, %v", jobs, err)
	}
	s.noTraces()
}

// TestDamagedLarge: what an object store lost or cut short is no file.
func TestDamagedLarge(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct {
		method string
		fault  objects.Fault
		step   string
	}{
		"a part of the object is lost": {http.MethodPut, objects.Fault{Truncate: true, After: 5}, "there"},
		"the object is shorter for us": {http.MethodGet, objects.Fault{Truncate: true, After: 500_000}, "back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, transfers(nil), func(c *sandbox.Config) {
				c.StoreFault = func(op string, r *http.Request) *objects.Fault {
					if r.Method == f.method && strings.HasPrefix(r.UserAgent(), "fcflow") {
						return &f.fault
					}
					return nil
				}
			})
			s.file("large.bin", large(6))
			r := s.run(`
			- { id: there, uses: upload, max_attempts: 1, with: { from: large.bin } }
			- { id: back, uses: download, max_attempts: 1, with: { from: "${{ steps.there.outputs.path }}" } }`)
			if u := unit(t, r, f.step); u.Cause != workflow.CauseTransfer {
				t.Errorf("%s: %s", u.Cause, u.Message)
			}
			s.noTraces()
		})
	}
}

// tree writes files and links and returns what is there, by name.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		if d.Type()&fs.ModeSymlink != 0 {
			text, err := os.Readlink(p)
			found[name] = "-> " + text
			return err
		}
		text, err := os.ReadFile(p)
		info, _ := d.Info()
		found[name] = fmt.Sprintf("%o %s", info.Mode().Perm()&0o700, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDirectories: names that stand on no command line are right, whatever is in
// them.
func TestDirectories(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"a.txt", "b c.txt", "it's.txt", `say "hi".txt`, "a&b.txt", "größe.txt", "new\nline.txt", ".hidden", "sub/deep/x", "$HOME", "-rf"} {
		s.file(filepath.Join("data", name), "of "+name)
	}
	if err := os.Chmod(filepath.Join(s.dir, "data/a.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.txt", filepath.Join(s.dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	s.file("plain/x.txt", "x")
	s.file("plain/y/z.txt", "z")
	r := s.run(`
	- { id: plain, uses: upload, with: { from: plain } }
	- { id: same, uses: upload, needs: plain, with: { from: plain } }
	- { id: there, uses: upload, with: { from: data, to: in/ } }
	- { id: changed, uses: upload, needs: there, with: { from: data, to: in/, on_exists: replace } }
	- { id: back, uses: download, with: { from: "${{ steps.changed.outputs.path }}", to: out } }
	- { id: back_again, uses: download, needs: back, with: { from: in/data, to: out } }`)
	if r.State != workflow.RunSucceeded {
		t.Fatal(states(r))
	}
	want := tree(t, filepath.Join(s.dir, "data"))
	if diff := cmp.Diff(want, tree(t, filepath.Join(s.output, "out"))); diff != "" {
		t.Errorf("-sent +came\n%s\n%s", diff, states(r))
	}
	if got := s.outputs(r, "there"); got["files"] != 11.0 || got["skipped"] != false {
		t.Errorf("%v", got)
	}
	for _, step := range []string{"same", "back_again"} {
		if got := s.outputs(r, step); got["skipped"] != true {
			t.Errorf("%s: %v", step, got)
		}
	}
	s.noTraces()
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"a.nc", "b.nc", "c.txt", "sub/d.nc", "sub/e.txt", ".h.nc"} {
		s.file(filepath.Join("data", name), "of "+name)
	}
	r := s.run(`
	- { id: some, uses: upload, with: { from: "data/*.nc", to: some } }
	- { id: all, uses: upload, with: { from: "data/**/*.nc", to: all } }
	- { id: back, uses: download, with: { from: "${{ steps.all.outputs.path }}/**/*.nc", to: back } }
	- { id: one, uses: download, needs: back, with: { from: "all/[a]*", to: one } }`)
	for dir, want := range map[string][]string{"back": {"a.nc", "b.nc", "sub/d.nc"}, "one": {"a.nc"}} {
		got := tree(t, filepath.Join(s.output, dir))
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v\n%s", dir, got, want, states(r))
		}
		for _, name := range want {
			if !strings.HasSuffix(got[name], "of "+name) {
				t.Errorf("%s/%s: %q", dir, name, got[name])
			}
		}
	}
	for step, want := range map[string]float64{"some": 2, "all": 3, "back": 3, "one": 1} {
		if got := s.outputs(r, step)["files"]; got != want {
			t.Errorf("%s: %v files", step, got)
		}
	}
}

// TestPatternsAndLinks: a server packs no links that a pattern matches. That one
// dangles elsewhere in the directory is no matter.
func TestPatternsAndLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("data/a.nc", "a")
	r := s.run(`
	- { id: there, uses: upload, with: { from: data } }
	- { id: link, uses: symlink, needs: there, with: { target: data/a.nc, path: data/b.nc } }
	- { id: dangling, uses: symlink, needs: there, with: { target: gone, path: data/c.txt } }
	- { id: one, uses: download, needs: [link, dangling], with: { from: "data/a*", to: one } }
	- { id: both, uses: download, needs: [link, dangling], with: { from: "data/*.nc", to: both } }`)
	if got := s.outputs(r, "one")["files"]; got != 1.0 {
		t.Errorf("%v files", got)
	}
	if u := unit(t, r, "both"); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, "data/b.nc is a link") {
		t.Errorf("both: %s %s %s", u.State, u.Cause, u.Message)
	}
}

// TestInterruptedAnywhere stops the process after every event of a transfer there
// and back, in turn, and lets another go on.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, way, steps string }{
		{"s3", "s3", thereAndBack},
		{"streamer", "streamer", thereAndBack},
		{"directory", "s3", `
			- { id: there, uses: upload, with: { from: data, method: s3 } }
			- { id: moved, uses: mv, with: { source: "${{ steps.there.outputs.path }}", target: moved } }
			- { id: back, uses: download, with: { from: "${{ steps.moved.outputs.target }}", to: ./, method: s3, on_exists: fail } }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			over := false
			for stop := int64(2); !over && !t.Failed(); stop++ {
				t.Run(fmt.Sprint(stop), func(t *testing.T) {
					s := newSite(t, transfers(func(c *sandbox.TransferConfig) { c.Method, c.MaxPartSize = test.way, 300_000 }))
					s.file("large.bin", large(9))
					s.file("data/a.txt", "a")
					s.file("data/sub/b.txt", "b")
					x := s.create(s.load(test.steps))
					if over = s.stopAfter(x, stop); !over {
						x = s.reopen(x)
						s.drive(x)
					}
					if test.name == "directory" {
						s.outputs(x.Run(), "back")
						if diff := cmp.Diff(tree(t, filepath.Join(s.dir, "data")), tree(t, filepath.Join(s.output, "moved"))); diff != "" {
							t.Errorf("-sent +came\n%s", diff)
						}
						s.noTraces()
					} else {
						s.checkBack(x.Run(), test.way)
					}
					jobs, err := s.client.Compute.List(t.Context(), system, nil)
					if err != nil {
						t.Fatal(err)
					}
					for _, j := range jobs {
						if !j.Status.State.IsTerminal() && j.Name == "IngressFileTransfer" {
							t.Errorf("job %s goes on", j.ID)
						}
					}
				})
			}
		})
	}
}

// stopAfter drives a run until it has so many events, and reports whether it was
// over before that.
func (s *site) stopAfter(x *engine.Execution, events int64) (over bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	s.observe(func(r *workflow.Run) {
		if r.Seq >= events {
			cancel()
		}
	})
	err := x.Drive(ctx)
	s.observe(nil)
	if errors.Is(err, context.DeadlineExceeded) || err != nil && !errors.Is(err, context.Canceled) {
		s.t.Fatalf("%v\n%s", err, states(x.Run()))
	}
	if err := x.Close(); err != nil {
		s.t.Fatal(err)
	}
	return err == nil
}
