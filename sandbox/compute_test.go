package sandbox

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

const jobs = "/compute/alps/jobs"

// submit sends a script with the home directory as its working directory.
func (r *rig) submit(script string, more ...any) (id string) {
	r.t.Helper()
	job := members{"workingDirectory": r.home, "script": script}
	for i := 0; i < len(more); i += 2 {
		job[more[i].(string)] = more[i+1]
	}
	a := r.do("POST", jobs, members{"job": job})
	want(r.t, a, 201)
	var out struct{ JobID string }
	a.decode(r.t, &out)
	return out.JobID
}

// endJobs leaves no process behind, unless that is for the next server of the
// root to do.
func (r *rig) endJobs() {
	r.srv.mu.Lock()
	closed := r.srv.closed
	r.srv.mu.Unlock()
	if closed {
		return
	}
	for _, system := range r.srv.Systems() {
		for _, job := range r.srv.jobs.List(system) {
			if !job.State.Terminal() {
				_ = r.srv.jobs.Cancel(system, job.ID, "0") // may have ended since
				r.untilOn(system, job.ID, batch.State.Terminal)
			}
		}
	}
}

// until is the job once it is in a state that will do.
func (r *rig) until(id string, does func(batch.State) bool) batch.Job {
	r.t.Helper()
	return r.untilOn("alps", id, does)
}

func (r *rig) untilOn(system, id string, does func(batch.State) bool) batch.Job {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		job, found := r.srv.jobs.Get(system, id)
		if found && does(job.State) {
			return job
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Errorf("job %s stays %s", id, job.State)
			return job
		}
	}
}

func (r *rig) wait(id string) batch.Job {
	r.t.Helper()
	return r.until(id, batch.State.Terminal)
}

// finished submits a script, waits for its end and returns the job's path.
func (r *rig) finished(script string, more ...any) string {
	r.t.Helper()
	id := r.submit(script, more...)
	r.wait(id)
	return jobs + "/" + id
}

// running submits a script, waits for its beginning and returns the job's path.
func (r *rig) running(script string, more ...any) string {
	r.t.Helper()
	id := r.submit(script, more...)
	if job := r.until(id, func(s batch.State) bool { return s != batch.Pending }); job.State != batch.Running {
		r.t.Fatalf("job %s is %s, want it running", id, job.State)
	}
	return jobs + "/" + id
}

// jobView is a job as a client reads it.
type jobView struct {
	JobID, Name, Account, Cluster, Group, Nodes, Partition, User, WorkingDirectory string

	Status struct {
		State                     string
		StateReason               *string
		ExitCode, InterruptSignal *int
	}
	Tasks []struct{ ID, Name string }
	Time  struct{ Elapsed, Start, End, Limit *int64 }
}

func (r *rig) jobs(path string) []jobView {
	r.t.Helper()
	a := r.do("GET", path, nil)
	want(r.t, a, 200)
	var out struct{ Jobs []jobView }
	a.decode(r.t, &out)
	return out.Jobs
}

func (r *rig) view(path string) string {
	r.t.Helper()
	a := r.ops("GET", "view", path)
	want(r.t, a, 200)
	var out struct{ Output string }
	a.decode(r.t, &out)
	return out.Output
}

func TestJobLifeCycle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.finished("#!/bin/bash\necho \"$F7T_version $SLURM_JOB_ID $PWD\"\nexit 3\n", "name", "fails", "account", "proj2")
	job := r.jobs(path)[0]
	if job.Status.State != "FAILED" || *job.Status.ExitCode != 3 || *job.Status.InterruptSignal != 0 {
		t.Errorf("status %+v, want FAILED with exit code 3", job.Status)
	}
	if job.Name != "fails" || job.Account != "proj2" || job.User != "demo" || job.Group != "users" || job.Cluster != "alps" ||
		job.WorkingDirectory != r.home || job.Partition == "" || job.Nodes == "" || job.Time.End == nil {
		t.Errorf("job %+v", job)
	}
	if len(job.Tasks) != 1 || job.Tasks[0].ID != job.JobID+".batch" {
		t.Errorf("tasks %+v, want one batch step", job.Tasks)
	}
	if got, want := r.view(r.home+"/slurm-"+job.JobID+".out"), "v2.0.0 "+job.JobID+" "+r.home+"\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

