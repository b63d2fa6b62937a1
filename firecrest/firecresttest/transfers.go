package firecresttest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) transfers() []subtest {
	return []subtest{
		{"mv moves", s.testMove},
		{"cp copies", s.testCopy},
		{"compress packs and extract unpacks", s.testArchiveJobs},
		{"rm removes", s.testRemoveJob},
		{"what fails looks completed and tells in its logs", s.testFailedTransfers},
		{"every transfer knows the systems and looks at its path", s.testTransferPaths},
		{"an account is wanted where directives name it", s.testTransferAccount},
	}
}

func transferPath(system, operation string) string {
	return "/filesystem/" + system + "/transfer/" + operation
}

// submission is the core of the answer to a transfer.
type submission struct {
	Job struct {
		ID      firecrest.JobID `json:"-"`
		System  string          `json:"system"`
		WorkDir string          `json:"workingDirectory"`
		Logs    struct {
			Output string `json:"outputLog"`
			Error  string `json:"errorLog"`
		} `json:"logs"`
	} `json:"transferJob"`
	Directives members `json:"transferDirectives"`
}

var transferLog = regexp.MustCompile(`^/.+/\.f7t_file_handling_job_(error_)?([0-9a-f-]{36})\.log$`)

// accepted decodes the answer to a transfer and checks its core.
func (s *suite) accepted(t *testing.T, a answer, status int) submission {
	t.Helper()
	var got submission
	a.want(t, status, &got)
	var number struct {
		Job struct {
			ID json.Number `json:"jobId"` // text, or a number before 2.5.0
		} `json:"transferJob"`
	}
	a.want(t, status, &number)
	got.Job.ID = firecrest.JobID(number.Job.ID)
	j := got.Job
	out, failed := transferLog.FindStringSubmatch(j.Logs.Output), transferLog.FindStringSubmatch(j.Logs.Error)
	if out == nil || failed == nil || out[1] != "" || failed[1] == "" || out[2] != failed[2] {
		t.Errorf("logs %+v", j.Logs)
	}
	if strings.Trim(string(j.ID), "0123456789") != "" || j.ID == "" || j.System == "" || path.Dir(j.Logs.Output) != j.WorkDir || path.Dir(j.Logs.Error) != j.WorkDir {
		t.Errorf("transfer job %+v", j)
	}
	return got
}

// finish waits for a transfer job and returns it.
func (s *suite) finish(t *testing.T, sub submission) firecrest.Job {
	t.Helper()
	s.waitOn(t, t.Context(), sub.Job.System, sub.Job.ID)
	return s.accounted(t, sub.Job.System, sub.Job.ID)
}

