package firecresttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) jobs() []subtest {
	return []subtest{
		{"a job is described by its id while it runs and after", s.testGet},
		{"a job has every member", s.testJobMembers},
		{"a job goes from pending to its end", s.testProgress},
		{"a job that fails tells its exit code", s.testFailed},
		{"a held job waits without exit code and steps", s.testHeld},
		{"an unknown job is not found", s.testUnknownJob},
		{"a new job may be unknown for a moment", s.testLaggingJob},
		{"ids of parts of jobs are refused", s.testPartIDs},
		{"own jobs are listed", s.testJobList},
		{"jobs of others are listed when asked for, and stay theirs", s.testOthersJobs},
		{"the list is filtered by account", s.testListAccount},
		{"the list is filtered by name", s.testListName},
		{"the list goes back as far as asked", s.testListWindow},
		{"flags of the list take booleans only", s.testListFlags},
		{"metadata has the script and the files", s.testMetadata},
		{"a running job is cancelled, once", s.testCancelRunning},
		{"a waiting job is cancelled", s.testCancelWaiting},
		{"an unknown job cannot be cancelled", s.testCancelUnknown},
		{"a command is attached to a job", s.testAttach},
		{"an array is found as its tasks", s.testArray},
	}
}

const unknownJob = "99999999"

// submit hands in a job that is cancelled at the end of the test if it still
// runs then.
func (s *suite) submit(t *testing.T, spec firecrest.JobSpec) firecrest.JobID {
	t.Helper()
	id, err := s.client.Compute.Submit(t.Context(), s.System, spec)
	if err != nil {
		t.Fatal(err)
	}
	s.endLater(t, s.System, id)
	return id
}

// endLater cancels a job at the end of the test and waits until it is over, so
// that it writes nothing into a directory that is being removed.
func (s *suite) endLater(t *testing.T, system string, id firecrest.JobID) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := s.client.Compute.Cancel(ctx, system, id); err != nil {
			t.Error(err)
		}
		s.waitOn(t, ctx, system, id)
	})
}

// wait returns a job once it is over.
func (s *suite) wait(t *testing.T, ctx context.Context, id firecrest.JobID) firecrest.Job {
	t.Helper()
	return s.waitOn(t, ctx, s.System, id)
}

// waitOn is wait for a job on any system.
func (s *suite) waitOn(t *testing.T, ctx context.Context, system string, id firecrest.JobID) firecrest.Job {
	t.Helper()
	return s.watch(t, ctx, system, id, func(job firecrest.Job) bool { return job.Status.State.IsTerminal() })
}

func (s *suite) waitUntil(t *testing.T, ctx context.Context, id firecrest.JobID, done func(firecrest.Job) bool) firecrest.Job {
	t.Helper()
	return s.watch(t, ctx, s.System, id, done)
}

func (s *suite) watch(t *testing.T, ctx context.Context, system string, id firecrest.JobID, done func(firecrest.Job) bool) firecrest.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	found := make(chan firecrest.Job, 1)
	s.client.Poller(system).Watch(ctx, firecrest.Query{ID: id, Since: time.Now()}, func(o firecrest.Observation) {
		if o.Outage == nil && !o.Unknown && done(o.Job) {
			select {
			case found <- o.Job:
			default: // it was found before
			}
		}
	})
	select {
	case job := <-found:
		return job
	case <-ctx.Done():
		t.Fatalf("job %s: %v", id, ctx.Err())
		return firecrest.Job{}
	}
}

func (s *suite) runSpec(t *testing.T, ctx context.Context, spec firecrest.JobSpec) firecrest.Job {
	t.Helper()
	id, err := s.client.Compute.Submit(ctx, s.System, spec)
	if err != nil {
		t.Fatal(err)
	}
	s.wait(t, ctx, id)
	return s.accounted(t, s.System, id)
}