// TestForeignScriptIsNotShown: the script of a transfer has its secrets in it.
func TestForeignScriptIsNotShown(t *testing.T) {
	t.Parallel()
	r := described(t)
	path := r.finished("#!/bin/sh\n# secret\n") + "/metadata"
	for _, test := range []struct {
		user, want string
	}{{"alice", `"script":"#!/bin/sh\n# secret\n"`}, {"bob", `"script":null`}} {
		r.as(test.user)
		a := r.do("GET", path, nil)
		want(t, a, 200)
		if !strings.Contains(string(a.body), test.want) || !strings.Contains(string(a.body), "slurm-") {
			t.Errorf("for %s: %s, want %s and the standard files", test.user, a.body, test.want)
		}
	}
}

func TestSubmitFields(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("run.sh", "#!/bin/sh\n#SBATCH --job-name=from_path\necho \"$K $Y\" >out\n")
	script := filepath.Join(r.home, "run.sh")
	path := r.finished("#!/bin/sh\nexit 1\n", "scriptPath", script, "env", members{"K": "a,Y=b", "Z": "c,d"},
		"standard_output", "o-%j.txt", "standardError", "e.txt")
	job := r.jobs(path)[0]
	if job.Status.State != "COMPLETED" || job.Name != "from_path" {
		t.Errorf("state %s, name %s: the script file wins over the inline script", job.Status.State, job.Name)
	}
	if got := r.view(r.home + "/out"); got != "a b\n" { // a comma ends a value
		t.Errorf("environment %q", got)
	}
	var meta struct{ Jobs []map[string]string }
	r.do("GET", path+"/metadata", nil).decode(t, &meta)
	want := map[string]string{
		"jobId": job.JobID, "script": "#!/bin/sh\n#SBATCH --job-name=from_path\necho \"$K $Y\" >out\n",
		"standardInput": "/dev/null", "standardOutput": r.home + "/o-" + job.JobID + ".txt", "standardError": r.home + "/e.txt",
	}
	if diff := cmp.Diff([]map[string]string{want}, meta.Jobs); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestSubmitRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const script = "#!/bin/sh\n"
	for name, tc := range map[string]struct {
		body   any
		status int
		text   string
	}{
		"empty body":              {nil, 400, "1 validation error:"},
		"job is no object":        {members{"job": 5}, 400, "1 validation error:"},
		"null script":             {members{"job": members{"workingDirectory": r.home, "script": nil}}, 400, "1 validation error:"},
		"numeric name":            {members{"job": members{"workingDirectory": r.home, "script": script, "name": 5}}, 400, "1 validation error:"},
		"env is text":             {members{"job": members{"workingDirectory": r.home, "script": script, "env": "A=b"}}, 400, "2 validation errors:"},
		"directory outside":       {members{"job": members{"workingDirectory": "/etc", "script": script}}, 500, "Permission denied"},
		"directory through links": {members{"job": members{"workingDirectory": r.home + "/../../../..", "script": script}}, 500, "Permission denied"},
		"script path outside":     {members{"job": members{"workingDirectory": r.home, "scriptPath": "/etc/passwd"}}, 500, "Unable to open file /etc/passwd"},
		"no interpreter":          {members{"job": members{"workingDirectory": r.home, "script": "echo"}}, 500, "std_err:sbatch: error: This does not look like a batch script."},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.do("POST", jobs, tc.body)
			wantError(t, a, tc.status, tc.text)
			if validation := a.error(t).ErrorType == "validation"; validation != (tc.status == 400) {
				t.Errorf("answer %s", a.body)
			}
		})
	}
	if got := r.jobs(jobs); len(got) != 0 {
		t.Errorf("%d jobs after nothing but refusals", len(got))
	}
}

func TestWorkingDirectories(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("here/x", "")
	link(t, r.home+"/here", r.home+"/link")
	for given, want := range map[string]struct{ dir, state string }{
		"here":              {r.home + "/here", "COMPLETED"}, // relative to the home directory
		r.home + "/link":    {r.home + "/link", "COMPLETED"}, // kept as given
		r.home + "/missing": {r.home + "/missing", "FAILED"}, // found out when the job starts
	} {
		job := r.jobs(r.finished("#!/bin/sh\n", "workingDirectory", given))[0]
		if job.WorkingDirectory != want.dir || job.Status.State != want.state {
			t.Errorf("%s: %s in %s, want %s in %s", given, job.Status.State, job.WorkingDirectory, want.state, want.dir)
		}
	}
}

func TestSubmitRefusedByTheSite(t *testing.T) {
	t.Parallel()
	const quota = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
	r := newRig(t, func(c *Config) {
		c.Admit = func(spec *batch.Spec) error {
			switch spec.Account {
			case "full":
				return &batch.RejectedError{Stderr: quota}
			case "nosuch":
				return &batch.RejectedError{Stderr: "sbatch: error: Batch job submission failed: Invalid account"}
			}
			return nil
		}
	})
	submit := func(account string) answer {
		return r.do("POST", jobs, members{"job": members{"workingDirectory": r.home, "script": "#!/bin/sh\n", "account": account}})
	}
	wantError(t, submit("full"), 403, "Job submission rejected: accounting/QOS policy limit exceeded. "+quota)
	wantError(t, submit("nosuch"), 500, "Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid account\n")
	r.finished("#!/bin/sh\n", "account", "fine")
}

