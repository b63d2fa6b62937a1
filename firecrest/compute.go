package firecrest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ComputeService submits, reads and cancels batch jobs. All its operations
// need a healthy scheduler; while the server believes it is not, they fail with
// ErrUnavailable.
//
// Whatever goes wrong with the scheduler's own commands while jobs are read,
// a time-out included, is a 500 with the reason in [Error.CausedBy]; these
// reads are repeated, and the last failure matches no sentinel.
type ComputeService struct{ client *Client }

const jobsTemplate = "/compute/{system_name}/jobs"

// JobListOptions of [ComputeService.List].
type JobListOptions struct {
	AllUsers bool   // jobs of others too, if the scheduler shows them (servers ≥ 2.2.7)
	Account  string // only jobs of this account (≥ 2.4.2; ignored before)
	// Name is the exact name of the jobs wanted (≥ 2.5.7; ignored before). On
	// Slurm a comma makes it a list of names.
	Name string
	// Window is how far back finished jobs are listed (≥ 2.5.7; ignored
	// before, when it is 7 days since 2.4.1, and since midnight before that).
	// Empty is the server's default, a day.
	Window Window
}

// Window is a span of time that servers accept.
type Window string

// All windows, smallest first.
const (
	Window1h  Window = "1h"
	Window8h  Window = "8h"
	Window24h Window = "24h"
	Window3d  Window = "3d"
	Window7d  Window = "7d"
)

// List returns the jobs of the user: all that wait or run, and those that
// ended within the window. The order is the scheduler's. A row per array task
// or component of a heterogeneous job; see [Aggregate].
//
// A job that is missing has not thereby ended: lists lag behind, and leave out
// jobs whose name holds a |. Filters that the server does not know have no
// effect, so filter again.
//
//firecrest:operation GET /compute/{system_name}/jobs
func (s *ComputeService) List(ctx context.Context, system string, opts *JobListOptions) ([]Job, error) {
	query := url.Values{}
	if opts != nil {
		setTrue(query, "allusers", opts.AllUsers)
		setText(query, "account", opts.Account)
		setText(query, "name", opts.Name)
		setText(query, "time_window", string(opts.Window))
	}
	return s.jobs(ctx, &call{
		method: http.MethodGet, template: jobsTemplate, system: system, query: query, want: http.StatusOK,
	})
}

// Get returns the rows of one job: more than one for arrays and heterogeneous
// jobs, see [Aggregate]. The id must be a plain one: the ids of array tasks
// (123_4) and components (200+0) that rows carry cannot be asked for.
//
// Errors: ErrNotFound. Right after a submission that may only mean "not yet";
// later, that the scheduler has forgotten the job.
//
//firecrest:operation GET /compute/{system_name}/jobs/{job_id}
func (s *ComputeService) Get(ctx context.Context, system string, id JobID) ([]Job, error) {
	if err := checkJobID(id); err != nil {
		return nil, err
	}
	return s.jobs(ctx, &call{
		method: http.MethodGet, template: jobsTemplate + "/{job_id}", system: system, jobID: string(id), want: http.StatusOK,
	})
}

func (s *ComputeService) jobs(ctx context.Context, c *call) ([]Job, error) {
	var jobs []Job // servers before 2.5.1 may say null for none
	c.into = &member{"jobs", &jobs}
	if err := s.client.run(ctx, c); err != nil {
		return nil, err
	}
	return jobs, nil
}

// JobMetadata is what the scheduler keeps of a submission.
type JobMetadata struct {
	ID JobID
	// Script is the text of the batch script. Empty if it is not kept: Slurm
	// keeps scripts of finished jobs only where accounting is told to.
	Script string
	// StandardInput, StandardOutput and StandardError are paths with %j
	// replaced. PBS servers swap the last two.
	StandardInput, StandardOutput, StandardError string
}