// log returns the text of a log of a transfer.
func (s *suite) log(t *testing.T, system, file string) string {
	t.Helper()
	text, err := s.client.Filesystem.View(t.Context(), system, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// concluded waits for a transfer job of the client, and returns what the client
// makes of its logs.
func (s *suite) concluded(t *testing.T, job *firecrest.TransferJob, err error) error {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s.wait(t, t.Context(), job.ID)
	return s.client.Transfer.Result(t.Context(), *job)
}

func (s *suite) testMove(t *testing.T) {
	dir := s.source(t)
	job, err := s.client.Transfer.Move(t.Context(), s.System, dir+"/r", dir+"/two words", nil)
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	s.absent(t, dir+"/r")
	if got := s.read(t, dir+"/two words/x.txt"); got != "x" {
		t.Errorf("content %q", got)
	}
	for _, name := range []string{"path", "sourcePath", "source_path"} {
		s.write(t, dir, "from", name)
		sub := s.accepted(t, s.post(t, transferPath(s.System, "mv"), members{name: dir + "/from", "target_path": dir + "/to"}), http.StatusCreated)
		if job := s.finish(t, sub); job.Name != "MoveFiles" || !job.Succeeded() {
			t.Errorf("%s: job %+v", name, job)
		}
		if want := s.homeOn(t, s.system); sub.Job.WorkDir != want || sub.Job.System != s.system.Name {
			t.Errorf("%s: the job works in %s on %s, want %s on %s", name, sub.Job.WorkDir, sub.Job.System, want, s.system.Name)
		}
		lines := strings.Split(s.log(t, s.System, sub.Job.Logs.Output), "\n")
		if !strings.HasSuffix(lines[0], "Move Files Job (id:"+string(sub.Job.ID)+")") || !strings.HasSuffix(lines[1], "Files were successfully moved.") {
			t.Errorf("%s: log %q", name, lines)
		}
		if got := s.read(t, dir+"/to"); got != name {
			t.Errorf("%s: content %q", name, got)
		}
	}
}

func (s *suite) testCopy(t *testing.T) {
	dir := s.source(t)
	job, err := s.client.Transfer.Copy(t.Context(), s.System, dir+"/r", dir+"/copy", nil)
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s.list(t, dir, &firecrest.ListOptions{Recursive: true}),
		"copy", "copy/a", "copy/a/y.txt", "copy/l", "copy/x.txt", "r", "r/a", "r/a/y.txt", "r/l", "r/x.txt")
	if e := s.list(t, dir+"/copy", nil)["l"]; !e.IsLink() {
		t.Errorf("copied link %+v", e)
	}
	job, err = s.client.Transfer.Copy(t.Context(), s.System, dir+"/r/l", dir+"/file", &firecrest.CopyOptions{Dereference: true})
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	if e := s.stat(t, dir+"/file", false); !e.IsRegular() {
		t.Errorf("copy of a followed link %+v", e)
	}
	s.wantLogged(t, s.post(t, transferPath(s.System, "cp"), members{
		"sourcePath": dir + "/r", "targetPath": dir + "/again", "dereference": false,
	}), http.StatusCreated, "Copy Files Job", "Files were successfully copied.")
}

// wantLogged checks the answer to a transfer and, once its job is over, its log.
func (s *suite) wantLogged(t *testing.T, a answer, status int, first, success string) {
	t.Helper()
	sub := s.accepted(t, a, status)
	if job := s.finish(t, sub); !job.Succeeded() {
		t.Errorf("job %+v", job)
	}
	text := s.log(t, s.System, sub.Job.Logs.Output)
	if head, _, _ := strings.Cut(text, "\n"); !strings.HasSuffix(head, first+" (id:"+string(sub.Job.ID)+")") || !strings.Contains(text, success) {
		t.Errorf("log %q, want %s and %s", text, first, success)
	}
}

func (s *suite) testArchiveJobs(t *testing.T) {
	dir, to := s.source(t), s.directory(t)
	job, err := s.client.Transfer.Compress(t.Context(), s.System, dir+"/r", dir+"/out", nil)
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	want := []string{"r/", "r/a/", "r/a/y.txt", "r/l", "r/x.txt"}
	if got := s.archive(t, dir+"/out"); len(got) != len(want) {
		t.Errorf("members %q, want %q", got, want)
	}
	job, err = s.client.Transfer.Extract(t.Context(), s.System, dir+"/out", to, nil)
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	wantNames(t, s.list(t, to, &firecrest.ListOptions{Recursive: true}), "r", "r/a", "r/a/y.txt", "r/l", "r/x.txt")

	// As the official client spells it.
	s.wantLogged(t, s.post(t, transferPath(s.System, "compress"), members{
		"source_path": dir + "/r", "target_path": dir + "/plain", "dereference": false, "compression": "none", "match_pattern": nil,
	}), http.StatusCreated, "Compress Files Job", "Files were successfully compressed.")
	s.wantLogged(t, s.post(t, transferPath(s.System, "extract"), members{
		"source_path": dir + "/plain", "target_path": to, "compression": "none",
	}), http.StatusCreated, "Extract Files Job", "Files were successfully extracted.")
	if s.differs(KnowsGzipOnly) {
		return
	}
	s.post(t, transferPath(s.System, "compress"), members{
		"sourcePath": dir, "targetPath": dir + "/x", "compression": "zip",
	}).wantRefused(t, "body", "compression")
}

func (s *suite) testRemoveJob(t *testing.T) {
	dir := s.tree(t)
	job, err := s.client.Transfer.Remove(t.Context(), s.System, dir, nil)
	if err := s.concluded(t, job, err); err != nil {
		t.Fatal(err)
	}
	s.absent(t, dir)
	file := s.write(t, s.directory(t), "file", "x")
	s.wantLogged(t, s.removeJob(t, s.System, url.Values{"path": {file}}),
		http.StatusOK, "Delete Files Job", "Files were successfully deleted.")
	s.absent(t, file)
}

func (s *suite) removeJob(t *testing.T, system string, query url.Values) answer {
	t.Helper()
	return s.send(t, s.request(t, http.MethodDelete, transferPath(system, "rm"), query, nil))
}

// transferCall is a transfer on one system from a path.
type transferCall struct {
	name string
	call func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error)
}

