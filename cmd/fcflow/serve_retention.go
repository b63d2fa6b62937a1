package main

import (
	"context"
	"time"
)

// retainEvery is how often a server deletes the runs that their workflows do not
// keep any longer.
const retainEvery = 24 * time.Hour

func (h *host) retain(ctx context.Context) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		h.prune(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// prune does what `fcflow runs prune` does without flags.
func (h *host) prune(ctx context.Context) {
	a, st := h.session.app, h.session.store
	rule, err := a.retentions(ctx, st, "")
	if err != nil {
		h.log.Error().Err(err).Msg("old runs stay")
		return
	}
	old, children, err := outdated(ctx, st, "", rule, time.Now())
	if err != nil {
		h.log.Error().Err(err).Msg("old runs stay")
		return
	}
	gone, errs := a.pruneAll(ctx, st, old, children)
	for _, l := range gone {
		h.log.Info().Str("run", string(l.ID)).Str("workflow", l.Workflow).Msg("the run is deleted: its workflow keeps it no longer")
	}
	for _, err := range errs {
		if ctx.Err() == nil {
			h.log.Error().Err(err).Msg("an old run stays")
		}
	}
}
