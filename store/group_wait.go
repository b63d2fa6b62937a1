package store

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// How a run waits. Nothing that other processes do can be relied on to wake it: a
// place also becomes free when a process dies that waited for longer, which touches
// no file, and notifications of the kernel do not tell what another host does to a
// network file system. So it looks at the time the directory was changed, which
// costs next to nothing, and now and then at everything.
const (
	glanceEvery = 250 * time.Millisecond
	lookEvery   = 8 // glances
)

// Await joins until the run holds a place. It calls seen with each new look, and
// returns its error.
func (g *Group) Await(ctx context.Context, id workflow.RunID, limit int, seen func(Place) error) error {
	tick := time.NewTicker(glanceEvery)
	defer tick.Stop()
	var changed time.Time
	for quiet := 0; ; quiet++ {
		// A change may share its instant with our last look: look once more after it.
		if now := g.changedAt(); quiet <= 1 || quiet%lookEvery == 0 || !now.Equal(changed) {
			if !now.Equal(changed) {
				changed, quiet = now, 0
			}
			p, err := g.Join(ctx, id, limit, true)
			switch {
			case errors.Is(err, errHeld) && ctx.Err() == nil: // there is a crowd: later
			case err != nil:
				return err
			case p.Held:
				return nil
			default:
				if err := seen(p); err != nil {
					return err
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *Group) changedAt() time.Time {
	info, err := os.Stat(g.dir)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
