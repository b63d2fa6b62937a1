package firecresttest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

// official are the requests of the official Python client, in its spelling and
// order, and what it makes of the answers.
func (s *suite) official() []subtest {
	return []subtest{
		{"server_version needs no valid token", s.testOfficialVersion},
		{"listings", s.testOfficialListing},
		{"who is turned away for a second comes back", s.testOfficialRateLimit},
		{"what takes too long becomes a job", s.testOfficialFallback},
		{"mv waits for the log", s.testOfficialMove},
		{"a failed move is told by its log", s.testOfficialFailure},
		{"a move that takes too long is cancelled", s.testOfficialTimeout},
		{"a file of many parts makes the round trip", s.testOfficialRoundTrip},
		{"lists of jobs", s.testOfficialLists},
		{"the command line, from end to end", s.testOfficialCommands},
	}
}

// caller is one call of a method of the client: its requests share a
// correlation id.
type caller struct {
	*suite
	t           *testing.T
	correlation string
}

func (s *suite) caller(t *testing.T) caller { return caller{s, t, s.newID()} }

func (c caller) do(method, path string, query url.Values, body any) answer {
	c.t.Helper()
	req := c.request(c.t, method, path, query, body)
	req.Header.Set("X-Request-ID", c.newID())
	req.Header.Set("X-Correlation-ID", c.correlation)
	return c.send(c.t, req)
}

// poll asks for a job until it looks completed, with the empty account that the
// client sends along, and returns its state.
func (c caller) poll(system string, id firecrest.JobID) (state string) {
	c.t.Helper()
	c.eventually(c.t, "job "+string(id)+" does not end", func() bool {
		a := c.do(http.MethodGet, "/compute/"+system+"/jobs/"+string(id), url.Values{"allusers": {"false"}, "account": {""}}, nil)
		if a.status == http.StatusNotFound && strings.Contains(string(a.body), noSuchJob) {
			return false
		}
		var got struct{ Jobs []firecrest.Job }
		a.want(c.t, http.StatusOK, &got)
		if len(got.Jobs) == 0 {
			c.t.Fatal("the client looks at the first job of none")
		}
		state = string(got.Jobs[0].Status.State)
		return slices.ContainsFunc([]string{"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT"}, func(word string) bool {
			return strings.Contains(state, word)
		})
	})
	return state
}

// transferred waits for a transfer and returns whether its log tells of success.
func (c caller) transferred(sub submission) bool {
	c.t.Helper()
	c.poll(sub.Job.System, sub.Job.ID)
	var log struct{ Output string }
	c.do(http.MethodGet, "/filesystem/"+sub.Job.System+"/ops/view", url.Values{"path": {sub.Job.Logs.Output}}, nil).want(c.t, http.StatusOK, &log)
	return slices.ContainsFunc(
		[]string{"Files were successfully", "File was successfully", "Multipart file upload successfully completed"},
		func(words string) bool { return strings.Contains(log.Output, words) })
}

func (c caller) transfer(method, operation string, query url.Values, body any, status int) submission {
	c.t.Helper()
	return c.accepted(c.t, c.do(method, transferPath(c.System, operation), query, body), status)
}

func (s *suite) testOfficialVersion(t *testing.T) {
	req := s.request(t, http.MethodGet, "/status/systems", nil, nil)
	req.Header.Set("Authorization", "Bearer nonsense")
	a := s.send(t, req)
	if got := a.header.Get("F7T-AppVersion"); a.status != http.StatusUnauthorized || got != s.client.ServerVersion() {
		t.Errorf("%d with the release %q", a.status, got)
	}
}

func (s *suite) testOfficialListing(t *testing.T) {
	dir := s.tree(t)
	var got struct{ Output []members }
	s.caller(t).do(http.MethodGet, s.ops("ls"), url.Values{
		"path": {dir}, "showHidden": {"false"}, "recursive": {"false"}, "numericUid": {"false"}, "dereference": {"false"},
	}, nil).want(t, http.StatusOK, &got)
	for _, entry := range got.Output {
		name, _ := entry["name"].(string)
		if _, isText := entry["size"].(string); !isText || strings.Contains(name, "/") || name == "" {
			t.Errorf("entry %v, want a bare name and a size that is text", entry)
		}
	}
}

func (s *suite) testOfficialRateLimit(t *testing.T) {
	for name, value := range map[string]string{
		"Retry-After": "1", "RateLimit-Reset": "1", "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT",
	} {
		c := caller{s, t, s.inject(t, Injected{Status: http.StatusTooManyRequests, Header: http.Header{name: {value}}, Body: "slow down"})}
		first := c.do(http.MethodGet, "/status/systems", nil, nil)
		if first.status != http.StatusTooManyRequests || first.header.Get(name) != value {
			t.Errorf("%d with %s %q", first.status, name, first.header.Get(name))
		}
		c.do(http.MethodGet, "/status/systems", nil, nil).want(t, http.StatusOK, nil)
	}
}