// accounted returns a job that is over once its record is complete: Slurm may
// account for the end of a short job before it does for the beginning.
func (s *suite) accounted(t *testing.T, system string, id firecrest.JobID) (job firecrest.Job) {
	t.Helper()
	s.eventually(t, "the record of the job stays incomplete", func() bool {
		rows, err := s.client.Compute.Get(context.WithoutCancel(t.Context()), system, id)
		if err != nil {
			t.Fatal(err)
		}
		var found bool
		job, found = firecrest.Aggregate(rows)
		return found && job.Partition != ""
	})
	return job
}

func (s *suite) run(t *testing.T, ctx context.Context, dir, script string) firecrest.Job {
	t.Helper()
	return s.runSpec(t, ctx, firecrest.JobSpec{WorkingDirectory: dir, Script: script})
}

// job looks a job up by its id.
func (s *suite) job(t *testing.T, id firecrest.JobID) firecrest.Job {
	t.Helper()
	rows, err := s.client.Compute.Get(t.Context(), s.System, id)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].ID != id {
		t.Fatalf("rows %+v, want one of %s", rows, id)
	}
	return rows[0]
}

// endless is a job that ends when a file appears, or when it is cancelled.
const endless = "#!/bin/sh\nwhile ! test -e stop; do sleep 0.1; done\n"

func (s *suite) testGet(t *testing.T) {
	dir := s.directory(t)
	id := s.submit(t, firecrest.JobSpec{Name: "described", WorkingDirectory: dir, Script: endless})
	running := s.waitUntil(t, t.Context(), id, func(job firecrest.Job) bool { return job.Status.State == "RUNNING" })
	if running.Time.Start.IsZero() || !running.Time.End.IsZero() || running.AllocationNodes < 1 {
		t.Errorf("running job %+v", running)
	}
	s.write(t, dir, "stop", "x")
	if ended := s.wait(t, t.Context(), id); !ended.Succeeded() {
		t.Errorf("job %+v", ended)
	}
	job := s.job(t, id)
	if job.Name != "described" || job.WorkingDirectory != dir || job.User == "" || job.Nodes == "" || job.Partition == "" {
		t.Errorf("job %+v", job)
	}
	if job.Time.End.Before(job.Time.Start) || job.Time.Start.IsZero() || time.Since(job.Time.End).Abs() > time.Hour {
		t.Errorf("times %+v", job.Time)
	}
	isBatch := func(task firecrest.JobTask) bool {
		return task.ID == string(id)+".batch" && task.Name == "batch" && task.Status.State == "COMPLETED"
	}
	if !slices.ContainsFunc(job.Tasks, isBatch) {
		t.Errorf("steps %+v, want the batch script among them", job.Tasks)
	}
}

func (s *suite) testFailed(t *testing.T) {
	s.except(t, LacksScripts)
	dir := s.directory(t)
	job := s.run(t, t.Context(), dir, "#!/bin/sh\necho before the end\nexit 3\n")
	if st := job.Status; st.State != "FAILED" || st.ExitCode == nil || *st.ExitCode != 3 || job.Succeeded() {
		t.Errorf("status %+v", st)
	}
	if got := s.read(t, dir+"/slurm-"+string(job.ID)+".out"); got != "before the end\n" {
		t.Errorf("output %q", got)
	}
	job = s.run(t, t.Context(), dir, "#!/bin/sh\nkill -KILL $$\n")
	if st := job.Status; st.State != "FAILED" || st.Signal == nil || *st.Signal != 9 {
		t.Errorf("status %+v, want signal 9", st)
	}
}

// jobMembers are those that every job has, whatever they hold.
var jobMembers = []string{
	"account", "allocationNodes", "cluster", "group", "jobId", "killRequestUser", "name", "nodes", "partition", "priority", "status",
	"tasks", "time", "user", "workingDirectory",
}

