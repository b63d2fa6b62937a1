package steps

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

const secretText = "k4n4ri 'one'\ntwo $x\n"

// secretJob prints its secret and who may read it, and ends with a code.
func secretJob(code string) string {
	return `
	- id: x
	  uses: job
	  with:
	    secret_files: { KEY: "k4n4ri 'one'\ntwo $x\n", OTHER: other }
	    script: |
	      #!/bin/sh
	      cat "$KEY_FILE" "$OTHER_FILE" >copy
	      ls -ld "${KEY_FILE%/*}" "$KEY_FILE" "$OTHER_FILE" | cut -c1-10 >modes
	      exit ` + code
}

// secretsLeft lists what there is of directories for secrets, anywhere in the
// sandbox.
func (s *site) secretsLeft() (left []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a job removes what is its own meanwhile
			return nil
		}
		if err == nil && strings.HasSuffix(d.Name(), ".secrets") {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return left
}

func (s *site) remote(r *workflow.Run, name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Sites[system].RemoteDir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// TestSecretFiles: the script reads its secrets, byte for byte, from files that
// nobody else can read, in a directory that nobody else could enter before there
// was one in it. Nothing of them is left.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var open []string
	s.faults("POST /filesystem/{system_name}/ops/upload", func(int) *sandbox.Fault {
		for _, dir := range s.secretsLeft() {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				open = append(open, dir)
			}
		}
		return nil
	})
	r := s.run(secretJob("0"))
	s.outputs(r, "x")
	if got := s.remote(r, "copy"); got != secretText+"other" {
		t.Errorf("the script read %q", got)
	}
	if got := s.remote(r, "modes"); got != "drwx------\n-rw-------\n-rw-------\n" {
		t.Errorf("modes:\n%s", got)
	}
	if left := s.secretsLeft(); len(left) > 0 || len(open) > 0 {
		t.Errorf("left: %q, open while it was filled: %q", left, open)
	}
	h, err := s.store.Open(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	script, err := h.Blob(t.Context(), unit(t, r, "x").Attempt().Submission.Intent.Script)
	if err != nil || strings.Contains(string(script), "k4n4ri") || !strings.Contains(string(script), "export KEY_FILE=") {
		t.Errorf("the script holds the secret, or not where it is: %v\n%s", err, script)
	}
}

// TestSecretsGo: nothing is left, however the attempt ends; a retry has its own.
func TestSecretsGo(t *testing.T) {
	t.Parallel()
	const refused = "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid partition name specified"
	reject := func(s *site) { s.faults(postJob, func(int) *sandbox.Fault { return signed(500, refused) }) }
	for name, test := range map[string]struct {
		steps  string
		change func(s *site)
		cause  workflow.Cause
	}{
		"failure":                 {secretJob("3"), nil, "exit(3)"},
		"rejected":                {secretJob("0"), reject, workflow.CauseRejected},
		"retried":                 {secretJob("3") + "\n\t  retry: [{ cause: exit(3), max: 1 }]", nil, "exit(3)"},
		"killed by the scheduler": {strings.Replace(secretJob("0"), "exit 0", "kill -KILL $PPID $$", 1), nil, workflow.CauseKilled},
		"deadline":                {strings.Replace(secretJob("0"), "exit 0", "sleep 600", 1) + "\n\t  timeout: 1s", nil, workflow.CauseTimedOut},
		"no such directory": {secretJob("0"), func(s *site) {
			s.faults("PUT /filesystem/{system_name}/ops/chmod", func(int) *sandbox.Fault { return signed(403, "chmod: Operation not permitted") })
		}, workflow.CauseRejected},
		"empty": {strings.Replace(secretJob("0"), "OTHER: other", `OTHER: ""`, 1), nil, workflow.CauseRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if test.change != nil {
				test.change(s)
			}
			r := s.run(test.steps)
			u := unit(t, r, "x")
			if u.State != workflow.Failed || test.cause != workflow.CauseKilled && u.Cause != test.cause {
				t.Errorf("want %s\n%s", test.cause, states(r))
			}
			if left := s.secretsLeft(); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			if name == "retried" && len(u.Attempts) < 2 {
				t.Errorf("%d attempts", len(u.Attempts))
			}
		})
	}
}

