package steps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// gate is a site whose requests pass through a function. Unlike a fault it may
// make requests of its own, such as a copy of the submission that it sees: what
// gateways do that send a request twice, and schedulers that accept one late.
type gate struct {
	counted

	mu      sync.Mutex
	posts   int
	sent    firecrest.JobSpec // the last submission that was seen
	copying bool
}

// newGate calls pass for each request. post is the number of the submission, from
// 1, and 0 for other requests.
func newGate(t *testing.T, pass func(g *gate, op string, post int) *sandbox.Fault, change ...func(*sandbox.Config)) *gate {
	t.Helper()
	g := &gate{}
	g.counted = newSite(t, append(change, func(c *sandbox.Config) {
		c.Fault = func(op string, r *http.Request) *sandbox.Fault {
			post, ok := g.see(op, r)
			if !ok {
				return nil
			}
			return pass(g, op, post)
		}
	})...).counted()
	return g
}

// see notes a submission. ok is false for one that the gate itself makes.
func (g *gate) see(op string, r *http.Request) (post int, ok bool) {
	if op != postJob {
		return 0, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.copying {
		return 0, false
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var job struct {
		Job struct {
			Name           string `json:"name"`
			WorkDir        string `json:"working_directory"`
			StandardOutput string `json:"standardOutput"`
			Script         string `json:"script"`
		} `json:"job"`
	}
	if err := errors.Join(err, json.Unmarshal(body, &job)); err != nil {
		g.t.Error(err)
	}
	g.posts++
	g.sent = firecrest.JobSpec{Name: job.Job.Name, WorkingDirectory: job.Job.WorkDir, StandardOutput: job.Job.StandardOutput, Script: job.Job.Script}
	return g.posts, true
}

// copy submits the last submission once more.
func (g *gate) copy() firecrest.JobID {
	g.mu.Lock()
	g.copying = true
	sent := g.sent
	g.mu.Unlock()
	id, err := g.client.Compute.Submit(g.t.Context(), system, sent)
	if err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.copying = false
	return id
}

// link is what a link of the last submission's token says: its claim, or with .x
// its exit marker. It is "" if there is none.
func (g *gate) link(suffix string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	token, _, _ := strings.Cut(g.sent.StandardOutput, outputInfix)
	text, _ := os.Readlink(token + suffix)
	return text
}

// ended waits for the end of a job and returns its exit code.
func (g *gate) ended(id firecrest.JobID) (code int64) {
	g.await("job "+string(id)+" has ended", func() bool {
		rows, err := g.client.Compute.Get(g.t.Context(), system, id)
		if err != nil || len(rows) != 1 || !rows[0].Status.State.IsTerminal() || rows[0].Status.ExitCode == nil {
			return false
		}
		code = *rows[0].Status.ExitCode
		return true
	})
	return code
}

// await is until for goroutines that are not the test's.
func (g *gate) await(what string, ok func() bool) {
	for deadline := time.Now().Add(patience / 4); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Errorf("waiting until %s", what)
			return
		}
	}
}

// oneSlot has jobs wait while another runs.
func oneSlot(c *sandbox.Config) { c.Slots = 1 }

// block takes the only slot until release is called.
func (g *gate) block() (release func()) {
	g.t.Helper()
	free := filepath.Join(g.root, "free")
	g.mu.Lock()
	g.sent = firecrest.JobSpec{WorkingDirectory: g.root + "/home/demo", Script: "#!/bin/sh\nuntil [ -e '" + free + "' ]; do sleep 0.02; done\n"}
	g.mu.Unlock()
	id := g.copy()
	until(g.t, "the slot is taken", func() bool { return g.state(id) == "RUNNING" })
	return func() {
		if err := os.WriteFile(free, nil, 0o600); err != nil {
			g.t.Error(err)
		}
	}
}

