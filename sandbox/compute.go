package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"

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
		return reply{}, c.submitFailed("chdir(%s): %s", spec.WorkingDir, strerror(err))
	}
	switch {
	case scriptPath != "":
		if spec.Script, err = x.readScript(scriptPath, s.cfg.MaxOpsFileSize); err != nil {
			return reply{}, c.submitFailed("Unable to open file %s", scriptPath)
		}
	case spec.Script == "":
		return reply{}, errCommandTime // sbatch waits for a script until the deadline
	}
	id, err := s.submit(c, spec)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(201, struct {
		JobID string `json:"jobId"`
	}{id}), nil
}

// submit hands a job to the batch system. The error is the answer to a refusal.
func (s *Server) submit(c *call, spec batch.Spec) (id string, err error) {
	id, err = s.jobs.Submit(spec)
	var rejected *batch.RejectedError
	switch {
	case !errors.As(err, &rejected) && err != nil:
		return "", fmt.Errorf("submit job: %w", err)
	case err == nil:
		return id, nil
	case c.site.pbs():
		return "", pbsFailed("command", max(1, rejected.Status), rejected.Stderr, " stdout:")
	case policyLimit.MatchString(rejected.Stderr):
		return "", fail(403, "%s%s", limitReached, strings.TrimSpace(rejected.Stderr))
	}
	return "", slurmFailed(max(1, rejected.Status), rejected.Stderr)
}

// limitReached is what the answer to a submission begins with that a limit
// forbids.
const limitReached = "Job submission rejected: accounting/QOS policy limit exceeded. "

var policyLimit = regexp.MustCompile(`(QOS|Assoc)(Max|Min)\w*Limit`)

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
	if c.site.pbs() { // qsub gets no more, and a reservation is a queue
		spec.Partition = cmp.Or(spec.Reservation, spec.Partition)
		spec.Reservation, spec.Constraints, spec.Stdin = "", "", ""
	}
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
