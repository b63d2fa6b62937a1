package engine

import (
	"strings"
	"unicode/utf8"

	"github.com/fcflow/fcflow/workflow"
)

// Bounds of texts in an event, in bytes of JSON. Together they stay below
// [workflow.MaxEventBytes], so that nothing a step or a server says can keep an
// event from being stored.
const (
	maxMessage = 8 << 10
	maxTail    = 24 << 10
	maxDetail  = 4 << 10
	maxID      = 256 // no scheduler gives ids nearly as long

	// What is compared or used later is refused rather than cut: who we are on a
	// system and where the run works there, and the paths and the account of a
	// submission. Four paths of the greatest length that systems take fit.
	maxBoundText  = 4 * 4096
	maxIntentText = 4 * 4096
)

// bound cuts what people read in an event, where it is too long.
func bound(p workflow.Payload) {
	switch p := p.(type) {
	case *workflow.CancelRequested:
		cut(&p.By, maxDetail)
	case *workflow.UnitsReset:
		cut(&p.By, maxDetail)
	case *workflow.RunReplanned:
		cut(&p.By, maxDetail)
	case *workflow.RunBound:
		cut(&p.Version, maxDetail)
		cut(&p.Scheduler, maxDetail)
		cut(&p.SchedulerVersion, maxDetail)
	case *workflow.RunFinished:
		cut(&p.Message, maxMessage)
	case *workflow.StepExpanded:
		cut(&p.Message, maxMessage)
	case *workflow.UnitSkipped:
		cut(&p.Message, maxMessage)
	case *workflow.UnitFailed:
		cut(&p.Message, maxMessage)
	case *workflow.AttemptWaiting:
		cut(&p.Message, maxMessage)
	case *workflow.AttemptFinished:
		cut(&p.Message, maxMessage)
		cut(&p.Evidence, maxDetail)
		p.Tail = tail(p.Tail)
	case *workflow.SubmissionOutcome:
		cut(&p.JobID, maxID)
		cut(&p.Message, maxMessage)
		cut(&p.RequestID, maxDetail)
	case *workflow.SubmissionLooked:
		p.Jobs = p.Jobs[:min(len(p.Jobs), maxJobs)]
		for i := range p.Jobs {
			cut(&p.Jobs[i], maxID)
		}
		p.Calls = boundCalls(p.Calls)
	case *workflow.SubmissionOwner:
		cut(&p.JobID, maxID)
		cut(&p.Evidence, maxDetail)
		p.Calls = boundCalls(p.Calls)
	case *workflow.SubmissionResolved:
		cut(&p.JobID, maxID)
		cut(&p.By, maxDetail)
	case *workflow.ApprovalGiven:
		cut(&p.By, maxDetail)
		cut(&p.Note, maxMessage)
	case *workflow.JobObserved:
		cut(&p.JobID, maxID)
		for _, text := range []*string{&p.State, &p.Reason, &p.Stdout, &p.Stderr} {
			cut(text, maxDetail)
		}
	}
}

// Bounds of the jobs with one token that are kept, and of the calls of one look, of
// which the last ones are, with their texts.
const (
	maxJobs     = 100
	maxCalls    = 10
	maxCallText = 1 << 10
)

func boundCalls(calls []workflow.CallFact) []workflow.CallFact {
	calls = calls[max(0, len(calls)-maxCalls):]
	for i := range calls {
		for _, text := range []*string{&calls[i].Operation, &calls[i].RequestID, &calls[i].Said} {
			cut(text, maxCallText)
		}
	}
	return calls
}

const ellipsis = "…"

// cut keeps the beginning of a text.
func cut(text *string, limit int) {
	if 6*len(*text) <= limit { // however it is escaped
		return
	}
	room, end := limit, 0
	for i, r := range *text {
		if room -= escaped(r); room < 0 {
			*text = (*text)[:end] + ellipsis
			return
		}
		if room >= len(ellipsis) {
			end = i + utf8.RuneLen(r)
		}
	}
}

// tail keeps the last whole lines of a text, or the end of the last one.
func tail(text string) string {
	if 6*len(text) <= maxTail {
		return text
	}
	room, start := maxTail-len(ellipsis), len(text)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if room -= escaped(r); room < 0 {
			break
		}
		start -= size
	}
	if start == 0 {
		return text
	}
	kept := text[start:]
	if _, whole, ok := strings.Cut(kept, "\n"); ok && whole != "" {
		return whole
	}
	return ellipsis + kept
}

// escapedLen is how many bytes a text takes in JSON, at most.
func escapedLen(text string) (n int) {
	for _, r := range text {
		n += escaped(r)
	}
	return n
}

// escaped is how many bytes a character takes in JSON, at most.
func escaped(r rune) int {
	switch {
	case r < ' ', r == 0x7f, r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return 6
	case r == '"', r == '\\':
		return 2
	}
	return utf8.RuneLen(r)
}
