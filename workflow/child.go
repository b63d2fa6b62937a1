package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of the workflow files that one file runs, directly or not.
const (
	maxGenerations = 8
	maxChildFiles  = 100
	maxChildBytes  = 4 << 20
)

// The inputs of step types that run another workflow.
const (
	childFile   = "file"
	childInputs = "inputs"
)

// Child is the workflow that the step runs; nil for other steps, and where
// [Check] could not read it.
func (s *Step) Child() *Workflow { return s.child }

// lineage is where a file stands among the files that are checked together.
type lineage struct {
	family *family
	chain  []string // paths of the files down to this one
}

// family are the workflow files that one file runs, directly or not.
type family struct {
	read    func(path string) ([]byte, error)
	dir     string // of the first file, absolute; "" = not known
	named   string // the same directory as the caller names it
	members map[memberKey]*familyMember
	bytes   int
}

// memberKey tells a file from others; where steps may name no system, it may be
// wrong.
type memberKey struct {
	path      string
	hasSystem bool
}

// familyMember is a file that was checked; w is nil if it has problems.
type familyMember struct {
	w        *Workflow
	problems Problems
	err      error // why it could not be read
	depth    int   // of the files below it
	told     bool
}

// newLineage is that of the first file.
func newLineage(file string, o CheckOptions) lineage {
	return lineage{
		family: &family{read: o.ReadFile, dir: o.Dir, named: filepath.Dir(file), members: map[memberKey]*familyMember{}},
		chain:  []string{filepath.Base(file)},
	}
}

// pathFrom is the path of a file that another one names.
func pathFrom(parent, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(path.Dir(parent), name)
}

// identity tells one file by whichever way it is named, links aside.
func (f *family) identity(p string) string {
	if f.dir == "" || path.IsAbs(p) {
		return p
	}
	return path.Join(f.dir, p)
}

// forPeople is a path as the person who named the first file would write it.
func (f *family) forPeople(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return filepath.Join(f.named, p)
}

// checkChildren reads the workflows that steps run, so that their inputs and
// outputs are known like those of any other step.
func (c *checker) checkChildren() {
	for _, s := range c.steps {
		s.step.child = nil
		if spec := s.step.spec; spec != nil && spec.SubWorkflow {
			c.checkChild(s.step)
		}
	}
}

func (c *checker) checkChild(s *Step) {
	name, at := childName(s)
	if name == "" || c.lineage.family.read == nil || c.full() {
		return
	}
	p := pathFrom(c.lineage.chain[len(c.lineage.chain)-1], name)
	if !c.mayInclude(p, at) {
		return
	}
	m := c.member(p)
	switch {
	case errors.Is(m.err, fs.ErrNotExist):
		c.report(CodeChildFile, at, "the path starts from the directory of this file", "there is no workflow file %s", c.lineage.family.forPeople(p))
	case m.err != nil:
		c.report(CodeChildFile, at, "", "%s: %v", c.lineage.family.forPeople(p), m.err)
	case len(m.problems) == 0 && len(c.lineage.chain)+m.depth >= maxGenerations:
		c.tooDeep(at)
	}
	if !m.told {
		m.told = true
		c.problems = append(c.problems, m.problems...)
	}
	c.height = max(c.height, m.depth+1)
	if m.w != nil && m.err == nil {
		c.adopt(s, m.w, at)
	}
}

// childName is the file that a step names, with its place; "" if the step names
// none, which is said elsewhere.
func childName(s *Step) (string, Pos) {
	m, ok := s.With.Member(childFile)
	if !ok || m.Value.Kind != TextValue || m.Value.Template != nil || checkPath(m.Value.Text, LocalPath) != nil {
		return "", Pos{}
	}
	return m.Value.Text, m.Value.Pos
}

// mayInclude refuses a file that runs itself, and one too far down.
func (c *checker) mayInclude(p string, at Pos) bool {
	f, chain := c.lineage.family, c.lineage.chain
	first := slices.IndexFunc(chain, func(earlier string) bool { return f.identity(earlier) == f.identity(p) })
	if first >= 0 {
		var names []string
		for _, earlier := range append(slices.Clone(chain[first:]), p) {
			names = append(names, f.forPeople(earlier))
		}
		c.report(CodeChildCycle, at, "", "workflow files run each other: %s", strings.Join(names, " → "))
		return false
	}
	if len(chain) >= maxGenerations {
		c.tooDeep(at)
		return false
	}
	return true
}

func (c *checker) tooDeep(at Pos) {
	c.report(CodeChildCycle, at, "put the steps of one into the other",
		"the workflow files that run each other go more than %d deep", maxGenerations)
}

