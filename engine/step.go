package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Step is a step type: its specification and what it does.
type Step struct {
	workflow.StepSpec
	// Run executes one entry of an attempt. It may be called several times for
	// the same attempt: after each wait, and after a restart. It must return soon
	// after ctx ends; context.Cause(ctx) then is ErrCancelled, ErrExpired or
	// ErrStopping. with is what StepSpec.Decode made.
	Run func(ctx context.Context, inv *Invocation, with any) Outcome
}

// Why the context of an attempt ended, as context.Cause tells it.
var (
	// ErrCancelled: the run is being cancelled; end the remote work, then the
	// attempt.
	ErrCancelled = errors.New("the run is being cancelled")
	// ErrExpired: a deadline of the step passed; likewise.
	ErrExpired = errors.New("the step ran out of time")
	// ErrStopping: this process ends; leave remote work alone and return. What the
	// attempt returns then is not recorded: it is entered again by the next owner.
	ErrStopping = errors.New("fcflow is stopping")
)

// Library is the set of step types an engine executes.
type Library interface {
	Lookup(uses string) (*Step, bool)
}

// Outcome is what an entry of an attempt came to: exactly one of its
// constructors below.
type Outcome struct {
	kind     outcomeKind
	outputs  any
	cause    workflow.Cause
	message  string
	tail     string
	evidence string
	rule     workflow.Rule
	again    bool
	wait     Wait
}

type outcomeKind int

const (
	kindSuccess outcomeKind = iota + 1
	kindFailure
	kindCancelled
	kindWait
)

// Success ends the attempt; outputs is the step type's output struct or a map.
func Success(outputs any) Outcome { return Outcome{kind: kindSuccess, outputs: outputs} }

// Failure ends the attempt. The message says what happened and what to do.
func Failure(cause workflow.Cause, message string) Outcome {
	return Outcome{kind: kindFailure, cause: cause, message: message}
}

// Ended ends the attempt after it was told to cancel or had expired, with the
// evidence that nothing of it goes on.
func Ended(evidence string) Outcome { return Outcome{kind: kindCancelled, evidence: evidence} }

// Suspend gives the slot back until w's topic fires or its instant passes.
func Suspend(w Wait) Outcome { return Outcome{kind: kindWait, wait: w} }

// IsZero reports whether nothing was decided.
func (o Outcome) IsZero() bool { return o.kind == 0 }

// Failed returns the cause and the message of a failure; ok is false for other
// outcomes.
func (o Outcome) Failed() (cause workflow.Cause, message string, ok bool) {
	return o.cause, o.message, o.kind == kindFailure
}

// Stopped reports whether the outcome is one of [Ended].
func (o Outcome) Stopped() bool { return o.kind == kindCancelled }

// Waits reports whether the attempt goes on later.
func (o Outcome) Waits() bool { return o.kind == kindWait }

// Succeeded reports whether the outcome is a success.
func (o Outcome) Succeeded() bool { return o.kind == kindSuccess }

// Noting adds something that people should know to the evidence.
func (o Outcome) Noting(text string) Outcome {
	if o.evidence != "" {
		text = o.evidence + "; " + text
	}
	o.evidence = text
	return o
}

// WithEvidence adds what proves the outcome.
func (o Outcome) WithEvidence(evidence string) Outcome { o.evidence = evidence; return o }

// WithRule adds by which rule the outcome was decided.
func (o Outcome) WithRule(rule workflow.Rule) Outcome { o.rule = rule; return o }

// Again has another attempt follow a failure at once, whatever the rules of the
// step say about its cause: somebody asked for it.
func (o Outcome) Again() Outcome { o.again = true; return o }

// WithTail adds the last lines of the output of what failed.
func (o Outcome) WithTail(tail string) Outcome { o.tail = tail; return o }

// without hides secrets in what the outcome says to people.
func (o Outcome) without(secrets []string) Outcome {
	for _, secret := range secrets {
		for _, text := range []*string{&o.message, &o.evidence, &o.tail, &o.wait.Message} {
			*text = strings.ReplaceAll(*text, secret, "(secret)")
		}
	}
	return o
}

// Masked passes every text of the outcome through mask, outputs included, so
// that a secret which a step printed or a server sent back is not recorded.
func (o Outcome) Masked(mask func(string) string) Outcome {
	o.message, o.tail, o.evidence = mask(o.message), mask(o.tail), mask(o.evidence)
	o.wait.Message = mask(o.wait.Message)
	text, err := json.Marshal(o.outputs)
	if err != nil || o.outputs == nil {
		return o // what cannot be written as JSON is not recorded either
	}
	if v, err := workflow.DecodeValue(text); err == nil {
		o.outputs = maskedTexts(v, mask)
	}
	return o
}

// maskedTexts masks the texts in a decoded JSON value.
func maskedTexts(v any, mask func(string) string) any {
	switch v := v.(type) {
	case string:
		return mask(v)
	case []any:
		for i := range v {
			v[i] = maskedTexts(v[i], mask)
		}
	case map[string]any:
		for k := range v {
			v[k] = maskedTexts(v[k], mask)
		}
	}
	return v
}

// Wait is what a suspended attempt waits for.
type Wait struct {
	Reason workflow.WaitReason
	// Topic is handed to the [Watcher]; "" = only time or a person ends the wait.
	Topic   string
	Until   time.Time // zero = no instant
	Message string    // shown to people
}

// Watcher tells when something outside has changed, such as the state of a job.
type Watcher interface {
	// Watch calls fire, once, when the topic has news that the attempt, which
	// began at since, does not know. It never blocks; stop ends the watch.
	Watch(topic string, since time.Time, fire func()) (stop func())
}

// Binder prepares a system for a run. Its errors wrap ErrLogin, ErrUnavailable
// or ErrConflict; any other error says that the system will never serve the run.
type Binder interface {
	// Bind logs in, learns the user's name and makes the run's remote directory,
	// below root if the workflow names one. It may be called again after a failure
	// or a crash.
	Bind(ctx context.Context, system, root string, run workflow.RunCreated) (*workflow.RunBound, error)
	// Verify checks, when a run is taken over, that we are still who it was bound
	// as: ErrConflict if not.
	Verify(ctx context.Context, site workflow.RunBound) error
}

// Progress is a passing fact for people; it is not durable.
type Progress struct {
	Done, Total int64 // bytes; Total 0 = unknown
	Text        string
}
