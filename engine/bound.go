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
	case *workflow.UnitFailed:
		cut(&p.Message, maxMessage)
	case *workflow.AttemptWaiting:
		cut(&p.Message, maxMessage)
	case *workflow.AttemptFinished:
		cut(&p.Message, maxMessage)
		cut(&p.Evidence, maxDetail)
		p.Tail = tail(p.Tail)
	case *workflow.SubmissionOutcome:
		cut(&p.Message, maxMessage)
		cut(&p.RequestID, maxDetail)
	case *workflow.SubmissionLooked:
		p.Jobs = p.Jobs[:min(len(p.Jobs), maxJobs)]
		boundCalls(p.Calls)
	case *workflow.SubmissionOwner:
		cut(&p.Evidence, maxDetail)
		boundCalls(p.Calls)
	case *workflow.SubmissionResolved:
		cut(&p.By, maxDetail)
	case *workflow.ApprovalGiven:
		cut(&p.By, maxDetail)
		cut(&p.Note, maxMessage)
	case *workflow.JobObserved:
		for _, text := range []*string{&p.State, &p.Reason, &p.Stdout, &p.Stderr} {
			cut(text, maxDetail)
		}
	}
}

// maxJobs bounds how many jobs with one token are kept.
const maxJobs = 100

func boundCalls(calls []workflow.CallFact) {
	for i := range calls {
		for _, text := range []*string{&calls[i].Operation, &calls[i].RequestID, &calls[i].Said} {
			cut(text, maxDetail)
		}
	}
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
