package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

func (s *Server) postJob(c *call) (reply, error) {
	spec, scriptPath, err := readSubmission(c)
	if err != nil {
		return reply{}, err
	}
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if spec.WorkingDir, err = x.workingDir(spec.WorkingDir); err != nil {
		return reply{}, slurmFailed("sbatch: error: chdir(%s): %s", spec.WorkingDir, strerror(err))
	}
	switch {
	case scriptPath != "":
		if spec.Script, err = x.readScript(scriptPath, s.cfg.MaxOpsFileSize); err != nil {
			return reply{}, slurmFailed("sbatch: error: Unable to open file %s", scriptPath)
		}
	case spec.Script == "":
		return reply{}, errCommandTime // sbatch waits for a script until the deadline
	}
	id, err := s.submit(spec)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(201, struct {
		JobID string `json:"jobId"`
	}{id}), nil
}

// submit hands a job to the batch system. The error is the answer to a refusal.
func (s *Server) submit(spec batch.Spec) (id string, err error) {
	id, err = s.jobs.Submit(spec)
	var rejected *batch.RejectedError
	switch {
	case errors.As(err, &rejected) && policyLimit.MatchString(rejected.Stderr):
		return "", fail(403, "Job submission rejected: accounting/QOS policy limit exceeded. %s", strings.TrimSpace(rejected.Stderr))
	case errors.As(err, &rejected):
		return "", slurmFailed("%s", rejected.Stderr)
	case err != nil:
		return "", fmt.Errorf("submit job: %w", err)
	}
	return id, nil
}

var policyLimit = regexp.MustCompile(`(QOS|Assoc)(Max|Min)\w*Limit`)

// slurmFailed is the answer when a command of the scheduler failed.
func slurmFailed(stderr string, args ...any) error {
	return fail(500, "Unexpected Slurm command response. exit_status:1 std_err:%s\n", fmt.Sprintf(stderr, args...))
}

func readSubmission(c *call) (spec batch.Spec, scriptPath string, err error) {
	job, err := c.object().inner("job")
	if err != nil {
		return batch.Spec{}, "", err
	}
	spec = batch.Spec{
		System: c.system, User: c.user,
		WorkingDir:  job.required("workingDirectory", "working_directory", "current_working_directory"),
		Script:      job.text("script"),
		Name:        job.nullable("name"),
		Account:     job.nullable("account"),
		Partition:   job.nullable("partition"),
		Reservation: job.nullable("reservation"),
		Constraints: job.nullable("constraints"),
		Stdin:       job.nullable("standardInput", "standard_input"),
		Stdout:      job.nullable("standardOutput", "standard_output"),
		Stderr:      job.nullable("standardError", "standard_error"),
	}
	scriptPath = job.nullable("scriptPath", "script_path")
	env, isList := job.environment()
	if err := job.err(); err != nil {
		return batch.Spec{}, "", err
	}
	if isList {
		return batch.Spec{}, "", &apiError{status: 500, message: `("'list' object has no attribute 'items'",)`, unhandled: true}
	}
	spec.Env = env
	return spec, scriptPath, nil
}