// whenAccepted calls f once, when it is on record that step x has a job.
func (g *gate) whenAccepted(f func(id firecrest.JobID)) {
	var once sync.Once
	g.observe(func(r *workflow.Run) {
		if a := r.Steps[0].Units[0].Attempt(); a != nil && a.Submission != nil && a.Submission.JobID != "" {
			id := firecrest.JobID(a.Submission.JobID)
			once.Do(func() { go f(id) })
		}
	})
}

// TestWhoClaimsFirstIsFollowed: the answer names a job, and another of the same
// token was faster. That one is followed, and nothing runs twice.
func TestWhoClaimsFirstIsFollowed(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{
		"a gateway sends the request twice":               false,
		"the first request is accepted after its verdict": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first firecrest.JobID
			g := newGate(t, func(g *gate, _ string, post int) *sandbox.Fault {
				switch {
				case post == 0:
					return nil
				case post == 1 && late:
					return &sandbox.Fault{DropRequest: true}
				}
				first = g.copy()
				g.await("it has claimed the token", func() bool { return g.link("") == claimPrefix+string(first) })
				return nil
			})
			r := g.run(g.steps(false, "0"))
			if got := g.outputs(r, "x")["job_id"]; got != string(first) {
				t.Errorf("followed %v, not %s", got, first)
			}
			s := unit(t, r, "x").Attempt().Submission
			if s.Owner == nil || s.Owner.JobID != string(first) || len(s.Candidates) != 2 {
				t.Errorf("owner %+v of the candidates %q", s.Owner, s.Candidates)
			}
			if starts := g.starts(); len(starts) != 1 {
				t.Errorf("started: %v", starts)
			}
		})
	}
}

// TestNothingStartsAfterCancel: the scheduler starts the job before it hears that
// it is to be cancelled, and accepts another of the token. Neither runs anything.
func TestNothingStartsAfterCancel(t *testing.T) {
	t.Parallel()
	var release func()
	var once sync.Once
	g := newGate(t, func(g *gate, op string, _ int) *sandbox.Fault {
		if op == "DELETE /compute/{system_name}/jobs/{job_id}" && release != nil {
			once.Do(func() {
				release()
				if code := g.ended(g.copy()); code != exitDuplicate {
					t.Errorf("a late job of the token ended with %d", code)
				}
			})
		}
		return nil
	}, oneSlot)
	release = g.block()
	x := g.create(g.load(g.steps(false, "0")))
	g.whenAccepted(func(firecrest.JobID) {
		if err := x.Cancel(t.Context(), "test"); err != nil {
			t.Error(err)
		}
	})
	r := g.drive(x)
	if u := unit(t, r, "x"); u.State != workflow.Cancelled || !strings.HasPrefix(g.claimText(r, tokenOf(r, "x")), tombstonePrefix) || len(g.starts()) > 0 {
		t.Errorf("the claim says %q; started: %v\n%s", g.claimText(r, tokenOf(r, "x")), g.starts(), states(r))
	}
}

// TestCancelAfterTheClaim: the job has run while nobody could hear of it. It is too
// late then to fence its token off, and what it did counts.
func TestCancelAfterTheClaim(t *testing.T) {
	t.Parallel()
	var healed atomic.Bool
	g := newGate(t, func(_ *gate, op string, post int) *sandbox.Fault {
		switch {
		case post > 0:
			return &sandbox.Fault{DropReply: true}
		case healed.Load() || !strings.HasPrefix(op, "GET /compute/") && !strings.HasSuffix(op, "/ops/ls"):
			return nil
		}
		return &sandbox.Fault{Status: http.StatusBadGateway}
	})
	x := g.create(g.load(g.steps(false, "0")))
	var once sync.Once
	g.observe(func(r *workflow.Run) {
		if !waiting(workflow.WaitOutage)(r) || !r.Steps[0].Units[0].Attempt().Submission.Doubtful() {
			return
		}
		once.Do(func() {
			go func() {
				g.await("the job has left its exit marker", func() bool { return strings.HasPrefix(g.link(markerSuffix), markerPrefix+"0.") })
				if err := x.Cancel(t.Context(), "test"); err != nil {
					t.Error(err)
				}
				healed.Store(true)
			}()
		})
	})
	r := g.drive(x)
	u := unit(t, r, "x")
	if s := u.Attempt().Submission; u.State != workflow.Succeeded || s.Owner == nil || g.link("") != claimPrefix+s.Owner.JobID {
		t.Errorf("the claim says %q, the owner is %+v\n%s", g.link(""), s.Owner, states(r))
	}
	if starts := g.starts(); len(starts) != 1 {
		t.Errorf("started: %v", starts)
	}
}

