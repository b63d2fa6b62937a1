package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Builtin is the payload of a job that the sandbox itself carries out, in a
// goroutine instead of a process. It returns the exit code of the job.
//
// ctx ends when the job is cancelled or over its time limit, and when the table
// is closed; the payload then has to return soon. One that was interrupted by
// the end of its process is called again by the next, with the same Dir: a
// Builtin has to be repeatable, and finds there what it left to make it so. One
// that panics has failed, and takes nothing else with it.
type Builtin func(ctx context.Context, run BuiltinRun) (exitCode int)

// BuiltinRun is what a Builtin works on.
type BuiltinRun struct {
	// Job is the row as it was when the payload was started. The standard
	// files it names are for the Builtin to open.
	Job Job
	// Args are those of the submission.
	Args json.RawMessage
	// Dir is a folder of the job's own, which outlives the process.
	Dir string
}

// BuiltinCall in a Spec runs Config.Builtins[Name] instead of the script, whose
// directives and text are the job's all the same.
type BuiltinCall struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

// builtins is the Runner of the jobs with a BuiltinCall. Nothing it knows is on
// disk: for the next process such a job never started, so it starts it again.
type builtins struct {
	known map[string]Builtin
	now   func() time.Time
	all   sync.WaitGroup

	mu   sync.Mutex
	runs map[string]*builtinRun // by job id
}

type builtinRun struct {
	cancel context.CancelCauseFunc
	end    *End // nil until it is over
}

// killed is why the context of a run ended: by a signal to its job.
type killed struct{ sig syscall.Signal }

func (k killed) Error() string { return "job was sent signal " + k.sig.String() }

func newBuiltins(known map[string]Builtin, now func() time.Time) *builtins {
	return &builtins{known: known, now: now, runs: map[string]*builtinRun{}}
}

// Start implements Runner.
func (b *builtins) Start(l Launch) error {
	call := l.Job.Spec.Builtin
	payload := b.known[call.Name]
	if payload == nil {
		return fmt.Errorf("no builtin %q", call.Name)
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.runs[l.Job.ID] != nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	run := &builtinRun{cancel: cancel}
	b.runs[l.Job.ID] = run
	b.all.Go(func() {
		defer l.Ended()
		defer cancel(nil)
		exitCode, detail := payload.call(ctx, BuiltinRun{l.Job, call.Args, l.Dir})
		end := End{Kind: Exited, ExitCode: exitCode, At: b.now(), Detail: detail}
		switch cause := context.Cause(ctx).(type) {
		case nil:
		case killed:
			end.ExitCode, end.Signal = 0, int(cause.sig)
		default: // the table is being closed: it has not ended, it is to be repeated
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		run.end = &end
	})
	return nil
}

// call is the payload, with a panic told in detail.
func (payload Builtin) call(ctx context.Context, run BuiltinRun) (exitCode int, detail string) {
	defer func() {
		if p := recover(); p != nil {
			exitCode, detail = 1, fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return payload(ctx, run), ""
}

// Poll implements Runner.
func (b *builtins) Poll(job Job, _ string) (End, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	run := b.runs[job.ID]
	switch {
	case run == nil:
		return End{Kind: NeverStarted}, true
	case run.end == nil:
		return End{}, false
	}
	return *run.end, true
}

// Kill implements Runner. Only the whole job can be killed: a builtin has no
// shell and no steps that a warning could be for.
func (b *builtins) Kill(job Job, _ string, target Target, sig syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if run := b.runs[job.ID]; run != nil && target == WholeJob {
		run.cancel(killed{sig})
	}
	return nil
}

// forget drops a job whose end is on record.
func (b *builtins) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.runs, id)
}

// close interrupts what runs and waits for it.
func (b *builtins) close() {
	b.mu.Lock()
	for _, run := range b.runs {
		run.cancel(errClosed)
	}
	b.mu.Unlock()
	b.all.Wait()
}
