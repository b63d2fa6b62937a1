package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// Resume implements [server.Host].
func (h *host) Resume(ctx context.Context, id workflow.RunID, q server.ResumeRequest) (answer server.Resumed, err error) {
	free, ok := h.resumed.try(string(id))
	if !ok {
		return answer, fmt.Errorf("run %s: another request has it go on just now: look at it, and try again: %w", id, workflow.ErrConflict)
	}
	defer free()
	if q.Source == "" && q.File == "" {
		answer, err = h.takeUp(ctx, id)
		return answer, changeRefused(err)
	}
	c := change{file: q.File, texts: q.Texts, values: q.Inputs, caller: q.Dir, by: q.By}
	if q.Source != "" {
		c.source = []byte(q.Source)
	}
	answer, carryOut, err := h.foresee(ctx, id, c, q)
	if errors.Is(err, fs.ErrClosed) { // it was just let go of
		answer, carryOut, err = h.foresee(ctx, id, c, q)
	}
	if err != nil || !carryOut {
		return answer, changeRefused(err)
	}
	// From here on it is carried out, whether or not somebody waits for the answer.
	// What is in the way is ended anyway.
	err = h.inTurn(context.WithoutCancel(ctx), id, answer.InFlight, func() (*engine.Execution, error) {
		return h.change(id, c, q.CancelRunning, &answer)
	})
	return answer, changeRefused(err)
}

// takeUp has this server go on with a run that nobody drives.
func (h *host) takeUp(ctx context.Context, id workflow.RunID) (answer server.Resumed, err error) {
	h.opening.Lock()
	defer h.opening.Unlock()
	if h.ctx.Err() != nil {
		return answer, server.ErrStopping
	}
	e := h.session
	if _, err := e.owned.Find(ctx, id); err == nil {
		return answer, &worded{fmt.Sprintf("run %s: this server drives it: look at it", id), workflow.ErrOwned}
	}
	if err := h.undriven(ctx, id); err != nil {
		return answer, err
	}
	x, err := e.reopen(h.ctx, id)
	if err != nil {
		return answer, err
	}
	run := x.Run()
	if run.State.Terminal() {
		return answer, errors.Join(overAlready(id, run.State), x.Close())
	}
	if err := h.mark(id); err != nil {
		return answer, errors.Join(err, x.Close())
	}
	answer.Plan = server.Plan{Run: id, Workflow: run.Workflow.Name, Steps: []workflow.PlannedStep{}, Units: []workflow.PlannedUnit{}}
	h.log.Info().Str("run", string(id)).Msg("the run is taken over")
	h.drive(x)
	return answer, nil
}

// undriven refuses a run that has ended or that another process drives.
func (h *host) undriven(ctx context.Context, id workflow.RunID) error {
	l, err := h.session.store.Summary(ctx, id)
	if err != nil {
		return err
	}
	if l.Err == nil && l.State.Terminal() {
		return overAlready(id, l.State)
	}
	return h.nobodyElse(ctx, id)
}

// nobodyElse refuses a run that another process drives.
func (h *host) nobodyElse(ctx context.Context, id workflow.RunID) error {
	live, err := h.session.app.alive(ctx, h.session.store, id)
	if err != nil || live == nil {
		return err
	}
	defer live.close()
	if self := h.session.store.Self(); live.owner.PID == self.PID && live.owner.BootID == self.BootID {
		return &worded{fmt.Sprintf("run %s: this server is just taking it over: try again", id), workflow.ErrOwned}
	}
	return h.session.app.outOfReach(h.session.store, id, live, "stop that process, its jobs go on, and try again", "resume "+h.session.app.refer(id))
}

func overAlready(id workflow.RunID, state workflow.RunState) error {
	return fmt.Errorf("run %s has ended: %s: /retry does again what failed, and with another workflow it begins anew: %w", id, state, workflow.ErrConflict)
}

// foresee makes the plan of a change while the run goes on, so that one that is
// refused anyway disturbs nothing. It reports whether the plan is to be carried out.
func (h *host) foresee(ctx context.Context, id workflow.RunID, c change, q server.ResumeRequest) (answer server.Resumed, carryOut bool, err error) {
	from, err := h.pastOf(ctx, id)
	if err != nil {
		return answer, false, err
	}
	p, err := h.session.app.prepareReplan(ctx, from, c)
	if err != nil {
		return answer, false, err
	}
	answer = p.resumed()
	switch {
	case q.DryRun, p.idle():
		return answer, false, nil
	case len(p.plan.InFlight) > 0 && !q.CancelRunning:
		return answer, false, inTheWay(p)
	}
	return answer, true, nil
}