// Metadata returns script and file names of a job.
//
// Errors: ErrNotFound, ErrUnsupported (Slurm reached over REST only).
//
//firecrest:operation GET /compute/{system_name}/jobs/{job_id}/metadata
func (s *ComputeService) Metadata(ctx context.Context, system string, id JobID) ([]JobMetadata, error) {
	if err := checkJobID(id); err != nil {
		return nil, err
	}
	var jobs []struct {
		ID     text `json:"jobId"`
		Script text `json:"script"`
		Input  text `json:"standardInput"`
		Output text `json:"standardOutput"`
		Error  text `json:"standardError"`
	}
	err := s.client.run(ctx, &call{
		method: http.MethodGet, template: jobsTemplate + "/{job_id}/metadata", system: system, jobID: string(id),
		want: http.StatusOK, into: &member{"jobs", &jobs},
	})
	if err != nil {
		return nil, err
	}
	var metadata []JobMetadata
	for _, j := range jobs {
		metadata = append(metadata, JobMetadata{JobID(j.ID), string(j.Script), string(j.Input), string(j.Output), string(j.Error)})
	}
	return metadata, nil
}

// Cancel asks the scheduler to cancel a job, all of an array. It returns nil
// once the scheduler has taken the request, and if the job has ended already
// or is unknown: servers answer 500 then, so the job is looked up. The job may
// run on for a while; its state tells.
//
// Errors: a 500 with the scheduler's words if the job is alive and cannot be
// cancelled, such as somebody else's.
//
//firecrest:operation DELETE /compute/{system_name}/jobs/{job_id}
func (s *ComputeService) Cancel(ctx context.Context, system string, id JobID) error {
	if err := checkJobID(id); err != nil {
		return err
	}
	err := s.client.run(ctx, &call{
		method: http.MethodDelete, template: jobsTemplate + "/{job_id}", system: system, jobID: string(id),
		want: http.StatusNoContent,
	})
	var failure *Error
	if !errors.As(err, &failure) || failure.Status != http.StatusInternalServerError || failure.timedOut() {
		return err
	}
	if failure.FromServer() && strings.Contains(failure.Message, "already completing or completed") {
		return nil // it may be shown as running for a while
	}
	rows, readErr := s.Get(ctx, system, id)
	if isNotFound(readErr) {
		return nil
	}
	if job, ok := Aggregate(rows); readErr == nil && ok && job.Status.State.IsTerminal() {
		return nil
	}
	return err
}

// Attach runs a command inside a running job, beside what the job does, and
// waits for it, which must take no longer than the server lets a command run.
// Its output is lost; have it write to a file. The command stands unquoted on a
// command line of the login node, so what follows a ; or a | runs there.
//
// Slurm reached over REST answers success and does nothing. Attach is not
// repeated after a failure of unknown outcome.
//
// Errors: ErrTimeout. A command that fails, and a job that does not run, are a
// 500 with the scheduler's words; PBS servers always answer 500.
//
//firecrest:operation PUT /compute/{system_name}/jobs/{job_id}/attach
func (s *ComputeService) Attach(ctx context.Context, system string, id JobID, command string) error {
	if err := checkJobID(id); err != nil {
		return err
	}
	if strings.TrimSpace(command) == "" || strings.ContainsAny(command, "\n\r\x00") {
		return fmt.Errorf("command %q is not one line of text", command)
	}
	body, err := jsonBody(struct {
		Command string `json:"command"`
	}{command})
	if err != nil {
		return err
	}
	return s.client.run(ctx, &call{
		method: http.MethodPut, template: jobsTemplate + "/{job_id}/attach", system: system, jobID: string(id),
		body: body, replay: replayUnsent, want: http.StatusNoContent,
	})
}

func checkJobID(id JobID) error {
	if !plainJobID.MatchString(string(id)) {
		return fmt.Errorf("%q is not the id of a job that can be asked for", string(id))
	}
	return nil
}

func setText(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