// tooLong is what a server says of a command that it ended.
var tooLong = Injected{
	Status: http.StatusRequestTimeout,
	Header: http.Header{"Content-Type": {"application/json"}},
	Body:   `{"errorType":"error","message":"Command execution timeout limit exceeded.","causedBy":null,"data":null,"user":null}`,
}

func (s *suite) testOfficialFallback(t *testing.T) {
	dir, to := s.source(t), s.directory(t)
	pack := members{
		"source_path": dir + "/r", "target_path": dir + "/out", "dereference": false, "compression": "gzip", "match_pattern": nil,
	}
	unpack := members{"source_path": dir + "/out", "target_path": to, "compression": "gzip"}
	for _, call := range []struct {
		method, operation string
		query             url.Values
		body              any
		status            int
	}{
		{http.MethodPost, "compress", nil, pack, http.StatusCreated},
		{http.MethodPost, "extract", nil, unpack, http.StatusCreated},
		{http.MethodDelete, "rm", url.Values{"path": {dir + "/r"}}, nil, http.StatusOK},
	} {
		c := caller{s, t, s.inject(t, tooLong)}
		c.do(call.method, s.ops(call.operation), call.query, call.body).wantFailure(t, http.StatusRequestTimeout, "timeout limit exceeded")
		if !c.transferred(c.transfer(call.method, call.operation, call.query, call.body, call.status)) {
			t.Errorf("the log of %s does not tell of success", call.operation)
		}
	}
	if got := s.read(t, to+"/r/x.txt"); got != "x" {
		t.Errorf("content %q", got)
	}
	s.absent(t, dir+"/r")
}

func (s *suite) testOfficialMove(t *testing.T) {
	dir := s.source(t)
	c := s.caller(t)
	if !c.transferred(c.transfer(http.MethodPost, "mv", nil, members{"sourcePath": dir + "/r", "targetPath": dir + "/moved"}, http.StatusCreated)) {
		t.Error("the log does not tell of success")
	}
	s.absent(t, dir+"/r")
}

func (s *suite) testOfficialFailure(t *testing.T) {
	dir := s.directory(t)
	c := s.caller(t)
	sub := c.transfer(http.MethodPost, "mv", nil, members{"sourcePath": dir + "/missing", "targetPath": dir + "/moved"}, http.StatusCreated)
	if c.transferred(sub) {
		t.Error("the log tells of success")
	}
	if state := c.poll(s.System, sub.Job.ID); state != "COMPLETED" {
		t.Errorf("state %q", state)
	}
}

func (s *suite) testOfficialTimeout(t *testing.T) {
	system := s.oddSystem(t, WaitingSystem)
	dir := s.homeOn(t, system)
	c := s.caller(t)
	sub := s.accepted(t, c.do(http.MethodPost, transferPath(system.Name, "mv"), nil, members{"sourcePath": dir + "/a", "targetPath": dir + "/b"}), http.StatusCreated)
	c.do(http.MethodDelete, "/compute/"+system.Name+"/jobs/"+string(sub.Job.ID), nil, nil).want(t, http.StatusNoContent, nil)
	if state := c.poll(system.Name, sub.Job.ID); !strings.HasPrefix(state, "CANCELLED") {
		t.Errorf("state %q", state)
	}
	// A job that never ran has no log; the client looks for this very text.
	c.do(http.MethodGet, "/filesystem/"+system.Name+"/ops/view", url.Values{"path": {sub.Job.Logs.Output}}, nil).
		wantFailure(t, http.StatusNotFound, noSuchFile)
}

func (s *suite) testOfficialRoundTrip(t *testing.T) {
	part := s.partSize(t)
	dir, content := s.directory(t), pattern(int64(2*part+part/10))
	c := s.caller(t)
	up := s.stage(t, s.System, dir+"/file", len(content))
	var tags []string
	for i, link := range up.parts {
		a := s.plain(t, http.MethodPut, link, content[i*part:min((i+1)*part, len(content))])
		a.want(t, http.StatusOK, nil)
		tags = append(tags, a.header.Get("ETag"))
	}
	s.plain(t, http.MethodPost, up.complete, completion(tags)).want(t, http.StatusOK, nil)
	if !c.transferred(up.submission) {
		t.Error("the log of the upload does not tell of success")
	}

	c = s.caller(t)
	var stat struct{ Output struct{ Size int } }
	c.do(http.MethodGet, s.ops("stat"), url.Values{"path": {dir + "/file"}, "dereference": {"false"}}, nil).want(t, http.StatusOK, &stat)
	if stat.Output.Size != len(content) {
		t.Errorf("size %d, want %d", stat.Output.Size, len(content))
	}
	down := c.transfer(http.MethodPost, "download", nil, members{
		"source_path": dir + "/file", "transfer_directives": members{"transferMethod": "s3"},
	}, http.StatusCreated)
	if !c.transferred(down) {
		t.Error("the log of the download does not tell of success")
	}
	link, _ := down.Directives["downloadUrl"].(string)
	if a := s.plain(t, http.MethodGet, link, nil); a.status != http.StatusOK || !bytes.Equal(a.body, content) {
		t.Errorf("%d and %d bytes, want those sent", a.status, len(a.body))
	}
}

