package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	verifyTimeout = 10 * time.Second
	bindPauseMost = 30 * time.Second
)

// verify checks, before anything is done, that we still are who the run was
// bound as. A server that does not answer now is met again later.
func (x *Execution) verify(ctx context.Context) error {
	if x.engine.cfg.Binder == nil {
		return nil
	}
	for _, site := range x.run.Sites {
		ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
		err := x.engine.cfg.Binder.Verify(ctx, site)
		cancel()
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrLogin) {
			return fmt.Errorf("resume run %s: %w", x.id, err)
		}
	}
	return nil
}

// bind prepares a system in the background; ready units of that system start
// when it is bound.
func (x *Execution) bind(system string) {
	if x.engine.cfg.Binder == nil {
		x.unbindable[system] = fmt.Errorf("no FirecREST server is configured for system %q", system)
		return
	}
	root, err := x.run.Workflow.EvalDefault("remote_root", x.run.Scope(nil, x.blob))
	if err != nil {
		x.unbindable[system] = err
		return
	}
	x.binding[system] = true
	created, first := x.run.Created, len(x.run.Sites) == 0
	try := func() (*workflow.RunBound, error) { return x.engine.cfg.Binder.Bind(x.ctx, system, root, created) }
	x.acts = append(x.acts, func() {
		go func() {
			site, err := x.bindPatiently(system, try, first)
			x.send(func(x *Execution) { x.bound(system, site, err) })
		}()
	})
}

// bindPatiently tries until there is an answer. Before the first answer of a
// run patience is short: a mistyped URL must not hang a newcomer.
func (x *Execution) bindPatiently(system string, try func() (*workflow.RunBound, error), first bool) (*workflow.RunBound, error) {
	began := time.Now()
	for pause := time.Second; ; pause = min(2*pause, bindPauseMost) {
		site, err := try()
		if err == nil || !errors.Is(err, ErrUnavailable) && !(errors.Is(err, ErrLogin) && !first) {
			return site, err
		}
		if patience := x.engine.cfg.Patience; first && patience >= 0 && time.Since(began)+pause > patience {
			return nil, err
		}
		if x.ctx.Err() != nil {
			return nil, context.Cause(x.ctx)
		}
		x.logger.Warn().Err(err).Str("system", system).Int64("retry_in_ms", pause.Milliseconds()).Msg("system not reachable")
		select {
		case <-time.After(pause):
		case <-x.ctx.Done():
			return nil, context.Cause(x.ctx)
		}
	}
}

// bound records the answer. An error that ends the drive leaves the run
// resumable; any other fails the steps of that system.
func (x *Execution) bound(system string, site *workflow.RunBound, err error) {
	delete(x.binding, system)
	switch {
	case x.ctx.Err() != nil:
	case err == nil && escapedLen(site.User)+escapedLen(site.RemoteDir)+escapedLen(site.SubmitDir) > maxBoundText:
		x.unbindable[system] = fmt.Errorf("the name of the user and the directories on system %q are too long to be recorded", system)
	case err == nil:
		x.emit(command{payload: site})
	case errors.Is(err, ErrLogin), errors.Is(err, ErrUnavailable), errors.Is(err, ErrConflict):
		x.quit = fmt.Errorf("system %q: %w", system, err)
	default:
		x.unbindable[system] = err
	}
}
