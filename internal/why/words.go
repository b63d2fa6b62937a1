package why

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// wakeWords say why an attempt that waited was entered again, where that is not
// what it waited for.
var wakeWords = map[workflow.WakeReason]string{
	workflow.WakeExpired:   "told that its time is over",
	workflow.WakeCancelled: "told to end what it began",
	workflow.WakeReopened:  "looks for what went on meanwhile",
}

var skipWords = map[workflow.Cause]string{
	workflow.CauseUpstreamFailed: "something that it depends on did not go well",
	workflow.CauseSourceMissing:  "a value that it needs is missing",
	workflow.CauseConditionFalse: "its condition is false",
}

// checkpointWords are of those checkpoints of steps that people should know of,
// by their key.
var checkpointWords = map[string]string{
	"cancel":        "the scheduler is about to be asked to cancel the job",
	"missing_since": "the scheduler does not know the job, or not yet",
}

func expiry(cause workflow.Cause) string {
	switch cause {
	case workflow.CauseQueueTimeout:
		return "the job waited in the queue for as long as queue_timeout allows"
	case workflow.CauseKilled:
		return "it was in the way of another workflow"
	}
	return "the timeout of the step passed"
}

// clock is an instant within a sentence.
func clock(at time.Time) string { return at.Local().Format(time.DateTime) }

// grownWords reads "memory 32GiB, time 2h0m0s".
func grownWords(grow map[string]json.RawMessage) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(grow)) {
		value := string(grow[key])
		var text string
		if json.Unmarshal(grow[key], &text) == nil {
			value = text
		}
		parts = append(parts, key+" "+value)
	}
	return strings.Join(parts, ", ")
}

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(8, len(digest))] }

// fenceWords say how it is made sure that the payload runs once.
func fenceWords(p *workflow.SubmissionIntent) string {
	switch p.Fence {
	case workflow.FenceClaim:
		return "its claim in " + p.Control
	case workflow.FenceBlind:
		return fmt.Sprintf("its claim in %s cannot be read from here", p.Control)
	}
	return "no fence: it is known by its name alone"
}
