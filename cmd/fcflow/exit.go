package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/sandbox"
	"github.com/fcflow/fcflow/workflow"
)

// How a command can end, beside what the packages report.
var (
	errBug          = errors.New("bug in fcflow")
	errUsage        = errors.New("usage")
	errInvalid      = errors.New("invalid workflow")
	errRunFailed    = errors.New("the run failed")
	errRunCancelled = errors.New("the run was cancelled")
	errGroupFull    = errors.New("the run was skipped")
	errInterrupted  = errors.New("interrupted")
	errDifferent    = errors.New("the runs differ")
)

const exitInterrupted = 130

// outcome is one way a command can end.
type outcome struct {
	exit int
	code string // of the error object under --output json
	doc  string
	errs []error // that mean it
}

// outcomes is the one table of exit codes; the first line that matches an error
// decides. An error that matches none is the outcome "error".
func outcomes() []outcome {
	return []outcome{
		{0, "done", "The command did what it was asked for.", nil},
		{exitInterrupted, "interrupted", "A signal stopped the command, or nobody drives the run that it watched. Runs can be resumed; their jobs go on.", []error{errInterrupted}},
		{10, "attention", "Every instance that is left waits for a person (only with `--exit-on-attention`).", []error{engine.ErrAttention}},
		{11, "different", "The runs differ (only with `runs diff --exit-code`).", []error{errDifferent}},
		{9, "cancelled", "The run was cancelled.", []error{errRunCancelled}},
		{4, "run_failed", "The run ended failed, whatever the cause.", []error{errRunFailed}},
		{3, "workflow_invalid", "The workflow, or an input given to it, is not valid, or `plan` found that it cannot work. Every problem is listed.", []error{errInvalid, workflow.ErrGroup, settings.ErrNoSecret}},
		{2, "usage", "Unknown flag or argument, or a setting that makes no sense.", []error{errUsage, settings.ErrInvalid}},
		{6, "conflict", "Somebody else owns the run or the sandbox, several runs match, a file that would be written exists already, the run belongs to another service or user, what was asked for cannot be now (there is nothing to resolve, to approve or to retry, or it is under way), or the run was skipped because its concurrency group was full.",
			[]error{errGroupFull, workflow.ErrConflict, workflow.ErrOwned, engine.ErrConflict, sandbox.ErrLocked, fs.ErrExist}},
		{7, "login_refused", "The identity provider or the service refused who we are.", []error{engine.ErrLogin, firecrest.ErrUnauthenticated, firecrest.ErrForbidden}},
		{8, "unavailable", "The service gave no good answer. What was begun can be resumed.",
			[]error{engine.ErrUnavailable, firecrest.ErrUnavailable, firecrest.ErrTimeout, firecrest.ErrRateLimited}},
		{5, "not_found", "No such run, step, file, system or step type.", []error{workflow.ErrNotFound, firecrest.ErrNotFound, fs.ErrNotExist}},
		{1, "bug", "A bug in fcflow; please report it.", []error{errBug}},
		{1, "error", "State could not be read or written, or anything else that has no code of its own.", nil},
	}
}

// outcomeOf resolves an error: the only place where exit codes come from.
func outcomeOf(err error) outcome {
	all := outcomes()
	if err == nil {
		return all[0]
	}
	for _, o := range all {
		for _, target := range o.errs {
			if errors.Is(err, target) {
				return o
			}
		}
	}
	return all[len(all)-1]
}

// hinted is an error with what a person can do next.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// usageError is a mistake on the command line of a command.
func usageError(command *cobra.Command, args []string, err error) error {
	var hint *hinted
	if errors.As(err, &hint) {
		return withHint(fmt.Errorf("%w: %w", errUsage, hint.error), "%s", hint.hint)
	}
	return withHint(fmt.Errorf("%w: %w", errUsage, err), "%s", usageHint(command, args, err))
}

func usageHint(command *cobra.Command, args []string, err error) string {
	if strings.HasPrefix(err.Error(), "unknown command") {
		for _, word := range args {
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("unknown command %q", word)) {
				continue // that one is known
			}
			if near := command.SuggestionsFor(word); len(near) > 0 && !strings.HasPrefix(word, "-") {
				return fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
			}
			if verb := verbNamed(command, word); verb != nil {
				return fmt.Sprintf("did you mean %s?", verb.CommandPath())
			}
		}
	}
	if flag, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		var known []string
		command.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := workflow.Suggest(flag, known); near != "" {
			return fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return fmt.Sprintf("see %s --help", command.CommandPath())
}

