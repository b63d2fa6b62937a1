package firecresttest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) submitting() []subtest {
	return []subtest{
		{"an inline script is submitted", s.testSubmitInline},
		{"a script on the system is submitted", s.testSubmitPath},
		{"directives of a script count where the request says nothing", s.testSubmitDirectives},
		{"variables reach the job", s.testSubmitEnvironment},
		{"the working directory has three spellings and is required", s.testSubmitDirectory},
		{"what is no script is rejected", s.testSubmitNoScript},
		{"limits forbid", s.testSubmitLimited},
		{"a script that is missing is rejected", s.testSubmitMissingScript},
		{"a job without any script is not submitted", s.testSubmitNothing},
		{"members of the wrong kind are refused", s.testSubmitKinds},
	}
}

// wantSubmitError checks what is known after a submission failed.
func wantSubmitError(t *testing.T, err error, class firecrest.SubmitClass, permanent bool) {
	t.Helper()
	var submit *firecrest.SubmitError
	if !errors.As(err, &submit) {
		t.Fatalf("got %v (%T), want an error of a submission", err, err)
	}
	if submit.Class != class || submit.Permanent != permanent {
		t.Errorf("%v: %s, permanent %t; want %s, %t", err, submit.Class, submit.Permanent, class, permanent)
	}
}

func (s *suite) testSubmitInline(t *testing.T) {
	dir := s.directory(t)
	job := s.runSpec(t, t.Context(), firecrest.JobSpec{
		Name: "inline", WorkingDirectory: dir, StandardOutput: "out-%j.txt", StandardError: "err.txt",
		Script: "#!/bin/sh\npwd\necho $F7T_version\necho $SLURM_JOB_ID >&2\n",
	})
	if !job.Succeeded() || job.Name != "inline" {
		t.Errorf("job %+v", job)
	}
	if got, want := s.read(t, dir+"/out-"+string(job.ID)+".txt"), dir+"\nv2.0.0\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if got := s.read(t, dir+"/err.txt"); got != string(job.ID)+"\n" {
		t.Errorf("error output %q, want %s", got, job.ID)
	}
}

func (s *suite) testSubmitPath(t *testing.T) {
	dir := s.directory(t)
	script := s.write(t, dir, "run.sh", "#!/bin/sh\necho from a file\n")
	job := s.runSpec(t, t.Context(), firecrest.JobSpec{WorkingDirectory: dir, ScriptPath: script})
	if !job.Succeeded() {
		t.Errorf("job %+v", job)
	}
	if got := s.read(t, dir+"/slurm-"+string(job.ID)+".out"); got != "from a file\n" {
		t.Errorf("output %q", got)
	}
}

func (s *suite) testSubmitDirectives(t *testing.T) {
	dir := s.directory(t)
	const script = "#!/bin/sh\n#SBATCH --job-name=directive\n#SBATCH --output=directive.txt\necho out\necho err >&2\n"
	if job := s.run(t, t.Context(), dir, script); job.Name != "directive" {
		t.Errorf("name %q, want that of the directive", job.Name)
	}
	if got := s.read(t, dir+"/directive.txt"); got != "out\nerr\n" {
		t.Errorf("output %q, want both streams", got)
	}
	job := s.runSpec(t, t.Context(), firecrest.JobSpec{Name: "given", WorkingDirectory: dir, Script: script, StandardOutput: "given.txt"})
	if got := s.read(t, dir+"/given.txt"); job.Name != "given" || got != "out\nerr\n" {
		t.Errorf("job %q wrote %q, want that the request wins", job.Name, got)
	}
}

// rawSubmit submits a job as raw members, the working directory added.
func (s *suite) rawSubmit(t *testing.T, dir string, job members) answer {
	t.Helper()
	all := members{"working_directory": dir} // the spelling of every release
	for name, value := range job {
		all[name] = value
	}
	return s.post(t, s.jobsPath(""), members{"job": all})
}

// submitted returns the id of a job that was submitted raw.
func (s *suite) submitted(t *testing.T, a answer) firecrest.JobID {
	t.Helper()
	var got struct {
		ID json.Number `json:"jobId"` // text, or a number before 2.5.0
	}
	a.want(t, http.StatusCreated, &got)
	if got.ID == "" || strings.Trim(string(got.ID), "0123456789") != "" {
		t.Fatalf("job id %q, want digits", got.ID)
	}
	return firecrest.JobID(got.ID)
}

