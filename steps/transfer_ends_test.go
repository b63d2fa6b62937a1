package steps

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/objects"
	"github.com/fcflow/fcflow/workflow"
)

// liveJobs fails if a job of the site goes on.
func (s *site) liveJobs() {
	s.t.Helper()
	jobs, err := s.client.Compute.List(s.t.Context(), system, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, j := range jobs {
		if !j.Status.State.IsTerminal() {
			s.t.Errorf("job %s, %s, goes on", j.ID, j.Name)
		}
	}
}

// misbehave is faults for several operations.
func (s *site) misbehave(faults map[string]*sandbox.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		for suffix, f := range faults {
			if strings.HasSuffix(op, suffix) {
				return f
			}
		}
		return nil
	}
}

var timeLimit = signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")

// TestObjectInTheWay: what an object store has is judged like any other target,
// however the file got here.
func TestObjectInTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	s.file("large.bin", large(20))
	s.file("old.txt", "old")
	r := s.run(`
	- { id: old, uses: s3_put, with: { from: old.txt, to: "s3://demo/way/x" } }
	- { id: there, uses: upload, with: { from: large.bin } }
	- { id: refused, uses: download, needs: [old, there], with: { from: large.bin, to: "s3://demo/way/x", on_exists: fail } }
	- { id: other, uses: download, needs: [old, there], with: { from: large.bin, to: "s3://demo/way/x" } }
	- { id: back, uses: s3_get, needs: [refused, other], if: "${{ always() }}", with: { from: "s3://demo/way/x" } }`)
	for step, want := range map[string]string{"refused": "s3://demo/way/x exists", "other": "is not known to be the same"} {
		if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s %s %s", step, u.State, u.Cause, u.Message)
		}
	}
	if got, err := os.ReadFile(filepath.Join(s.output, "x")); err != nil || string(got) != "old" {
		t.Errorf("the object holds %d bytes (%v)", len(got), err)
	}
	s.noTraces()
}

// TestRefusedDownload: a download that the service refuses leaves nothing here.
func TestRefusedDownload(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	s.file("large.bin", large(21))
	s.faults("transfer/download", func(int) *sandbox.Fault {
		return signed(http.StatusBadRequest, "Requested transfer method is not available.")
	})
	r := s.run(thereAndBack)
	t.Log(states(r))
	_ = filepath.WalkDir(s.output, func(p string, d os.DirEntry, err error) error { t.Log(p); return nil })
	if u := unit(t, r, "back"); u.Cause != workflow.CauseRejected {
		t.Errorf("%s: %s", u.Cause, u.Message)
	}
	s.noTraces()
}

// TestTransferMistakes: what a person is told.
func TestTransferMistakes(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	s.file("large file.bin", large(28))
	s.file("data/a.txt", "a")
	r := s.run(`
	- { id: missing, uses: download, with: { from: nothing, to: sub/ } }
	- { id: there, uses: upload, with: { from: large file.bin } }
	- { id: space, uses: download, needs: there, with: { from: large file.bin } }
	- { id: a, uses: upload, with: { from: data } }
	- { id: b, uses: download, needs: a, with: { from: data/a.txt } }
	- { id: way, uses: download, needs: b, with: { from: data, to: a.txt } }`)
	for step, want := range map[string]string{
		"missing": "one: stat: cannot statx '" + r.Sites[system].RemoteDir + "/nothing': No such file or directory (request ",
		"space":   "give it another name, or move the directory that it lies in",
		"way":     "/a.txt exists and is not a directory",
	} {
		if u := unit(t, r, step); u.Cause != workflow.CauseRejected || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s %s %s", step, u.State, u.Cause, u.Message)
		}
	}
	if left, err := os.ReadDir(s.output); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	s.noTraces()
}

