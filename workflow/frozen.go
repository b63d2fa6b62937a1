package workflow

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
)

// frozenHead begins a text that holds several workflow files: the one that is
// run, and those that its steps run. After it comes each file under a line with
// its size and its path, which is as the first file would name it.
const frozenHead = "# fcflow: workflow files, each under a line with its size in bytes and its path\n"

// Frozen is the text that a run of the workflow keeps, and from which [Load]
// reads it again: the file itself or, where steps run other workflows, all files
// together, so that a run does not depend on what becomes of them.
func (w *Workflow) Frozen() []byte {
	if !w.runsOthers() && !bytes.HasPrefix(w.Source, []byte(frozenHead)) {
		return w.Source
	}
	b := bytes.NewBufferString(frozenHead)
	write := func(name string, text []byte) {
		fmt.Fprintf(b, "# %d %s\n%s\n", len(text), strconv.Quote(name), text)
	}
	root := w.baseName()
	files := map[string][]byte{}
	w.collect(root, files)
	write(root, w.Source)
	for _, name := range sortedKeys(files) {
		write(name, files[name])
	}
	return b.Bytes()
}

// baseName is the name of the file when it was first read, which frozen texts
// keep.
func (w *Workflow) baseName() string { return cmp.Or(w.base, filepath.Base(w.File)) }

func (w *Workflow) runsOthers() bool {
	return slices.ContainsFunc(w.AllSteps(), func(s *Step) bool { return s.child != nil })
}

// collect gathers the files below the workflow, whose own path is at.
func (w *Workflow) collect(at string, files map[string][]byte) {
	for _, s := range w.AllSteps() {
		if s.child == nil {
			continue
		}
		name, _ := childName(s)
		p := pathFrom(at, name)
		if _, known := files[p]; !known {
			files[p] = s.child.Source
			s.child.collect(p, files)
		}
	}
}

// FrozenFiles returns the files of a frozen text: the one that is run, and by their
// paths those that its steps run.
func FrozenFiles(text []byte) (root []byte, files map[string][]byte) {
	_, root, files, _, err := thaw(text)
	if err != nil {
		return text, nil
	}
	return root, files
}

// thaw takes a text apart that [Workflow.Frozen] put together. It reports false
// for a text that is one file.
func thaw(text []byte) (name string, root []byte, files map[string][]byte, ok bool, err error) {
	rest, ok := bytes.CutPrefix(text, []byte(frozenHead))
	if !ok {
		return "", text, nil, false, nil
	}
	files = map[string][]byte{}
	for first := true; first || len(rest) > 0; first = false {
		var p string
		var file []byte
		if p, file, rest, err = thawOne(rest); err != nil {
			return "", nil, nil, true, err
		}
		if first {
			name, root = p, file
		} else {
			files[p] = file
		}
	}
	return name, root, files, true, nil
}

// thawOne reads one file and returns what follows it.
func thawOne(text []byte) (name string, file, rest []byte, err error) {
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	var size int
	if _, err := fmt.Sscanf(string(line), "# %d %q", &size, &name); err != nil {
		return "", nil, nil, fmt.Errorf("%q does not say the size and the path of a file", shorten(string(line)))
	}
	if size < 0 || size >= len(rest) || rest[size] != '\n' {
		return "", nil, nil, fmt.Errorf("%q is not as long as it says", name)
	}
	return name, rest[:size], rest[size+1:], nil
}

// thawed reads files that were frozen together.
func thawed(files map[string][]byte) func(string) ([]byte, error) {
	return func(p string) ([]byte, error) {
		if text, ok := files[p]; ok {
			return text, nil
		}
		return nil, fmt.Errorf("among the frozen files: %w", fs.ErrNotExist)
	}
}
