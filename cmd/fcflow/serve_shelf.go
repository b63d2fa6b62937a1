package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// shelf is a directory of workflow files, read again when they change. Looking at
// them now and then works on every file system.
type shelf struct {
	app    *app
	dir    string // "" = none
	system string // where steps run that name no system
	kept   goodVersions

	mu    sync.Mutex
	books []*shelved // by file
}

// shelved is a workflow file with its last good version.
type shelved struct {
	file     string
	digest   [sha256.Size]byte
	workflow *workflow.Workflow // nil if there was no good version
	wrong    string             // what is wrong with the file as it is
	since    time.Time
}

func (b *shelved) name() string {
	if b.workflow != nil {
		return b.workflow.Name
	}
	return strings.TrimSuffix(filepath.Base(b.file), filepath.Ext(b.file))
}

// shelfEvery is how often the files are looked at.
const shelfEvery = 3 * time.Second

// newShelf keeps the last good versions below a directory of the server.
func newShelf(a *app, dir, system, serve string) *shelf {
	s := &shelf{app: a, dir: dir, system: system}
	s.kept = goodVersions{app: a, of: s.base(), dir: goodDir(serve, s.base())}
	return s
}

// base is the directory of workflows that have none.
func (s *shelf) base() string {
	dir, err := filepath.Abs(s.dir) // "" is the working directory
	if err != nil {
		return s.dir
	}
	return dir
}

// watch reads the directory again and again, and tells when something changed.
func (s *shelf) watch(ctx context.Context, changed func(context.Context)) {
	if s.dir == "" {
		return
	}
	tick := time.NewTicker(shelfEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := s.fingerprint()
		if err := s.read(); err != nil {
			log := s.app.logger()
			log.Error().Err(err).Str("directory", s.dir).Msg("the workflows cannot be read; those of before stay")
			continue
		}
		if s.fingerprint() != before {
			changed(ctx)
		}
	}
}

func (s *shelf) fingerprint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, book := range s.books {
		fmt.Fprintf(&b, "%s %x %s\n", book.file, book.digest, book.wrong)
	}
	return b.String()
}

// read looks at every file. One that cannot be used keeps its last good version.
func (s *shelf) read() error {
	if s.dir == "" {
		return nil
	}
	dir := s.base()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("--workflows: directory %s: %w", dir, workflow.ErrNotFound), "make it, or name the directory of your workflow files")
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return withHint(fmt.Errorf("%w: --workflows: %s is no directory", errUsage, dir), "name the directory in which the file is")
	}
	if err != nil {
		return fmt.Errorf("--workflows: %w", err)
	}
	s.mu.Lock()
	old := s.books
	s.mu.Unlock()
	var books []*shelved
	names := map[string]string{}
	there := map[string]bool{}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		book := s.look(filepath.Join(dir, e.Name()), old)
		if book == nil {
			continue
		}
		there[e.Name()] = true
		if first, twice := names[book.name()]; twice {
			book.fail(fmt.Sprintf("%s has a workflow of the name %s already", first, book.name()))
			book.workflow = nil
		} else {
			names[book.name()] = e.Name()
		}
		books = append(books, book)
	}
	s.kept.only(there)
	s.mu.Lock()
	s.books = books
	s.mu.Unlock()
	return nil
}

// look reads a file that is new or has changed; nil if it holds no workflow.
func (s *shelf) look(file string, old []*shelved) *shelved {
	book := &shelved{file: file}
	i := slices.IndexFunc(old, func(b *shelved) bool { return b.file == file })
	if i >= 0 {
		*book = *old[i]
	}
	source, err := readWorkflow(file)
	if errors.Is(err, workflow.ErrNotFound) {
		return nil
	}
	if err != nil {
		book.fail(said(err))
		s.recall(book, i < 0)
		return book
	}
	// Files that it runs may have changed too: whatever has steps of that kind is
	// read again.
	digest := sha256.Sum256(source)
	unchanged := digest == book.digest && (book.wrong == "" || !s.runsFiles(source))
	if unchanged && (book.workflow == nil || len(book.workflow.WithChildren()) == 1) {
		return book
	}
	book.digest = digest
	w, err := s.app.checkWorkflow(file, source, s.system)
	if err != nil {
		book.fail(wordsOf(err))
		s.recall(book, i < 0)
		return book
	}
	book.workflow, book.wrong, book.since = w, "", time.Time{}
	s.kept.put(w)
	return book
}

// recall takes the last good version of a file that is broken when the server first
// sees it.
func (s *shelf) recall(book *shelved, first bool) {
	if first {
		book.workflow = s.kept.get(book.file, s.system)
	}
}

func (s *shelf) runsFiles(source []byte) bool { return strings.Contains(string(source), "workflow") }

func (b *shelved) fail(what string) {
	if b.wrong == "" {
		b.since = time.Now().UTC().Truncate(time.Second)
	}
	b.wrong = what
}

// wordsOf says all that is wrong with a file.
func wordsOf(err error) string {
	var invalid *problemsError
	if errors.As(err, &invalid) {
		return problemWords(invalid.problems)
	}
	return said(err)
}

// all lists the files.
func (s *shelf) all() []*shelved {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books
}

// has reports whether a file has a workflow of that name.
func (s *shelf) has(name string) bool {
	return slices.ContainsFunc(s.all(), func(b *shelved) bool { return b.name() == name })
}

// find returns a workflow that can be run.
func (s *shelf) find(name string) (*shelved, error) {
	var known []string
	for _, b := range s.all() {
		if b.name() == name && b.workflow != nil {
			return b, nil
		}
		known = append(known, b.name())
	}
	err := fmt.Errorf("workflow %q: %w", name, workflow.ErrNotFound)
	if near := workflow.Suggest(name, known); near != "" {
		return nil, fmt.Errorf("%w: did you mean %q?", err, near)
	}
	return nil, err
}

// reloaded hands the workflows to the scheduler and tells who listens.
func (h *host) reloaded(ctx context.Context) {
	var good []*workflow.Workflow
	for _, b := range h.shelf.all() {
		if b.workflow != nil {
			good = append(good, b.workflow)
		}
		if b.wrong != "" {
			h.log.Warn().Str("file", b.file).Str("error", firstLine(b.wrong)).Bool("last_good_version", b.workflow != nil).Msg("a workflow file has a mistake")
		}
		h.news.Tell(changeOf(b))
	}
	if err := h.scheduler.Set(ctx, good); err != nil {
		h.log.Error().Err(err).Msg("schedules")
	}
}