// TestCancelledDownload: what has come so far goes.
func TestCancelledDownload(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(op string, r *http.Request) *objects.Fault {
			if r.Method == http.MethodGet && strings.HasPrefix(r.UserAgent(), "fcflow") {
				select {
				case <-hold:
				case <-r.Context().Done():
				}
			}
			return nil
		}
	})
	t.Cleanup(func() { close(hold) })
	s.file("large.bin", large(22))
	x := s.create(s.load(thereAndBack))
	asked := make(chan error, 1)
	var once atomic.Bool
	s.observe(func(r *workflow.Run) {
		a := r.Steps[1].Units[0].Attempt()
		if a != nil && a.Job != nil && a.Job.Terminal && once.CompareAndSwap(false, true) {
			go func() { asked <- x.Cancel(t.Context(), "test") }()
		}
	})
	r := s.drive(x)
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	if u := unit(t, r, "back"); u.State != workflow.Cancelled {
		t.Errorf("%s", states(r))
	}
	s.noTraces()
}

// TestVerifyLargeByJob: while a job computes the digest, nothing is moved again;
// of a directory it is the archive's.
func TestVerifyLargeByJob(t *testing.T) {
	t.Parallel()
	var gets atomic.Int32
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(_ string, r *http.Request) *objects.Fault {
			if r.Method == http.MethodGet && strings.HasPrefix(r.UserAgent(), "fcflow") {
				gets.Add(1)
			}
			return nil
		}
	})
	s.file("large.bin", large(23))
	s.file("data/a.txt", "a")
	s.misbehave(map[string]*sandbox.Fault{"ops/checksum": timeLimit})
	r := s.run(`
	- { id: there, uses: upload, with: { from: large.bin, verify: job } }
	- { id: back, uses: download, with: { from: "${{ steps.there.outputs.path }}", verify: job } }
	- { id: same, uses: download, needs: back, with: { from: "${{ steps.there.outputs.path }}", verify: job } }
	- { id: tree, uses: upload, with: { from: data, verify: job } }
	- { id: tree_back, uses: download, with: { from: "${{ steps.tree.outputs.path }}", verify: job } }`)
	if s.outputs(r, "same")["skipped"] != true { // the digest is there before a byte is fetched
		t.Error("what had been fetched was fetched again")
	}
	for _, step := range []string{"there", "back", "same", "tree", "tree_back"} {
		if got := s.outputs(r, step)["verified"]; got != "sha256" {
			t.Errorf("%s is verified by %v", step, got)
		}
	}
	if n := gets.Load(); n != 2 { // a look, and the bytes
		t.Errorf("%d requests fetch the object", n)
	}
	s.noTraces()
}

// TestOldFileOfThatSize: a file that was there before is not taken for the one
// that should have come.
func TestOldFileOfThatSize(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("notes.txt", "old\n")
	s.file("other/notes.txt", "new\n")
	x := s.create(s.load(`
	- { id: old, uses: upload, with: { from: notes.txt } }
	- { id: new, uses: upload, needs: old, with: { from: other/notes.txt, on_exists: replace } }`))
	s.observe(func(r *workflow.Run) {
		if r.Steps[0].Units[0].State == workflow.Succeeded {
			s.misbehave(map[string]*sandbox.Fault{"ops/upload": timeLimit, "ops/checksum": timeLimit})
		}
	})
	r := s.drive(x)
	path := s.outputs(r, "new")["path"].(string)
	if got, err := os.ReadFile(path); err != nil || string(got) != "new\n" {
		t.Errorf("%q, %v: %s", got, err, states(r))
	}
}

// TestSilentJob: a job that was killed and left no log did nothing, whatever lies
// at the target.
func TestSilentJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(func(c *sandbox.TransferConfig) { c.Poll = sandbox.Duration(time.Hour) }))
	s.file("large.bin", large(24))
	x := s.create(s.load("- { id: x, uses: upload, max_attempts: 1, with: { from: large.bin, to: \"" + s.root + "/scratch/demo/large.bin\", on_exists: replace } }"))
	if err := os.MkdirAll(filepath.Join(s.root, "scratch/demo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.root, "scratch/demo/large.bin"), []byte(large(25)), 0o644); err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	s.observe(func(r *workflow.Run) {
		a := r.Steps[0].Units[0].Attempt()
		if a != nil && a.Job != nil && a.Job.Active && waiting(workflow.WaitJob)(r) && once.CompareAndSwap(false, true) {
			go func() {
				s.misbehave(map[string]*sandbox.Fault{
					"ops/checksum": timeLimit, "ops/tail": signed(http.StatusNotFound, "Remote process failed with exit status:1 and error message:tail: cannot open 'x' for reading: No such file or directory"),
				})
				jobs, err := s.client.Compute.List(s.t.Context(), system, nil)
				if err == nil {
					err = s.client.Compute.Cancel(s.t.Context(), system, jobs[0].ID)
				}
				if err != nil {
					t.Error(err)
				}
			}()
		}
	})
	r := s.drive(x)
	if u := unit(t, r, "x"); u.State != workflow.Failed {
		t.Errorf("%s %s", states(r), u.Outputs)
	}
}

