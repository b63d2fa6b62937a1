package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// siteWith is a sandbox with one described system, alps, and the users alice, bob
// and carol of testdata/site.json.
func siteWith(t *testing.T, system string) *rig {
	t.Helper()
	sys := SystemConfig{}
	if err := json.Unmarshal([]byte(system), &sys); err != nil {
		t.Fatal(err)
	}
	sys.Name = "alps"
	return described(t, func(c *Config) { c.Site.Systems = []SystemConfig{sys} })
}

// TestAccountsOfUsers: a user may charge what both the user and the system have;
// who lists none has all, on both sides.
func TestAccountsOfUsers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ system, user, want []string }{
		{nil, nil, nil},
		{[]string{}, []string{}, nil},
		{nil, []string{"b", "a"}, []string{"b", "a"}},
		{[]string{"b", "a"}, nil, []string{"b", "a"}},
		{[]string{"a", "b"}, []string{"b", "c"}, []string{"b"}},
		{[]string{"a"}, []string{"b"}, []string{}},
	} {
		got := (&SystemConfig{Accounts: tt.system}).accountsOf(user{accounts: tt.user})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("system %q, user %q (-want +got):\n%s", tt.system, tt.user, diff)
		}
	}
}

func TestSubmitLimits(t *testing.T) {
	t.Parallel()
	const violated = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
	for name, tt := range map[string]struct {
		system, script string
		status         int
		want           string
	}{
		"per user": {
			`{"limits":{"max_submit_per_user":0}}`, "#!/bin/sh\n", 403,
			"Job submission rejected: accounting/QOS policy limit exceeded. sbatch: error: QOSMaxSubmitJobPerUserLimit\n" + violated,
		},
		"per account": {
			`{"limits":{"max_submit_per_account":1}}`, "#!/bin/sh\n#SBATCH --array=0-1\n", 403,
			"Job submission rejected: accounting/QOS policy limit exceeded. sbatch: error: AssocMaxSubmitJobLimit\n" + violated,
		},
		"account": {
			`{"accounts":["proj2"]}`, "#!/bin/sh\n#SBATCH -A proj\n", 500,
			"Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
		},
		"no account": {
			`{"accounts":["other"]}`, "#!/bin/sh\n", 500,
			"Unexpected Slurm command response. exit_status:1 std_err:sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
		},
		"PBS": {
			`{"scheduler":"pbs","partitions":[{"name":"long"}],"limits":{"max_submit_per_user":0}}`, "#!/bin/sh\n", 500,
			"Unexpected PBS command response. exit_status:38 std_err:qsub: would exceed queue long's per-user limit\n stdout:",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := siteWith(t, tt.system)
			a := r.do("POST", jobs, members{"job": members{"workingDirectory": r.home, "script": tt.script}})
			want(t, a, tt.status)
			if got := a.error(t).Message; got != tt.want {
				t.Errorf("message %q, want %q", got, tt.want)
			}
		})
	}
}

// TestJobLag hides a new job from queries for a while, and from them only.
func TestJobLag(t *testing.T) {
	t.Parallel()
	r := siteWith(t, `{"limits":{"job_lag":"600ms"}}`)
	path := r.finished("#!/bin/sh\n")
	a := r.do("GET", path, nil)
	age := func() time.Duration { return time.Since(r.srv.jobs.List("alps")[0].Submitted) }
	if age() < 600*time.Millisecond { // else this machine is too slow to see it
		want(t, a, 404)
	}
	if got := len(r.jobs(jobs)); got != 0 && age() < 600*time.Millisecond {
		t.Errorf("%d jobs in the list", got)
	}
	for deadline := time.Now().Add(20 * time.Second); r.do("GET", path, nil).status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("the job stays unknown")
		}
	}
	if got := r.jobs(jobs); len(got) != 1 {
		t.Errorf("%d jobs in the list, want 1", len(got))
	}
}