func (s *suite) testJobMembers(t *testing.T) {
	id := s.run(t, t.Context(), s.directory(t), "#!/bin/sh\n").ID
	var got struct {
		Jobs []members `json:"jobs"`
	}
	s.get(t, s.jobsPath("/"+string(id)), nil).want(t, http.StatusOK, &got)
	if len(got.Jobs) != 1 || fmt.Sprint(got.Jobs[0]["jobId"]) != string(id) {
		t.Fatalf("jobs %v, want %s", got.Jobs, id)
	}
	job := got.Jobs[0]
	if diff := cmp.Diff(jobMembers, slices.Sorted(maps.Keys(job))); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	s.wantParts(t, job)
	tasks, _ := job["tasks"].([]any)
	for _, task := range tasks {
		if diff := cmp.Diff([]string{"id", "name", "status", "time"}, keys(task.(map[string]any))); diff != "" {
			t.Errorf("members of a step (-want +got):\n%s", diff)
		}
		s.wantParts(t, task.(map[string]any))
	}
}

// wantParts checks status and time of a job or a step of one.
func (s *suite) wantParts(t *testing.T, of members) {
	t.Helper()
	status, _ := of["status"].(map[string]any)
	if state, isText := status["state"].(string); !isText || state == "" {
		t.Errorf("status %v, want a state that is text", status)
	}
	if diff := cmp.Diff([]string{"exitCode", "interruptSignal", "state", "stateReason"}, keys(status)); diff != "" {
		t.Errorf("members of a status (-want +got):\n%s", diff)
	}
	at, _ := of["time"].(map[string]any)
	if diff := cmp.Diff([]string{"elapsed", "end", "limit", "start", "suspended"}, keys(at)); diff != "" {
		t.Errorf("members of a time (-want +got):\n%s", diff)
	}
}

func (s *suite) held(t *testing.T) firecrest.JobID {
	t.Helper()
	return s.submit(t, firecrest.JobSpec{WorkingDirectory: s.directory(t), Script: "#!/bin/sh\n#SBATCH --hold\n"})
}

func (s *suite) testHeld(t *testing.T) {
	s.except(t, AsksAccounting)
	id := s.held(t)
	// The scheduler may take a moment to give the reason.
	s.waitUntil(t, t.Context(), id, func(job firecrest.Job) bool { return job.Status.Reason == "JobHeldUser" })
	job := s.job(t, id)
	if st := job.Status; st.State != "PENDING" || st.ExitCode != nil || st.Signal != nil {
		t.Errorf("status %+v", st)
	}
	if len(job.Tasks) != 0 || !job.Time.End.IsZero() {
		t.Errorf("job %+v", job)
	}
}

func (s *suite) testUnknownJob(t *testing.T) {
	_, err := s.client.Compute.Get(t.Context(), s.System, unknownJob)
	wantError(t, err, firecrest.ErrNotFound, noSuchJob)
	if a := s.get(t, s.jobsPath("/abc"), nil); a.status != http.StatusNotFound { // Slurm itself minds letters
		a.wantFailure(t, http.StatusInternalServerError, "Error executing Slurm command.")
	}
	_, err = s.client.Compute.Metadata(t.Context(), s.System, unknownJob)
	wantError(t, err, firecrest.ErrNotFound, noSuchJob)
}