// TestSecretsOfACancelledJob: in the queue, and while it runs.
func TestSecretsOfACancelledJob(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"queued": 1, "running": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(config *sandbox.Config) { config.Slots = slots })
			blocker, err := s.client.Compute.Submit(t.Context(), system, firecrest.JobSpec{WorkingDirectory: s.root + "/home/demo", Script: "#!/bin/sh\nsleep 600\n"})
			if err != nil {
				t.Fatal(err)
			}
			x := s.create(s.load(strings.Replace(secretJob("0"), "exit 0", "sleep 600", 1)))
			asked := false
			s.observe(func(r *workflow.Run) {
				if a := r.Steps[0].Units[0].Attempt(); !asked && a != nil && a.Job != nil && (slots == 1 || a.Job.Active) {
					if asked = true; len(s.secretsLeft()) != 1 {
						t.Errorf("while it is %s there is %q", name, s.secretsLeft())
					}
					go func() {
						if err := x.Cancel(context.Background(), "test"); err != nil {
							t.Error(err)
						}
					}()
				}
			})
			r := s.drive(x)
			if u := unit(t, r, "x"); u.State != workflow.Cancelled || len(s.secretsLeft()) > 0 {
				t.Errorf("left: %q\n%s", s.secretsLeft(), states(r))
			}
			if err := s.client.Compute.Cancel(t.Context(), system, blocker); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSecretsThatStay: while the service does not remove them, the attempt waits.
// It is not sent again meanwhile.
func TestSecretsThatStay(t *testing.T) {
	t.Parallel()
	const refused = "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid partition name specified"
	for name, rejected := range map[string]bool{"after success": false, "after a refusal": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			posts := 0
			removals := 0
			s.mu.Lock()
			s.fault = nil
			s.mu.Unlock()
			s.faultsBy(map[string]func() *sandbox.Fault{
				postJob: func() *sandbox.Fault {
					if posts++; rejected {
						return signed(500, refused)
					}
					return nil
				},
				"DELETE /filesystem/{system_name}/ops/rm": func() *sandbox.Fault {
					if removals++; removals <= 3 {
						return &sandbox.Fault{Status: 503}
					}
					return nil
				},
			})
			// Nothing but fcflow removes them here.
			r := s.run(strings.Replace(secretJob("0"), "secret_files:", "requeue: true\n\t    secret_files:", 1))
			u := unit(t, r, "x")
			if (u.State == workflow.Failed) != rejected || rejected && u.Cause != workflow.CauseRejected || posts != 1 || removals != 4 || len(s.secretsLeft()) > 0 {
				t.Errorf("%d requests, %d removals, left: %q\n%s", posts, removals, s.secretsLeft(), states(r))
			}
			if waits(t, s, r, workflow.WaitOutage) < 3 {
				t.Errorf("%d waits", waits(t, s, r, workflow.WaitOutage))
			}
		})
	}
}

// faultsBy lets requests of several operations misbehave.
func (s *site) faultsBy(faults map[string]func() *sandbox.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = func(got string, _ *http.Request) *sandbox.Fault {
		for op, f := range faults {
			if strings.HasSuffix(got, op) {
				return f()
			}
		}
		return nil
	}
}

