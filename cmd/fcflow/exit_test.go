package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  error
		exit int
		code string
	}{
		{nil, 0, "done"},
		{errors.New("disk on fire"), 1, "error"},
		{workflow.ErrStale, 1, "error"},
		{workflow.ErrCorrupt, 1, "error"},
		{errBug, 1, "bug"},
		{errUsage, 2, "usage"},
		{settings.ErrInvalid, 2, "usage"},
		{&problemsError{}, 3, "workflow_invalid"},
		{settings.ErrNoSecret, 3, "workflow_invalid"},
		{errRunFailed, 4, "run_failed"},
		{workflow.ErrNotFound, 5, "not_found"},
		{&os.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, 5, "not_found"},
		{workflow.ErrConflict, 6, "conflict"},
		{workflow.ErrOwned, 6, "conflict"},
		{engine.ErrConflict, 6, "conflict"},
		{sandbox.ErrLocked, 6, "conflict"},
		{engine.ErrLogin, 7, "login_refused"},
		{firecrest.ErrUnauthenticated, 7, "login_refused"},
		{engine.ErrUnavailable, 8, "unavailable"},
		{firecrest.ErrUnavailable, 8, "unavailable"},
		{errRunCancelled, 9, "cancelled"},
		{engine.ErrAttention, 10, "attention"},
		{errDifferent, 11, "different"},
		{errInterrupted, 130, "interrupted"},
		{errors.Join(errInterrupted, context.Canceled), 130, "interrupted"},
	}
	for _, test := range tests {
		if test.err == nil {
			continue
		}
		for _, err := range []error{
			test.err, fmt.Errorf("run x: %w", test.err), withHint(test.err, "do that"), &ended{test.err},
			errors.Join(nil, fmt.Errorf("a: %w", withHint(test.err, "b"))),
		} {
			if o := outcomeOf(err); o.exit != test.exit || o.code != test.code {
				t.Errorf("%v: exit %d %s, want %d %s", err, o.exit, o.code, test.exit, test.code)
			}
		}
	}
	if o := outcomeOf(nil); o.exit != 0 {
		t.Errorf("no error: exit %d", o.exit)
	}
	codes := map[string]bool{}
	for _, o := range outcomes() {
		if codes[o.code] || o.doc == "" {
			t.Errorf("outcome %q is there twice or has no text", o.code)
		}
		codes[o.code] = true
	}
}

func TestUnshown(t *testing.T) {
	t.Parallel()
	seen, left := &ended{errRunFailed}, errors.New("close: disk full")
	two := fmt.Errorf("%w: %w", errUsage, left)
	for _, test := range []struct{ err, want error }{
		{seen, nil},
		{left, left},
		{two, two},
		{errors.Join(seen, nil), nil},
		{errors.Join(seen, errors.Join(seen, seen)), nil},
	} {
		if got := unshown(test.err); got != test.want {
			t.Errorf("unshown(%v) = %v, want %v", test.err, got, test.want)
		}
	}
	if got := unshown(errors.Join(seen, left)); got == nil || got.Error() != left.Error() {
		t.Errorf("of both %v is left", got)
	}
}

func TestErrorObject(t *testing.T) {
	t.Parallel()
	err := withHint(fmt.Errorf("run %q: %w", "x", workflow.ErrNotFound), "see fcflow runs list")
	want := errorJSON{errorBody{Code: "not_found", Exit: 5, Message: `run "x": not found`, Hint: "see fcflow runs list"}}
	if diff := cmp.Diff(want, errorObject(outcomeOf(err), err)); diff != "" {
		t.Errorf("error object (-want +got):\n%s", diff)
	}
}

func TestPanicAsksForAReport(t *testing.T) {
	t.Parallel()
	a, _, stderr := testApp(t)
	code := a.report(nil, fmt.Errorf("%w: index out of range", errBug))
	if code != 1 || !strings.Contains(stderr.String(), "please report this") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	a, _, stderr = testApp(t)
	if code := a.report(nil, errors.New("disk full")); code != 1 || strings.Contains(stderr.String(), "report") {
		t.Errorf("exit %d, stderr %q: a full disk is no bug", code, stderr)
	}
}