// problemsError is a workflow file with its mistakes.
type problemsError struct {
	file     string
	source   []byte
	problems workflow.Problems
}

func (e *problemsError) Error() string {
	return fmt.Sprintf("%s: %s", e.file, count(len(e.problems), "problem"))
}

func (e *problemsError) Unwrap() error { return errInvalid }

// ended is the end of a run that is no success. It was shown already.
type ended struct{ error }

func (e *ended) Unwrap() error { return e.error }

// unshown is what of an error nobody has seen yet.
func unshown(err error) error {
	if _, ok := err.(*ended); ok {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var rest []error
	seen := false
	for _, e := range joined.Unwrap() {
		left := unshown(e)
		seen = seen || left != e
		rest = append(rest, left)
	}
	if !seen {
		return err
	}
	return errors.Join(rest...)
}

// report prints an error on stderr, as an object when the command was asked for
// JSON, and returns the exit code.
func (a *app) report(command *cobra.Command, err error) int {
	o := outcomeOf(err)
	logged := err != nil && a.serving && a.logFormat.value == "json"
	if logged {
		a.logError(o, err)
	}
	a.closeLog()
	if err == nil || logged {
		return o.exit
	}
	if command != nil {
		if f := command.Flags().Lookup("output"); f != nil && f.Value.String() == string(formatJSON) {
			if printErr := a.streams.Err.JSON(errorObject(o, err)); printErr == nil {
				return o.exit
			}
		}
	}
	a.printError(o, err)
	return o.exit
}

// logError is printError for whoever reads the log of a server with a program.
func (a *app) logError(o outcome, err error) {
	log := a.logger()
	event := log.Error().Str("error", plain(err)).Str("code", o.code)
	var hint *hinted
	if errors.As(err, &hint) {
		event = event.Str("hint", hint.hint)
	}
	event.Msg("the server ends")
}

func (a *app) printError(o outcome, err error) {
	if err = unshown(err); err == nil {
		return
	}
	var invalid *problemsError
	if errors.As(err, &invalid) {
		_ = invalid.problems.Print(a.streams.Err, invalid.file, invalid.source) // a Stream keeps its own error
		return
	}
	text := plain(err)
	a.streams.Err.Println(console.Text{S: "error: ", Style: console.Red}, console.Say(firstLine(text)))
	if rest := strings.TrimPrefix(text, firstLine(text)); rest != "" {
		a.streams.Err.Printf("%s\n", strings.TrimPrefix(rest, "\n"))
	}
	var hint *hinted
	if errors.As(err, &hint) {
		a.streams.Err.Println(console.Text{S: "  hint: ", Style: console.Dim}, console.Say(hint.hint))
	}
	if o.code == "bug" {
		a.streams.Err.Printf("please report this, with the lines above: https://github.com/fcflow/fcflow/issues\n")
	}
}

// plain is the text of an error without the words for what its code says.
func plain(err error) string {
	text := strings.TrimPrefix(err.Error(), errUsage.Error()+": ")
	return strings.TrimSuffix(text, ": "+workflow.ErrConflict.Error())
}

// errorJSON is the error object on stderr under --output json. Its fields are a
// contract that only grows.
type errorJSON struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code     string             `json:"code"`
	Exit     int                `json:"exit"`
	Message  string             `json:"message"`
	Hint     string             `json:"hint,omitempty"`
	File     string             `json:"file,omitempty"`
	Problems []workflow.Problem `json:"problems,omitempty"`
}

func errorObject(o outcome, err error) errorJSON {
	body := errorBody{Code: o.code, Exit: o.exit, Message: plain(err)}
	var hint *hinted
	if errors.As(err, &hint) {
		body.Hint = hint.hint
	}
	var invalid *problemsError
	if errors.As(err, &invalid) {
		body.File, body.Problems = invalid.file, invalid.problems
	}
	return errorJSON{body}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// count prints "1 step", "2 steps".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
