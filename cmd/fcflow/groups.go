package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// admission implements [engine.Admission] with the group files of the state
// directory, and tells people what a run waits for.
type admission struct {
	session *session

	mu    sync.Mutex
	asked map[workflow.RunID]time.Time // holders that were asked to end
}

// Admit implements [engine.Admission]. A run takes its places in the order of the
// groups' names, so that two runs never wait for each other.
func (m *admission) Admit(ctx context.Context, run workflow.RunCreated, started bool) error {
	for _, c := range run.Concurrency {
		if err := m.enter(ctx, run, c, started); err != nil {
			return err
		}
	}
	return nil
}

// Leave implements [engine.Admission].
func (m *admission) Leave(ctx context.Context, run workflow.RunCreated) error {
	var errs []error
	for _, c := range run.Concurrency {
		errs = append(errs, m.session.store.Group(c.Group).Leave(ctx, run.ID))
	}
	return errors.Join(errs...)
}

func (m *admission) enter(ctx context.Context, run workflow.RunCreated, c workflow.Membership, started bool) error {
	g := m.session.store.Group(c.Group)
	switch {
	case started:
		return g.Keep(ctx, run.ID)
	case c.OnConflict == workflow.ConflictSkip:
		p, err := g.Join(ctx, run.ID, c.Limit, false)
		if err == nil && !p.Held {
			err = fmt.Errorf("%w: %s", engine.ErrGroupFull, groupWords(c.Group, p.Holders))
		}
		return err
	}
	defer m.session.progress.queued(run.ID, "", "")
	return g.Await(ctx, run.ID, c.Limit, func(p store.Place) error {
		m.session.progress.queued(run.ID, run.Workflow, "waits for a place in group "+groupWords(c.Group, p.Holders))
		if c.OnConflict == workflow.ConflictCancel && p.Next && len(p.Holders) >= c.Limit {
			m.displace(ctx, p.Holders[0].Run, run.ID)
		}
		return nil
	})
}

// askAgainAfter is when a holder is looked at again that was asked to end.
const askAgainAfter = 10 * time.Second

// displace asks a holder to end for a run that waits, in the background: whoever
// waits sees its end by the place that it leaves.
func (m *admission) displace(ctx context.Context, holder, waiter workflow.RunID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.asked[holder]) < askAgainAfter {
		return
	}
	if m.asked == nil {
		m.asked = map[workflow.RunID]time.Time{}
	}
	m.asked[holder] = time.Now()
	m.session.displaced.Go(func() {
		if err := m.session.displace(ctx, holder, waiter); err != nil && ctx.Err() == nil {
			m.session.progress.say(console.Say(fmt.Sprintf("run %s is not cancelled yet: %v", shortID(holder), err)))
		}
	})
}

// displace cancels a run as `fcflow cancel` does: through its owner, else by
// taking it over. One that is being cancelled already is not asked twice, which
// would skip its `finally`.
func (e *session) displace(ctx context.Context, holder, waiter workflow.RunID) error {
	by := fmt.Sprintf("%s, by run %s of its group", whoami(), shortID(waiter))
	live, err := e.app.alive(ctx, e.store, holder)
	if err != nil {
		return err
	}
	if live == nil {
		return e.displaceHere(ctx, holder, by)
	}
	defer live.close()
	if live.client == nil {
		return withHint(fmt.Errorf("%s: %w", live.who(), workflow.ErrOwned), "cancel it on %s", live.owner.Host)
	}
	run, _, err := e.app.readRun(ctx, e.store, holder, func(workflow.Event) {})
	if err != nil || run.CancelRequests > 0 {
		return err
	}
	e.progress.say(console.Say(fmt.Sprintf("run %s is being cancelled for run %s", shortID(holder), shortID(waiter))))
	return live.client.Cancel(ctx, holder, by)
}

func (e *session) displaceHere(ctx context.Context, holder workflow.RunID, by string) error {
	x, err := e.reopen(ctx, holder)
	if err != nil {
		return err
	}
	if x.Run().CancelRequests == 0 {
		if err := x.LeaveCancel(ctx, by); err != nil {
			return errors.Join(err, x.Close())
		}
	}
	return errors.Join(e.drive(ctx, x), e.owned.release(x))
}

// waitsFor is the group in which a run waits for a place, as the JSON of runs has
// it. It is a contract that only grows.
type waitsFor struct {
	server.WaitsFor

	holders []store.Holder
}

// waiting returns what a queued run waits for; nil if for nothing. It is for
// people: what cannot be read is not worth an error.
func waiting(ctx context.Context, st *store.Store, run workflow.Summary) *waitsFor {
	if run.State != workflow.RunQueued {
		return nil
	}
	for _, c := range run.Concurrency {
		holders, err := st.Group(c.Group).Holders(ctx)
		if err != nil {
			continue
		}
		w := &waitsFor{WaitsFor: server.WaitsFor{Group: c.Group, Limit: c.Limit, HeldBy: []server.GroupPlace{}}, holders: holders}
		mine := false
		for _, h := range holders {
			mine = mine || h.Run == run.ID
			w.HeldBy = append(w.HeldBy, server.GroupPlace{Run: h.Run, Live: h.Live, Host: h.Owner.Host})
		}
		if !mine {
			return w
		}
	}
	return nil
}

func (w *waitsFor) String() string {
	return "waits for a place in group " + groupWords(w.Group, w.holders)
}

// maxHolders is how many holders are named.
const maxHolders = 4

// groupWords reads "icon: held by K3J2AB (running on login1), 7QX2CD (interrupted):
// resume or cancel it".
func groupWords(group string, holders []store.Holder) string {
	if len(holders) == 0 {
		return group + ": it is the turn of a run that waits for longer"
	}
	var live, left []string
	for _, h := range holders {
		switch {
		case !h.Live:
			left = append(left, shortID(h.Run)+" (interrupted)")
		case h.Owner.Host == "":
			live = append(live, shortID(h.Run)+" (running)")
		default:
			live = append(live, fmt.Sprintf("%s (running on %s)", shortID(h.Run), h.Owner.Host))
		}
	}
	if n := len(live) + len(left) - maxHolders; n > 0 && len(live) > n {
		live = append(live[:len(live)-n:len(live)-n], fmt.Sprintf("%d more", n))
	}
	text := fmt.Sprintf("%s: held by %s", group, strings.Join(append(live, left...), ", "))
	switch len(left) {
	case 0:
		return text
	case 1:
		return text + ": resume or cancel it"
	}
	return text + ": resume or cancel them"
}
