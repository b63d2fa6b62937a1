package steps

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// RemoveRun deletes the remote directory of a run on one system, with everything
// in it. root is where the workflow wants its runs to keep their files, "" if it
// does not say. It refuses, with engine.ErrConflict, a directory that is not below
// the directory of runs, one that does not have the name of the run, one that is
// claimed for another run, and to work as another user. A directory that is gone
// already is no error.
func (l *Library) RemoveRun(ctx context.Context, site workflow.RunBound, root string, run workflow.RunCreated) error {
	if err := l.mayRemove(ctx, site, root, run); err != nil {
		return fmt.Errorf("remote directory %s on %s: %w", site.RemoteDir, site.System, err)
	}
	if err := l.removeDir(ctx, site.System, site.RemoteDir); err != nil {
		return fmt.Errorf("delete remote directory %s on %s: %w", site.RemoteDir, site.System, err)
	}
	return nil
}

func (l *Library) mayRemove(ctx context.Context, site workflow.RunBound, root string, run workflow.RunCreated) error {
	bound := binder{l}
	if err := bound.Verify(ctx, site); err != nil {
		return err
	}
	facts, err := l.system(ctx, site.System)
	if err != nil {
		return bindError(err)
	}
	root, err = bound.remoteRoot(root, facts, site.User)
	if err != nil {
		return err
	}
	dir := site.RemoteDir
	switch {
	case !path.IsAbs(root), !path.IsAbs(dir), path.Clean(dir) != dir, dir == root, !within(dir, root):
		return fmt.Errorf("%w: it is not below %s, where remote_root says that runs keep their files", engine.ErrConflict, root)
	case run.ID == "" || path.Base(dir) != string(run.ID):
		return fmt.Errorf("%w: it is not named after run %s", engine.ErrConflict, run.ID)
	}
	return l.checkClaim(ctx, site, run.Nonce)
}

// checkClaim refuses a directory that is claimed for another run. Where links
// cannot be made there is no claim; and a site may have deleted it because it is
// old.
func (l *Library) checkClaim(ctx context.Context, site workflow.RunBound, nonce string) error {
	control := controlDir(site)
	entries, err := l.config.Client.Filesystem.List(ctx, site.System, control, &firecrest.ListOptions{ShowHidden: true})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return bindError(err)
	}
	for _, e := range entries {
		if e.Name == runLink && path.Base(e.LinkTarget) != runLinkText(nonce) {
			return fmt.Errorf("%w: it belongs to another run (%s)", engine.ErrConflict, e.LinkTarget)
		}
	}
	return nil
}

// removeDir deletes a directory: in one request, or, when that takes too long, by
// a job of the service.
func (l *Library) removeDir(ctx context.Context, system, dir string) error {
	client := l.config.Client
	err := client.Filesystem.Remove(ctx, system, dir)
	switch {
	case err == nil, isNotFound(err):
		return nil
	case !errors.Is(err, firecrest.ErrTimeout):
		return bindError(err)
	}
	job, err := client.Transfer.Remove(ctx, system, dir, &firecrest.TransferOptions{Account: l.config.Account})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return bindError(err)
	}
	if err := l.awaitEnd(ctx, *job); err != nil {
		return err
	}
	if _, err := client.Filesystem.Stat(ctx, system, dir, false); isNotFound(err) {
		return nil
	}
	if err := client.Transfer.Result(ctx, *job); err != nil {
		return err
	}
	return fmt.Errorf("job %s reported success, and it is still there", job.ID)
}

// awaitEnd waits for the end of a job of the service.
func (l *Library) awaitEnd(ctx context.Context, job firecrest.TransferJob) error {
	const first, most = 200 * time.Millisecond, 20 * time.Second
	since := time.Now()
	for pause := first; ; pause = min(2*pause, most) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("job %s goes on with it: %w", job.ID, context.Cause(ctx))
		}
		rows, err := l.config.Client.Compute.Get(ctx, job.System, job.ID)
		seen, known := firecrest.Aggregate(rows)
		switch {
		case isNotFound(err) && time.Since(since) > l.grace():
			return nil // the scheduler has forgotten it
		case isNotFound(err):
		case err != nil:
			return fmt.Errorf("job %s goes on with it: %w", job.ID, bindError(err))
		case known && seen.Status.State.IsTerminal():
			return nil
		}
	}
}
