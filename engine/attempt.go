package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// entry is one call of a step's function: an attempt that occupies a slot.
type entry struct {
	unit   *workflow.Unit
	with   json.RawMessage
	told   bool // the step knows that it is to stop
	asked  int  // and how often that was asked for
	cancel context.CancelCauseFunc
	inv    *Invocation
	// fragile: a later owner could not go on with it.
	fragile bool
}

// reenter deals with the attempts that the last owner left under way. What waits
// for something remote is entered anyway; other waits are watched again.
func (x *Execution) reenter() {
	for _, s := range x.run.Steps {
		for _, u := range s.Units {
			switch {
			case u.State == workflow.Running:
				x.resume(u)
			case u.State == workflow.Waiting && !u.Wait.Reason.Remote():
				x.watchLater(u, u.Wait.Topic)
			}
		}
	}
}

// resume enters an attempt again that was running when the last owner ended, if
// it can be continued; else it failed.
func (x *Execution) resume(u *workflow.Unit) {
	with, err := u.Attempt().With.Load(x.blob)
	if err != nil || !continues(u.Step.Step.Spec(), with) {
		x.conclude(u, false, with, Failure(workflow.CauseInterrupted,
			"fcflow ended while this ran, and nobody knows how far it came"), nil)
		return
	}
	x.acts = append(x.acts, func() { x.enter(u, workflow.WakeReopened) })
	x.engine.pool.force()
	x.slots++
}

// continues reports whether an attempt with these inputs may be entered again
// after its process has died in it.
func continues(spec *workflow.StepSpec, with json.RawMessage) bool {
	return spec.Fenced || spec.Resumable || idempotent(spec, with)
}

// enter calls the step's function for an attempt that is running by the record.
func (x *Execution) enter(u *workflow.Unit, why workflow.WakeReason) {
	inv := x.invocation(u, why)
	ctx, cancel := context.WithCancelCause(x.ctx)
	e := &entry{unit: u, told: inv.Stopping(), asked: x.run.CancelRequests, cancel: cancel, inv: inv}
	x.live[u] = e
	with, err := u.Attempt().With.Load(x.blob)
	if err != nil {
		go x.finish(e, Failure(workflow.CausePanic, fmt.Sprintf("read inputs: %v", err)))
		return
	}
	e.with = with
	if spec := u.Step.Step.Spec(); spec != nil && !continues(spec, with) {
		e.fragile = true
		x.fragile.Add(1)
	}
	step, ok := x.engine.cfg.Library.Lookup(u.Step.Step.Uses)
	if !ok || step.Run == nil {
		go x.finish(e, Failure(workflow.CausePanic, fmt.Sprintf("this fcflow does not execute %q", u.Step.Step.Uses)))
		return
	}
	secret, err := x.withSecrets(u, inv, with)
	if err != nil {
		out := x.unreadable(e, why, err).without(inv.Secrets)
		go x.finish(e, out)
		return
	}
	delete(x.pauses, u)
	go func() { x.finish(e, call(ctx, step, inv, secret)) }()
}

// call runs the step's function; a panic becomes a failure of the attempt.
// Values of secrets are taken out of what it says.
func call(ctx context.Context, step *Step, inv *Invocation, with json.RawMessage) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			inv.Logger.Error().Bytes("stack", debug.Stack()).Msg("step panicked")
			out = Failure(workflow.CausePanic, fmt.Sprintf("the step panicked: %v; please report this", p))
		}
		out = out.without(inv.Secrets)
	}()
	in, err := step.Decode(with)
	if err != nil {
		return Failure(workflow.CauseExpression, err.Error())
	}
	return step.Run(ctx, inv, in)
}

// finish hands an outcome to the owner.
func (x *Execution) finish(e *entry, out Outcome) {
	x.send(func(x *Execution) {
		stopping := x.ctx.Err() != nil
		e.cancel(nil)
		delete(x.live, e.unit)
		if e.fragile {
			x.fragile.Add(-1)
		}
		x.slots--
		x.engine.pool.give(1)
		// What an attempt makes of being stopped says nothing about its work: the
		// next owner enters it again.
		if stopping && out.kind != kindSuccess && out.kind != kindWait {
			return
		}
		told := e.told
		if spec := e.unit.Step.Step.Spec(); spec != nil && spec.SubWorkflow && e.asked < x.run.CancelRequests {
			told = false // another request is one more for the run it waits for
		}
		x.conclude(e.unit, told, e.with, out, e.inv.requests.count())
	})
}

// conclude records the outcome of an entry and arms what it waits for.
func (x *Execution) conclude(u *workflow.Unit, told bool, with json.RawMessage, out Outcome, made map[string]int) {
	payload, blobs := conclude(x.run, u, told, out, with, time.Now().UTC())
	withRequests(payload, made)
	x.emit(command{unit: u, attempt: len(u.Attempts), payload: payload, blobs: blobs})
	switch p := payload.(type) {
	case *workflow.AttemptWaiting:
		x.watchLater(u, p.Topic)
	case *workflow.AttemptFinished:
		token := workflow.Token(x.run.Created.Nonce, u.Ref(), len(u.Attempts))
		child := x.childOf(u).created.ID
		x.acts = append(x.acts, func() {
			x.forgetPrivate(token)
			x.kids.forget(child)
		})
	}
}

