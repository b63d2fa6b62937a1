package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// unitKey is what decides, with the keys of what a unit depends on, whether the
// unit was done as a workflow has it. retry, timeout, if and max_parallel are not
// in it.
type unitKey struct {
	Uses    string            `json:"uses"`
	Version int               `json:"version"`
	With    json.RawMessage   `json:"with"` // secrets by their names
	Files   map[string]string `json:"files,omitempty"`
	Dir     string            `json:"dir,omitempty"` // where its local paths start
}

// compare says what of the key of a unit has changed; "" if nothing has.
func (p *replanner) compare(old, u *Unit) string {
	if old.Step.Step.Uses != u.Step.Step.Uses {
		return "uses changed"
	}
	before, err := keyOf(p.run, old, p.o.Blobs)
	if err != nil {
		return "with cannot be told any more"
	}
	after, err := keyOf(p.next, u, p.o.Blobs)
	if err != nil {
		return "with cannot be evaluated: " + err.Error()
	}
	if a := old.doneBy(); a != nil {
		before.Version = max(1, a.SpecVersion)
	}
	switch {
	case before.Version != after.Version:
		return fmt.Sprintf("version %d of %s", after.Version, u.Step.Step.Uses)
	case !bytes.Equal(before.With, after.With):
		return differing(before.With, after.With)
	case !maps.Equal(before.Files, after.Files):
		return strings.Join(differingFiles(before.Files, after.Files), ", ") + " changed"
	case before.Dir != after.Dir:
		return "the directory of the workflow changed"
	}
	for _, file := range p.changedFiles {
		if text, _ := CanonicalJSON(file); bytes.Contains(after.With, bytes.Trim(text, `"`)) {
			return file + " changed"
		}
	}
	return p.sources(old, u, after.With)
}

// edited says what is written otherwise of a step, "" if nothing is that counts. It is
// for what is done again anyway, whose inputs may not be known yet.
func (p *replanner) edited(s *StepRun) string {
	old, ok := p.run.Step(s.Step.ID)
	switch {
	case !ok:
		return ""
	case old.Step.Uses != s.Step.Uses:
		return "uses changed"
	}
	before, after := old.Step.written(), s.Step.written()
	names := distinct(slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))))
	names = slices.DeleteFunc(names, func(name string) bool { return reflect.DeepEqual(before[name], after[name]) })
	if len(names) == 0 {
		return ""
	}
	return "with." + strings.Join(names, ", with.") + " changed"
}

// written is `with` as it stands in the file.
func (s *Step) written() map[string]any {
	if s.With == nil {
		return nil
	}
	with, _ := s.With.plain().(map[string]any)
	return with
}

// keyOf evaluates the key of a unit.
func keyOf(r *Run, u *Unit, blobs BlobReader) (unitKey, error) {
	s := u.Step.Step
	k := unitKey{Uses: s.Uses, Version: max(1, s.Spec().Version)}
	sc := r.Scope(u, blobs)
	sc.Attempt = max(1, len(u.Attempts))
	var err error
	if k.With, err = r.Workflow.EvalWith(s, sc); err != nil {
		return k, err
	}
	if s.child != nil {
		k.Files = map[string]string{}
		at, _ := childName(s)
		files := map[string][]byte{at: s.child.Source}
		s.child.collect(at, files)
		for name, text := range files {
			k.Files[name] = NewBlob(text).Digest
		}
	}
	for _, p := range localPaths(s, k.With, func(Field) bool { return true }) {
		if !filepath.IsAbs(p) {
			k.Dir = r.Created.Dir
		}
	}
	return k, nil
}

// localPaths are the local paths among some inputs of a step, by name.
func localPaths(s *Step, with json.RawMessage, some func(Field) bool) map[string]string {
	var values map[string]any
	if json.Unmarshal(with, &values) != nil {
		return nil
	}
	found := map[string]string{}
	for _, f := range s.Spec().Inputs {
		if text, ok := values[f.Name].(string); ok && f.Path == LocalPath && text != "" && some(f) {
			found[f.Name] = text
		}
	}
	return found
}

// differing names the inputs that differ: "with.script changed".
func differing(before, after json.RawMessage) string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(before, &a) != nil || json.Unmarshal(after, &b) != nil {
		return "with changed"
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !bytes.Equal(a[name], b[name]) {
			names = append(names, "with."+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[name]; !ok {
			names = append(names, "with."+name)
		}
	}
	return strings.Join(names, ", ") + " changed"
}

// differingFiles names the files that are not the same, or only one has.
func differingFiles(before, after map[string]string) (names []string) {
	for name := range after {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sources looks at the local files that a unit has read.
func (p *replanner) sources(old, u *Unit, with json.RawMessage) string {
	a := old.doneBy()
	if a == nil {
		return "" // it was done in another run, nobody knows when
	}
	var read struct {
		SizeBytes int64  `json:"size_bytes"`
		SHA256    string `json:"sha256"`
		Files     int    `json:"files"`
	}
	if text, err := old.Outputs.Load(p.o.Blobs); err == nil {
		_ = json.Unmarshal(text, &read) // outputs of other types tell nothing
	}
	if read.Files > 1 {
		read.SHA256 = "" // of all together
	}
	digest := func(input string) string {
		if input == scriptFile {
			return "" // outputs of jobs are what people call them
		}
		return read.SHA256
	}
	for name, file := range localPaths(u.Step.Step, with, func(f Field) bool { return f.Source }) {
		full := file
		if !filepath.IsAbs(file) {
			full = filepath.Join(p.next.Created.Dir, file)
		}
		changed := false
		switch {
		case name == scriptFile && a.Submission != nil && a.Submission.Intent.Script != "":
			changed = p.otherScript(full, a.Submission.Intent.Script)
		case p.o.Changed != nil:
			changed = p.o.Changed(full, a.StartedAt, digest(name))
		}
		if changed {
			return file + " changed"
		}
	}
	return ""
}

// scriptFile is the input of jobs that names a local file with their script.
const scriptFile = "script_file"

// otherScript reports whether a job was submitted with other text than is in a file.
func (p *replanner) otherScript(file, submitted string) bool {
	text, err := p.o.ReadFile(file)
	if err != nil {
		return true
	}
	before, err := p.o.Blobs(submitted)
	return err != nil || !bytes.Contains(before, bytes.TrimSpace(text))
}

// changedFiles lists files of inputs that are not as they were when the run began.
func changedFiles(r *Run, now map[string]FileFacts) []string {
	before := map[string]FileFacts{}
	for _, f := range r.Created.Files {
		before[f.Path] = f
	}
	var changed []string
	for _, f := range now {
		old, ok := before[f.Path]
		same := old.SizeBytes == f.SizeBytes && old.ModifiedAt.Equal(f.ModifiedAt)
		if old.SHA256 != "" && f.SHA256 != "" {
			same = old.SHA256 == f.SHA256
		}
		if ok && !same && !slices.Contains(changed, f.Path) {
			changed = append(changed, f.Path)
		}
	}
	slices.Sort(changed)
	return changed
}
