package workflow

import "encoding/json"

// Catalogue knows the step types. The steps package provides one; the checker
// and the engine only see this.
type Catalogue interface {
	// Step returns the specification of a step type.
	Step(uses string) (StepSpec, bool)
	// Names lists every step type, sorted.
	Names() []string
}

// StepSpec describes a step type: everything the checker, the documentation
// and the engine must know about it without running it.
type StepSpec struct {
	Name    string // what `uses:` says
	Group   string // heading in the documentation: files, jobs, control …
	Summary string // one line
	Doc     string // paragraphs; may be empty
	Version int    // raised when the meaning of the same inputs changes

	Inputs  []Field
	Outputs []Field
	// DynamicOutputs lists the outputs that the inputs themselves declare; it
	// gets the literal part of `with`. Nil for most types.
	DynamicOutputs func(with json.RawMessage) []Field
	// CheckWith finds mistakes that no single field shows (two inputs that
	// exclude each other, a refused directive). It gets the literal part of
	// `with` and names of the inputs that hold expressions. Nil for most types.
	CheckWith func(with json.RawMessage, dynamic func(name string) bool) []FieldProblem

	// Remote types need a system; the engine binds the run to it before the
	// first attempt. RemoteInput, if not empty, is the input without which a step
	// of such a type needs none: [Step.Remote] knows.
	Remote      bool
	RemoteInput string
	// Idempotent types may run again from the start after an interruption;
	// Resumable ones continue from their checkpoint; Fenced ones guarantee by
	// themselves that their effect happens once.
	Idempotent bool
	Resumable  bool
	Fenced     bool
	// IdempotentWith says that an attempt with these inputs may run again, for
	// types that leave it to the author. Nil for most types.
	IdempotentWith func(with json.RawMessage) bool
	// Job types hold a place in their system's queue from their start to their
	// end; only they take queue_timeout.
	Job bool
	// SubWorkflow types run the workflow that their input `file` names, with what
	// `inputs` holds; its outputs are outputs of the step.
	SubWorkflow bool

	Causes []Cause // what it can fail with, beyond what any step can
	// RetryOnly lists the causes that a retry rule may name where trying again
	// cannot help with the others; nil = all.
	RetryOnly []Cause
	Example   string // a complete `steps:` entry in YAML

	// Decode fills the input struct from canonical JSON; unknown keys are errors.
	Decode func(json.RawMessage) (any, error)
}

// Field is an input or output of a step type, or a member of an object.
type Field struct {
	Name     string
	Type     Type
	Required bool
	// Secret fields may hold `secrets.*`; no other field may.
	Secret bool
	// Literal fields take no expression: scripts, declarations of outputs.
	Literal bool
	// Local fields are paths on the machine fcflow runs on, Remote ones paths on
	// the system.
	Path PathKind
	// Source paths are read: something must be there when the step starts.
	Source bool
	// Default as canonical JSON; nil = none. FromDefaults fields fall back to the
	// workflow's `defaults` before that.
	Default      json.RawMessage
	FromDefaults bool
	Enum         []string
	Unit         string // "bytes", "seconds"… where the type does not say it
	Doc          string
}

// PathKind tells local from remote paths.
type PathKind string

const (
	NoPath     PathKind = ""
	LocalPath  PathKind = "local"
	RemotePath PathKind = "remote"
)

// FieldProblem is a mistake found by StepSpec.CheckWith. Path leads from `with`
// to the value: ["resources", "time"]; Line counts lines inside a multi-line
// text, from 1 (0 = the value itself).
type FieldProblem struct {
	Path    []string
	Line    int
	Code    string
	Message string
	Hint    string
}

// Input returns the input of that name.
func (s *StepSpec) Input(name string) (Field, bool) {
	for _, f := range s.Inputs {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// AllOutputs lists the fixed outputs and those the inputs declare.
func (s *StepSpec) AllOutputs(with json.RawMessage) []Field {
	if s.DynamicOutputs == nil {
		return s.Outputs
	}
	return append(append([]Field(nil), s.Outputs...), s.DynamicOutputs(with)...)
}
