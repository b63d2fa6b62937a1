package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/workflow"
)

// host implements [server.Host]: what `fcflow serve` has.
type host struct {
	session   *session
	settings  *settings.Settings
	profile   workflow.Profile
	dir       string // of the server, in the state directory
	log       zerolog.Logger
	shelf     *shelf
	book      workflow.Book
	scheduler *scheduler.Scheduler
	news      server.News
	meter     *meter
	sites     sites
	far       farLogs
	folds     folds

	ctx     context.Context // of what is driven
	driving sync.WaitGroup
	opening sync.Mutex // one run is taken over at a time
}

const dirOnlyMine = 0o700

// openHost opens the session of a server, its schedules and its workflows.
func (a *app) openHost(ctx context.Context, s *settings.Settings, profile workflow.Profile, o serveOptions) (*host, error) {
	state, err := s.Path("state_dir")
	if err != nil {
		return nil, err
	}
	h := &host{
		settings: s, profile: profile, dir: filepath.Join(state, "serve"), log: a.logger(), meter: newMeter(), ctx: ctx,
		shelf: newShelf(a, o.workflows, defaultSystem(profile, s)),
	}
	if h.session, err = a.openHosting(s, true, func(e *session) server.Host {
		h.session = e
		return h
	}); err != nil {
		return nil, err
	}
	h.session.runs = timedStore{h.session.runs, h.meter}
	h.session.observed, h.session.requests = h.observe, append(h.session.requests, h.meter.request)
	if err := os.MkdirAll(filepath.Join(h.dir, "runs"), dirOnlyMine); err != nil {
		return nil, h.openFailed(err)
	}
	book, err := h.session.store.Book(ctx)
	if err != nil {
		return nil, h.openFailed(withHint(err, "is another fcflow serve running on this state directory?"))
	}
	h.book = book
	h.scheduler, err = scheduler.New(ctx, book, starter{h}, scheduler.Options{Logger: h.log, Changed: h.scheduleChanged})
	if err != nil {
		return nil, h.openFailed(err)
	}
	if err := h.shelf.read(); err != nil {
		return nil, h.openFailed(err)
	}
	h.reloaded(ctx)
	return h, nil
}

// defaultSystem is where steps of workflows run that name no system.
func defaultSystem(p workflow.Profile, s *settings.Settings) string {
	if p.URL == "" && p.Sandbox == "" {
		return anySystem(s)
	}
	return p.System
}

func (h *host) close() error {
	if h.book != nil { // without it the address may be that of the server that has it
		_ = os.Remove(h.addressFile()) // one that is left behind is not answered
	}
	err := h.session.close()
	if h.book != nil {
		err = errors.Join(err, h.book.Close())
	}
	return err
}

// begin sets until when runs are driven.
func (h *host) begin(ctx context.Context) { h.ctx = ctx }

// Identity implements [server.Host].
func (h *host) Identity() (version, user string) { return releaseName(), whoami() }

// Forms implements [server.Host].
func (h *host) Forms() server.Forms {
	return server.Forms{Why: explained{}, Results: shownResults{}, Systems: []shownSystem{}, System: servedSite{}}
}

// address is what is written for `fcflow run --server` and `serve token`.
type address struct {
	Socket string `json:"socket"`
	URL    string `json:"url,omitempty"`
	PID    int    `json:"pid"`
}

func (h *host) addressFile() string { return filepath.Join(h.dir, "server.json") }

// announce tells other commands where the server is.
func (h *host) announce(url string) error {
	self := h.session.store.Self()
	text, err := json.Marshal(address{Socket: self.Socket, URL: url, PID: self.PID})
	if err != nil {
		return err
	}
	return writePrivate(h.addressFile(), text)
}

// writePrivate replaces a file that only we can read.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mark remembers that the server drives a run, so that the next one goes on with
// it.
func (h *host) mark(id workflow.RunID) error { return writePrivate(h.markFile(id), nil) }

func (h *host) markFile(id workflow.RunID) string { return filepath.Join(h.dir, "runs", string(id)) }

