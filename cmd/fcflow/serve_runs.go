package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// List implements [server.Runs]: the runs that this process drives.
func (h *host) List(ctx context.Context) ([]workflow.Summary, error) {
	return h.session.owned.List(ctx)
}

// Find implements [server.Runs].
func (h *host) Find(ctx context.Context, id workflow.RunID) (server.Run, error) {
	run, err := h.session.owned.Find(ctx, id)
	if err == nil {
		return carefulRun{run, h, id}, nil
	}
	if !errors.Is(err, workflow.ErrNotFound) {
		return nil, err
	}
	if _, err := h.session.store.Summary(ctx, id); err != nil {
		return nil, err
	}
	return carefulRun{&storedRun{h, id}, h, id}, nil
}

// Search implements [server.Host].
func (h *host) Search(ctx context.Context, q server.RunQuery) (server.RunPage, error) {
	text := strings.ToLower(q.Text)
	now, err := h.driven(ctx)
	if err != nil {
		return server.RunPage{}, err
	}
	keep := func(l store.Listed) bool {
		l = now.of(l)
		return (q.Before == "" || l.ID < q.Before) && l.Parent == nil &&
			(q.Workflow == "" || l.Workflow == q.Workflow) && listedAs(l, q.State) &&
			(q.BeganBy == "" || string(l.Trigger) == q.BeganBy) &&
			(text == "" || strings.Contains(strings.ToLower(string(l.ID)+"\n"+l.Workflow+"\n"+l.By), text))
	}
	found, _, err := h.session.store.Recent(ctx, q.Limit+1, keep)
	if err != nil {
		return server.RunPage{}, err
	}
	var page server.RunPage
	if len(found) > q.Limit {
		found = found[:q.Limit]
		if q.Limit > 0 {
			page.Next = found[q.Limit-1].ID
		}
	}
	for _, l := range found {
		page.Runs = append(page.Runs, h.listed(ctx, now.of(l)))
	}
	return page, nil
}

// drivenRuns are the summaries of the runs that this process drives, which are ahead of what
// is stored for lists.
type drivenRuns map[workflow.RunID]workflow.Summary

func (h *host) driven(ctx context.Context) (drivenRuns, error) {
	all, err := h.List(ctx)
	if err != nil {
		return nil, err
	}
	now := drivenRuns{}
	for _, s := range all {
		now[s.ID] = s
	}
	return now, nil
}

func (n drivenRuns) of(l store.Listed) store.Listed {
	if s, driven := n[l.ID]; driven {
		l.Summary = s
	}
	return l
}

func (h *host) listed(ctx context.Context, l store.Listed) server.ListedRun {
	r := server.ListedRun{Summary: l.Summary, Live: l.Live, Interrupted: l.Interrupted}
	if w := waiting(ctx, h.session.store, l.Summary); w != nil {
		r.WaitsFor = &w.WaitsFor
	}
	if l.Err != nil {
		r.Error = l.Err.Error()
	}
	return r
}

// Show implements [server.Host].
func (h *host) Show(ctx context.Context, id workflow.RunID) (server.ShownRun, error) {
	run, err := h.show(ctx, id)
	if err != nil {
		return server.ShownRun{}, err
	}
	r := server.ShownRun{RunView: run.RunView, Live: run.Live, Interrupted: run.Interrupted, NodeHours: run.NodeHours}
	if w := waiting(ctx, h.session.store, run.Summary); w != nil {
		r.WaitsFor = &w.WaitsFor
	}
	return r, nil
}

// show returns the picture of a run, of this process or another.
func (h *host) show(ctx context.Context, id workflow.RunID) (shownRun, error) {
	run, err := h.session.owned.Find(ctx, id)
	if err == nil {
		view, err := run.View(ctx)
		return shown(view, false, true), err
	}
	var r shownRun
	err = h.folded(ctx, id, func(f *folded) error {
		r = shown(f.run.Describe(), !f.driven && !f.run.State.Terminal(), f.driven)
		return nil
	})
	if errors.Is(err, workflow.ErrOwned) { // where it cannot be asked: its summary is to be had
		return h.session.app.view(ctx, h.session.store, id)
	}
	return r, err
}

// storedRun is a run that this process does not drive. What is asked of it goes to
// its owner, or, if it has none, this process takes it over.
type storedRun struct {
	host *host
	id   workflow.RunID
}

// View implements [server.Run].
func (r *storedRun) View(ctx context.Context) (workflow.RunView, error) {
	run, err := r.host.show(ctx, r.id)
	return run.RunView, err
}

// Events implements [server.Run].
func (r *storedRun) Events(ctx context.Context, from int64, f func(workflow.Event) error) error {
	_, err := r.host.session.app.readEvents(ctx, r.host.session.store, r.id, from, f)
	return err
}

