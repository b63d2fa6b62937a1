package main

import (
	"bytes"
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
	own      verdict
	workflow *workflow.Workflow // nil if there is none that can be run
	wrong    string             // why it is not that of the file as it is
	since    time.Time
}

// verdict is what a file comes to by itself, whatever other files there are.
type verdict struct {
	digest   [sha256.Size]byte  // of its text; zero if that could not be read
	workflow *workflow.Workflow // the last good version; nil if there was none
	frozen   [sha256.Size]byte  // of that, with the files that it runs
	wrong    string             // what is wrong with the text as it is
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
		fmt.Fprintf(&b, "%s %x %x %s\n", book.file, book.own.digest, book.own.frozen, book.wrong)
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
		book.settle(names)
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
	own := &book.own
	source, err := readWorkflow(file)
	if errors.Is(err, workflow.ErrNotFound) {
		return nil
	}
	var w *workflow.Workflow
	if err != nil {
		own.digest = [sha256.Size]byte{} // nothing is known of the text: the next look checks it
	} else {
		digest := sha256.Sum256(source)
		if digest == own.digest && !own.dependsOnOthers(source) {
			return book
		}
		own.digest = digest
		w, err = s.app.checkWorkflow(file, source, s.system)
	}
	if err == nil {
		own.take(w)
		own.wrong = ""
		s.kept.put(w)
		return book
	}
	own.wrong = wordsOf(err)
	if i < 0 { // broken when the server first sees it
		own.take(s.kept.get(file, s.system))
	}
	return book
}

// dependsOnOthers reports whether files that the workflow runs may have changed the
// verdict: whatever has steps of that kind is read again.
func (v *verdict) dependsOnOthers(source []byte) bool {
	if v.wrong != "" && bytes.Contains(source, []byte("workflow")) {
		return true
	}
	return v.workflow != nil && len(v.workflow.WithChildren()) > 1
}

// take makes a workflow the last good version.
func (v *verdict) take(w *workflow.Workflow) {
	if v.workflow = w; w != nil {
		v.frozen = sha256.Sum256(w.Frozen())
	}
}

// settle decides what a file counts for beside those before it: the first that has a
// workflow has its name.
func (b *shelved) settle(names map[string]string) {
	b.workflow, b.wrong = b.own.workflow, b.own.wrong
	if w := b.workflow; w != nil {
		if first, twice := names[w.Name]; twice {
			b.workflow, b.wrong = nil, fmt.Sprintf("%s has a workflow of the name %s already", first, w.Name)
		} else {
			names[w.Name] = filepath.Base(b.file)
		}
	}
	switch {
	case b.wrong == "":
		b.since = time.Time{}
	case b.since.IsZero():
		b.since = time.Now().UTC().Truncate(time.Second)
	}
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
	broken := map[string]bool{}
	for _, b := range h.shelf.all() {
		if b.workflow != nil {
			good = append(good, b.workflow)
		}
		switch {
		case b.wrong != "":
			broken[b.file] = true
			h.log.Warn().Str("file", b.file).Str("error", firstLine(b.wrong)).Bool("last_good_version", b.workflow != nil).Msg("a workflow file has a mistake")
		case h.broken[b.file]:
			h.log.Info().Str("file", b.file).Msg("the workflow file is in order again")
		}
		h.news.Tell(changeOf(b))
	}
	h.broken = broken
	if err := h.scheduler.Set(ctx, good); err != nil {
		h.log.Error().Err(err).Msg("schedules")
	}
}