// TestRequestIsOnRecordFirst: whenever a submission reaches the server, the
// history says already that it was about to be sent.
func TestRequestIsOnRecordFirst(t *testing.T) {
	t.Parallel()
	const unhealthy = "The scheduler service for the requested system (one) is unhealthy."
	var recorded atomic.Int32
	g := newGate(t, func(_ *gate, _ string, post int) *sandbox.Fault {
		if n := int(recorded.Load()); n != post && post > 0 {
			t.Errorf("request %d arrives, and %d are on record", post, n)
		}
		if post == 1 {
			return signed(http.StatusServiceUnavailable, unhealthy)
		}
		return nil
	})
	g.observe(func(r *workflow.Run) {
		if a := r.Steps[0].Units[0].Attempt(); a != nil && a.Submission != nil {
			recorded.Store(int32(a.Submission.Sent))
		}
	})
	r := g.run(g.steps(false, "0"))
	g.outputs(r, "x")
	var told []workflow.EventKind
	for _, e := range events(t, g.site, r) {
		if kind := e.Data.Kind(); strings.HasPrefix(string(kind), "submission.") {
			told = append(told, kind)
		}
	}
	if len(told) < 5 || told[0] != "submission.intent" || told[1] != "submission.sending" || told[2] != "submission.outcome" || told[3] != "submission.sending" {
		t.Errorf("on record are %q", told)
	}
}

// TestAbsenceTakesManyLooks: a request that got lost is repeated only after three
// looks, and after five if the lists show no other job that is known to exist.
func TestAbsenceTakesManyLooks(t *testing.T) {
	t.Parallel()
	for name, beside := range map[string]string{
		"another job is listed": `
	- id: y
	  uses: job
	  with:
	    env: { STOP: $STOP }
	    script: |
	      #!/bin/sh
	      until [ -e "$STOP" ]; do sleep 0.02; done`,
		"no other job": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop := filepath.Join(t.TempDir(), "stop")
			lost := false // the request of x
			g := newGate(t, func(g *gate, _ string, post int) *sandbox.Fault {
				g.mu.Lock()
				defer g.mu.Unlock()
				if post == 0 || lost || !strings.HasSuffix(g.sent.Name, "-x") {
					return nil
				}
				lost = true
				return &sandbox.Fault{DropRequest: true}
			})
			g.library.fence.Quiet, g.library.fence.Between = time.Nanosecond, time.Nanosecond
			g.observe(func(r *workflow.Run) {
				if r.Steps[0].Units[0].State == workflow.Succeeded {
					if err := os.WriteFile(stop, nil, 0o600); err != nil {
						t.Error(err)
					}
				}
			})
			r := g.run(g.steps(false, "0") + strings.Replace(beside, "$STOP", stop, 1))
			for _, s := range r.Steps {
				g.outputs(r, s.Step.ID)
			}
			votes, witnessed := 0, 0
			for _, e := range events(t, g.site, r) {
				if p, ok := e.Data.(*workflow.SubmissionLooked); ok && p.Vote {
					votes++
					if p.Witness {
						witnessed++
					}
				}
			}
			if sub := unit(t, r, "x").Attempt().Submission; sub.Sent != 2 || votes < 5 && witnessed < 3 || beside == "" && witnessed > 0 {
				t.Errorf("%d requests, the second after %d looks, of which %d saw another job", sub.Sent, votes, witnessed)
			}
		})
	}
}
