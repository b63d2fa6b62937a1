package steps

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/sandbox/batch"
	"github.com/fcflow/fcflow/workflow"
)

// stuck lets jobs of one kind run until they are cancelled.
func stuck(kind string) func(*sandbox.Config) {
	return func(c *sandbox.Config) {
		c.Batch = func(b *batch.Config) {
			b.Builtins[kind] = func(ctx context.Context, _ batch.BuiltinRun) int {
				<-ctx.Done()
				return 1
			}
		}
	}
}

// onSystem writes a file of the user of the sandbox.
func (s *site) onSystem(name, text string) string {
	s.t.Helper()
	p := filepath.Join(s.root, "home", "demo", name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// TestCancelledAfterDigest: the job that computed a digest does not hide the one
// that is at work when the step is cancelled.
func TestCancelledAfterDigest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, kind, checkpoint, step string }{
		{"an archive is unpacked", "extract", unpackKey, "uses: upload, with: { from: data, verify: job }"},
		{"a file is fetched", "egress", "download", "uses: download, with: { from: large.bin, workdir: HOME, verify: job }"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, transfers(nil), stuck(test.kind))
			s.file("data/a.txt", "a")
			from := s.onSystem("large.bin", large(30))
			s.misbehave(map[string]*sandbox.Fault{"ops/checksum": timeLimit, "ops/extract": timeLimit})
			x := s.create(s.load("- { id: x, " + strings.ReplaceAll(test.step, "HOME", filepath.Dir(from)) + " }"))
			asked := make(chan error, 1)
			var once atomic.Bool
			s.observe(func(r *workflow.Run) {
				a := r.Steps[0].Units[0].Attempt()
				if a == nil || !waiting(workflow.WaitJob)(r) {
					return
				}
				if _, begun := a.Checkpoints[test.checkpoint]; begun && once.CompareAndSwap(false, true) {
					go func() { asked <- x.Cancel(t.Context(), "test") }()
				}
			})
			r := s.drive(x)
			if !once.Load() {
				t.Fatalf("it ended before that\n%s", states(r))
			}
			if err := <-asked; err != nil {
				t.Fatal(err)
			}
			if u := unit(t, r, "x"); u.State != workflow.Cancelled {
				t.Errorf("%s", states(r))
			}
			s.liveJobs()
			s.noTraces()
		})
	}
}

// TestVerifyAfterAnOutage: the digest that a job computed is compared, whatever
// entry of the attempt fetches the file.
func TestVerifyAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t, transfers(nil))
	from := s.onSystem("large.bin", large(31))
	asked := 0
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		switch {
		case strings.HasSuffix(op, "ops/checksum"):
			return timeLimit
		case strings.HasSuffix(op, "transfer/download"):
			if asked++; asked == 1 {
				return signed(http.StatusServiceUnavailable, "down")
			}
		}
		return nil
	}
	s.mu.Unlock()
	r := s.run("- { id: x, uses: download, with: { from: " + from + ", verify: job } }")
	if got := s.outputs(r, "x")["verified"]; got != "sha256" || asked != 2 {
		t.Errorf("it is verified by %v after %d requests", got, asked)
	}
	s.noTraces()
}
