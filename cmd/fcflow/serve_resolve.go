package main

import (
	"context"

	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// carefulRun is a run that takes no word on a submission which cannot be true. It is
// equal to another one of the same run, so that whoever keeps one knows it again.
type carefulRun struct {
	server.Run
	host *host
	id   workflow.RunID
}

// Resolve implements [server.Run].
func (r carefulRun) Resolve(ctx context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	if err := r.check(ctx, unit, word); err != nil {
		return err
	}
	return r.Run.Resolve(ctx, unit, word)
}

// check asks the service, as the command does.
func (r carefulRun) check(ctx context.Context, ref workflow.UnitRef, word workflow.SubmissionResolved) error {
	a := r.host.session.app
	source, err := r.host.session.store.Frozen(ctx, r.id)
	if err != nil {
		return err
	}
	run, err := a.fold(ctx, source, reading(r.Events))
	if err != nil {
		return err
	}
	u, known := run.Unit(ref)
	if !known || u.Resolvable() != nil {
		return nil // the run itself says what is wrong
	}
	return a.checkWord(ctx, run, u, word, func(format string, args ...any) {
		r.host.log.Warn().Str("run", string(r.id)).Str("unit", ref.String()).Msgf(format, args...)
	})
}
