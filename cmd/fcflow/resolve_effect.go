package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// effect is what follows from the word of a person about a submission, as the
// events tell it.
type effect struct {
	run     workflow.RunID
	unit    workflow.UnitRef
	attempt int
	word    workflow.SubmissionResolved

	mu       sync.Mutex
	recorded bool // the word is in the history: what comes after may be its effect
	owner    *workflow.SubmissionOwner
	job      *workflow.JobObserved
	finished *workflow.AttemptFinished
	// woken: the attempt was entered after that. What it waited for before it did
	// not know the word.
	woken bool
	waits *workflow.AttemptWaiting
}

func newEffect(id workflow.RunID, u *workflow.Unit, word workflow.SubmissionResolved) *effect {
	return &effect{run: id, unit: u.Ref(), attempt: len(u.Attempts), word: word}
}

// said repeats the word.
func (f *effect) said() string {
	what := "has failed"
	switch f.word.As {
	case workflow.ResolvedJob:
		what = fmt.Sprintf("is job %s", f.word.JobID)
	case workflow.ResolvedNeverRan:
		what = "never ran"
	}
	return fmt.Sprintf("attempt %d of %s %s", f.attempt, f.unit, what)
}

// note takes an event of the run.
func (f *effect) note(e workflow.Event) {
	if e.Step != f.unit.Step || e.Instance != f.unit.Instance || e.Attempt != f.attempt {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if word, ok := e.Data.(*workflow.SubmissionResolved); ok && *word == f.word {
		f.recorded = true
	}
	if !f.recorded {
		return
	}
	switch p := e.Data.(type) {
	case *workflow.SubmissionOwner:
		f.owner = p
	case *workflow.JobObserved:
		f.job = p
	case *workflow.AttemptFinished:
		f.finished = p
	case *workflow.AttemptWaiting:
		f.waits = p
	case *workflow.AttemptWoken:
		f.woken, f.waits = true, nil
	}
}

// done reports whether the word has taken effect, or will not.
func (f *effect) done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.finished != nil || f.owner != nil && f.owner.JobID != "" {
		return true
	}
	return f.woken && f.waits != nil && (f.waits.Reason == workflow.WaitAttention || f.waits.Reason == workflow.WaitJob)
}

// report says what followed.
func (f *effect) report(a *app) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.finished != nil:
		f.reportEnd(a)
	case f.owner != nil && f.owner.JobID != "" && f.owner.JobID != f.word.JobID:
		a.note("job %s has claimed the token meanwhile: it is the one that runs, and it is followed", f.owner.JobID)
	case f.waits != nil && f.waits.Reason == workflow.WaitAttention:
		a.note("%s still waits for a person: %s", f.unit, f.waits.Message)
	case f.job != nil:
		a.note("job %s is followed; it is %s", f.job.JobID, f.job.State)
	default:
		a.note("job %s is followed", f.word.JobID)
	}
}

func (f *effect) reportEnd(a *app) {
	end := f.finished
	if f.owner != nil && f.owner.JobID == "" {
		a.note("no job of the attempt can run any more: %s", f.owner.Evidence)
	}
	text := fmt.Sprintf("attempt %d of %s %s", f.attempt, f.unit, end.State)
	if why := strings.Trim(fmt.Sprintf("%s: %s", end.Cause, firstLine(end.Message)), ": "); why != "" {
		text += ": " + why
	}
	switch {
	case end.Retry != nil && time.Until(end.Retry.At) > time.Second:
		text += "; the next one comes at " + end.Retry.At.Local().Format(time.TimeOnly)
	case end.Retry != nil:
		text += "; the next one follows"
	}
	a.note("%s", text)
}
