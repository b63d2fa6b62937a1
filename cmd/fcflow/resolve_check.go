package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// askPatience is how long the service is asked whether a word can be true.
const askPatience = 20 * time.Second

// checkWord asks the service whether what a person says can be true: the job that
// is named must carry the token, and where there is no fence to rely on, no job
// that carries it may be alive. What cannot be seen is believed, and noted.
func (a *app) checkWord(ctx context.Context, run *workflow.Run, u *workflow.Unit, word workflow.SubmissionResolved, note func(format string, args ...any)) error {
	s := u.Attempt().Submission
	ids := s.Candidates
	switch {
	case word.As == workflow.ResolvedJob:
		ids = []string{word.JobID}
	case s.Intent.Fence == workflow.FenceClaim:
		return nil // it is fenced off first
	}
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	for _, id := range ids {
		rows, err := a.askJob(ctx, run, s, id)
		switch {
		case errors.Is(err, firecrest.ErrNotFound) || err == nil && len(rows) == 0:
			note("%s does not show job %s; your word is taken for it", s.Intent.System, id)
			continue
		case err != nil:
			note("job %s cannot be looked at, so your word is taken for it: %v", id, err)
			continue
		}
		if err := judgeWord(rows, u, word, id); err != nil {
			return err
		}
	}
	return nil
}

// judgeWord compares what the service shows under an id with the word.
func judgeWord(rows []firecrest.Job, u *workflow.Unit, word workflow.SubmissionResolved, id string) error {
	s := u.Attempt().Submission
	for _, row := range rows {
		switch named := strings.HasPrefix(row.Name, s.Intent.Token); {
		case row.Name == "" || named && word.As == workflow.ResolvedJob:
			return nil
		case named && !row.Status.State.IsTerminal():
			return withHint(
				fmt.Errorf("job %s on %s is that of %s, and it is %s: %w", id, s.Intent.System, u.Ref(), row.Status.State, workflow.ErrConflict),
				"say --job %s, or cancel it there first", id)
		case named:
			return nil
		}
	}
	if word.As != workflow.ResolvedJob {
		return nil // the id was used again
	}
	return withHint(
		fmt.Errorf("job %s on %s is called %q, which does not begin with the token %s: it is not that of %s: %w",
			id, s.Intent.System, rows[0].Name, s.Intent.Token, u.Ref(), workflow.ErrConflict),
		"look for %s among the jobs of %s", s.Intent.JobName, s.Intent.System)
}

// askJob asks the service of a run for a job.
func (a *app) askJob(ctx context.Context, run *workflow.Run, s *workflow.Submission, id string) (rows []firecrest.Job, err error) {
	settings, err := a.settings(run.Created.Profile.Name)
	if err != nil {
		return nil, err
	}
	if err := checkPinned(settings, run.Created.Profile); err != nil {
		return nil, err
	}
	v, err := a.connect(ctx, settings, run.Created.Profile, []string{s.Intent.System})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	return v.client.Compute.Get(ctx, s.Intent.System, firecrest.JobID(id))
}