func (s *suite) testPartIDs(t *testing.T) {
	client, err := firecrest.New(s.URL, firecrest.WithTokenSource(s.Tokens), firecrest.WithTransport(silentTransport{t}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, id := range []string{"123_4", "200+0", "123.batch"} {
		path := s.jobsPath("/" + url.PathEscape(id))
		s.get(t, path, nil).wantRefused(t, "path", "job_id")
		s.get(t, path+"/metadata", nil).wantRefused(t, "path", "job_id")
		s.send(t, s.request(t, http.MethodDelete, path, nil, nil)).wantRefused(t, "path", "job_id")
		s.send(t, s.request(t, http.MethodPut, path+"/attach", nil, members{"command": "true"})).wantRefused(t, "path", "job_id")
		if _, err := client.Compute.Get(t.Context(), s.System, firecrest.JobID(id)); err == nil {
			t.Errorf("the client asks for %s", id)
		}
	}
}

func (s *suite) listJobs(t *testing.T, opts *firecrest.JobListOptions) []firecrest.JobID {
	t.Helper()
	rows, err := s.client.Compute.List(t.Context(), s.System, opts)
	if err != nil {
		t.Fatal(err)
	}
	var ids []firecrest.JobID
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids
}

func (s *suite) testJobList(t *testing.T) {
	held := s.held(t)
	ended := s.run(t, t.Context(), s.directory(t), "#!/bin/sh\n").ID
	for _, opts := range []*firecrest.JobListOptions{nil, {AllUsers: true}} {
		ids := s.listJobs(t, opts)
		if !slices.Contains(ids, held) || !slices.Contains(ids, ended) {
			t.Errorf("%+v: listed %q, want %s and %s among them", opts, ids, held, ended)
		}
	}
	// Empty filters are none.
	var got struct{ Jobs []firecrest.Job }
	s.get(t, s.jobsPath(""), url.Values{"allusers": {"false"}, "account": {""}, "name": {""}}).want(t, http.StatusOK, &got)
	if !slices.ContainsFunc(got.Jobs, func(j firecrest.Job) bool { return j.ID == held }) {
		t.Errorf("with empty filters %s is missing", held)
	}
}

func (s *suite) testOthersJobs(t *testing.T) {
	other := s.newClient(t, oddSource(s.odd(t, OtherToken)))
	info, err := other.Status.UserInfo(t.Context(), s.System)
	if err != nil {
		t.Fatal(err)
	}
	id, err := other.Compute.Submit(t.Context(), s.System, firecrest.JobSpec{
		WorkingDirectory: s.system.WorkDir() + "/" + info.User.Name, Script: "#!/bin/sh\n#SBATCH --hold\n", StandardOutput: "/dev/null",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Compute.Cancel(context.WithoutCancel(t.Context()), s.System, id); err != nil {
			t.Error(err)
		}
	})
	for all, opts := range map[bool]*firecrest.JobListOptions{false: nil, true: {AllUsers: true}} {
		if ids := s.listJobs(t, opts); slices.Contains(ids, id) != all {
			t.Errorf("all users %t: listed %q; %s is of another user", all, ids, id)
		}
	}
	s.cancelRaw(t, id).wantFailure(t, http.StatusInternalServerError, "Access/permission denied")
	if job := s.job(t, id); job.User != info.User.Name || job.Status.State != "PENDING" {
		t.Errorf("job %+v, want that it still waits", job)
	}
}

func (s *suite) testListAccount(t *testing.T) {
	s.except(t, IgnoresAccountFilter)
	held := s.held(t)
	if ids := s.listJobs(t, &firecrest.JobListOptions{Account: "no-such-account"}); len(ids) > 0 {
		t.Errorf("listed %q", ids)
	}
	if account := s.job(t, held).Account; account != "" {
		if ids := s.listJobs(t, &firecrest.JobListOptions{Account: account}); !slices.Contains(ids, held) {
			t.Errorf("listed %q, want %s among them", ids, held)
		}
	}
}

func (s *suite) testListName(t *testing.T) {
	s.except(t, IgnoresJobFilters)
	dir := s.directory(t)
	name := "named-" + dir[strings.LastIndexByte(s.dir, '-')+1:len(s.dir)]
	job := func(name string) firecrest.JobID {
		return s.runSpec(t, t.Context(), firecrest.JobSpec{Name: name, WorkingDirectory: dir, Script: "#!/bin/sh\n"}).ID
	}
	want := job(name)
	job(name + "-and-more")
	if ids := s.listJobs(t, &firecrest.JobListOptions{Name: name}); !slices.Equal(ids, []firecrest.JobID{want}) {
		t.Errorf("listed %q, want %s", ids, want)
	}
	s.get(t, s.jobsPath(""), url.Values{"name": {strings.Repeat("x", 236)}}).wantRefused(t, "query", "name")
}

func (s *suite) testListWindow(t *testing.T) {
	ended := s.run(t, t.Context(), s.directory(t), "#!/bin/sh\n").ID
	for _, window := range []firecrest.Window{
		firecrest.Window1h, firecrest.Window8h, firecrest.Window24h, firecrest.Window3d, firecrest.Window7d,
	} {
		if ids := s.listJobs(t, &firecrest.JobListOptions{Window: window}); !slices.Contains(ids, ended) {
			t.Errorf("%s: listed %q, want %s among them", window, ids, ended)
		}
	}
	s.except(t, IgnoresJobFilters)
	_, err := s.client.Compute.List(t.Context(), s.System, &firecrest.JobListOptions{Window: "2d"})
	wantRefusedField(t, err, "time_window")
	s.get(t, s.jobsPath(""), url.Values{"timeWindow": {"2d"}}).want(t, http.StatusOK, nil)
}

func (s *suite) testListFlags(t *testing.T) {
	s.get(t, s.jobsPath(""), url.Values{"allusers": {"most"}}).wantRefused(t, "query", "allusers")
}

func (s *suite) testMetadata(t *testing.T) {
	s.except(t, LacksScripts)
	dir := s.directory(t)
	id := s.submit(t, firecrest.JobSpec{WorkingDirectory: dir, Script: endless, StandardOutput: "out-%j.txt"})
	list, err := s.client.Compute.Metadata(t.Context(), s.System, id)
	if err != nil || len(list) != 1 {
		t.Fatalf("got %+v, %v", list, err)
	}
	out := dir + "/out-" + string(id) + ".txt"
	if m := list[0]; m.ID != id || m.Script != endless || m.StandardOutput != out || m.StandardError != out || m.StandardInput != "/dev/null" {
		t.Errorf("got %+v", m)
	}
}

// cancelRaw cancels as the server does it, without the client's second look.
func (s *suite) cancelRaw(t *testing.T, id firecrest.JobID) answer {
	t.Helper()
	return s.send(t, s.request(t, http.MethodDelete, s.jobsPath("/"+string(id)), nil, nil))
}

func (s *suite) testCancelRunning(t *testing.T) {
	id := s.submit(t, firecrest.JobSpec{WorkingDirectory: s.directory(t), Script: endless})
	s.waitUntil(t, t.Context(), id, func(job firecrest.Job) bool { return job.Status.State.IsActive() })
	s.cancelRaw(t, id).want(t, http.StatusNoContent, nil)
	job := s.wait(t, t.Context(), id)
	if job.Status.State.Name() != "CANCELLED" || job.Succeeded() {
		t.Errorf("status %+v", job.Status)
	}
	if info, err := s.client.Status.UserInfo(t.Context(), s.System); err != nil {
		t.Error(err)
	} else if want := "CANCELLED by " + info.User.ID; s.system.Scheduler.ConnectionMode == "ssh" && string(job.Status.State) != want {
		t.Errorf("state %q, want %q", job.Status.State, want)
	}
	s.cancelRaw(t, id).wantFailure(t, http.StatusInternalServerError, "already completing or completed")
	if err := s.client.Compute.Cancel(t.Context(), s.System, id); err != nil {
		t.Errorf("of a job that is over: %v", err)
	}
}

func (s *suite) testCancelWaiting(t *testing.T) {
	id := s.held(t)
	if err := s.client.Compute.Cancel(t.Context(), s.System, id); err != nil {
		t.Fatal(err)
	}
	if job := s.wait(t, t.Context(), id); job.Status.State.Name() != "CANCELLED" || len(job.Tasks) > 1 {
		t.Errorf("job %+v", job)
	}
}

func (s *suite) testCancelUnknown(t *testing.T) {
	s.cancelRaw(t, unknownJob).wantFailure(t, http.StatusInternalServerError, "Invalid job id specified")
	if err := s.client.Compute.Cancel(t.Context(), s.System, unknownJob); err != nil {
		t.Error(err)
	}
	if _, err := s.client.Compute.Get(t.Context(), s.System, unknownJob); !errors.Is(err, firecrest.ErrNotFound) {
		t.Error(err)
	}
}
