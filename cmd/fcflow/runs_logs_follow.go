package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// logFollower prints the output of steps of a run as it comes.
type logFollower struct {
	*logPrinter
	chosen   selection
	screen   *logScreen
	far      lookout
	attempts map[workflow.UnitRef]*followedAttempt
}

// localEvery is how often logs on this machine are looked at.
const localEvery = 200 * time.Millisecond

// gentlePause is the shortest pause between two looks at files of a real site,
// whatever the profile says.
const gentlePause = 20 * time.Second

// followLogs prints the output of a run that somebody drives until the chosen
// steps are done. It reports false if nobody drives it.
func (p *logPrinter) followLogs(ctx context.Context, step string) (bool, error) {
	run, driven, err := p.app.readRun(ctx, p.store, p.view.ID, func(workflow.Event) {})
	if err != nil || !driven || run.State.Terminal() {
		return false, err
	}
	chosen := selection{ref: unitNamed(step)}
	if !chosen.exists(run) {
		_, err := unitOf(run, step)
		return true, err
	}
	live, err := p.app.alive(ctx, p.store, p.view.ID)
	if err != nil || live == nil || live.client == nil {
		return false, err
	}
	defer live.close()
	f := &logFollower{
		logPrinter: p, chosen: chosen, screen: &logScreen{app: p.app},
		attempts: map[workflow.UnitRef]*followedAttempt{},
	}
	f.far.read, f.far.size = f.readFar, f.sizeFar
	p.tries = 1 // the next look is soon enough, and a site counts all of them
	ctx, stop := context.WithCancel(ctx)
	s := newRunStream(run, f.chosen)
	var streaming sync.WaitGroup
	streaming.Go(func() { s.follow(ctx, p.app, p.store, live.client) })
	err = f.loop(ctx, s)
	stop()
	streaming.Wait()
	if s.gone && err == nil {
		p.app.note("nobody drives run %s any more; continue it: fcflow resume %s", shortID(run.ID), p.app.refer(run.ID))
	}
	return true, err
}

// loop prints until the chosen steps are done and all of their output is printed.
func (f *logFollower) loop(ctx context.Context, s *runStream) error {
	local := time.NewTicker(localEvery)
	defer local.Stop()
	far := time.NewTimer(0)
	defer far.Stop()
	for {
		units, over, err := s.take()
		if len(units) > 0 {
			err = errors.Join(err, f.list()) // after what the units have told
		}
		for i := range units {
			err = errors.Join(err, f.update(ctx, &units[i]))
		}
		if err != nil || f.app.streams.Out.Err() != nil { // nobody can read what comes
			return err
		}
		if over {
			f.far.finishAll()
		}
		due, left := f.far.next()
		if over && !left {
			return nil
		}
		if left {
			far.Reset(time.Until(due))
		}
		select {
		case <-s.news:
		case <-local.C:
			err = f.readLocal()
		case <-far.C:
			err = f.far.look(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// look begins with a file of a job.
func (f *logFollower) look(ctx context.Context, file *farFile) error {
	if err := f.connect(ctx); err != nil {
		return err
	}
	f.far.min, f.far.max = f.service.poll.Min, max(f.service.poll.Min, f.service.poll.Max)
	if f.service.profile.Sandbox == "" {
		f.far.min = max(f.far.min, gentlePause)
	}
	f.far.add(file)
	return nil
}

func (f *logFollower) readFar(ctx context.Context, system, path string, part *firecrest.PartOptions) (string, error) {
	content, err := f.service.client.Filesystem.Tail(ctx, system, path, part)
	if err != nil {
		return "", err
	}
	return content.Content, nil
}

func (f *logFollower) sizeFar(ctx context.Context, system, path string) (int64, error) {
	stat, err := f.service.client.Filesystem.Stat(ctx, system, path, true)
	if err != nil {
		return 0, err
	}
	return stat.Size, nil
}

// selection is what of a run a person named.
type selection struct {
	ref   workflow.UnitRef // a part of a key is enough; zero = everything
	known int              // units of the step when they were matched
	match map[string]bool  // instances that are chosen
}

// exists reports whether there is, or can still be, what is chosen.
func (s *selection) exists(run *workflow.Run) bool {
	step, ok := run.Step(s.ref.Step)
	switch {
	case s.ref.Step == "":
		return true
	case !ok:
		return false
	}
	return !step.Expanded() || slices.ContainsFunc(step.Units, s.has)
}

// has reports whether a unit is chosen.
func (s *selection) has(u *workflow.Unit) bool {
	switch {
	case s.ref.Step == "":
		return true
	case u.Step.Step.ID != s.ref.Step:
		return false
	case s.ref.Instance == "":
		return true
	}
	if s.known != len(u.Step.Units) {
		s.known, s.match = len(u.Step.Units), map[string]bool{}
		for _, m := range u.Step.Match(s.ref.Instance) {
			s.match[m.Instance] = true
		}
	}
	return s.match[u.Instance]
}

// over reports whether nothing more can come of what is chosen.
func (s *selection) over(run *workflow.Run) bool {
	step, ok := run.Step(s.ref.Step)
	if run.State.Terminal() || !ok || !step.Expanded() {
		return run.State.Terminal()
	}
	return !slices.ContainsFunc(step.Units, func(u *workflow.Unit) bool { return !u.State.Done() && s.has(u) })
}

// runStream folds the events of a live run as they come, however long who reads
// it takes, and keeps what has changed of the chosen units.
type runStream struct {
	news chan struct{}

	mu      sync.Mutex
	run     *workflow.Run
	chosen  selection
	changed map[workflow.UnitRef]bool
	order   []workflow.UnitRef
	gone    bool // its owner stopped
	err     error
}

func newRunStream(run *workflow.Run, chosen selection) *runStream {
	s := &runStream{run: run, chosen: chosen, news: make(chan struct{}, 1), changed: map[workflow.UnitRef]bool{}}
	for _, step := range run.Steps {
		s.note(step.Units)
	}
	return s
}

func (s *runStream) note(units []*workflow.Unit) {
	for _, u := range units {
		if ref := u.Ref(); len(u.Attempts) > 0 && !s.changed[ref] && s.chosen.has(u) {
			s.changed[ref] = true
			s.order = append(s.order, ref)
		}
	}
}

func (s *runStream) follow(ctx context.Context, a *app, st *store.Store, c *server.Client) {
	err := a.followEvents(ctx, st, c, s.run.ID, s.run.Seq+1, func(e workflow.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := workflow.Apply(s.run, &e); err != nil {
			return err
		}
		s.note(s.run.TakeChanged())
		s.poke()
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, server.ErrGone):
		s.gone = !s.run.State.Terminal()
	case ctx.Err() == nil:
		s.err = err
	}
	s.poke()
}

func (s *runStream) poke() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// take returns the units that have changed since the last time, and whether it
// was the last one.
func (s *runStream) take() (units []workflow.UnitView, over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range s.order {
		u, _ := s.run.Unit(ref)
		units = append(units, u.Describe())
	}
	clear(s.changed)
	s.order = nil
	if s.err != nil {
		return units, true, fmt.Errorf("follow run %s: %w", s.run.ID, s.err)
	}
	return units, s.gone || s.chosen.over(s.run), nil
}