func (s *suite) testOfficialLists(t *testing.T) {
	held := s.held(t)
	var got struct{ Jobs []firecrest.Job }
	s.caller(t).do(http.MethodGet, s.jobsPath(""), url.Values{"allusers": {"false"}, "account": {""}}, nil).want(t, http.StatusOK, &got)
	if !slices.ContainsFunc(got.Jobs, func(j firecrest.Job) bool { return j.ID == held }) {
		t.Errorf("%s is not among %d jobs", held, len(got.Jobs))
	}
}

// testOfficialCommands is what the command line sends when each of its commands
// is called in turn; it has no more than the methods above.
func (s *suite) testOfficialCommands(t *testing.T) {
	dir := s.directory(t)
	c := s.caller(t)
	get := func(operation string, query url.Values) {
		t.Helper()
		c.do(http.MethodGet, s.ops(operation), query, nil).want(t, http.StatusOK, nil)
	}
	c.do(http.MethodGet, "/status/systems", nil, nil).want(t, http.StatusOK, nil) // server-version, systems
	var info struct{ User, Group *struct{ ID, Name string } }
	c.do(http.MethodGet, s.statusPath("userinfo"), nil, nil).want(t, http.StatusOK, &info)
	if info.User == nil || info.Group == nil {
		t.Error("id prints a user and a group")
	}
	c.do(http.MethodPost, s.ops("mkdir"), nil, members{"sourcePath": dir + "/new", "parent": false}).want(t, http.StatusCreated, nil)
	s.postFile(t, dir+"/new", "file", "file", rows(1, 12)).want(t, http.StatusNoContent, nil)
	file := dir + "/new/file"
	get("ls", url.Values{"path": {dir}, "showHidden": {"false"}, "recursive": {"false"}, "numericUid": {"false"}, "dereference": {"false"}})
	get("head", url.Values{"path": {file}, "skipTrailing": {"false"}, "lines": {"3"}})
	get("tail", url.Values{"path": {file}, "skipHeading": {"false"}, "bytes": {"3"}})
	get("stat", url.Values{"path": {file}, "dereference": {"false"}})
	get("checksum", url.Values{"path": {file}})

	script := "#!/bin/bash\necho done\n"
	id := s.submitted(t, c.do(http.MethodPost, s.jobsPath(""), nil, members{"job": members{"working_directory": dir, "script": script}}))
	if state := c.poll(s.System, id); state != "COMPLETED" { // job-info, wait-for-job
		t.Errorf("state %q", state)
	}
	if !s.differs(LacksScripts) {
		var metadata struct{ Jobs []struct{ Script string } }
		c.do(http.MethodGet, s.jobsPath("/"+string(id)+"/metadata"), nil, nil).want(t, http.StatusOK, &metadata)
		if len(metadata.Jobs) != 1 || metadata.Jobs[0].Script != script {
			t.Errorf("metadata %+v", metadata)
		}
	}
	c.do(http.MethodDelete, s.jobsPath("/"+string(s.held(t))), nil, nil).want(t, http.StatusNoContent, nil)

	c.do(http.MethodPost, s.ops("compress"), nil, members{
		"source_path": dir + "/new", "target_path": dir + "/out", "dereference": false, "compression": "gzip", "match_pattern": nil,
	}).want(t, http.StatusNoContent, nil)
	c.do(http.MethodPost, s.ops("extract"), nil, members{
		"source_path": dir + "/out", "target_path": dir, "compression": "gzip",
	}).want(t, http.StatusNoContent, nil)
	for _, operation := range []string{"mv", "cp"} {
		body := members{"sourcePath": file, "targetPath": file + "-" + operation}
		if operation == "cp" {
			body = members{"sourcePath": file + "-mv", "targetPath": file + "-cp", "dereference": false}
		}
		if !c.transferred(c.transfer(http.MethodPost, operation, nil, body, http.StatusCreated)) {
			t.Errorf("the log of %s does not tell of success", operation)
		}
	}
	a := c.do(http.MethodGet, s.ops("download"), url.Values{"path": {file + "-cp"}}, nil)
	if a.want(t, http.StatusOK, nil); string(a.body) != rows(1, 12) {
		t.Errorf("content %q", a.body)
	}
	c.do(http.MethodDelete, s.ops("rm"), url.Values{"path": {dir + "/new"}}, nil).want(t, http.StatusNoContent, nil)
	var failure map[string]any
	a = c.do(http.MethodDelete, s.ops("rm"), url.Values{"path": {dir + "/new"}}, nil)
	if err := json.Unmarshal(a.body, &failure); err != nil || failure["message"] == nil {
		t.Errorf("an error without the message that is printed: %s, %v", a.body, err)
	}
}
