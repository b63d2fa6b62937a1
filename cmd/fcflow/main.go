// Command fcflow runs workflows on supercomputers through FirecREST v2, and
// without one on its built-in sandbox.
//
// This package wires the others together. Each command is one file: its
// options, its flags, and a function that calls one package and prints what it
// got.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/internal/console"
)

func main() {
	leaveNoCore()
	os.Exit(run(os.Args[1:], console.Standard(os.Getenv)))
}

// run executes one command line and returns its exit code.
func run(args []string, streams *console.Streams) (code int) {
	a := newApp(streams, os.Getenv)
	defer func() {
		if r := recover(); r != nil {
			code = a.report(nil, fmt.Errorf("%w: %v\n%s", errBug, r, debug.Stack()))
		}
	}()
	ctx, stop := interruptible(streams.Err)
	defer stop()
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		err = usageError(command, args, err)
	}
	return a.report(command, settled(ctx, err, streams.Out))
}

// settled is the end of a command together with what no command looks at itself:
// whether it ended because it was interrupted, and whether all of its output was
// written. A reader who has seen enough and left, as head does, is no failure.
func settled(ctx context.Context, err error, out *console.Stream) error {
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && !errors.Is(err, errInterrupted) && errors.Is(cause, errInterrupted) {
		err = cause
	}
	if failed := out.Err(); failed != nil && !errors.Is(failed, syscall.EPIPE) {
		err = errors.Join(err, failed)
	}
	return err
}

// leaveNoCore keeps the memory of the process, which holds tokens and secrets, out
// of core files. The programs that it starts inherit that, and may raise the
// limit again.
func leaveNoCore() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // lowering it is always allowed
	}
}

// oneWish is how long further signals belong to the first one.
const oneWish = 200 * time.Millisecond

// interruptible returns a context that ends with errInterrupted at the first
// interrupt, so that a command can leave things in order. The second one ends
// the process at once.
func interruptible(stderr *console.Stream) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// A reader of our output who leaves must not end a run. Catching the signal,
	// unlike ignoring it, is not inherited by the programs that steps start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		cancel(errInterrupted)
		// One wish may arrive twice: as a signal to us and to our process group.
		for over := time.After(oneWish); over != nil; {
			select {
			case <-signals:
			case <-over:
				over = nil
			case <-done:
				return
			}
		}
		select {
		case <-signals:
			stderr.Printf("stopped at once\n")
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
