package steps

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// failure is an error that says by itself how the attempt ends.
type failure struct {
	cause   workflow.Cause
	message string
}

func (f *failure) Error() string { return f.message }

// fail ends the attempt with a cause.
func fail(cause workflow.Cause, format string, args ...any) error {
	return &failure{cause, fmt.Sprintf(format, args...)}
}

// refuse ends the attempt before anything was asked of the server: what is
// wanted cannot be done.
func refuse(format string, args ...any) error {
	return fail(workflow.CauseRejected, format, args...)
}

// slowError marks an operation whose work may take longer than the server lets
// a command run, so that waiting for better times would not help.
type slowError struct {
	error
	hint string
}

func (e *slowError) Unwrap() error { return e.error }

func slow(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &slowError{err, hint}
}

// maxTimeouts is how often an operation of an attempt may pass the server's
// time limit before it counts as too slow.
const maxTimeouts = 3

func isNotFound(err error) bool { return errors.Is(err, firecrest.ErrNotFound) }

// causeOf says what an error of the API means for the step: a cause, or true if
// the service is in trouble and the same request may well succeed later.
func causeOf(err error) (cause workflow.Cause, outage bool) {
	var answer *firecrest.Error
	switch {
	case isQuota(err):
		return workflow.CauseDiskQuota, false
	case !errors.As(err, &answer): // refused by the client before anything was sent
		return workflow.CauseRejected, false
	case errors.Is(err, firecrest.ErrUnauthenticated):
		return "", true // of a token that was good a minute ago
	case shellFailed(answer):
		return workflow.CauseRejected, false
	case answer.Retryable(), answer.Status == 0:
		return "", true
	}
	return workflow.CauseRejected, false
}

// shellFailed reports whether the remote command ran and failed for a reason of
// its own, such as "Is a directory": that is an answer, not an outage.
func shellFailed(e *firecrest.Error) bool {
	return e.FromServer() && !errors.Is(e, firecrest.ErrTimeout) &&
		strings.HasPrefix(e.Message, "Remote process fai") // led; release 2.1 says "faild"
}

func isQuota(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "Disk quota exceeded") || strings.Contains(text, "No space left on device")
}

// failed ends an entry with an error: for good, or until the service is well
// again.
func (c *call) failed(ctx context.Context, err error) engine.Outcome {
	if ctx.Err() != nil {
		return engine.Ended("no request of the step is under way any more")
	}
	var known *failure
	if errors.As(err, &known) {
		return engine.Failure(known.cause, known.message)
	}
	var journal *datatransfer.JournalError
	if errors.As(err, &journal) {
		return lost(err)
	}
	cause, outage := causeOf(err)
	if outage {
		return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
	}
	return engine.Failure(cause, plainly(err))
}

// plainly is an error for people: of a command that failed on the system, what
// it said, without how it was asked for.
func plainly(err error) string {
	text := err.Error()
	var answer *firecrest.Error
	if errors.As(err, &answer) {
		if words := answer.CommandSaid(); words != "" {
			text = strings.Replace(text, answer.Error(), fmt.Sprintf("%s: %s (request %s)", answer.System, words, answer.RequestID), 1)
		}
	}
	return text
}

// outageKey is the checkpoint that counts what went wrong in a row.
const outageKey = "outage"

type outageCount struct {
	Since    time.Time `json:"since"`
	Failures int       `json:"failures"`
	Timeouts int       `json:"timeouts,omitempty"`
}

// outage waits for a service that gives no usable answer: 10 s at first, then
// twice as long each time up to 5 min, and not shorter than the server asks.
// When the patience of the step is over, it fails.
func (c *call) outage(ctx context.Context, err error, w engine.Wait) engine.Outcome {
	now := time.Now()
	var count outageCount
	if _, err := c.Load(outageKey, &count); err != nil {
		return lost(err)
	}
	if count.Failures++; count.Failures == 1 {
		count.Since = now
	}
	var tooSlow *slowError
	if errors.As(err, &tooSlow) && errors.Is(err, firecrest.ErrTimeout) {
		if count.Timeouts++; count.Timeouts >= maxTimeouts {
			return engine.Failure(workflow.CauseAPI, fmt.Sprintf("took longer than the server lets a command run, %d times; %s: %v", count.Timeouts, tooSlow.hint, err))
		}
	}
	pause := c.library.outages.after(count.Failures)
	var answer *firecrest.Error
	if errors.As(err, &answer) {
		pause = max(pause, answer.RetryAfter())
	}
	w.Until = now.Add(pause)
	if c.GiveUpAfter > 0 {
		end := count.Since.Add(c.GiveUpAfter)
		if !now.Before(end) {
			return engine.Failure(workflow.CauseAPI, fmt.Sprintf("no usable answer for %s: %v", c.GiveUpAfter, err))
		}
		if end.Before(w.Until) {
			w.Until = end
		}
	}
	if w.Message == "" {
		w.Message = err.Error()
	}
	if err := c.keep(ctx, outageKey, count); err != nil {
		return lost(err)
	}
	return engine.Suspend(w)
}

// recovered notes that the service gives answers again, so that the patience of a
// step that waits for long counts from the next outage.
func (c *call) recovered(ctx context.Context) error {
	var count outageCount
	if _, err := c.Load(outageKey, &count); err != nil || count.Failures == 0 {
		return err
	}
	return c.keep(ctx, outageKey, outageCount{})
}

// keep makes a checkpoint durable.
func (c *call) keep(ctx context.Context, key string, v any) error {
	if err := c.Put(key, v); err != nil {
		return err
	}
	return c.Flush(ctx)
}

// lost ends an entry whose facts could not be stored or read back. The owner of
// the run stops over that; what is returned here hardly matters.
func lost(err error) engine.Outcome {
	return engine.Failure(workflow.CauseInterrupted, "the history of the run: "+err.Error())
}