// TestForeignJobs shows other people's jobs on request, and lets nobody touch
// them.
func TestForeignJobs(t *testing.T) {
	t.Parallel()
	r := described(t)
	id := r.submit("#!/bin/sh\nexec sleep 60\n", "account", "proj2")
	path := jobs + "/" + id
	r.until(id, func(s batch.State) bool { return s == batch.Running })
	r.as("bob")
	for query, want := range map[string]int{"": 0, "?allusers=true": 1, "?allusers=true&account=proj2": 1, "?allusers=true&account=proj": 0} {
		if got := r.jobs(jobs + query); len(got) != want {
			t.Errorf("%q: %d jobs, want %d", query, len(got), want)
		}
	}
	if got := r.jobs(path); len(got) != 1 || got[0].User != "alice" {
		t.Errorf("by id: %+v", got)
	}
	refused := r.do("DELETE", path, nil)
	want(t, refused, 500)
	if got := refused.error(t).Message; !strings.Contains(got, "Access/permission denied") {
		t.Errorf("cancel: %q", got)
	}
	refused = r.do("PUT", path+"/attach", members{"command": "touch planted"})
	want(t, refused, 500)
	if got := refused.error(t).Message; !strings.Contains(got, "Access/permission denied") {
		t.Errorf("attach: %q", got)
	}
	r.as("carol")
	for _, tt := range []struct{ method, path string }{{"GET", jobs}, {"GET", path}, {"DELETE", path}, {"PUT", path + "/attach"}, {"POST", jobs}} {
		a := r.do(tt.method, tt.path, members{"command": "true", "job": members{"workingDirectory": "/x", "script": "#!/bin/sh\n"}})
		want(t, a, 500)
		if e := a.error(t); !strings.Contains(e.Message+strings.Join(e.CausedBy, ""), "No SSH credentials found for user:carol") {
			t.Errorf("%s %s: %+v", tt.method, tt.path, e)
		}
	}
	r.as("alice")
	want(t, r.do("DELETE", path, nil), 204)
}

// TestArrayRows follows an array through the list and by the ids of its parts.
func TestArrayRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	array := r.submit("#!/bin/sh\n#SBATCH --array=1-3%1\nuntil [ -e go ]; do sleep 0.01; done\n")
	first := r.srv.jobs.Find("alps", array)[0].ID
	r.until(first, func(s batch.State) bool { return s == batch.Running })
	states := func(path string) (rows []string) {
		for _, job := range r.jobs(path) {
			rows = append(rows, job.JobID+" "+job.Status.State)
		}
		return rows
	}
	rows := []string{array + "_1 RUNNING", array + "_[2-3%1] PENDING", array + " PENDING", first + " RUNNING"}
	for _, path := range []string{jobs, jobs + "/" + array} {
		if diff := cmp.Diff(rows, states(path)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", path, diff)
		}
	}
	if diff := cmp.Diff([]string{array + "_1 RUNNING", first + " RUNNING"}, states(jobs+"/"+first)); diff != "" {
		t.Errorf("by the id of a part (-want +got)\n%s", diff)
	}
	r.write("go", "")
	for _, part := range r.srv.jobs.Find("alps", array) {
		r.wait(part.ID)
	}
	rows = []string{array + "_1 COMPLETED", array + "_2 COMPLETED", array + "_3 COMPLETED"}
	if diff := cmp.Diff(rows, states(jobs)); diff != "" {
		t.Errorf("ended (-want +got)\n%s", diff)
	}
	if got := r.jobs(jobs + "/" + array)[1].Tasks[0].ID; got != array+"_2.batch" {
		t.Errorf("step %q of part 2", got)
	}
}

// TestAttachTimeout ends a command that takes longer than any may.
func TestAttachTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.CommandTimeout = 200 * time.Millisecond })
	path := r.running("#!/bin/sh\nexec sleep 60\n")
	a := r.do("PUT", path+"/attach", members{"command": "sleep 30"})
	want(t, a, 408)
	want(t, r.do("DELETE", path, nil), 204)
}
