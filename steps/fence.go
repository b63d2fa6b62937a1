package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// FenceSettings are how patient fcflow is where the fate of a submission, or of
// a job, is not known. Zero fields take the defaults, which are for a real site.
type FenceSettings struct {
	// Quiet is how long after a request its job may still turn up: schedulers may
	// accept one minutes after the server gave up. Default 180 s.
	Quiet time.Duration
	// Between is the least time between two looks that count as finding nothing,
	// default 20 s.
	Between time.Duration
	// Votes are how many looks must find nothing, default 3; VotesBlind if the
	// lists show no other job that is known to exist, default 5.
	Votes, VotesBlind int
	// Visible is how long what a job wrote last may take to show on a login node,
	// default 300 s.
	Visible time.Duration
	// Confirm is how long the end of a job that the scheduler may run again must
	// last to be believed, and how long the processes of one that it stopped may
	// live on, default 60 s.
	Confirm time.Duration
	// Margin is how long past its time limit a job that nobody knows any more
	// counts as running, default 10 min. Limit stands for the limit of jobs that
	// name none, default 24 h.
	Margin, Limit time.Duration
}

func (s FenceSettings) withDefaults() FenceSettings {
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{
		{&s.Quiet, 180 * time.Second},
		{&s.Between, 20 * time.Second},
		{&s.Visible, 300 * time.Second},
		{&s.Confirm, 60 * time.Second},
		{&s.Margin, 10 * time.Minute},
		{&s.Limit, 24 * time.Hour},
	} {
		*d.field = cmp.Or(*d.field, d.standard)
	}
	s.Votes = cmp.Or(s.Votes, 3)
	s.VotesBlind = cmp.Or(s.VotesBlind, 5)
	return s
}

// enclose claims the control directory of a run on a system, which exists, for
// the run. It says how jobs can be fenced there.
func (b binder) enclose(ctx context.Context, site *workflow.RunBound, nonce string) error {
	files, control := b.library.config.Client.Filesystem, controlDir(*site)
	link, text := path.Join(control, runLink), runLinkText(nonce)
	_, err := files.Symlink(ctx, site.System, path.Join(control, text), link)
	if err == nil {
		site.Fence = workflow.FenceClaim
		return nil
	}
	if noLinks(err) {
		site.Fence = workflow.FenceBlind
		return nil
	}
	// It is there already, or the answer was lost, or it is from a server that
	// makes the link and then says that there is none.
	if !errors.Is(err, firecrest.ErrExists) && !isNotFound(err) {
		if _, outage := causeOf(err); !outage {
			return fmt.Errorf("claim the run's remote directory: %w", bindError(err))
		}
	}
	entries, readErr := files.List(ctx, site.System, control, &firecrest.ListOptions{ShowHidden: true})
	if readErr != nil {
		return fmt.Errorf("claim the run's remote directory: %w", bindError(errors.Join(err, readErr)))
	}
	for _, e := range entries {
		switch {
		case e.Name != runLink:
		case e.IsLink() && path.Base(e.LinkTarget) == text:
			site.Fence = workflow.FenceClaim
			return nil
		default:
			return fmt.Errorf("%w: %s on %s belongs to another run (%s)", engine.ErrConflict, control, site.System, e.LinkTarget)
		}
	}
	return fmt.Errorf("claim the run's remote directory: %w", bindError(err))
}

// noLinks reports whether links cannot be made there at all, so that it makes no
// sense to try again.
func noLinks(err error) bool {
	return errors.Is(err, firecrest.ErrUnsupported) || errors.Is(err, firecrest.ErrForbidden)
}

// fenceOf is how the job of these inputs is fenced on the attempt's system.
func (c *call) fenceOf(in batchIn) workflow.Fence {
	switch {
	case in.RemoteScript != "", in.Fence == string(workflow.FenceOff), c.Site.Fence == "":
		return workflow.FenceOff
	case in.Fence == string(workflow.FenceBlind):
		return workflow.FenceBlind
	}
	return c.Site.Fence
}

// planted is what became of an attempt to fence a token off.
type planted int

const (
	plantUnknown planted = iota // ask again
	plantWon                    // no job can claim the token any more
	plantLost                   // it is claimed: read by whom
	plantGone                   // the directory is not there
)

// plant fences a token off: it claims it as a job would, so that none can. A
// call of unknown outcome is settled by whoever reads the claim next.
func (c *call) plant(ctx context.Context, s *workflow.Submission) (planted, []workflow.CallFact, error) {
	var calls []workflow.CallFact
	traced := firecrest.WithTrace(ctx, func(r firecrest.RequestInfo) { calls = append(calls, callFact(r)) })
	link := path.Join(s.Intent.Control, s.Intent.Token)
	_, err := c.files().Symlink(traced, c.system(), path.Join(s.Intent.Control, tombstoneText(c.Run.Nonce)), link)
	switch {
	case err == nil:
		return plantWon, calls, nil
	case errors.Is(err, firecrest.ErrExists):
		return plantLost, calls, nil
	}
	// Whatever was answered, the directory tells.
	l := c.readPart(ctx, s.Intent.Control, time.Now())
	calls = append(calls, l.calls...)
	switch k := readClaim(l.entries, s.Intent.Token); {
	case isNotFound(l.err):
		return plantGone, calls, nil
	case l.err != nil:
		return plantUnknown, calls, err
	case k.tombstone:
		return plantWon, calls, nil
	case k.owner != "":
		return plantLost, calls, nil
	}
	return plantUnknown, calls, err
}