func (s *suite) testSubmitEnvironment(t *testing.T) {
	dir := s.directory(t)
	id := s.submitted(t, s.rawSubmit(t, dir, members{
		"script": "#!/bin/sh\necho \"$GREETING|$F7T_version|\"\n", "env": members{"GREETING": "hello world"}, "standard_output": "out",
	}))
	s.wait(t, t.Context(), id)
	if got := s.read(t, dir+"/out"); got != "hello world||\n" {
		t.Errorf("output %q", got)
	}
}

func (s *suite) testSubmitDirectory(t *testing.T) {
	s.except(t, SpellsDirectory)
	dir := s.directory(t)
	for _, name := range []string{"workingDirectory", "working_directory", "current_working_directory"} {
		a := s.post(t, s.jobsPath(""), members{"job": members{name: dir, "script": "#!/bin/sh\npwd\n", "standardOutput": name}})
		s.wait(t, t.Context(), s.submitted(t, a))
		if got := s.read(t, dir+"/"+name); got != dir+"\n" {
			t.Errorf("%s: the job ran in %q", name, got)
		}
	}
	s.post(t, s.jobsPath(""), members{"job": members{"script": "#!/bin/sh\n"}}).wantRefused(t, "body", "job")
	s.post(t, s.jobsPath(""), members{}).wantRefused(t, "body", "job")
}

func (s *suite) testSubmitNoScript(t *testing.T) {
	dir := s.directory(t)
	s.rawSubmit(t, dir, members{"script": "echo no shebang\n"}).
		wantFailure(t, http.StatusInternalServerError, "This does not look like a batch script.")
	path := s.write(t, dir, "run", "echo no shebang\n")
	_, err := s.client.Compute.Submit(t.Context(), s.System, firecrest.JobSpec{WorkingDirectory: dir, ScriptPath: path})
	wantError(t, err, nil, "This does not look like a batch script.")
	wantSubmitError(t, err, firecrest.SubmitRejected, true)

	_, err = s.client.Compute.Submit(t.Context(), s.System, firecrest.JobSpec{WorkingDirectory: dir, Script: "echo no shebang\n"})
	wantSubmitError(t, err, firecrest.SubmitNotSent, true)
}

func (s *suite) testSubmitLimited(t *testing.T) {
	s.except(t, MergesLimits)
	system := s.oddSystem(t, LimitedSystem)
	_, err := s.client.Compute.Submit(t.Context(), system.Name, firecrest.JobSpec{WorkingDirectory: s.homeOn(t, system), Script: "#!/bin/sh\n"})
	wantError(t, err, firecrest.ErrForbidden, "Job submission rejected: accounting/QOS policy limit exceeded.")
	wantSubmitError(t, err, firecrest.SubmitRejected, false)
}

func (s *suite) testSubmitMissingScript(t *testing.T) {
	dir := s.directory(t)
	_, err := s.client.Compute.Submit(t.Context(), s.System, firecrest.JobSpec{WorkingDirectory: dir, ScriptPath: dir + "/missing"})
	wantError(t, err, nil, "Unable to open file "+dir+"/missing")
	wantSubmitError(t, err, firecrest.SubmitRejected, true)
}

func (s *suite) testSubmitNothing(t *testing.T) {
	s.rawSubmit(t, s.dir, nil).wantFailure(t, http.StatusRequestTimeout, "Command execution timeout limit exceeded.")
}

func (s *suite) testSubmitKinds(t *testing.T) {
	script := "#!/bin/sh\n"
	for name, job := range map[string]members{
		"script null":     {"script": nil},
		"script number":   {"script": 3},
		"name number":     {"script": script, "name": 3},
		"variable number": {"script": script, "env": members{"A": 1}},
		"variables text":  {"script": script, "env": "A=1"},
	} {
		t.Run(name, func(t *testing.T) { s.rawSubmit(t, s.dir, job).wantRefused(t, "body", "job") })
	}
	s.rawSubmit(t, s.dir, members{"script": script, "env": []string{"A=1"}}).
		wantFailure(t, http.StatusInternalServerError, "'list' object has no attribute 'items'")
	f := s.post(t, s.jobsPath(""), `{"job":{`).wantFailure(t, http.StatusBadRequest, "")
	if len(f.Data.Fields) != 1 || f.Data.Fields[0].Name != 8.0 {
		t.Errorf("malformed JSON: %+v, want the offset 8", f.Data.Fields)
	}
}
