package crate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// inputFile is a file that is an input of the run.
type inputFile struct {
	name     string // of the input, list[0] in a list
	facts    workflow.FileFacts
	id       string
	examples []string // parameters that it is a value of
}

// inputFiles finds the files among the inputs, and copies them if that is wanted.
func (w *writer) inputFiles() error {
	for _, in := range w.Run.Workflow.Inputs {
		for _, name := range fileNames(in, w.Run.Created.Inputs[in.Name]) {
			facts, ok := w.Run.Created.Files[name]
			if !ok {
				continue
			}
			f := &inputFile{name: name, facts: facts, id: local("file/input/" + name), examples: []string{workflowInput(in.Name)}}
			w.inputs = append(w.inputs, f)
			if w.Open == nil {
				continue
			}
			if err := w.copyInput(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileNames are the names that the history has for the files of an input.
func fileNames(in *workflow.Input, value json.RawMessage) []string {
	switch {
	case in.Type.Kind == workflow.File:
		return []string{in.Name}
	case in.Type.Kind != workflow.List || in.Type.Elem.Kind != workflow.File:
		return nil
	}
	var paths, list []string
	if json.Unmarshal(value, &paths) != nil {
		return nil
	}
	for i := range paths {
		list = append(list, fmt.Sprintf("%s[%d]", in.Name, i))
	}
	return list
}

func (w *writer) copyInput(f *inputFile) error {
	content, err := w.Open(f.facts)
	if err != nil {
		return fmt.Errorf("input %q: %w", f.name, err)
	}
	name := path.Join("inputs", safe(f.name), safe(filepath.Base(f.facts.Path)))
	size, digest, err := w.store(name, content)
	switch {
	case err != nil:
		return fmt.Errorf("input %q: %w", f.name, err)
	case size != f.facts.SizeBytes, f.facts.SHA256 != "" && digest != f.facts.SHA256:
		return fmt.Errorf("input %q: %s has changed since the run was created", f.name, f.facts.Path)
	}
	f.id, f.facts.SHA256 = name, digest
	return nil
}

// store puts a file into the crate, and closes it.
func (w *writer) store(name string, content io.ReadCloser) (size int64, digest string, err error) {
	defer func() { err = errors.Join(err, content.Close()) }()
	hash, count := sha256.New(), counter(0)
	err = w.put(name, io.TeeReader(content, io.MultiWriter(hash, &count)))
	w.files = append(w.files, name)
	return int64(count), hex.EncodeToString(hash.Sum(nil)), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (f *inputFile) entity() entity {
	base := filepath.Base(f.facts.Path)
	e := entity{
		"@id": f.id, "@type": "File", "name": base, "alternateName": f.facts.Path,
		"contentSize": strconv.FormatInt(f.facts.SizeBytes, 10), "encodingFormat": mediaType(base),
	}
	e.set("dateModified", f.facts.ModifiedAt)
	e.set("sha256", f.facts.SHA256)
	e.set("exampleOfWork", refs(f.examples))
	return e
}

// inputAt finds the input file that a local path names; nil if it is none.
func (w *writer) inputAt(p string) *inputFile {
	if !filepath.IsAbs(p) {
		p = filepath.Join(w.Run.Created.Dir, p)
	}
	for _, f := range w.inputs {
		if f.facts.Path == p {
			return f
		}
	}
	return nil
}

func (f *inputFile) example(param string) {
	for _, known := range f.examples {
		if known == param {
			return
		}
	}
	f.examples = append(f.examples, param)
}

// script puts the text that an attempt ran into the crate, once for all that
// ran the same, and returns its id.
func (w *writer) script(unit *workflow.Unit, attempt int, uses string, text []byte) (string, error) {
	digest := workflow.NewBlob(text).Digest
	if id := w.scripts[digest]; id != "" {
		return id, nil
	}
	kind, extension := "text/plain", ".txt"
	if first, _, _ := bytes.Cut(text, []byte("\n")); !bytes.HasPrefix(first, []byte("#!")) || bytes.HasSuffix(first, []byte("sh")) {
		kind, extension = "text/x-shellscript", ".sh"
	}
	name := attemptPath("scripts", unit, attempt) + extension
	w.scripts[digest] = name
	w.files = append(w.files, name)
	p := w.param(toolParam(uses, "inputs", "script"), "script", "File")
	p.isInput = true
	w.graph.add(entity{
		"@id": name, "@type": "File", "name": "script of " + unit.Ref().String(), "encodingFormat": kind,
		"contentSize": strconv.Itoa(len(text)), "sha256": digest, "exampleOfWork": ref{p.id},
	})
	return name, w.put(name, bytes.NewReader(text))
}

// logs puts what an attempt printed into the crate.
func (w *writer) logs(unit *workflow.Unit, attempt int, action string) error {
	if w.Logs == nil {
		return nil
	}
	for _, l := range w.Logs(unit.Ref(), attempt) {
		content, err := l.Open()
		if err != nil {
			return err
		}
		name := attemptPath("logs", unit, attempt) + "." + safe(l.Name)
		size, digest, err := w.store(name, content)
		if err != nil {
			return err
		}
		w.graph.add(entity{
			"@id": name, "@type": "File", "name": l.Name + " of " + unit.Ref().String(), "encodingFormat": "text/plain",
			"contentSize": strconv.FormatInt(size, 10), "sha256": digest, "about": ref{action},
		})
	}
	return nil
}

// attemptPath is where in the crate the files of an attempt are, without their
// endings.
func attemptPath(dir string, unit *workflow.Unit, attempt int) string {
	name := path.Join(dir, safe(unit.Step.Step.ID))
	if unit.Instance != "" {
		name = path.Join(name, safe(unit.Instance))
	}
	return name + "." + strconv.Itoa(attempt)
}

// longest is how much of a name is kept.
const longest = 80

// safe makes a name that files can have everywhere, and addresses without
// escapes. What had to be changed ends in a digest of what it was.
func safe(name string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-=,+", r):
			return r
		}
		return '_'
	}, name)
	kept = strings.TrimLeft(kept[:min(len(kept), longest)], ".")
	if kept != name || kept == "" {
		kept += "-" + workflow.NewBlob([]byte(name)).Digest[:8]
	}
	return kept
}

// mediaTypes are of files that runs often have; what another machine would say
// must not matter.
var mediaTypes = map[string]string{
	".txt": "text/plain", ".csv": "text/csv", ".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml",
	".xml": "application/xml", ".nc": "application/x-netcdf", ".h5": "application/x-hdf5", ".gz": "application/gzip", ".tar": "application/x-tar",
	".zip": "application/zip", ".png": "image/png", ".pdf": "application/pdf", ".py": "text/x-python", ".sh": "text/x-shellscript",
}

func mediaType(name string) string {
	if t := mediaTypes[strings.ToLower(filepath.Ext(name))]; t != "" {
		return t
	}
	return "application/octet-stream"
}