func TestSubmitOtherSpellings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, spelling := range []string{"working_directory", "current_working_directory"} {
		want(t, r.do("POST", jobs, members{"job": members{spelling: r.home, "script": "#!/bin/sh\n", "colour": "red"}}), 201)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Systems = []string{"alps", "daint"} })
	r.finished("#!/bin/sh\n", "name", "a", "account", "one")
	r.finished("#!/bin/sh\n", "name", "b", "account", "two")
	for query, names := range map[string]string{
		"": "a b", "?name=a": "a", "?name=": "a b", "?name=a,b": "a b", "?name=ab": "", "?account=two": "b", "?account=": "a b",
		"?allusers=true": "a b", "?time_window=1h": "a b", "?timeWindow=2d": "a b",
	} {
		t.Run(query, func(t *testing.T) {
			var got []string
			for _, job := range r.jobs(jobs + query) {
				got = append(got, job.Name)
			}
			if strings.Join(got, " ") != names {
				t.Errorf("jobs %q, want %q", got, names)
			}
		})
	}
	if a := r.do("GET", "/compute/daint/jobs", nil); string(a.body) != `{"jobs":[]}` {
		t.Errorf("jobs of another system: %s", a.body)
	}
	e := r.do("GET", jobs+"?time_window=2d", nil).error(t)
	if e.ErrorType != "validation" || e.Data.Fields[0].Name != "time_window" ||
		e.Data.Fields[0].Message != "Input should be '1h', '8h', '24h', '3d' or '7d'" {
		t.Errorf("bad window: %+v", e)
	}
	want(t, r.do("GET", jobs+"?name="+strings.Repeat("x", 236), nil), 400)
}

func TestListOverOutputLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxOpsFileSize = 300 })
	r.finished("#!/bin/sh\n")
	r.finished("#!/bin/sh\n")
	a := r.do("GET", jobs, nil)
	wantError(t, a, 500, "Error executing Slurm command.")
	if diff := cmp.Diff([]string{"Command output exceeded buffer limit."}, a.error(t).CausedBy); diff != "" {
		t.Errorf("causedBy (-want +got):\n%s", diff)
	}
}

func TestOthersJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, err := r.srv.jobs.Submit(batch.Spec{System: "alps", User: "bob", WorkingDir: r.home, Script: "#!/bin/sh\n"})
	if err != nil {
		t.Fatal(err)
	}
	r.wait(id)
	if got := r.jobs(jobs); len(got) != 0 {
		t.Errorf("own jobs: %+v", got)
	}
	if got := r.jobs(jobs + "?allusers=1"); len(got) != 1 || got[0].User != "bob" {
		t.Errorf("everybody's jobs: %+v", got)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	running := r.running("#!/bin/sh\nexec sleep 600\n")
	held := jobs + "/" + r.submit("#!/bin/sh\n#SBATCH --hold\n")
	for _, path := range []string{running, held} {
		want(t, r.do("DELETE", path, nil), 204)
		id := filepath.Base(path)
		r.wait(id)
		if job := r.jobs(path)[0]; job.Status.State != "CANCELLED by 1000" || job.Time.End == nil {
			t.Errorf("job %s is %s, want CANCELLED by 1000", id, job.Status.State)
		}
		a := r.do("DELETE", path, nil)
		wantError(t, a, 500, "Unexpected Slurm command response. exit_status:1 std_err:scancel: Terminating job "+id+"\n")
		wantError(t, a, 500, "already completing or completed")
	}
}

// TestUnexpectedUser: a token may name somebody the site does not know.
func TestUnexpectedUser(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var err error
	if r.token, err = r.srv.issueToken("carol", time.Hour); err != nil {
		t.Fatal(err)
	}
	wantError(t, r.ops("GET", "ls", r.home), 500, "('No SSH credentials found for user:carol',)")
	a := r.do("GET", "/status/alps/userinfo", nil)
	if e := a.error(t); a.status != 500 || len(e.CausedBy) != 2 || e.CausedBy[1] != "No SSH credentials found for user:carol" {
		t.Errorf("userinfo: %d %+v", a.status, e)
	}
	body, _ := json.Marshal(members{"job": members{"workingDirectory": "/", "script": "#!/bin/sh\n"}})
	want(t, r.do("POST", jobs, string(body)), 500)
}
