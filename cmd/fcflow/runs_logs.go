package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
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
all its instances, or of those whose key has a part. The output of a job that is not
kept here is fetched from its system.

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
			a.note("run %s goes on; go on reading: fcflow runs logs %s --follow", shortID(id), a.refer(id))
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
	for _, u := range units {
		attempt, found := chosenAttempt(u, o.attempt)
		if !found {
			if o.step != "" && !o.follow && len(units) == 1 && u.Imported == "" {
				return fmt.Errorf("%s has no attempt %d: %w", unitRef(u), o.attempt, workflow.ErrNotFound)
			}
			continue
		}
		if err := p.print(ctx, u, attempt); err != nil {
			return err
		}
	}
	elsewhere := a.noteImported(units, o.step)
	if p.printed > 0 || elsewhere == len(units) && elsewhere > 0 {
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
	command := ""
	if name != "" {
		command = " " + shellQuote(name)
	}
	for _, run := range runs {
		a.note("%s imported from run %s; their output is there: fcflow runs logs %s%s", count(n, "instance"), shortID(run), a.refer(run), command)
	}
	return n
}

func chosenAttempt(u *workflow.UnitView, n int) (workflow.AttemptView, bool) {
	for i := len(u.Attempts) - 1; i >= 0; i-- {
		if n == 0 || u.Attempts[i].Attempt == n {
			return u.Attempts[i], true
		}
	}
	return workflow.AttemptView{}, false
}

// logPrinter prints outputs one after another.
type logPrinter struct {
	app     *app
	store   *store.Store
	view    *workflow.RunView
	tail    int
	printed int
	tries   int      // of each request; 0 = as usual
	service *service // connected when the first output is not kept here
}

func (p *logPrinter) close() error {
	if p.service == nil {
		return nil
	}
	return p.service.close()
}

// print prints the files that an attempt left, or fetches what its job wrote.
func (p *logPrinter) print(ctx context.Context, u *workflow.UnitView, t workflow.AttemptView) error {
	prefix := engine.LogName(unitRef(u), t.Attempt, "")
	files, err := filepath.Glob(filepath.Join(p.store.Paths(p.view.ID).Logs, prefix+"*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := p.printFile(u, t, file, strings.TrimPrefix(filepath.Base(file), prefix)); err != nil {
			return err
		}
	}
	if len(files) > 0 || t.Job == nil || t.System == "" {
		return nil
	}
	for _, path := range jobFiles(&t) {
		if err := p.fetch(ctx, u, t, path); err != nil {
			return err
		}
	}
	return nil
}

// jobFiles are the files that the job of an attempt prints to.
func jobFiles(t *workflow.AttemptView) []string {
	paths := []string{t.Job.Stdout}
	if t.Job.Stderr != t.Job.Stdout {
		paths = append(paths, t.Job.Stderr)
	}
	return slices.DeleteFunc(paths, func(path string) bool { return path == "" })
}

func (p *logPrinter) printFile(u *workflow.UnitView, t workflow.AttemptView, file, what string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	p.heading(u, t, what)
	return p.lines(f)
}

// fetch prints what a job wrote to a file on its system.
func (p *logPrinter) fetch(ctx context.Context, u *workflow.UnitView, t workflow.AttemptView, path string) error {
	if err := p.connect(ctx); err != nil {
		return fmt.Errorf("output of job %s: %w", t.JobID, err)
	}
	opts := &firecrest.PartOptions{Lines: int64(max(p.tail, 1000))}
	content, err := p.service.client.Filesystem.Tail(ctx, t.System, path, opts)
	if err != nil {
		return fmt.Errorf("output of job %s: %w", t.JobID, err)
	}
	p.heading(u, t, fmt.Sprintf("job %s on %s, %s", t.JobID, t.System, path))
	return p.lines(strings.NewReader(content.Content))
}

func (p *logPrinter) connect(ctx context.Context) error {
	if p.service != nil {
		return nil
	}
	s, err := p.app.settings(p.view.Profile.Name)
	if err != nil {
		return err
	}
	if err := checkPinned(s, p.view.Profile); err != nil {
		return err
	}
	p.app.maskSecrets(ctx, p.store, s, p.view)
	p.service, err = p.app.connectWith(ctx, s, p.view.Profile, nil,
		firecrest.WithObserver(logRequests(p.app.logger(), nil)), firecrest.WithRetry(firecrest.RetryPolicy{MaxAttempts: p.tries}))
	return err
}

func (p *logPrinter) heading(u *workflow.UnitView, t workflow.AttemptView, what string) {
	p.printed++
	p.app.streams.Err.Println(console.Text{S: fmt.Sprintf("── %s, attempt %d, %s", unitRef(u), t.Attempt, what), Style: console.Bold})
}

// printedAtOnce is how much of a log is printed in one go.
const printedAtOnce = 64 << 10

// lines prints a text, or its last lines. What is printed at once ends with a
// line, so that no secret is cut in two.
func (p *logPrinter) lines(r io.Reader) error {
	out := p.app.streams.Out
	in := bufio.NewReader(r)
	var last []string
	size := 0
	flush := func() {
		out.Printf("%s", strings.Join(last, ""))
		last, size = last[:0], 0
	}
	for {
		line, err := in.ReadString('\n')
		last, size = append(last, line), size+len(line)
		switch {
		case p.tail > 0 && len(last) > p.tail && line != "":
			last = last[1:]
		case p.tail == 0 && size >= printedAtOnce:
			flush()
		}
		if err != nil {
			flush()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, out.Err())
		}
	}
}
