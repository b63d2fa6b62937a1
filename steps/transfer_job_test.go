package steps

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// misfortune lets requests for jobs of one operation go wrong: the first is
// refused by an unwell service, the answer to the second is lost. Commands with a
// job form take too long.
func (s *site) misfortune(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	s.fault = func(got string, _ *http.Request) *sandbox.Fault {
		switch {
		case strings.HasSuffix(got, "ops/"+op):
			return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
		case !strings.HasSuffix(got, "transfer/"+op):
			return nil
		}
		switch n++; n {
		case 1:
			return &sandbox.Fault{Status: http.StatusServiceUnavailable}
		case 2:
			return &sandbox.Fault{DropReply: true}
		}
		return nil
	}
}

// TestLostJobs: whatever becomes of the request for a job, what it should do is
// done in the end, and once.
func TestLostJobs(t *testing.T) {
	t.Parallel()
	for op, step := range map[string]string{
		"mv":       `uses: mv, with: { source: data, target: moved }`,
		"cp":       `uses: cp, with: { source: data, target: moved }`,
		"rm":       `uses: rm, with: { path: data }`,
		"compress": `uses: compress, with: { source: data, target: data.tar.gz }`,
		"extract":  `uses: upload, with: { from: data, to: more }`,
		"upload":   `uses: upload, with: { from: data/a.txt, to: more/, method: s3 }`,
		"download": `uses: download, with: { from: data/a.txt, to: more/, method: s3 }`,
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.file("data/a.txt", "a")
			s.file("data/sub/b.txt", "b")
			x := s.create(s.load("- { id: send, uses: upload, with: { from: data } }\n- { id: x, needs: send, " + step + " }"))
			s.observe(func(r *workflow.Run) {
				if r.Steps[0].Units[0].State.Done() && s.fault == nil {
					s.misfortune(op)
				}
			})
			r := s.drive(x)
			s.observe(nil)
			s.outputs(r, "x")
			home := r.Sites[system].RemoteDir
			for name, want := range map[string]bool{
				"data/a.txt": op != "mv" && op != "rm", "moved/sub/b.txt": op == "mv" || op == "cp", "moved/data": false,
				"data.tar.gz": op == "compress", "more/sub/b.txt": op == "extract", "more/a.txt": op == "extract" || op == "upload",
			} {
				if _, err := os.Stat(filepath.Join(home, name)); (err == nil) != want {
					t.Errorf("%s: %v, want it there: %v", name, err, want)
				}
			}
			if op == "upload" { // the job that nobody has the addresses for
				until(t, "it is cancelled", func() bool {
					jobs, err := s.client.Compute.List(t.Context(), system, nil)
					return err == nil && slices.ContainsFunc(jobs, func(j firecrest.Job) bool { return j.Status.State.Name() == "CANCELLED" })
				})
			}
			if n := waits(t, s, r, workflow.WaitOutage); n < 1 {
				t.Errorf("%d outages", n)
			}
		})
	}
}

// TestFailedJobs: a job that says it completed and did not do it.
func TestFailedJobs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("a.txt", "a")
	s.file("full/b.txt", "b")
	s.mu.Lock()
	s.fault = func(op string, _ *http.Request) *sandbox.Fault {
		for _, slow := range []string{"ops/compress", "ops/extract", "ops/rm"} {
			if strings.HasSuffix(op, slow) {
				return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
			}
		}
		return nil
	}
	s.mu.Unlock()
	r := s.run(`
	- { id: send, uses: upload, with: { from: a.txt } }
	- { id: pack, needs: send, uses: compress, with: { source: nowhere, target: x.tar.gz } }
	- { id: unpack, needs: send, uses: extract, with: { source: a.txt, target: . } }
	- { id: clean, needs: send, uses: rm, with: { path: nowhere } }
	- { id: into, needs: send, uses: cp, with: { source: ., target: deeper/ } }`)
	for step, want := range map[string]string{
		"pack": "No such file or directory", "unpack": "extract job", "into": "copy job",
	} {
		if u := unit(t, r, step); u.State != workflow.Failed || !strings.Contains(u.Message, want) {
			t.Errorf("%s: %s %s: %s", step, u.State, u.Cause, u.Message)
		}
	}
	if got := s.outputs(r, "clean"); got["removed"] != true { // nobody can know who removed it
		t.Errorf("%v", got)
	}
}

// TestManyTransferJobs: of jobs that are submitted together the lists tell, as of
// others. Few may be asked for by id.
func TestManyTransferJobs(t *testing.T) {
	t.Parallel()
	const jobs, few = 12, 2
	var asked, submitted atomic.Int64
	s := newSite(t, func(config *sandbox.Config) {
		config.Slots = jobs
		config.Fault = func(op string, _ *http.Request) *sandbox.Fault {
			switch {
			case strings.HasSuffix(op, "ops/cp"):
				return signed(http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
			case strings.HasSuffix(op, "transfer/cp"):
				submitted.Add(1)
			case op == "GET /compute/{system_name}/jobs/{job_id}":
				asked.Add(1)
			}
			return nil
		}
	})
	s.library.jobs.settings.LookupsPerMinute = few
	s.file("a.txt", "a")
	r := s.run(`
	- { id: send, uses: upload, with: { from: a.txt } }
	- id: x
	  needs: send
	  matrix: { a: [1, 2, 3, 4], b: [1, 2, 3] }
	  uses: cp
	  with: { source: a.txt, target: "to-${{ matrix.a }}-${{ matrix.b }}.txt" }`)
	if r.State != workflow.RunSucceeded || submitted.Load() != jobs || asked.Load() > few {
		t.Errorf("%s: %d jobs, of which %d were asked for by id\n%s", r.State, submitted.Load(), asked.Load(), states(r))
	}
}