// TestJobOfEarlierAttempt: an attempt that gave up could not end its job; the
// next one does so before it begins. It takes the pause before a second attempt.
func TestJobOfEarlierAttempt(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	s := newSite(t, transfers(nil), func(c *sandbox.Config) {
		c.StoreFault = func(string, *http.Request) *objects.Fault {
			if down.Load() {
				return &objects.Fault{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
			}
			return nil
		}
	})
	s.faults("DELETE /compute/{system_name}/jobs/{job_id}", func(int) *sandbox.Fault {
		if down.Load() {
			return signed(http.StatusServiceUnavailable, "down")
		}
		return nil
	})
	s.observe(func(r *workflow.Run) {
		if waiting(workflow.WaitBackoff)(r) {
			down.Store(false)
		}
	})
	s.file("large.bin", large(26))
	r := s.run("- { id: x, uses: upload, give_up_after: 100ms, max_attempts: 2, with: { from: large.bin } }")
	s.outputs(r, "x")
	jobs, err := s.client.Compute.List(t.Context(), system, nil)
	if err != nil || len(jobs) != 2 {
		t.Fatalf("%v, %v", jobs, err)
	}
	if first := jobs[0]; first.Status.State.Name() != "CANCELLED" || first.Time.End.After(jobs[1].Time.Start) {
		t.Errorf("%+v", jobs)
	}
	s.noTraces()
}

// TestVanishedInput: the job of an upload whose file has gone ends with it.
func TestVanishedInput(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(func(c *sandbox.TransferConfig) { c.Poll = sandbox.Duration(time.Hour) }))
	s.file("large.bin", large(27))
	x := s.create(s.load("- { id: x, uses: upload, with: { from: large.bin } }"))
	s.driveUntil(x, waiting(workflow.WaitJob))
	if err := os.Remove(filepath.Join(s.dir, "large.bin")); err != nil {
		t.Fatal(err)
	}
	r := s.drive(s.reopen(x))
	if u := unit(t, r, "x"); u.State != workflow.Failed {
		t.Errorf("%s", states(r))
	}
	s.liveJobs()
}

// dying is a history whose owner dies before it can say how an attempt ended.
type dying struct{ workflow.History }

var errDied = errors.New("the process is gone")

func (d dying) Append(ctx context.Context, after int64, events []workflow.Event, blobs ...workflow.Blob) error {
	for _, e := range events {
		if _, over := e.Data.(*workflow.AttemptFinished); over {
			return errDied
		}
	}
	return d.History.Append(ctx, after, events, blobs...)
}

// TestDiedAfterPlacing: what an attempt had moved to its place when its process
// died is not in its own way.
func TestDiedAfterPlacing(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"data", "data/*.txt"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			home := filepath.Dir(filepath.Dir(s.onSystem("data/a.txt", "a")))
			x := s.create(s.load("- { id: x, uses: download, with: { from: \"" + from + "\", workdir: " + home + ", to: out/data, on_exists: fail } }"))
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			h, err := s.store.Open(t.Context(), x.ID())
			if err != nil {
				t.Fatal(err)
			}
			x, err = s.engine().Open(t.Context(), dying{h}, x.Run().Workflow, workflow.Owner{Host: "test"}, "test")
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Drive(t.Context()); !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			_ = x.Close() // a dead process closes nothing well
			placed := filepath.Join(s.output, "out", "data", "a.txt")
			if _, err := os.Stat(placed); err != nil {
				t.Fatalf("the attempt ended early: %v", err)
			}
			r := s.drive(s.reopen(x))
			if got := s.outputs(r, "x"); got["skipped"] != false {
				t.Errorf("%v", got)
			}
			if n := len(unit(t, r, "x").Attempts); n != 1 {
				t.Errorf("%d attempts", n)
			}
			s.noTraces()
		})
	}
}
