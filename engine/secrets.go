package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// How long an attempt waits for secrets that cannot be read: at first, and at most.
const (
	secretsPause     = 10 * time.Second
	secretsPauseMost = 5 * time.Minute
)

// withSecrets evaluates the inputs again with the values of secrets, which the
// record does not hold, and tells the attempt which they are.
func (x *Execution) withSecrets(u *workflow.Unit, inv *Invocation, recorded json.RawMessage) (json.RawMessage, error) {
	if !u.Step.Step.UsesSecrets() {
		return recorded, nil
	}
	scope := x.run.Scope(u, x.blob)
	scope.Attempt = len(u.Attempts)
	scope.Secrets = func(name string) (string, error) {
		if x.engine.cfg.Secrets == nil {
			return "", errors.New("no source of secrets is configured")
		}
		value, err := x.engine.cfg.Secrets(name)
		if value != "" {
			inv.Secrets = append(inv.Secrets, value)
		}
		return value, err
	}
	return evalWith(x.run, u, scope)
}

// unreadable is what an entry comes to whose inputs cannot be evaluated with the
// values of secrets. At the start of an attempt that is a failure. Later a job of it
// may be under way, which nobody would follow any more: the attempt waits until they
// can be read, as the file of a secret that is being replaced can in a moment.
func (x *Execution) unreadable(e *entry, why workflow.WakeReason, err error) Outcome {
	switch {
	case why == workflow.WakeStart:
		return Failure(workflow.CauseExpression, err.Error())
	case e.told && !begun(e.unit):
		return Ended("nothing was under way")
	}
	pause := max(secretsPause, x.pauses[e.unit])
	x.pauses[e.unit] = min(2*pause, secretsPauseMost)
	return Suspend(Wait{
		Reason: workflow.WaitOutage, Until: time.Now().Add(pause),
		Message: fmt.Sprintf("it goes on when its secrets can be read: %v", err),
	})
}

// begun reports whether the newest attempt of a unit may have something under way
// outside, which it must be told to end.
func begun(u *workflow.Unit) bool {
	spec, a := u.Step.Step.Spec(), u.Attempt()
	return spec.SubWorkflow || (spec.Fenced || spec.Resumable) && (a.Submission != nil || len(a.Checkpoints) > 0)
}