// marks lists the runs that servers of this state directory drove.
func (h *host) marks() map[workflow.RunID]bool {
	mine := map[workflow.RunID]bool{}
	entries, _ := os.ReadDir(filepath.Join(h.dir, "runs")) // without it there are none
	for _, e := range entries {
		mine[workflow.RunID(e.Name())] = true
	}
	return mine
}

// drive executes a run in the background until it is over or the server stops.
func (h *host) drive(x *engine.Execution) {
	h.driving.Go(func() {
		if h.driveOnce(x) {
			h.driveAgain(x.ID())
		}
	})
}

// driveAgain takes a run over that its service did not let go on, until it is over
// or the server stops.
func (h *host) driveAgain(id workflow.RunID) {
	for wait := firstAgain; h.pause(wait); wait = min(2*wait, maxAgain) {
		x, err := h.session.reopen(h.ctx, id)
		switch {
		case passing(err):
			h.log.Warn().Err(err).Str("run", string(id)).Msg("the run is tried again later")
		case err != nil:
			h.log.Error().Err(err).Str("run", string(id)).Msg("the run is not continued")
			return
		case !h.driveOnce(x):
			return
		}
	}
}

// passing reports whether an error is of a service that refuses us or does not
// answer.
func passing(err error) bool {
	return errors.Is(err, engine.ErrLogin) || errors.Is(err, engine.ErrUnavailable)
}

// A run whose service refuses us or does not answer is tried again after a while:
// nobody sits there to resume it.
const (
	firstAgain = 15 * time.Second
	maxAgain   = 10 * time.Minute
)

// pause waits; it reports whether the server still works then.
func (h *host) pause(wait time.Duration) bool {
	select {
	case <-time.After(wait):
		return true
	case <-h.ctx.Done():
		return false
	}
}

// driveOnce executes a run until it is over, the server stops or the service is of
// no use. It reports whether the run is to be tried again later.
func (h *host) driveOnce(x *engine.Execution) (again bool) {
	id, name := x.ID(), x.Run().Workflow.Name
	err := h.session.drive(h.ctx, x)
	state := x.Run().State
	log := h.log.With().Str("run", string(id)).Str("workflow", name).Logger()
	switch {
	case h.ctx.Err() != nil && !state.Terminal():
		log.Info().Msg("the run waits for the next start")
	case passing(err):
		log.Warn().Err(err).Msg("the run is tried again later")
		again = true
	case err != nil:
		log.Error().Err(err).Msg("the run stopped")
	default:
		log.Info().Str("state", string(state)).Msg("the run has ended")
	}
	if err := h.session.owned.release(x); err != nil {
		log.Error().Err(err).Msg("the run could not be closed")
	}
	if state.Terminal() {
		_ = os.Remove(h.markFile(id)) // one that is left is of a run that has ended
		if err := h.scheduler.Ended(context.WithoutCancel(h.ctx), id, state); err != nil {
			log.Error().Err(err).Msg("the schedule does not know of the end")
		}
	}
	h.news.Tell(server.Change{Kind: server.ChangedRun, Run: id, State: state, Workflow: name})
	return again
}

// observe is told of each commit.
func (h *host) observe(run *workflow.Run, events []workflow.Event) {
	h.meter.events(events, run.Workflow.Name, h.shelf.has(run.Workflow.Name))
	h.news.Tell(server.Change{Kind: server.ChangedRun, Run: run.ID, Seq: run.Seq, State: run.State})
}

func (h *host) scheduleChanged(k scheduler.Key) {
	h.news.Tell(server.Change{Kind: server.ChangedSchedule, Workflow: k.Workflow, Schedule: k.Schedule})
}

// Changes implements [server.Host].
func (h *host) Changes() *server.News { return &h.news }

// errNotHere says that a server has no service.
func errNotHere(what string) error {
	return fmt.Errorf("%s: no FirecREST service is configured for this server: %w", what, workflow.ErrConflict)
}