// TestSecretsOfASubmittedJob: a job that nobody waits for yet has them; it removes
// them itself, and who waits for it makes sure of that.
func TestSecretsOfASubmittedJob(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gate := filepath.Join(s.root, "gate")
	submit := strings.NewReplacer("uses: job", "uses: submit", "cat \"$KEY_FILE\"", "until [ -e "+gate+" ]; do sleep 0.02; done; cat \"$KEY_FILE\"").Replace(secretJob("0"))
	r := s.run(submit)
	s.outputs(r, "x")
	if left := s.secretsLeft(); len(left) != 1 {
		t.Errorf("for the job there is %q", left)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the job has removed its secrets", func() bool { return len(s.secretsLeft()) == 0 })
	if got := s.remote(r, "copy"); got != secretText+"other" {
		t.Errorf("the script read %q", got)
	}
	// Killed before it could, and waited for.
	r = s.run(strings.Replace(submit, "exit 0", "kill -KILL $PPID $$", 1) + `
	- { id: y, uses: wait_for_job, with: { job_id: "${{ steps.x.outputs.job_id }}" } }`)
	if u := unit(t, r, "y"); u.State != workflow.Failed || len(s.secretsLeft()) > 0 {
		t.Errorf("left: %q\n%s", s.secretsLeft(), states(r))
	}
}

// TestSecretsAfterEveryPrefix: a run that goes on from any moment after a job was
// sent leaves nothing, and runs no second job.
func TestSecretsAfterEveryPrefix(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x := s.create(s.load(secretJob("3")))
	whole := s.drive(x)
	history, blobs := events(t, s, whole), blobsOf(t, s, whole)
	for n := 1; n < len(history); n++ {
		if !sent(history[:n]) {
			continue
		}
		s.store = memory.New()
		h, err := s.store.Create(t.Context(), whole.ID, whole.Workflow.Source, history[:n], blobs)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(whole.Sites[system].RemoteDir, ".fcflow", "000", tokenOf(whole, "x")+".secrets")
		if err := os.MkdirAll(dir, 0o700); err != nil { // as the kill left it
			t.Fatal(err)
		}
		over := history[n-1].Data.Kind() == "attempt.finished" || n == len(history)-1
		r := s.drive(s.reopen(x))
		if left := s.secretsLeft(); len(left) > 0 && !over {
			t.Errorf("after event %d, %s: left %q", n, history[n-1].Data.Kind(), left)
		}
		if u := unit(t, r, "x"); u.State != workflow.Failed {
			t.Errorf("after event %d: %s", n, states(r))
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if jobs := s.jobs(tokenOf(whole, "x")); len(jobs) != 1 {
		t.Errorf("%d jobs", len(jobs))
	}
}

// TestSecretNames: what cannot be a variable, and what is one already, is refused.
func TestSecretNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, want := range map[string]string{
		`{ script: "#!/bin/sh", secret_files: { "a-b": x } }`:                    "cannot be the name of a variable",
		`{ script: "#!/bin/sh", secret_files: { "../x": x } }`:                   "cannot be the name of a variable",
		`{ script: "#!/bin/sh", secret_files: { K: x }, env: { K_FILE: y } }`:    "both set K_FILE",
		`{ remote_script: /x.sh, secret_files: { K: x } }`:                       "cannot be given with `remote_script`",
		`{ remote_script: /x.sh, secret_files: { K: "${{ secrets.K }}" } }`:      "exclude each other",
		`{ script: "#!/bin/sh", env: { K: "${{ secrets.K }}" } }`:                "secrets may stand in with.secret_files",
		`{ script: "#!/bin/sh", name: "${{ secrets.K }}" }`:                      "secrets may stand in with.secret_files",
		`{ script: "#!/bin/sh", workdir: "${{ secrets.K }}" }`:                   "secrets may stand in with.secret_files",
		`{ script: "#!/bin/sh", resources: { account: "${{ secrets.K }}" } }`:    "secrets may stand in with.secret_files",
		`{ script: "#!/bin/sh", secret_files: { K: "${{ secrets.K }}" } }`:       "",
		`{ script: "#!/bin/sh", secret_files: { K: "key=${{ secrets.K }}\n" } }`: "",
	} {
		for _, uses := range []string{"job", "submit"} {
			text := "version: 1\nname: x\nsecrets: [K]\nsteps:\n  - id: x\n    uses: " + uses + "\n    with: " + name + "\n"
			_, problems := workflow.Load("x.yaml", []byte(text), s.library, workflow.CheckOptions{DefaultSystem: system})
			said := problems.Error()
			for _, p := range problems {
				said += p.Hint
			}
			if (len(problems) == 0) != (want == "") || !strings.Contains(said, want) {
				t.Errorf("%s %s: %s", uses, name, said)
			}
		}
	}
}
