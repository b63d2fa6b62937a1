package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// logPrinter prints outputs one after another.
type logPrinter struct {
	app     *app
	store   *store.Store
	logs    keptLogs // as last listed
	view    *workflow.RunView
	tail    int
	printed int
	tries   int      // of each request; 0 = as usual
	service *service // connected when the first output is not kept here

	keptOnly bool            // what is not kept here is counted and not fetched
	far      []farOutput     // what was counted
	missing  []error         // of outputs that could not be read
	down     map[string]bool // systems that gave no answer and are not asked again
	unasked  int             // jobs of these
}

// farOutput is how many jobs of a step have their output on their system only.
type farOutput struct {
	step string
	jobs int
}

func (p *logPrinter) close() error {
	if p.service == nil {
		return nil
	}
	return p.service.close()
}

// list looks at which logs are kept here now.
func (p *logPrinter) list() (err error) {
	p.logs, err = listLogs(p.store.Paths(p.view.ID).Logs)
	return err
}

// print prints the files that an attempt left, or fetches what its job wrote. What
// cannot be read is told, and does not keep the rest from being printed: the error is
// that of ctx.
func (p *logPrinter) print(ctx context.Context, u *workflow.UnitView, t workflow.AttemptView) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	logs := p.logs.of(unitRef(u), t.Attempt)
	for _, log := range logs {
		if err := p.printFile(u, t, log.path, log.name); err != nil {
			p.miss(u, t, log.name, err)
		}
	}
	if len(logs) > 0 || t.Job == nil || t.System == "" {
		return nil
	}
	return p.printJob(ctx, u, t)
}

// printJob fetches what the job of an attempt wrote, or counts it.
func (p *logPrinter) printJob(ctx context.Context, u *workflow.UnitView, t workflow.AttemptView) error {
	paths := jobFiles(&t)
	switch n := len(p.far); {
	case len(paths) == 0:
		return nil
	case p.keptOnly && n > 0 && p.far[n-1].step == u.Step:
		p.far[n-1].jobs++
		return nil
	case p.keptOnly:
		p.far = append(p.far, farOutput{u.Step, 1})
		return nil
	case p.down[t.System]:
		p.unasked++
		return nil
	}
	for _, path := range paths {
		err := p.fetch(ctx, u, t, path)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		p.miss(u, t, onSystem(&t, path), err)
		if p.service == nil || noAnswer(err) {
			if p.down == nil {
				p.down = map[string]bool{}
			}
			p.down[t.System] = true
			break
		}
	}
	return nil
}

// noAnswer reports whether asking for another file would come to the same.
func noAnswer(err error) bool {
	for _, kind := range []error{engine.ErrLogin, engine.ErrUnavailable, firecrest.ErrUnauthenticated, firecrest.ErrUnavailable, firecrest.ErrRateLimited} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
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

// lastLines is how much is fetched of an output that the service does not hand out
// at once.
const lastLines = 1000

// fetch prints what a job wrote to a file on its system.
func (p *logPrinter) fetch(ctx context.Context, u *workflow.UnitView, t workflow.AttemptView, path string) error {
	if err := p.connect(ctx); err != nil {
		return fmt.Errorf("output of job %s: %w", t.JobID, err)
	}
	opts := &firecrest.PartOptions{Bytes: 1, Skip: true} // from the first one on
	if p.tail > 0 {
		opts = &firecrest.PartOptions{Lines: int64(p.tail)}
	}
	what := onSystem(&t, path)
	content, err := p.service.client.Filesystem.Tail(ctx, t.System, path, opts)
	if errors.Is(err, firecrest.ErrTooLarge) && (p.tail == 0 || p.tail > lastLines) {
		what += fmt.Sprintf(": its last %d lines, the service does not hand out as much as was asked for", lastLines)
		content, err = p.service.client.Filesystem.Tail(ctx, t.System, path, &firecrest.PartOptions{Lines: lastLines})
	}
	if err != nil {
		return fmt.Errorf("output of job %s: %w", t.JobID, err)
	}
	p.heading(u, t, what)
	return p.lines(strings.NewReader(content.Content))
}

func onSystem(t *workflow.AttemptView, path string) string {
	return fmt.Sprintf("job %s on %s, %s", t.JobID, t.System, path)
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

// miss tells of an output that cannot be read.
func (p *logPrinter) miss(u *workflow.UnitView, t workflow.AttemptView, what string, err error) {
	p.missing = append(p.missing, err)
	p.app.streams.Err.Println(console.Text{S: fmt.Sprintf("── %s, attempt %d, %s", unitRef(u), t.Attempt, what), Style: console.Bold}, console.Say(": cannot be read"))
}

// missed says of how many outputs nothing was printed, and of the first ones why.
func (p *logPrinter) missed() error {
	const most = 5
	err := errors.Join(p.missing[:min(most, len(p.missing))]...)
	if more := len(p.missing) - most; more > 0 {
		err = fmt.Errorf("%w\nand %s", err, count(more, "more output"))
	}
	if p.unasked > 0 {
		err = fmt.Errorf("%w\nthe output of %s was not asked for", err, count(p.unasked, "more job"))
	}
	return err
}

// noteFar says how to fetch what was counted.
func (p *logPrinter) noteFar(attempt int) {
	flag := ""
	if attempt > 0 {
		flag = fmt.Sprintf(" --attempt %d", attempt)
	}
	for _, far := range p.far {
		p.app.note("the output of %s of %s is not kept here; fetch it: fcflow runs logs %s %s%s", count(far.jobs, "job"), far.step, p.app.refer(p.view.ID), shellQuote(far.step), flag)
	}
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
		if err != nil || out.Err() != nil {
			flush()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
	}
}
