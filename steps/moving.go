package steps

import (
	"context"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// moving is an upload or download as an attempt sees it. However it ends, no job
// of it goes on that could still write to its target.
type moving struct {
	*call
	// transferJob is the job that a journal knows of a transfer of one file.
	transferJob func(datatransfer.Journal) (*firecrest.TransferJob, error)
	// discard removes what is on this side of files that are not complete.
	discard func() error
}

// failedTransfer is the checkpoint of what has failed, whose job must still end.
type failedTransfer struct {
	Cause   workflow.Cause `json:"cause"`
	Message string         `json:"message"`
}

const failedKey = "failed"

// enter is one entry of the attempt, which does what move does.
func (m moving) enter(ctx context.Context, move func() engine.Outcome) engine.Outcome {
	if m.Stopping() {
		return m.stop(ctx)
	}
	var failed failedTransfer
	switch found, err := m.Load(failedKey, &failed); {
	case err != nil:
		return lost(err)
	case found:
		return m.endFailed(ctx, engine.Failure(failed.Cause, failed.Message))
	}
	if ended := m.endEarlier(ctx); ended != nil {
		return *ended
	}
	out := move()
	cause, _, failure := out.Failed()
	switch {
	case cause == workflow.CauseInterrupted: // the history is lost, and the owner stops over that
		return out
	case ctx.Err() != nil && (failure || out.Stopped()): // what goes on is seen to by the next entry
		return engine.Suspend(engine.Wait{Reason: workflow.WaitOutage, Until: time.Now().Add(m.library.outages.first), Message: "the transfer was interrupted"})
	case failure:
		return m.endFailed(ctx, out)
	}
	return out
}

// stop ends what the attempt has begun.
func (m moving) stop(ctx context.Context) engine.Outcome {
	m.tidyHere()
	jobs, err := m.liveJobs(m.call)
	if err != nil {
		return lost(err)
	}
	out := m.stopTransfer(ctx, nil)
	for i := range jobs {
		if out = m.stopTransfer(ctx, &jobs[i]); !out.Stopped() {
			return out
		}
	}
	return out
}

// endFailed ends an attempt that has failed when its job is over.
func (m moving) endFailed(ctx context.Context, out engine.Outcome) engine.Outcome {
	m.tidyHere()
	jobs, err := m.liveJobs(m.call)
	if err != nil {
		return lost(err)
	}
	if len(jobs) == 0 {
		return out
	}
	cause, message, _ := out.Failed()
	if err := m.keep(ctx, failedKey, failedTransfer{cause, message}); err != nil {
		return lost(err)
	}
	if ended := m.endJobs(ctx, jobs); ended != nil {
		return *ended
	}
	return out
}

// endEarlier ends the job of an attempt before this one, which may have failed
// while the service could not be asked for that.
func (m moving) endEarlier(ctx context.Context) *engine.Outcome {
	if begun, err := m.begun(); begun || err != nil {
		return m.failedOr(ctx, err)
	}
	jobs, err := m.liveJobs(earlier{m.call})
	if err != nil {
		return m.failedOr(ctx, err)
	}
	return m.endJobs(ctx, jobs)
}

// endJobs has jobs end, one after the other. It returns nil when they have, else
// what the attempt does until then.
func (m moving) endJobs(ctx context.Context, jobs []firecrest.TransferJob) *engine.Outcome {
	for _, job := range jobs {
		if ended := m.endJob(ctx, job); ended != nil {
			return ended
		}
	}
	return nil
}

// endJob has a job end. It returns nil when it has, else what the attempt does
// until then.
func (m moving) endJob(ctx context.Context, job firecrest.TransferJob) *engine.Outcome {
	found, waiting := m.awaitJob(ctx, awaited{job: job, since: m.StartedAt, again: cancelAgain, what: "cancelled transfer"})
	if found != nil {
		return nil
	}
	if err := m.client().Compute.Cancel(ctx, m.system(), job.ID); err != nil {
		return outcome(m.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage}))
	}
	return &waiting
}

// liveJobs are the jobs that may still do something, of the work that a journal
// tells of. Of several attempts they may be more than one, of which only the last
// goes on.
func (m moving) liveJobs(j datatransfer.Journal) ([]firecrest.TransferJob, error) {
	var jobs []firecrest.TransferJob
	for _, name := range []string{digestKey, unpackKey, packKey} {
		var state jobFormState
		if _, err := j.Load(name, &state); err != nil {
			return nil, err
		}
		if state.Job != nil && !state.Done {
			jobs = append(jobs, *state.Job)
		}
	}
	job, err := m.transferJob(j)
	if job != nil {
		jobs = append(jobs, *job)
	}
	return jobs, err
}

func (m moving) tidyHere() {
	if err := m.discard(); err != nil {
		m.Logger.Warn().Err(err).Msg("incomplete file not deleted")
	}
}

// earlier is the journal of the attempts before this one.
type earlier struct{ *call }

// Load implements datatransfer.Journal.
func (e earlier) Load(key string, v any) (bool, error) { return e.LoadEarlier(key, v) }