// watchLater watches a topic, if there is one, once the wait for it is durable.
func (x *Execution) watchLater(u *workflow.Unit, topic string) {
	if x.canWatch(topic) {
		x.acts = append(x.acts, func() { x.watch(u, topic) })
	}
}

// watch has the unit entered again when its topic has news.
func (x *Execution) watch(u *workflow.Unit, topic string) {
	x.unwatch(u)
	stop := x.watchTopic(u, topic, func() {
		go x.send(func(x *Execution) {
			if w, ok := x.watches[u]; ok && w.topic == topic && u.State == workflow.Waiting {
				x.fired = append(x.fired, u)
			}
		})
	})
	x.watches[u] = watch{topic: topic, stop: stop}
}

func (x *Execution) unwatch(u *workflow.Unit) {
	if w, ok := x.watches[u]; ok {
		delete(x.watches, u)
		w.stop()
	}
}

// dropFired forgets news for units that do not wait any more.
func (x *Execution) dropFired() {
	kept := x.fired[:0]
	for _, u := range x.fired {
		if u.State == workflow.Waiting {
			kept = append(kept, u)
		}
	}
	clear(x.fired[len(kept):])
	x.fired = kept
}

// interrupt tells the live attempts that are to stop. One that was entered to be
// told is at it already: cut short, it would wait for what nobody will tell it.
func (x *Execution) interrupt() {
	for u, e := range x.live {
		switch {
		case e.told:
		case x.run.Cancelling(u.Step.Step):
			e.cancel(ErrCancelled)
		case u.Attempt().Expired != "":
			e.cancel(ErrExpired)
		}
	}
}

// invocation tells an attempt about itself.
func (x *Execution) invocation(u *workflow.Unit, why workflow.WakeReason) *Invocation {
	a, ref := u.Attempt(), u.Ref()
	inv := &Invocation{
		Run: x.run.Created, Site: x.run.Sites[a.System], Unit: ref, Attempt: a.Number, Reason: why,
		Token: workflow.Token(x.run.Created.Nonce, ref, a.Number),
		Epoch: x.run.Epoch, Place: x.run.Place(u),
		StartedAt: a.StartedAt, GiveUpAfter: u.Step.Step.GiveUpAfter,
		Cancelling: x.run.Cancelling(u.Step.Step), Expired: a.Expired,
		Logger: x.logger.With().Str("step", ref.String()).Str("step_type", u.Step.Step.Uses).
			Int("attempt", a.Number).Logger(),
		job: a.Job, approval: a.Approval, checkpoints: map[string]workflow.Body{},
		earlier: slices.Clone(u.Attempts[:len(u.Attempts)-1]),
	}
	inv.JobName = workflow.JobName(inv.Token, ref.String())
	switch {
	case inv.Cancelling:
		inv.Reason = workflow.WakeCancelled
	case inv.Expired != "":
		inv.Reason = workflow.WakeExpired
	}
	for key, value := range a.Checkpoints {
		inv.checkpoints[key] = value
	}
	inv.submission, inv.child = a.Submission.Clone(), x.childOf(u)
	inv.owner = &attemptRecorder{x: x, unit: u, number: a.Number, token: inv.Token}
	return inv
}

// attemptRecorder is the owner as one attempt sees it.
type attemptRecorder struct {
	x      *Execution
	unit   *workflow.Unit
	number int
	token  string
}

// record makes payloads of the attempt durable before it returns.
func (r *attemptRecorder) record(ctx context.Context, payloads []workflow.Payload, blobs []workflow.Blob) error {
	if f := r.x.engine.cfg.Turn; f != nil {
		f(r.token)
	}
	// A fact that is about to be acted on is stored even while the attempt is being
	// told to stop.
	return r.x.ask(context.WithoutCancel(ctx), func() error {
		for i, p := range payloads {
			c := command{unit: r.unit, attempt: r.number, payload: p}
			if i == 0 {
				c.blobs = blobs
			}
			r.x.emit(c)
		}
		return nil
	})
}

// inspect calls f with the folded run, which it must not keep.
func (r *attemptRecorder) inspect(ctx context.Context, f func(*workflow.Run)) error {
	// An attempt that is being told to stop still has to learn what it is to stop.
	return r.x.ask(context.WithoutCancel(ctx), func() error { f(r.x.run); return nil })
}

func (r *attemptRecorder) blob(digest string) ([]byte, error) {
	return r.x.history.Blob(context.Background(), digest)
}

func (r *attemptRecorder) logPath(name string) (string, error) {
	if r.x.engine.cfg.LogDir == nil {
		return "", fmt.Errorf("no directory for logs is configured")
	}
	dir := r.x.engine.cfg.LogDir(r.x.id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, LogName(r.unit.Ref(), r.number, name)), nil
}

// LogName is the name of a log file of an attempt. An instance key, which may
// hold any character, is shortened to its digest.
func LogName(unit workflow.UnitRef, attempt int, name string) string {
	if unit.Instance == "" {
		return fmt.Sprintf("%s.%d.%s", unit.Step, attempt, name)
	}
	key := workflow.NewBlob([]byte(unit.Instance)).Digest[:12]
	return fmt.Sprintf("%s-%s.%d.%s", unit.Step, key, attempt, name)
}

func (r *attemptRecorder) progress(p Progress) {
	if f := r.x.engine.cfg.Progress; f != nil {
		f(r.x.id, r.unit.Ref(), p)
	}
}
