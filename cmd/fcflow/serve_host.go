package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/rs/zerolog"

	"github.com/fcflow/fcflow/internal/settings"
	"github.com/fcflow/fcflow/scheduler"
	"github.com/fcflow/fcflow/server"
	"github.com/fcflow/fcflow/store"
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
	broken    map[string]bool // files of which it was told that they have a mistake
	book      workflow.Book
	scheduler *scheduler.Scheduler
	news      server.News
	meter     *meter
	sites     sites
	far       farLogs
	folds     folds

	ctx     context.Context // of what is driven
	driving crew
	drivers drivers
	opening sync.Mutex // one run is taken over, or handed on, at a time
	resumed keyed      // runs that somebody has go on, or changes, just now
	started keyed      // keys of requests that make a run just now
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
	}
	h.shelf = newShelf(a, o.workflows, defaultSystem(profile, s), h.dir)
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

// writePrivate replaces a file of one line that only we can read.
func writePrivate(path string, text []byte) error { return replacePrivate(path, append(text, '\n')) }

// replacePrivate replaces a file that only we can read, whole or not at all.
func replacePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return store.SyncDir(filepath.Dir(path))
}

// mark remembers that the server drives a run, so that the next one goes on with
// it.
func (h *host) mark(id workflow.RunID) error { return writePrivate(h.markFile(id), nil) }

func (h *host) markFile(id workflow.RunID) string { return markFile(h.dir, id) }

// markFile is the mark of a run in the directory of the server.
func markFile(dir string, id workflow.RunID) string { return filepath.Join(dir, "runs", string(id)) }

// marks lists the runs that servers of this state directory drove.
func (h *host) marks() map[workflow.RunID]bool {
	mine := map[workflow.RunID]bool{}
	entries, _ := os.ReadDir(filepath.Join(h.dir, "runs")) // without it there are none
	for _, e := range entries {
		mine[workflow.RunID(e.Name())] = true
	}
	return mine
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
