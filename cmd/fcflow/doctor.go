package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
)

type doctorOptions struct {
	sandbox string
	output  output
}

func newDoctorCommand(a *app) *cobra.Command {
	o := doctorOptions{output: newOutput()}
	c := &cobra.Command{
		Use: "doctor", Short: "Check login, service, systems and files, and say what to do",
		Long: `Checks, in this order, what a run relies on: that FirecREST answers, its release,
the clock, the login and how long its tokens live, and of the system of the
settings, or of every one, the health of each service, who you are there, the list
of jobs, the limits, a small file sent and read back, and the link by which a job
claims that it is the only one.

The files go into a directory of their own where runs keep theirs, or above it as
long as that does not exist, and are removed afterwards. No job is submitted.

The exit code is that of the first check that fails.`,
		Example: "  fcflow doctor --profile alps\n  fcflow doctor --system daint --output json",
	}
	addSandbox(c, &o.sandbox)
	o.output.add(c)
	return a.command(c, func(c *cobra.Command, _ []string) error { return runDoctor(c.Context(), a, o) })
}

// checkStatus is how a check of the doctor ended.
type checkStatus string

const (
	checkOK      checkStatus = "ok"
	checkWarn    checkStatus = "warn"
	checkFail    checkStatus = "fail"
	checkSkipped checkStatus = "skipped"
)

// check is one check of the doctor. Its JSON form is a contract that only grows.
type check struct {
	Name    string      `json:"name"`
	System  string      `json:"system,omitempty"`
	Status  checkStatus `json:"status"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"` // what to do

	err error
}

// diagnosis is what the doctor found. Its JSON form is a contract that only
// grows.
type diagnosis struct {
	URL           string  `json:"url"`
	Sandbox       string  `json:"sandbox,omitempty"`
	ServerVersion string  `json:"server_version,omitempty"`
	OK            bool    `json:"ok"` // no check failed
	Checks        []check `json:"checks"`
}

// doctor carries out checks one after the other.
type doctor struct {
	app      *app
	settings *settings.Settings
	client   *firecrest.Client
	clock    clock
	found    diagnosis
	tell     func(check)
}

// doubt is an error that does not keep anything from working.
type doubt struct{ error }

func (d *doubt) Unwrap() error { return d.error }

func doubtf(format string, args ...any) error { return &doubt{fmt.Errorf(format, args...)} }

func runDoctor(ctx context.Context, a *app, o doctorOptions) error {
	d := &doctor{app: a, tell: func(check) {}}
	s, v, err := a.openService(ctx, o.sandbox, d.clock.observe)
	if err != nil {
		return err
	}
	d.settings, d.client = s, v.client
	d.found = diagnosis{URL: v.client.BaseURL(), Sandbox: v.profile.Sandbox, OK: true, Checks: []check{}}
	if o.output.format() == formatText {
		d.tell = a.printCheck
		a.streams.Out.Println(console.Text{S: "service  ", Style: console.Bold}, console.Say(d.found.URL))
	}
	d.examine(ctx)
	d.found.ServerVersion = v.client.ServerVersion()
	err = errors.Join(d.verdict(), v.close(), context.Cause(ctx))
	switch o.output.format() {
	case formatJSON:
		return errors.Join(err, a.streams.Out.JSON(d.found))
	case formatName:
		for _, c := range d.found.Checks {
			if c.Status == checkFail {
				a.streams.Out.Printf("%s\n", c.Name)
			}
		}
	}
	return err
}

// examine goes from what everything needs to what single systems have. What
// cannot be told after a failure is not tried.
func (d *doctor) examine(ctx context.Context) {
	if !d.check(ctx, "service", "", d.reach) {
		return
	}
	d.check(ctx, "release", "", d.release)
	d.check(ctx, "clock", "", d.skew)
	if !d.check(ctx, "login", "", d.login) {
		return
	}
	d.check(ctx, "token", "", d.token)
	var systems []firecrest.System
	if !d.check(ctx, "systems", "", d.systems(&systems)) {
		return
	}
	for i := range systems {
		d.examineSystem(ctx, &systems[i])
	}
}

// check carries out one check, and reports whether what builds on it is worth
// trying.
func (d *doctor) check(ctx context.Context, name, system string, f func(context.Context) (string, error)) bool {
	if ctx.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkPatience, errNoAnswer)
	defer cancel()
	message, err := f(ctx)
	c := check{Name: name, System: system, Status: checkOK, Message: message, err: err}
	if err != nil {
		c.Message, c.Status = strings.TrimSpace(err.Error()), checkFail
		if message != "" {
			c.Message = message + ": " + c.Message
		}
		var hint *hinted
		if errors.As(err, &hint) {
			c.Hint = hint.hint
		}
		if only := new(doubt); errors.As(err, &only) {
			c.Status, c.err = checkWarn, nil
		}
	}
	d.note(c)
	return c.Status != checkFail
}

// skip notes a check that was not tried.
func (d *doctor) skip(name, system, why string) {
	d.note(check{Name: name, System: system, Status: checkSkipped, Message: why})
}

func (d *doctor) note(c check) {
	d.found.OK = d.found.OK && c.Status != checkFail
	d.found.Checks = append(d.found.Checks, c)
	d.tell(c)
}

// verdict is the first failure, as the error of the command.
func (d *doctor) verdict() error {
	var first *check
	n := 0
	for i := range d.found.Checks {
		if c := &d.found.Checks[i]; c.Status == checkFail {
			n++
			if first == nil {
				first = c
			}
		}
	}
	if first == nil {
		return nil
	}
	return &failedCheck{fmt.Sprintf("%s failed; the first: %s", count(n, "check"), first.title()), first.err}
}

// failedCheck counts as the error of the first check that failed, without
// repeating what was said of it.
type failedCheck struct {
	text  string
	first error
}

func (e *failedCheck) Error() string        { return e.text }
func (e *failedCheck) Is(target error) bool { return errors.Is(e.first, target) }

func (c *check) title() string { return strings.TrimSpace(c.System + " " + c.Name) }

var checkLooks = map[checkStatus]console.Text{
	checkOK: {S: "✓ ok    ", Style: console.Green}, checkWarn: {S: "! warn  ", Style: console.Yellow},
	checkFail: {S: "✗ fail  ", Style: console.Red}, checkSkipped: {S: "– skip  ", Style: console.Dim},
}

func (a *app) printCheck(c check) {
	a.streams.Out.Println(checkLooks[c.Status], console.Say(fmt.Sprintf("%-16s  %s", c.title(), c.Message)))
	if c.Hint != "" {
		a.streams.Out.Println(console.Text{S: "        hint: ", Style: console.Dim}, console.Say(c.Hint))
	}
}
