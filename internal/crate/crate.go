// Package crate describes a run that is over as a Workflow Run RO-Crate: a
// folder, or an archive of one, with the workflow, the scripts and a metadata
// file that other programs understand. The profile is Provenance Run Crate 0.5.
// Everything is taken from the history, so the same run makes the same crate.
package crate

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

// Source is what a crate is made of.
type Source struct {
	Run *workflow.Run
	// Definition is the frozen text of the workflow.
	Definition []byte
	// Versions are those of fcflow that drove the run, the oldest first.
	Versions []string
	// Blobs reads what is stored beside the history.
	Blobs workflow.BlobReader
	// License is the address or the SPDX id of the one the crate is under; "" if
	// nobody said.
	License string
	// Open opens a file that is an input of the run, to be copied into the crate.
	// Without it the crate only says which file it was.
	Open func(workflow.FileFacts) (io.ReadCloser, error)
	// Logs lists what an attempt printed, to be copied too; nil for none.
	Logs func(unit workflow.UnitRef, attempt int) []Log
}

// Log is output of an attempt that is kept.
type Log struct {
	Name string // unlike that of any other log of the attempt, safe in a file name
	Open func() (io.ReadCloser, error)
}

// Put stores a file of the crate under its path, which has slashes.
type Put func(path string, content io.Reader) error

const (
	metadataName = "ro-crate-metadata.json"
	workflowName = "workflow.yaml"
)

// Write makes the crate of a run that is over. The metadata file is the last one
// that is put.
func Write(s *Source, put Put) error {
	if !s.Run.State.Terminal() {
		return fmt.Errorf("run %s is %s; a crate describes what is over", s.Run.ID, s.Run.State)
	}
	w := &writer{
		Source: s, put: put, graph: newGraph(),
		params: map[string]*param{}, scripts: map[string]string{}, tools: map[string]bool{},
	}
	w.steps = make([]*workflow.Step, 0, len(s.Run.Steps))
	for _, step := range s.Run.Steps {
		w.steps = append(w.steps, step.Step)
	}
	if err := w.everything(); err != nil {
		return fmt.Errorf("crate of run %s: %w", s.Run.ID, err)
	}
	return nil
}

// writer gathers the entities of a crate.
type writer struct {
	*Source
	put   Put
	graph *graph
	steps []*workflow.Step

	files    []string // ids of the files in the crate
	inputs   []*inputFile
	params   map[string]*param // by id and type
	order    []*param
	scripts  map[string]string // digest → id
	tools    map[string]bool   // step types that ran
	actions  []string          // attempts, in the order of the crate
	controls []string
	fetched  []string // files that the run brought here
}

func (w *writer) everything() error {
	if err := w.definition(); err != nil {
		return err
	}
	if err := w.inputFiles(); err != nil {
		return err
	}
	for _, step := range w.Run.Steps {
		for _, unit := range step.Units {
			if err := w.imported(unit); err != nil {
				return fmt.Errorf("%s: %w", unit.Ref(), err)
			}
			for _, attempt := range unit.Attempts {
				if err := w.attempt(unit, attempt); err != nil {
					return fmt.Errorf("%s, attempt %d: %w", unit.Ref(), attempt.Number, err)
				}
			}
		}
	}
	if err := w.run(); err != nil {
		return err
	}
	w.engine()
	w.prospective()
	w.sites()
	for _, f := range w.inputs {
		w.graph.add(f.entity())
	}
	for _, p := range w.order {
		w.graph.add(p.entity())
	}
	if err := w.readme(); err != nil {
		return err
	}
	w.root()
	var text bytes.Buffer
	w.graph.writeTo(&text)
	return w.put(metadataName, &text)
}

// definition puts the workflow into the crate.
func (w *writer) definition() error {
	w.files = append(w.files, workflowName)
	return w.put(workflowName, bytes.NewReader(w.Definition))
}

// load decodes an object of the history.
func (w *writer) load(b workflow.Body) (map[string]any, error) {
	text, err := b.Load(w.Blobs)
	if err != nil || text == nil {
		return nil, err
	}
	return decodeObject(text)
}

// names are the keys of an object that have values, sorted.
func names(object map[string]any) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(object)), func(k string) bool { return object[k] == nil })
}
