package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// maxOutputText bounds one text of an output; all outputs of a unit are bounded
// as every value is.
const maxOutputText = 64 << 10

// conclude turns the outcome of an entry into the event that records it.
func conclude(run *workflow.Run, u *workflow.Unit, told bool, out Outcome, with json.RawMessage, now time.Time) (workflow.Payload, []workflow.Blob) {
	switch out.kind {
	case kindSuccess:
		return succeed(run, u, out, with, now)
	case kindCancelled:
		return ended(run, u, out, with, now), nil
	case kindWait:
		return suspend(run, u, told, out, with, now), nil
	case kindFailure:
		if out.ours() && !u.Attempt().Submission.Over() {
			return suspend(run, u, told, abandoned(out), with, now), nil
		}
		return fail(run, u, out, with, now), nil
	}
	return conclude(run, u, told, Failure(workflow.CausePanic, "the step returned no outcome; please report this"), with, now)
}

// ours reports whether the failure is one of fcflow: it says nothing about the job.
func (o Outcome) ours() bool {
	return o.cause == workflow.CausePanic || o.cause == workflow.CauseInterrupted
}

// abandoned is what becomes of an attempt that fcflow fails to go on with while its
// job may be under way. As a failure it would leave the job to nobody, and could
// never be done again.
func abandoned(out Outcome) Outcome {
	return Suspend(Wait{
		Reason:  workflow.WaitAttention,
		Message: out.message + "; its job may be under way: it is looked at again when the run is resumed, or when somebody says what became of it with `fcflow resolve`",
	})
}

// succeed checks that every declared output is there and of bearable size.
func succeed(run *workflow.Run, u *workflow.Unit, out Outcome, with json.RawMessage, now time.Time) (workflow.Payload, []workflow.Blob) {
	text, err := workflow.CanonicalJSON(out.outputs)
	switch {
	case errors.Is(err, workflow.ErrValueTooLarge):
		return fail(run, u, Failure(workflow.CauseOutputTooLarge, fmt.Sprintf("the outputs together: %v; write them to a file", err)), with, now), nil
	case err != nil:
		return fail(run, u, Failure(workflow.CausePanic, fmt.Sprintf("outputs cannot be written as JSON: %v", err)), with, now), nil
	}
	if cause, message := checkOutputs(u.Step.Step.Spec(), with, text); cause != "" {
		return fail(run, u, Failure(cause, message).WithEvidence(out.evidence).WithRule(out.rule), with, now), nil
	}
	end := &workflow.AttemptFinished{State: workflow.Succeeded, Evidence: out.evidence, Rule: out.rule}
	if string(text) == "null" || string(text) == "{}" {
		return end, nil
	}
	var blobs []workflow.Blob
	end.Outputs, blobs = workflow.NewBody(text)
	return end, blobs
}

func checkOutputs(spec *workflow.StepSpec, with, text json.RawMessage) (workflow.Cause, string) {
	declared := spec.AllOutputs(with)
	if len(declared) == 0 {
		return "", ""
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(text, &got); err != nil {
		return workflow.CauseOutputMissing, "the outputs are not an object"
	}
	for _, f := range declared {
		value, ok := got[f.Name]
		if f.Required && (!ok || string(value) == "null") {
			return workflow.CauseOutputMissing, fmt.Sprintf("output %q was not delivered", f.Name)
		}
		var text string
		if len(value) > maxOutputText && json.Unmarshal(value, &text) == nil && len(text) > maxOutputText {
			return workflow.CauseOutputTooLarge, fmt.Sprintf("output %q takes %d bytes; at most %d are kept: write it to a file", f.Name, len(text), maxOutputText)
		}
	}
	return "", ""
}

// ended records that an attempt that was told to stop has nothing going on any
// more: by a cancel, or else by a deadline, which is a failure like any other.
func ended(run *workflow.Run, u *workflow.Unit, out Outcome, with json.RawMessage, now time.Time) workflow.Payload {
	a := u.Attempt()
	switch {
	case run.Cancelling(u.Step.Step):
		return &workflow.AttemptFinished{State: workflow.Cancelled, Evidence: out.evidence, Rule: out.rule}
	case a.Expired != "":
		return fail(run, u, Failure(a.Expired, expiredMessage(u, a)).WithEvidence(out.evidence).WithRule(out.rule), with, now)
	}
	return fail(run, u, Failure(workflow.CausePanic, "the step ended as cancelled, and nobody asked for that; please report this"), with, now)
}

func expiredMessage(u *workflow.Unit, a *workflow.Attempt) string {
	switch a.Expired {
	case workflow.CauseKilled:
		return "ended, because the workflow of the run is replaced"
	case workflow.CauseQueueTimeout:
		return fmt.Sprintf("the job did not start within queue_timeout (%s)", u.Step.Step.QueueTimeout)
	}
	return fmt.Sprintf("not done within timeout (%s)", u.Step.Step.Timeout)
}

// suspend records a wait. An entry that was not told of a cancel or a deadline
// that came meanwhile is due at once, to be told; one that waits for nothing
// outside ends by it.
func suspend(run *workflow.Run, u *workflow.Unit, told bool, out Outcome, with json.RawMessage, now time.Time) workflow.Payload {
	w := out.wait
	stopping := run.Cancelling(u.Step.Step) || u.Attempt().Expired != ""
	if stopping && !w.Reason.Remote() && !u.Attempt().Submission.Doubtful() {
		return ended(run, u, Ended("nothing was under way"), with, now)
	}
	waiting := &workflow.AttemptWaiting{Reason: w.Reason, Topic: w.Topic, Until: w.Until.UTC(), Message: w.Message}
	if stopping && !told {
		waiting.Until = now
	}
	return waiting
}

func fail(run *workflow.Run, u *workflow.Unit, out Outcome, with json.RawMessage, now time.Time) workflow.Payload {
	end := &workflow.AttemptFinished{
		State: workflow.Failed, Cause: out.cause, Message: out.message, Evidence: out.evidence, Rule: out.rule, Tail: out.tail,
	}
	if out.again && !run.Cancelling(u.Step.Step) && u.Attempt().Submission.Over() {
		end.Retry = &workflow.Retry{At: now, Rule: ownRule}
		return end
	}
	retry, err := retryAfter(run, u, out.cause, with, now)
	if err != nil {
		end.Message = fmt.Sprintf("%s; no other attempt: %v", end.Message, err)
	}
	end.Retry = retry
	return end
}