// pastOf reads a run that this process drives, or nobody.
func (h *host) pastOf(ctx context.Context, id workflow.RunID) (past, error) {
	a, st := h.session.app, h.session.store
	h.opening.Lock() // nobody is just taking it over
	mine, err := h.session.owned.Find(ctx, id)
	h.opening.Unlock()
	if err == nil {
		source, err := st.Frozen(ctx, id)
		return past{source, reading(mine.Events), func(ctx context.Context, f func(workflow.BlobReader) error) error {
			return f(func(digest string) ([]byte, error) { return mine.Blob(ctx, digest) })
		}}, err
	}
	if err := h.nobodyElse(ctx, id); err != nil {
		return past{}, err
	}
	return a.pastOf(ctx, st, id)
}

func (p *replan) resumed() server.Resumed {
	answer := server.Resumed{Plan: *p.shown(), InFlight: p.plan.InFlight}
	if p.idle() {
		answer.Ended = p.state
	}
	return answer
}

func inTheWay(p *replan) error {
	return withHint(fmt.Errorf("run %s: under way, and changed by the workflow: %s: %w", p.run.ID, few(p.plan.InFlight), workflow.ErrConflict),
		"let them end, or have them ended first: cancel_running (--cancel-running)")
}

// change carries a change out, in the turn of whoever asks. It returns the run to be
// driven with the new workflow.
func (h *host) change(id workflow.RunID, c change, cancelRunning bool, answer *server.Resumed) (*engine.Execution, error) {
	if h.ctx.Err() != nil {
		return nil, server.ErrStopping
	}
	a, st := h.session.app, h.session.store
	from, err := a.pastOf(h.ctx, st, id)
	if err != nil {
		return nil, err
	}
	p, err := a.prepareReplan(h.ctx, from, c)
	if err != nil {
		return nil, err
	}
	*answer = p.resumed()
	switch {
	case p.idle():
		return nil, nil
	case len(p.plan.InFlight) > 0 && !cancelRunning:
		return nil, inTheWay(p)
	case len(p.plan.InFlight) > 0:
		if err := h.endUnits(p, id); err != nil {
			return nil, err
		}
		return h.change(id, c, false, answer) // nothing began meanwhile
	}
	if answer.PlanFile, err = st.PutPlan(id, p.number, &answer.Plan); err != nil {
		return nil, err
	}
	x, err := h.session.reopenWith(h.ctx, id, systemsOf(p.workflow, p.created())...)
	if err != nil {
		return nil, err
	}
	if err := h.marking(x, func() error { return h.session.replace(h.ctx, x, p) }); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	h.log.Info().Str("run", string(id)).Str("workflow", p.workflow.Name).Str("by", c.by).Int("plan", p.number).Msg("the run goes on with another workflow")
	return x, nil
}

// endUnits ends what is in the way of the new workflow. Others may take over runs
// meanwhile, and ask this one.
func (h *host) endUnits(p *replan, id workflow.RunID) error {
	e := h.session
	x, err := e.reopen(h.ctx, id)
	if err != nil {
		return err
	}
	e.owned.add(x)
	h.opening.Unlock()
	err = x.EndUnits(h.ctx, p.plan.InFlight)
	h.opening.Lock()
	return errors.Join(err, putSummary(e.store, x), e.owned.release(x))
}

// changeRefused says what is wrong with a change in words that say all, and keeps
// what kind of mistake it is.
func changeRefused(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, errInterrupted):
		return fmt.Errorf("%w: the run goes on with the next start", server.ErrStopping)
	}
	if errors.Is(err, errInvalid) || errors.Is(err, settings.ErrNoSecret) {
		return refused(err)
	}
	var hint *hinted
	if errors.As(err, &hint) {
		return &worded{fmt.Sprintf("%s: %s", plain(err), hint.hint), err}
	}
	return err
}

// worded is an error in other words.
type worded struct {
	text string
	is   error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.is }
