package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// timeWindows are how far back a list goes for jobs that have ended.
var timeWindows = map[string]time.Duration{
	"": 24 * time.Hour, "1h": time.Hour, "8h": 8 * time.Hour, "24h": 24 * time.Hour,
	"3d": 3 * 24 * time.Hour, "7d": 7 * 24 * time.Hour,
}

func (s *Server) getJobs(c *call) (reply, error) {
	q := c.query()
	all, account, name := q.boolean("allusers"), q.values.Get("account"), q.values.Get("name")
	window := q.oneOf("time_window", "1h", "8h", "24h", "3d", "7d")
	if len(name) > 235 {
		q.add("query", "name", "name", "String should have at most 235 characters")
	}
	if err := cmp.Or(q.err(), s.canQuery(c)); err != nil {
		return reply{}, err
	}
	since := s.listedSince(timeWindows[window])
	names := strings.Split(name, ",")
	var shown []batch.Job
	printed := 0
	for _, job := range s.jobs.List(c.system) {
		switch {
		case !all && job.Spec.User != c.user,
			account != "" && job.Spec.Account != account,
			name != "" && !slices.Contains(names, job.Spec.Name),
			!s.visible(c, job),
			!c.site.pbs() && job.State.Terminal() && job.Ended.Before(since):
			continue
		}
		// One line for the job and one for its step, about 220 bytes of fixed text.
		printed += 220 + len(job.Spec.Name) + len(job.Spec.WorkingDir) + len(job.Spec.Account) + len(job.Spec.Partition)
		shown = append(shown, job)
	}
	if int64(printed) >= s.cfg.MaxOpsFileSize {
		return reply{}, queryFailed(errTooMuchOutput.message)
	}
	if c.site.pbs() {
		return jsonReply(200, pbsJobs(shown)), nil
	}
	return jsonReply(200, s.slurmJobs(shown)), nil
}

// listedSince is the end of the oldest jobs that a list shows.
func (s *Server) listedSince(window time.Duration) time.Time {
	now := time.Now()
	if s.release.has(forgetsAtNight) {
		year, month, day := now.Date()
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	}
	return now.Add(-window)
}

// visible says whether a query shows a job yet.
func (s *Server) visible(c *call, job batch.Job) bool {
	age := time.Since(job.Submitted)
	return age >= time.Duration(c.site.Limits.JobLag) && !s.hides(c, age)
}

// queryFailed is the answer when a command behind a job query failed.
func queryFailed(reason string) error {
	return &apiError{status: 500, message: "Error executing Slurm command.", causedBy: []string{reason}}
}

// canQuery refuses a caller without an SSH key the way job queries do.
func (s *Server) canQuery(c *call) error {
	_, known := s.users.find(c.user)
	switch {
	case known:
		return nil
	case c.site.pbs():
		return fail(500, "('%s',)", noKey(c.user))
	}
	return queryFailed(noKey(c.user))
}

func (s *Server) getJob(c *call) (reply, error) {
	jobs, err := s.findJobs(c)
	if err != nil {
		return reply{}, err
	}
	if c.site.pbs() {
		return jsonReply(200, pbsJobs(jobs)), nil
	}
	return jsonReply(200, s.slurmJobs(jobs)), nil
}

type metadataReply struct {
	JobID          string  `json:"jobId"`
	Script         *string `json:"script"`
	StandardInput  *string `json:"standardInput"`
	StandardOutput string  `json:"standardOutput"`
	StandardError  string  `json:"standardError"`
}

// getJobMetadata tells of an array what it tells of the last part. A script is
// shown to its owner alone: it may hold secrets, such as the code of a wormhole.
func (s *Server) getJobMetadata(c *call) (reply, error) {
	jobs, err := s.findJobs(c)
	if err != nil {
		return reply{}, err
	}
	job := jobs[len(jobs)-1]
	meta := metadataReply{c.vars["job_id"], &job.Spec.Script, &job.Spec.Stdin, job.Spec.Stdout, job.Spec.Stderr}
	switch {
	case c.site.pbs(): // the reference server takes one for the other
		meta = metadataReply{JobID: job.ID, StandardOutput: job.Spec.Stderr, StandardError: job.Spec.Stdout}
	case job.Spec.User != c.user:
		meta.Script = nil
	}
	return jsonReply(200, struct {
		Jobs []metadataReply `json:"jobs"`
	}{[]metadataReply{meta}}), nil
}

func (s *Server) deleteJob(c *call) (reply, error) {
	id, err := c.jobID()
	if err != nil {
		return reply{}, err
	}
	if _, err := s.loginUser(c); err != nil {
		return reply{}, err
	}
	if c.site.pbs() && s.isArray(c.system, id) {
		return reply{}, qdelFailed(&batch.CancelError{ID: id, Reason: batch.UnknownJob}, c.system)
	}
	err = s.jobs.Cancel(c.system, id, s.users.uid(c.user))
	var refused *batch.CancelError
	switch {
	case err == nil:
		return reply{status: 204}, nil
	case !errors.As(err, &refused):
		return reply{}, fmt.Errorf("cancel job: %w", err)
	case c.site.pbs():
		return reply{}, qdelFailed(refused, c.system)
	}
	return reply{}, slurmFailed(1, err.Error())
}

// findJobs are the jobs the id in the path stands for, at least one.
func (s *Server) findJobs(c *call) ([]batch.Job, error) {
	id, err := c.jobID()
	if err != nil {
		return nil, err
	}
	if err := s.canQuery(c); err != nil {
		return nil, err
	}
	jobs := slices.DeleteFunc(s.jobs.Find(c.system, id), func(job batch.Job) bool { return !s.visible(c, job) })
	switch {
	case c.site.pbs() && (len(jobs) == 0 || jobs[0].Array != nil):
		return nil, pbsFailed("qstat", 153, "qstat: Unknown Job Id "+id+"."+c.system, "")
	case len(jobs) == 0:
		return nil, fail(404, "Job not found.")
	}
	return jobs, nil
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
