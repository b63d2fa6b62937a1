package firecrest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// recordedAnswer is what a real server of some release answered.
type recordedAnswer struct {
	Name      string          `json:"name"`
	Operation string          `json:"operation"`
	Status    int             `json:"status"`
	Version   string          `json:"version"`
	Location  string          `json:"location"`
	Body      json.RawMessage `json:"body"`
}

// Releases are compared as text: "2.4.2" < "2.5.0" < "2.5.7-dev".

func (a recordedAnswer) response() *http.Response {
	body := string(a.Body)
	if body == "null" {
		body = ""
	}
	r := answer(a.Status, body)
	r.Header.Set("F7T-AppVersion", a.Version)
	r.Header.Set("Location", a.Location)
	return r
}

// recordings reads the answers of all releases, by release and name.
func recordings(t testing.TB) map[string]map[string]recordedAnswer {
	t.Helper()
	files, err := filepath.Glob("testdata/recorded/*/answers.json")
	if err != nil || len(files) != 7 {
		t.Fatalf("found %d recordings: %v", len(files), err)
	}
	all := map[string]map[string]recordedAnswer{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var answers []recordedAnswer
		if err := json.Unmarshal(b, &answers); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		release := filepath.Base(filepath.Dir(file))
		all[release] = map[string]recordedAnswer{}
		for _, a := range answers {
			all[release][a.Name] = a
		}
	}
	return all
}

// play returns a client that gets one recorded answer to everything.
func play(t *testing.T, a recordedAnswer) *Client {
	t.Helper()
	return memoryClient(t, func(*http.Request) (*http.Response, error) { return a.response(), nil }, WithRetry(RetryPolicy{MaxAttempts: 1}))
}

// forEachRelease runs a test for every release in which the answer was
// recorded with the status.
func forEachRelease(t *testing.T, name string, status int, test func(t *testing.T, release string, c *Client)) {
	t.Helper()
	found := 0
	for release, answers := range recordings(t) {
		a, ok := answers[name]
		if !ok || a.Status != status {
			continue
		}
		found++
		t.Run(name+" "+release, func(t *testing.T) {
			t.Parallel()
			test(t, release, play(t, a))
		})
	}
	if found == 0 {
		t.Errorf("no release answered %s with %d", name, status)
	}
}

