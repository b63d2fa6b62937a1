package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/workflow"
)

type runsLogsOptions struct {
	run, step string
	attempt   int
	tail      int
	follow    bool
}

func newRunsLogsCommand(a *app) *cobra.Command {
	var o runsLogsOptions
	c := &cobra.Command{
		Use:   "logs RUN [STEP[/KEY]]",
		Short: "Print the output of jobs and local commands",
		Long: `Prints what is kept here of the output of a run, step by step, or of one step: of
all its instances, or of those whose key has a part. With a STEP, or of a run of at most
ten instances, the output of a job that is not kept here is fetched from its system. What cannot be read is told where it
would stand, and all else is printed.

With --follow it goes on with what is printed meanwhile, later attempts included,
until the step, or the run, has ended. What jobs print is asked for at the pace of
the profile (poll.min), all jobs of a system together, and less often while nothing
comes. Leaving with Ctrl-C does nothing to the run.`,
		Example:           "  fcflow runs logs last\n  fcflow runs logs last simulate --tail 50\n  fcflow runs logs last simulate --follow",
		ValidArgsFunction: a.completeRunAndUnit(nil),
	}
	c.Flags().IntVar(&o.attempt, "attempt", 0, "only attempt `N`; default the newest")
	c.Flags().IntVar(&o.tail, "tail", 0, "only the last `N` lines of each; 0 prints all")
	c.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on with what comes until the step or the run ends")
	c.MarkFlagsMutuallyExclusive("follow", "attempt")
	return a.command(c, func(c *cobra.Command, args []string) error {
		o.run = args[0]
		if len(args) == 2 {
			o.step = args[1]
		}
		return runRunsLogs(c.Context(), a, o)
	})
}

// fewOutputs is how many instances a run may have whose outputs are fetched although
// nobody named a step: each may be a request.
const fewOutputs = 10

func runRunsLogs(ctx context.Context, a *app, o runsLogsOptions) (err error) {
	st, err := a.readStore()
	if err != nil {
		return err
	}
	id, err := a.resolve(ctx, st, o.run)
	if err != nil {
		return err
	}
	view, err := a.view(ctx, st, id)
	if err != nil {
		return err
	}
	p := logPrinter{app: a, store: st, view: &view.RunView, tail: o.tail}
	defer func() { err = errors.Join(err, p.close()) }()
	if o.follow {
		followed, err := p.followLogs(ctx, o.step)
		if errors.Is(err, errInterrupted) {
			a.note("run %s goes on; go on reading: fcflow runs logs %s%s --follow", shortID(id), a.refer(id), asWord(o.step))
			return &ended{err}
		}
		if followed || err != nil {
			return err
		}
	}
	units, err := namedUnits(&view.RunView, o.step)
	if err != nil {
		return err
	}
	p.keptOnly = o.step == "" && len(units) > fewOutputs
	if err := p.list(); err != nil {
		return err
	}
	for _, u := range units {
		attempt, found := chosenAttempt(u, o.attempt)
		if !found {
			if o.step != "" && !o.follow && len(units) == 1 && u.Imported == "" {
				return noAttempt(u, o.attempt)
			}
			continue
		}
		if err := p.print(ctx, u, attempt); err != nil {
			return err
		}
		if a.streams.Out.Err() != nil { // nobody can read what comes
			break
		}
	}
	p.noteFar(o.attempt)
	elsewhere := a.noteImported(units, o.step)
	if len(p.missing) > 0 {
		return p.missed()
	}
	if p.printed > 0 || len(p.far) > 0 || elsewhere == len(units) && elsewhere > 0 {
		return nil
	}
	a.note("no output is kept of that")
	if o.step != "" && len(units) == 1 {
		if attempt, found := chosenAttempt(units[0], o.attempt); found && attempt.Child != "" {
			a.note("it has a run of its own: fcflow runs logs %s", a.refer(attempt.Child))
		}
	}
	if o.follow && view.Interrupted {
		a.note("nobody drives run %s; continue it: fcflow resume %s", shortID(id), a.refer(id))
	}
	return nil
}

// noteImported says where the output is of instances that were done in other runs,
// and returns how many these are.
func (a *app) noteImported(units []*workflow.UnitView, name string) (n int) {
	var runs []workflow.RunID
	for _, u := range units {
		if u.Imported == "" {
			continue
		}
		n++
		if !slices.Contains(runs, u.Imported) {
			runs = append(runs, u.Imported)
		}
	}
	for _, run := range runs {
		a.note("%s imported from run %s; their output is there: fcflow runs logs %s%s", count(n, "instance"), shortID(run), a.refer(run), asWord(name))
	}
	return n
}

// asWord is a further word of a command line, if there is one.
func asWord(name string) string {
	if name == "" {
		return ""
	}
	return " " + shellQuote(name)
}

// noAttempt says why there is no output to print of one instance.
func noAttempt(u *workflow.UnitView, n int) error {
	switch {
	case len(u.Attempts) > 0:
		return fmt.Errorf("%s has no attempt %d: %w", unitRef(u), n, workflow.ErrNotFound)
	case u.State.Done():
		return fmt.Errorf("output of %s, which had not begun when it was %s: %w", unitRef(u), u.State, workflow.ErrNotFound)
	}
	return fmt.Errorf("output of %s, which has not begun: %w", unitRef(u), workflow.ErrNotFound)
}

func chosenAttempt(u *workflow.UnitView, n int) (workflow.AttemptView, bool) {
	for i := len(u.Attempts) - 1; i >= 0; i-- {
		if n == 0 || u.Attempts[i].Attempt == n {
			return u.Attempts[i], true
		}
	}
	return workflow.AttemptView{}, false
}