var transferCalls = []transferCall{
	{"mv", func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error) {
		return c.Transfer.Move(ctx, system, path, path+"-target", nil)
	}},
	{"cp", func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error) {
		return c.Transfer.Copy(ctx, system, path, path+"-target", nil)
	}},
	{"compress", func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error) {
		return c.Transfer.Compress(ctx, system, path, path+"-target", nil)
	}},
	{"extract", func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error) {
		return c.Transfer.Extract(ctx, system, path, path+"-target", nil)
	}},
	{"rm", func(ctx context.Context, c *firecrest.Client, system, path string) (*firecrest.TransferJob, error) {
		return c.Transfer.Remove(ctx, system, path, nil)
	}},
}

// scriptFailure is what the script of a job adds to what its command said.
var scriptFailure = regexp.MustCompile(`Unable to (move|copy|delete|compress|extract) files exit code:0 error:`)

func (s *suite) testFailedTransfers(t *testing.T) {
	dir := s.directory(t)
	for _, f := range transferCalls {
		t.Run(f.name, func(t *testing.T) {
			job, err := f.call(t.Context(), s.client, s.System, dir+"/missing")
			if err != nil {
				t.Fatal(err)
			}
			if ended := s.wait(t, t.Context(), job.ID); ended.Status.State != "COMPLETED" || ended.Status.ExitCode == nil || *ended.Status.ExitCode != 0 {
				t.Errorf("status %+v, want that nothing shows", ended.Status)
			}
			if text := s.log(t, s.System, job.OutputLog); strings.Contains(text, "successfully") {
				t.Errorf("log %q", text)
			}
			if text := s.log(t, s.System, job.ErrorLog); !strings.Contains(text, noSuchFile) || !scriptFailure.MatchString(text) {
				t.Errorf("error log %q", text)
			}
			var failure *firecrest.TransferError
			if err := s.client.Transfer.Result(t.Context(), *job); !errors.As(err, &failure) || !strings.Contains(failure.Reason, noSuchFile) {
				t.Errorf("got %v, want the failure of a transfer and its reason", err)
			}
		})
	}
}

func (s *suite) testTransferPaths(t *testing.T) {
	const unknown = "no-such-system"
	for _, f := range transferCalls {
		_, err := f.call(t.Context(), s.client, unknown, s.dir+"/file")
		wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
		if !s.differs(LetsForeignPathsPass) {
			_, err = f.call(t.Context(), s.client, s.System, "/etc/hostname")
			wantError(t, err, firecrest.ErrInvalid, foreignPath)
		}
	}
	for _, operation := range []string{"mv", "cp", "compress", "extract"} {
		s.post(t, transferPath(s.System, operation), members{"sourcePath": s.dir}).wantRefused(t, "body", "targetPath")
	}
	s.except(t, LetsForeignPathsPass)
	for _, operation := range []string{"mv", "cp", "compress", "extract"} {
		s.post(t, transferPath(s.System, operation), members{"targetPath": s.dir}).wantFailure(t, http.StatusBadRequest, unreadablePath)
	}
	s.removeJob(t, s.System, nil).wantFailure(t, http.StatusBadRequest, unreadablePath)
}

func (s *suite) testTransferAccount(t *testing.T) {
	system := s.oddSystem(t, AccountSystem)
	const text = "Account parameter is required on this system."
	dir := s.homeOn(t, system)
	for _, f := range transferCalls {
		_, err := f.call(t.Context(), s.client, system.Name, dir+"/file")
		wantError(t, err, firecrest.ErrInvalid, text)
	}
	s.except(t, HidesAccounts)
	for _, operation := range []string{"upload", "download"} {
		s.post(t, transferPath(system.Name, operation), members{
			"path": dir, "transferDirectives": members{"transferMethod": "s3", "fileSize": 1},
		}).wantMessage(t, http.StatusBadRequest, text)
	}
	info, err := s.client.Status.UserInfo(t.Context(), system.Name)
	if err != nil || len(info.Accounts) == 0 {
		t.Fatalf("accounts %+v, %v", info, err)
	}
	job, err := s.client.Transfer.Remove(t.Context(), system.Name, dir+"/no-such-file", &firecrest.TransferOptions{Account: info.Accounts[0].Name})
	if err != nil {
		t.Fatal(err)
	}
	if ended := s.waitOn(t, t.Context(), system.Name, job.ID); ended.Account != info.Accounts[0].Name {
		t.Errorf("account %q, want %q", ended.Account, info.Accounts[0].Name)
	}
}

// homeOn is the user's default working directory on a system.
func (s *suite) homeOn(t *testing.T, system *firecrest.System) string {
	t.Helper()
	info, err := s.client.Status.UserInfo(t.Context(), system.Name)
	if err != nil {
		t.Fatal(err)
	}
	return system.WorkDir() + "/" + info.User.Name
}