// member reads and checks a file, once.
func (c *checker) member(p string) *familyMember {
	f := c.lineage.family
	key := memberKey{p, c.hasDefaultSystem()}
	m := f.members[key]
	if m != nil {
		return m
	}
	m = &familyMember{}
	f.members[key] = m
	if len(f.members) > maxChildFiles {
		m.err = fmt.Errorf("a workflow runs at most %d other files", maxChildFiles)
		return m
	}
	text, err := f.read(p)
	if err != nil {
		m.err = err
		return m
	}
	if f.bytes += len(text); f.bytes > maxChildBytes {
		m.err = fmt.Errorf("a workflow and the files that it runs have at most %d MiB", maxChildBytes>>20)
		return m
	}
	m.w, m.problems = Parse(f.forPeople(p), text)
	if m.w != nil {
		o := c.options
		if c.hasDefaultSystem() {
			o.DefaultSystem = cmp.Or(o.DefaultSystem, "default")
		}
		k := newChecker(m.w, c.catalogue, o)
		k.lineage = lineage{family: f, chain: append(slices.Clone(c.lineage.chain), p)}
		m.problems = append(m.problems, k.check()...)
		m.depth = k.height
	}
	if len(m.problems) > 0 {
		m.w = nil
	}
	for i := range m.problems {
		if q := &m.problems[i]; q.File == "" {
			q.File, q.text = f.forPeople(p), string(text)
		}
	}
	return m
}

// adopt makes the inputs and outputs of a step those of the workflow it runs.
func (c *checker) adopt(s *Step, child *Workflow, at Pos) {
	spec := *s.spec
	spec.Inputs = slices.Clone(spec.Inputs)
	for i := range spec.Inputs {
		if f := &spec.Inputs[i]; f.Name == childInputs {
			*f = inputsField(child, *f)
		}
	}
	for _, o := range child.index.outputs {
		if _, taken := findField(spec.Outputs, o.Name); taken {
			c.report(CodeChildOutput, at, "rename the output there", "%s has an output %q, which is the step's own", child.File, o.Name)
		}
	}
	spec.Outputs = slices.Concat(spec.Outputs, child.index.outputs)
	s.spec, s.child = &spec, child
}

// inputsField is the input of a step that holds the inputs of a workflow.
func inputsField(child *Workflow, f Field) Field {
	f.Type = Type{Kind: Object}
	var required []string
	for _, in := range child.Inputs {
		f.Type.Fields = append(f.Type.Fields, Field{Name: in.Name, Type: in.Type, Required: in.Default == nil, Doc: in.Description})
		if in.Default == nil {
			required = append(required, in.Name)
		}
	}
	if f.Required = len(required) > 0; f.Required {
		f.Doc = fmt.Sprintf("%s needs %s", child.File, strings.Join(required, ", "))
	}
	return f
}

// outputField describes an output of a workflow, as far as its text tells.
func outputField(o *NamedValue, ps programs) Field {
	return Field{Name: o.Name, Type: ps.typeOf(o.Value), Required: true}
}

// typeOf is what a value of the file becomes, as far as that is known.
func (ps programs) typeOf(v *Value) Type {
	unknown := Type{Kind: Any}
	switch {
	case v == nil || v.broken:
		return unknown
	case v.Template != nil:
		e := v.Template.Whole()
		if e == nil {
			return Type{Kind: String}
		}
		if program := ps[e]; program != nil && program.result.Kind != "" {
			return program.result
		}
		return unknown
	}
	switch v.Kind {
	case BoolValue:
		return Type{Kind: Bool}
	case NumberValue:
		if strings.ContainsAny(v.Text, ".eE") {
			return Type{Kind: Float}
		}
		return Type{Kind: Int}
	case TextValue:
		return Type{Kind: String}
	case SequenceValue:
		elem := unknown
		for i, item := range v.Items {
			switch t := ps.typeOf(item); {
			case i == 0:
				elem = t
			case t.Kind == Object || t.String() != elem.String():
				return Type{Kind: List, Elem: &unknown}
			}
		}
		return Type{Kind: List, Elem: &elem}
	case MappingValue:
		t := Type{Kind: Object}
		for _, m := range v.Members {
			t.Fields = append(t.Fields, Field{Name: m.Name, Type: ps.typeOf(m.Value)})
		}
		return t
	}
	return unknown
}

// WithChildren lists the workflow and those that its steps run, directly or not,
// each once.
func (w *Workflow) WithChildren() []*Workflow {
	all := []*Workflow{w}
	for i := 0; i < len(all); i++ {
		for _, s := range all[i].AllSteps() {
			if s.child != nil && !slices.Contains(all, s.child) {
				all = append(all, s.child)
			}
		}
	}
	return all
}
