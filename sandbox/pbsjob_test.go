package sandbox

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/sandbox/batch"
)

func pbs(c *Config) { c.Scheduler = "pbs" }

func TestPBSJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t, pbs)
	path := r.finished("#!/bin/sh\n#PBS -l walltime=1:00:00\nexit 3\n", "name", "mesh", "partition", "long", "account", "p1")
	id := strings.TrimPrefix(path, jobs+"/")
	var got struct{ Jobs []map[string]any }
	r.do("GET", path, nil).decode(t, &got)
	job := got.Jobs[0]
	clock := job["time"].(map[string]any)
	if clock["start"] == nil || clock["elapsed"] == nil {
		t.Errorf("time %v", clock)
	}
	clock["start"], clock["elapsed"] = nil, nil
	want := map[string]any{
		"jobId": id, "name": "mesh",
		"status":  map[string]any{"state": "F", "stateReason": nil, "exitCode": 3.0, "interruptSignal": nil},
		"tasks":   nil,
		"time":    map[string]any{"elapsed": nil, "start": nil, "end": nil, "suspended": nil, "limit": 3600.0},
		"account": "p1", "allocationNodes": 1.0, "cluster": "alps", "group": nil, "nodes": "None assigned", "partition": "long",
		"killRequestUser": nil, "user": "demo", "workingDirectory": r.home, "priority": 0.0,
	}
	if diff := cmp.Diff(want, job); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var meta struct{ Jobs []map[string]any }
	r.do("GET", path+"/metadata", nil).decode(t, &meta)
	swapped := map[string]any{
		"jobId": id, "script": nil, "standardInput": nil,
		"standardOutput": r.home + "/mesh.e" + id, "standardError": r.home + "/mesh.o" + id,
	}
	if diff := cmp.Diff(swapped, meta.Jobs[0]); diff != "" {
		t.Errorf("metadata (-want +got)\n%s", diff)
	}
}

func TestPBSStates(t *testing.T) {
	t.Parallel()
	r := newRig(t, pbs)
	state := func(id string) string {
		job := r.jobs(jobs + "/" + id)[0]
		return job.Status.State
	}
	held := r.submit("#!/bin/sh\n#PBS -h\n")
	r.pending(held, "JobHeldUser")
	later := r.submit("#!/bin/sh\n#PBS -a 209901010000\n")
	r.pending(later, "BeginTime")
	after := r.submit("#!/bin/sh\n#PBS -W depend=afterany:" + held + "\n")
	r.pending(after, "Dependency")
	stubborn := r.submit("#!/bin/sh\ntrap 'until [ -e go ]; do sleep 0.01; done; exit' TERM\ntouch up\nwhile :; do sleep 0.01; done\n")
	for deadline := time.Now().Add(20 * time.Second); r.ops("GET", "stat", r.home+"/up").status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("the script does not come up")
		}
	}
	for id, want := range map[string]string{held: "H", later: "W", after: "H", stubborn: "R"} {
		if got := state(id); got != want {
			t.Errorf("job %s is %s, want %s", id, got, want)
		}
	}
	want(t, r.do("DELETE", jobs+"/"+stubborn, nil), 204)
	if got := state(stubborn); got != "E" {
		t.Errorf("a job that is being ended is %s", got)
	}
	r.write("go", "")
	r.wait(stubborn)
	if job := r.jobs(jobs + "/" + stubborn)[0]; job.Status.State != "F" || *job.Status.ExitCode != 271 {
		t.Errorf("a cancelled job is %s with %d", job.Status.State, *job.Status.ExitCode)
	}
}

// pending waits until a job waits for a reason.
func (r *rig) pending(id, reason string) {
	r.t.Helper()
	r.until(id, func(batch.State) bool {
		job, _ := r.srv.jobs.Get("alps", id)
		return job.Reason == reason
	})
}

func TestPBSErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, pbs)
	done := r.finished("#!/bin/sh\n")
	array := r.submit("#!/bin/sh\n#PBS -J 0-1 -h\n")
	for _, tt := range []struct{ method, path, want string }{
		{"GET", jobs + "/99", "Unexpected PBS qstat response. exit_status:153 std_err:qstat: Unknown Job Id 99.alps\n"},
		{"GET", jobs + "/" + array, "Unexpected PBS qstat response. exit_status:153 std_err:qstat: Unknown Job Id " + array + ".alps\n"},
		{"GET", jobs + "/99/metadata", "Unexpected PBS qstat response. exit_status:153 std_err:qstat: Unknown Job Id 99.alps\n"},
		{"DELETE", jobs + "/99", "Unexpected PBS qdel response. exit_status:153 std_err:qdel: Unknown Job Id 99.alps\n"},
		{"DELETE", done, "Unexpected PBS qdel response. exit_status:35 std_err:qdel: Job has finished " + strings.TrimPrefix(done, jobs+"/") + ".alps\n"},
		{"PUT", done + "/attach", "('Interactive attach is not supported in PBS CLI client',)"},
	} {
		a := r.do(tt.method, tt.path, members{"command": "true"})
		want(t, a, 500)
		if got := a.error(t).Message; got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
	var list []string
	for _, job := range r.jobs(jobs + "?time_window=1h") {
		list = append(list, job.JobID+" "+job.Status.State)
	}
	if diff := cmp.Diff([]string{strings.TrimPrefix(done, jobs+"/") + " F", array + "[] H"}, list); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
}

func TestPBSCluster(t *testing.T) {
	t.Parallel()
	r := siteWith(t, `{"scheduler":"pbs","nodes":[{"name":"n1","cpus":4,"memory_mb":8000}],
		"partitions":[{"name":"long"},{"name":"old","state":"DRAIN","hidden":true}],
		"reservations":[{"name":"r","start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z","nodes":"n1","features":"gpu"}]}`)
	for path, want := range map[string]string{
		"nodes": `{"nodes":[{"sockets":null,"cores":null,"threads":null,"cpus":4,"cpuLoad":null,"freeMemory":8000000000,"features":null,` +
			`"name":"n1","address":null,"hostname":"n1","state":["IDLE"],"partitions":null,"weight":null,"allocMemory":0,"allocCpus":0,"idleCpus":4}]}`,
		"partitions": `{"partitions":[{"name":"long","cpus":null,"totalNodes":null,"partition":"UP"},` +
			`{"name":"old","cpus":null,"totalNodes":null,"partition":"DOWN"}]}`,
		"reservations": `{"reservations":[{"name":"r","nodeList":"n1","endTime":1767312000,"startTime":1767225600,"features":null,"state":null}]}`,
	} {
		if got := string(r.do("GET", "/status/alps/"+path, nil).body); got != want {
			t.Errorf("%s\n%s\nwant\n%s", path, got, want)
		}
	}
	var info struct{ Accounts []string }
	r.do("GET", "/status/alps/userinfo", nil).decode(t, &info)
	if info.Accounts != nil {
		t.Errorf("accounts %v, want null", info.Accounts)
	}
}
