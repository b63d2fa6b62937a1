package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fcflow/fcflow/store"
	"github.com/fcflow/fcflow/workflow"
)

// goodVersions keep the last good version of each workflow file of a directory, with
// the files that it runs, for a server that starts while the file is broken. To keep
// one is a courtesy: the log tells when it fails.
type goodVersions struct {
	app *app
	of  string // the directory of the workflow files
	dir string // where they are kept
}

// goodDir is where the good versions of a directory are kept, below one of the server.
func goodDir(serve, dir string) string {
	return filepath.Join(serve, "workflows", fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:16])
}

func (g *goodVersions) file(workflowFile string) string {
	return filepath.Join(g.dir, filepath.Base(workflowFile))
}

// put keeps a workflow as the good version of its file.
func (g *goodVersions) put(w *workflow.Workflow) {
	file, text := g.file(w.File), w.Frozen()
	if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, text) {
		return
	}
	err := g.make()
	if err == nil {
		err = replacePrivate(file, text)
	}
	if err != nil {
		g.warn(err, w.File, "the good version of the workflow cannot be kept")
	}
}

func (g *goodVersions) make() error {
	if exists(g.dir) {
		return nil
	}
	parent := filepath.Dir(g.dir)
	return errors.Join(os.MkdirAll(g.dir, dirOnlyMine), store.SyncDir(parent), store.SyncDir(filepath.Dir(parent)))
}

// get returns the good version of a file; nil if there is none.
func (g *goodVersions) get(file, system string) *workflow.Workflow {
	text, err := os.ReadFile(g.file(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var w *workflow.Workflow
	if err == nil {
		w, err = g.app.checkWorkflow(file, text, system)
	}
	if err != nil {
		g.warn(err, file, "the good version of the workflow cannot be used any more")
		return nil
	}
	return w
}

// only forgets the versions of files that are gone.
func (g *goodVersions) only(there map[string]bool) {
	entries, err := os.ReadDir(g.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.warn(err, g.of, "the good versions of the workflows cannot be read")
	}
	for _, e := range entries {
		if there[e.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(g.dir, e.Name())); err != nil {
			g.warn(err, filepath.Join(g.of, e.Name()), "the good version of a workflow that is gone cannot be removed")
		}
	}
}

func (g *goodVersions) warn(err error, file, what string) {
	log := g.app.logger()
	log.Warn().Err(err).Str("file", file).Msg(what)
}