// environment reads the member env: an object of texts, or a list of K=V. The
// list is valid in the schema and then fails over SSH.
func (o object) environment() (env map[string]string, isList bool) {
	raw, ok := o.members["env"]
	if !ok || isNull(raw) {
		return nil, false
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return nil, true
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		o.complain("env", "Input should be a valid dictionary")
		o.complain("env", "Input should be a valid list")
		return nil, false
	}
	var exports []string
	bad := false
	for name, raw := range members {
		value, ok := decodeText(raw)
		bad = bad || !ok
		exports = append(exports, name+"="+value)
	}
	if bad {
		o.complain("env", notText)
		o.complain("env", "Input should be a valid list")
	}
	slices.Sort(exports)
	// The variables travel as one argument, --export=ALL,K=V,…: a comma in a
	// value ends it, and what follows counts only if it is an assignment.
	env = map[string]string{}
	for _, item := range strings.Split(strings.Join(exports, ","), ",") {
		if name, value, ok := strings.Cut(item, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env, false
}

// workingDir turns the directory of a submission into an absolute one inside
// the file systems. One that does not exist is the job's problem.
func (x session) workingDir(dir string) (string, error) {
	if !strings.HasPrefix(dir, "/") {
		dir = path.Join(x.home(x.user.name), dir)
	}
	p, err := x.locate(dir, true)
	switch {
	case errors.Is(err, syscall.ENOENT):
		if clean := path.Clean(dir); x.containing(clean) != nil {
			return clean, nil
		}
		return dir, syscall.EACCES
	case err == nil && p.volume == nil:
		return dir, syscall.EACCES
	}
	return dir, err
}

func (x session) readScript(name string, limit int64) (string, error) {
	p, err := x.existing(name, true)
	if err != nil {
		return "", err
	}
	if !p.info.Mode().IsRegular() {
		return "", syscall.EINVAL
	}
	f, err := x.open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if int64(len(text)) > limit {
		return "", syscall.EFBIG
	}
	return string(text), err
}

// admitJob fills in what every user of the site has, and asks the site.
func (s *Server) admitJob(spec *batch.Spec) error {
	if u, known := s.users.find(spec.User); known && spec.Account == "" {
		spec.Account = u.accounts[0]
	}
	if spec.Partition == "" {
		spec.Partition = "normal"
	}
	if s.cfg.Admit == nil {
		return nil
	}
	return s.cfg.Admit(spec)
}

// finishedWindow is how far back a list goes by default in release 2.5.6. That
// release ignores time_window and name; the next one has them, with a window of
// a day, and they are here so that clients of both can be tried out.
const finishedWindow = 7 * 24 * time.Hour

var timeWindows = map[string]time.Duration{
	"": finishedWindow, "1h": time.Hour, "8h": 8 * time.Hour, "24h": 24 * time.Hour,
	"3d": 3 * 24 * time.Hour, "7d": 7 * 24 * time.Hour,
}

func (s *Server) getJobs(c *call) (reply, error) {
	q := c.query()
	all, account, name := q.boolean("allusers"), q.values.Get("account"), q.values.Get("name")
	window := q.oneOf("time_window", "1h", "8h", "24h", "3d", "7d")
	if len(name) > 235 {
		q.add("query", "name", "name", "String should have at most 235 characters")
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	since := time.Now().Add(-timeWindows[window])
	names := strings.Split(name, ",")
	out := jobsReply{Jobs: []jobReply{}}
	printed := 0
	for _, job := range s.jobs.List(c.system) {
		switch {
		case !all && job.Spec.User != c.user,
			account != "" && job.Spec.Account != account,
			name != "" && !slices.Contains(names, job.Spec.Name),
			job.State.Terminal() && job.Ended.Before(since):
			continue
		}
		// One line for the job and one for its step, about 220 bytes of fixed text.
		printed += 220 + len(job.Spec.Name) + len(job.Spec.WorkingDir) + len(job.Spec.Account) + len(job.Spec.Partition)
		out.Jobs = append(out.Jobs, s.describeJob(job))
	}
	if int64(printed) >= s.cfg.MaxOpsFileSize {
		return reply{}, &apiError{status: 500, message: "Error executing Slurm command.", causedBy: []string{errTooMuchOutput.message}}
	}
	return jsonReply(200, out), nil
}

func (s *Server) getJob(c *call) (reply, error) {
	job, err := s.findJob(c)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(200, jobsReply{Jobs: []jobReply{s.describeJob(job)}}), nil
}

func (s *Server) getJobMetadata(c *call) (reply, error) {
	job, err := s.findJob(c)
	if err != nil {
		return reply{}, err
	}
	type metadata struct {
		JobID          string `json:"jobId"`
		Script         string `json:"script"`
		StandardInput  string `json:"standardInput"`
		StandardOutput string `json:"standardOutput"`
		StandardError  string `json:"standardError"`
	}
	return jsonReply(200, struct {
		Jobs []metadata `json:"jobs"`
	}{[]metadata{{job.ID, job.Spec.Script, job.Spec.Stdin, job.Spec.Stdout, job.Spec.Stderr}}}), nil
}

func (s *Server) deleteJob(c *call) (reply, error) {
	id, err := c.jobID()
	if err != nil {
		return reply{}, err
	}
	if err := s.jobs.Cancel(c.system, id, s.users.uid(c.user)); err != nil {
		return reply{}, slurmFailed("%s", err.Error())
	}
	return reply{status: 204}, nil
}

func (s *Server) findJob(c *call) (batch.Job, error) {
	id, err := c.jobID()
	if err != nil {
		return batch.Job{}, err
	}
	job, found := s.jobs.Get(c.system, id)
	if !found {
		return batch.Job{}, fail(404, "Job not found.")
	}
	return job, nil
}

var jobIDPattern = regexp.MustCompile(`^[a-zA-Z0-9]+$`)

func (c *call) jobID() (string, error) {
	id := c.vars["job_id"]
	if jobIDPattern.MatchString(id) {
		return id, nil
	}
	var k checker
	k.add("path", "job_id", "job_id", "String should match pattern '"+jobIDPattern.String()+"'")
	return "", k.err()
}