// Blob implements [server.Run].
func (r *storedRun) Blob(ctx context.Context, digest string) ([]byte, error) {
	found, err := r.host.session.app.blobs(ctx, r.host.session.store, r.id, []string{digest})
	if err == nil && found[digest] == nil {
		err = fmt.Errorf("blob %s: %w", digest, workflow.ErrNotFound)
	}
	return found[digest], err
}

// Changed implements [server.Run]: whoever waits learns of it at the next
// connection. Nothing happens to a run that nobody drives.
func (r *storedRun) Changed() <-chan struct{} { return nil }

// Cancel implements [server.Run]. Nobody takes over a run that has ended for it.
func (r *storedRun) Cancel(ctx context.Context, by string) error {
	if l, err := r.host.session.store.Summary(ctx, r.id); err != nil || l.Err == nil && l.State.Terminal() {
		return err
	}
	return r.reach(ctx, "cancel", func(c *server.Client) error { return c.Cancel(ctx, r.id, by) },
		func(mine server.Run) error { return mine.Cancel(ctx, by) },
		func(x *engine.Execution) error { return x.LeaveCancel(ctx, by) })
}

// Resolve implements [server.Run].
func (r *storedRun) Resolve(ctx context.Context, unit workflow.UnitRef, word workflow.SubmissionResolved) error {
	return r.reach(ctx, "resolve", func(c *server.Client) error { return c.Resolve(ctx, r.id, unit, word) },
		func(mine server.Run) error { return mine.Resolve(ctx, unit, word) },
		func(x *engine.Execution) error { return x.LeaveWord(ctx, unit, word) })
}

// Retry implements [server.Run].
func (r *storedRun) Retry(ctx context.Context, choice workflow.UnitsReset) error {
	return r.reach(ctx, "retry", func(c *server.Client) error { return c.Retry(ctx, r.id, choice) },
		func(mine server.Run) error { return mine.Retry(ctx, choice) },
		func(x *engine.Execution) error {
			return r.host.session.begin(x, func() error { return x.Reset(ctx, choice) })
		})
}

// Approve implements [server.Run].
func (r *storedRun) Approve(ctx context.Context, ref workflow.UnitRef, word workflow.ApprovalGiven) (units []workflow.UnitRef, err error) {
	err = r.reach(ctx, "approve", func(c *server.Client) (err error) {
		units, err = c.Approve(ctx, r.id, ref, word)
		return err
	}, func(mine server.Run) (err error) {
		units, err = mine.Approve(ctx, ref, word)
		return err
	}, func(x *engine.Execution) (err error) {
		units, err = x.LeaveApproval(ctx, ref, word)
		return err
	})
	return units, err
}

// reach asks the owner of the run, or changes it here if it has none. This process
// may have let go of it for a moment only: then it is asked.
func (r *storedRun) reach(ctx context.Context, verb string, there func(*server.Client) error, ask func(server.Run) error, change func(*engine.Execution) error) error {
	h := r.host
	h.opening.Lock()
	mine, err := h.session.owned.Find(ctx, r.id)
	h.opening.Unlock()
	if err == nil {
		return ask(mine)
	}
	return h.session.app.reach(ctx, h.session.store, r.id, verb, there, func() error { return h.adopt(ctx, r.id, ask, change) })
}

// adopt takes over a run that nobody drives, has it changed, and drives it. One
// that cannot be changed is let go. If this process drives the run after all it is
// asked.
func (h *host) adopt(ctx context.Context, id workflow.RunID, ask func(server.Run) error, change func(*engine.Execution) error) error {
	h.opening.Lock()
	mine, err := h.session.owned.Find(ctx, id)
	if err == nil {
		h.opening.Unlock()
		return ask(mine)
	}
	defer h.opening.Unlock()
	x, err := h.session.reopen(h.ctx, id)
	if err != nil {
		return err
	}
	err = h.marking(x, func() error { return change(x) })
	if err != nil {
		return errors.Join(err, putSummary(h.session.store, x), x.Close())
	}
	h.log.Info().Str("run", string(id)).Msg("the run is taken over")
	h.drive(x)
	return nil
}

// marking marks a run that was just taken over before it is changed, so that a crash
// right after leaves it with the server. Of one that stays as it was nothing is left.
func (h *host) marking(x *engine.Execution, change func() error) error {
	file := h.markFile(x.ID())
	marked := exists(file)
	if err := h.mark(x.ID()); err != nil {
		return err
	}
	err := h.safely(x.ID(), change)
	if err != nil && !marked {
		_ = os.Remove(file) // one that is left has the next server go on with the run
	}
	return err
}

// safely turns a panic into an error: it ends the request, and must not leave the
// run with a server that does not drive it.
func (h *host) safely(id workflow.RunID, change func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error().Str("run", string(id)).Str("stack", string(debug.Stack())).Msg("panic while changing the run")
			err = fmt.Errorf("run %s: panic: %v; please report this", id, p)
		}
	}()
	return change()
}