func TestRecordedSystems(t *testing.T) {
	t.Parallel()
	forEachRelease(t, "systems", 200, func(t *testing.T, release string, c *Client) {
		systems, err := c.Status.Systems(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		alps := systems[0]
		if alps.Name != "alps" || alps.SSH.Host != "login.example.org" || alps.SSH.Port != 22 || alps.SSH.CommandTimeout != 5*time.Second ||
			alps.Scheduler.Type != "slurm" || alps.Scheduler.Version != "24.11.0" || alps.MaxFileSize != 5<<20 || alps.WorkDir() != "/home" {
			t.Errorf("got %+v", alps)
		}
		if alps.MaxDownload() != 3932157 || alps.MaxView() != 2621439 {
			t.Errorf("limits: download %d, view %d", alps.MaxDownload(), alps.MaxView())
		}
		upload := int64(5 << 20)
		if release < "2.5.0" {
			upload--
		}
		if alps.MaxUpload() != upload {
			t.Errorf("limit: upload %d", alps.MaxUpload())
		}
		if len(alps.Health) < 4 || alps.Health[0].Service != "scheduler" || !alps.Health[0].Healthy || alps.Health[0].LastChecked.IsZero() || alps.Health[2].Path != "/home" {
			t.Errorf("health %+v", alps.Health)
		}
		if alps.NeedsAccount() || len(alps.TransferDirectives) == 0 {
			t.Errorf("directives %q", alps.TransferDirectives)
		}
		if release < "2.5.0" != (alps.Transfer == nil) {
			t.Errorf("transfer %+v", alps.Transfer)
		}
		if release >= "2.5.0" && *alps.Transfer != (Transfer{"s3", 5 << 20, 604800 * time.Second, "https://s3.example.org"}) {
			t.Errorf("transfer %+v", alps.Transfer)
		}
		if _, ok := alps.FileSystemOf("/home/../home/alice"); !ok {
			t.Error("/home is in no file system")
		}
		if fs, ok := alps.FileSystemOf("/home/../etc"); ok {
			t.Errorf("/etc is in %+v", fs)
		}
		if fs, ok := alps.FileSystemOf("/homes/x"); ok {
			t.Errorf("/homes is in %+v", fs)
		}
		if acct, err := c.Status.System(t.Context(), "ACCT"); err != nil || !acct.NeedsAccount() {
			t.Errorf("acct: %+v, %v", acct, err)
		}
		if _, err := c.Status.System(t.Context(), "nope"); !errors.Is(err, ErrNotFound) {
			t.Errorf("nope: %v", err)
		}
	})
}

func TestRecordedUserInfo(t *testing.T) {
	t.Parallel()
	forEachRelease(t, "userinfo", 200, func(t *testing.T, release string, c *Client) {
		info, err := c.Status.UserInfo(t.Context(), "alps")
		want := &UserInfo{User: Identity{"1000", "alice"}, Group: Identity{"100", "users"}, Groups: []Identity{{"100", "users"}, {"2000", "proj"}}}
		if release >= "2.5.1" {
			want.Accounts = []Account{{"proj", true}, {"proj2", false}}
		}
		if diff := cmp.Diff(want, info); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestRecordedFiles(t *testing.T) {
	t.Parallel()
	forEachRelease(t, "ls", 200, func(t *testing.T, _ string, c *Client) {
		entries, err := c.Filesystem.List(t.Context(), "alps", "/home/alice/data", nil)
		if err != nil || len(entries) != 5 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		want := FileEntry{"broken", "l", "nowhere", "alice", "users", "rwxrwxrwx", "2026-01-05T10:00:00", 7}
		if entries[1] != want || !entries[1].IsLink() || !entries[2].IsDir() {
			t.Errorf("got %+v", entries)
		}
	})
	forEachRelease(t, "ls-empty-directory", 200, func(t *testing.T, _ string, c *Client) {
		if entries, err := c.Filesystem.List(t.Context(), "alps", "/d", nil); err != nil || len(entries) != 0 {
			t.Errorf("got %v, %v", entries, err)
		}
	})
	forEachRelease(t, "stat", 200, func(t *testing.T, _ string, c *Client) {
		stat, err := c.Filesystem.Stat(t.Context(), "alps", "/f", false)
		if err != nil || stat.Mode != 0o100644 || !stat.IsRegular() || stat.IsDir() || stat.Size != 21 || stat.Mtime != 1767607200 {
			t.Errorf("got %+v, %v", stat, err)
		}
	})
	forEachRelease(t, "head-default", 200, func(t *testing.T, _ string, c *Client) {
		head, err := c.Filesystem.Head(t.Context(), "alps", "/f", nil)
		if err != nil || head.ContentType != "lines" || head.EndPosition != 10 || len(head.Content) != 61 {
			t.Errorf("got %+v, %v", head, err)
		}
	})
	forEachRelease(t, "tail-lines", 200, func(t *testing.T, _ string, c *Client) {
		tail, err := c.Filesystem.Tail(t.Context(), "alps", "/f", nil)
		if err != nil || *tail != (Content{"row 24\nrow 25\n", "lines", -2, -1}) {
			t.Errorf("got %+v, %v", tail, err)
		}
	})
	forEachRelease(t, "view", 200, func(t *testing.T, _ string, c *Client) {
		if text, err := c.Filesystem.View(t.Context(), "alps", "/f", nil); err != nil || text != "line 1\nline 2\nline 3\n" {
			t.Errorf("got %q, %v", text, err)
		}
	})
	forEachRelease(t, "checksum", 200, func(t *testing.T, _ string, c *Client) {
		if sum, err := c.Filesystem.Checksum(t.Context(), "alps", "/f"); err != nil || len(sum) != 64 {
			t.Errorf("got %q, %v", sum, err)
		}
	})
	forEachRelease(t, "mkdir", 201, func(t *testing.T, _ string, c *Client) {
		if dir, err := c.Filesystem.Mkdir(t.Context(), "alps", "/home/alice/new", false); err != nil || dir.Name != "/home/alice/new" || !dir.IsDir() {
			t.Errorf("got %+v, %v", dir, err)
		}
	})
	forEachRelease(t, "symlink", 201, func(t *testing.T, release string, c *Client) {
		link, err := c.Filesystem.Symlink(t.Context(), "alps", "/t", "/l")
		if err != nil || link.IsLink() != (release >= "2.5.0") { // old releases describe the target
			t.Errorf("got %+v, %v", link, err)
		}
	})
}

// firstJob gets one job of a recorded answer.
func firstJob(t *testing.T, c *Client) Job {
	t.Helper()
	rows, err := c.Compute.Get(t.Context(), "alps", "1")
	if err != nil {
		t.Fatal(err)
	}
	job, ok := Aggregate(rows)
	if !ok {
		t.Fatal("no rows")
	}
	return job
}

func TestRecordedJobs(t *testing.T) {
	t.Parallel()
	zero, three, fifteen := int64(0), int64(3), int64(15)
	forEachRelease(t, "get-failed", 200, func(t *testing.T, release string, c *Client) {
		job := firstJob(t, c)
		status := JobStatus{"FAILED", "NonZeroExitCode", &three, &zero}
		priority := int64(1000)
		want := Job{
			ID: job.ID, Name: "fails", Status: status,
			Tasks:   []JobTask{{ID: string(job.ID) + ".batch", Name: "batch", Status: JobStatus{"FAILED", "", &three, &zero}}},
			Time:    JobTime{Limit: 15 * time.Minute}, // in whatever unit the release sends it
			Account: "proj", Group: "users", User: "alice", Cluster: "lab", Partition: "normal", Nodes: "nid001", AllocationNodes: 1,
			WorkingDirectory: "/home/alice", Priority: &priority,
		}
		ignoreWhen := cmpopts.IgnoreFields(JobTime{}, "Start", "End")
		if diff := cmp.Diff(want, job, ignoreWhen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if release != "2.1.3" && job.Time.End.Year() != 2026 { // 2.1.3 sends no times
			t.Errorf("ended %s", job.Time.End)
		}
		if job.Succeeded() || !job.Status.State.IsTerminal() || len(job.ID) != 4 {
			t.Errorf("job %s %s", job.ID, job.Status.State)
		}
	})
	forEachRelease(t, "get-completed", 200, func(t *testing.T, _ string, c *Client) {
		if job := firstJob(t, c); !job.Succeeded() {
			t.Errorf("got %+v", job.Status)
		}
	})
	forEachRelease(t, "get-pending-held", 200, func(t *testing.T, _ string, c *Client) {
		job := firstJob(t, c)
		if job.Status.State.IsTerminal() || !job.Status.State.IsPending() || job.Status.Reason != "JobHeldUser" || len(job.Tasks) != 0 || !job.Time.Start.IsZero() {
			t.Errorf("got %+v", job)
		}
	})
	forEachRelease(t, "get-cancelled", 200, func(t *testing.T, _ string, c *Client) {
		job := firstJob(t, c)
		if job.Status.State != "CANCELLED by 1000" || job.Status.State.Name() != "CANCELLED" || !job.Status.State.IsTerminal() || *job.Status.Signal != fifteen {
			t.Errorf("got %+v", job)
		}
	})
	forEachRelease(t, "get-array-running", 200, func(t *testing.T, _ string, c *Client) {
		if job := firstJob(t, c); job.ID != "1043" || !job.Status.State.IsActive() || !job.Time.End.IsZero() {
			t.Errorf("got %+v", job)
		}
	})
	forEachRelease(t, "get-array-finished", 200, func(t *testing.T, _ string, c *Client) {
		// The tasks of the array exit with their index. Old releases lose the
		// underscore of their ids.
		job := firstJob(t, c)
		if len(job.ID) != 4 || !job.Status.State.IsTerminal() || *job.Status.ExitCode != 1 || len(job.Tasks) != 4 {
			t.Errorf("got %+v", job)
		}
	})
	forEachRelease(t, "list-all", 200, func(t *testing.T, _ string, c *Client) {
		rows, err := c.Compute.List(t.Context(), "alps", nil)
		if err != nil || len(rows) != 5 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if last := rows[4]; last.Name != "cancelme" || last.Status.State.Name() != "CANCELLED" {
			t.Errorf("got %+v", last)
		}
	})
	forEachRelease(t, "metadata-completed", 200, func(t *testing.T, _ string, c *Client) {
		meta, err := c.Compute.Metadata(t.Context(), "alps", "1")
		if err != nil || len(meta) != 1 || len(meta[0].ID) != 4 || meta[0].StandardInput != "/dev/null" || meta[0].Script == "" {
			t.Errorf("got %+v, %v", meta, err)
		}
	})
}

func TestRecordedErrors(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"userinfo-unknown-system": ErrNotFound, "stat-missing": ErrNotFound, "rm-ops-missing": ErrNotFound, "get-unknown": ErrNotFound, "route-unknown": ErrUnsupported,
		"ls-permission-denied": ErrForbidden, "mkdir-exists": ErrExists, "ls-bad-boolean": ErrInvalid, "view-too-large": ErrTooLarge, "upload-too-large": ErrTooLarge,
		"checksum-timeout": ErrTimeout, "upload-empty-file": ErrTimeout, "submit-unhealthy-scheduler": ErrUnavailable,
		"token-missing": ErrUnauthenticated, "token-bad-signature": ErrUnauthenticated, "token-without-username-claim": ErrUnauthenticated,
		"head-directory": nil, "cancel-twice": nil, "submit-bad-partition": nil, "userinfo-no-ssh-key": nil,
	} {
		for release, answers := range recordings(t) {
			a, ok := answers[name]
			if !ok {
				t.Errorf("%s: no %s", release, name)
				continue
			}
			if a.Status < 300 { // the release does not know the mistake
				continue
			}
			failure := play(t, a).do(context.Background(), &call{method: "GET", template: "/status/systems", want: http.StatusOK})
			if got := failure.condition(); got != want {
				t.Errorf("%s %s: %v is %v, want %v", release, name, failure, got, want)
			}
			if !failure.FromServer() || failure.Message == "" || failure.cause != nil {
				t.Errorf("%s %s: got %+v", release, name, failure)
			}
		}
	}
}
