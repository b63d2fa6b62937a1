package engine

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

const (
	backoffFirst = 10 * time.Second
	backoffMost  = 10 * time.Minute
	// ownTries is how many attempts an idempotent step gets after api and transfer
	// failures that no rule names.
	ownTries = 4
	ownRule  = -1
)

// retryAfter decides whether another attempt follows a failure, and when. Nil
// means no.
func retryAfter(run *workflow.Run, u *workflow.Unit, cause workflow.Cause, with json.RawMessage, now time.Time) (*workflow.Retry, error) {
	step := u.Step.Step
	if run.Cancelling(step) || cause == workflow.CauseExpression || !u.Attempt().Submission.Over() {
		return nil, nil
	}
	retry := &workflow.Retry{At: now.Add(backoff(run, u)), Rule: ownRule}
	index, rule := ruleFor(step, cause)
	if rule == nil {
		if own := cause == workflow.CauseAPI || cause == workflow.CauseTransfer; !own ||
			!idempotent(step.Spec(), with) || len(u.Tries()) >= min(ownTries, step.MaxAttempts) {
			return nil, nil
		}
		return retry, nil
	}
	if used(u, index) >= rule.Max || len(u.Tries()) >= step.MaxAttempts {
		return nil, nil
	}
	retry.Rule = index
	if len(rule.Grow) == 0 {
		return retry, nil
	}
	grown, err := grow(rule, with)
	if err != nil || len(grown) == 0 {
		return nil, err
	}
	retry.Grow = grown
	return retry, nil
}

// idempotent reports whether an attempt with these inputs may run again from the
// start.
func idempotent(spec *workflow.StepSpec, with json.RawMessage) bool {
	return spec.Idempotent || spec.IdempotentWith != nil && spec.IdempotentWith(with)
}

// ruleFor returns the first rule that names the cause.
func ruleFor(step *workflow.Step, cause workflow.Cause) (int, *workflow.RetryRule) {
	for i, rule := range step.Retry {
		for _, c := range rule.Causes {
			if c.Covers(cause) {
				return i, rule
			}
		}
	}
	return 0, nil
}

// used counts how often a rule has led to another attempt of the unit since it
// was last reset.
func used(u *workflow.Unit, rule int) int {
	n := 0
	for _, a := range u.Tries() {
		if a.End != nil && a.End.Retry != nil && a.End.Retry.Rule == rule {
			n++
		}
	}
	return n
}

// backoff is 10 s × 2ⁿ, at most 10 min, ±20 % that follow from the token, so
// that a replay decides the same.
func backoff(run *workflow.Run, u *workflow.Unit) time.Duration {
	d := backoffMost
	if n := len(u.Tries()) - 1; n < 6 {
		d = min(backoffFirst<<n, backoffMost)
	}
	h := fnv.New32a()
	fmt.Fprint(h, workflow.Token(run.Created.Nonce, u.Ref(), len(u.Attempts)))
	spread := float64(h.Sum32())/(1<<32)*0.4 - 0.2
	return d + time.Duration(spread*float64(d))
}

// resources is the part of a step's inputs that a rule can grow.
type resources struct {
	Resources map[string]json.RawMessage `json:"resources"`
}

// grow multiplies the resources of the last attempt, within the rule's bounds.
// It returns only what changed: nothing when every value is at its bound.
func grow(rule *workflow.RetryRule, with json.RawMessage) (map[string]json.RawMessage, error) {
	var last resources
	if err := json.Unmarshal(with, &last); err != nil {
		return nil, err
	}
	grown := map[string]json.RawMessage{}
	for key, factor := range rule.Grow {
		now, ok := last.Resources[key]
		if !ok || string(now) == "null" {
			continue
		}
		next, err := workflow.GrowResource(key, now, factor, rule.Until[key])
		if err != nil {
			return nil, fmt.Errorf("grow %s: %w", key, err)
		}
		if string(next) != string(now) {
			grown[key] = next
		}
	}
	return grown, nil
}

// evalWith evaluates a unit's inputs for its next attempt, with the resources
// that the last failure raised.
func evalWith(run *workflow.Run, u *workflow.Unit, scope *workflow.Scope) (json.RawMessage, error) {
	with, err := run.Workflow.EvalWith(u.Step.Step, scope)
	if err != nil {
		return nil, err
	}
	raised := raisedResources(u)
	if len(raised) == 0 {
		return with, nil
	}
	var inputs map[string]json.RawMessage
	if err := json.Unmarshal(with, &inputs); err != nil {
		return nil, err
	}
	var own resources
	if err := json.Unmarshal(with, &own); err != nil {
		return nil, err
	}
	if own.Resources == nil { // it depends on the attempt, and this one asks for none
		return with, nil
	}
	maps.Copy(own.Resources, raised)
	if inputs["resources"], err = workflow.CanonicalJSON(own.Resources); err != nil {
		return nil, err
	}
	return workflow.CanonicalJSON(inputs)
}

// raisedResources collects what the retries have raised since the unit was last
// reset.
func raisedResources(u *workflow.Unit) map[string]json.RawMessage {
	var raised map[string]json.RawMessage
	for _, a := range u.Tries() {
		if a.End == nil || a.End.Retry == nil {
			continue
		}
		for key, value := range a.End.Retry.Grow {
			if raised == nil {
				raised = map[string]json.RawMessage{}
			}
			raised[key] = value
		}
	}
	return raised
}
