package workflow

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// BindOptions says where the relative paths of `file` inputs start. Both
// directories are absolute.
type BindOptions struct {
	WorkflowDir string // of defaults: the directory of the workflow file
	CallerDir   string // of given values: where the person stands
	// Recorded are the inputs of an earlier run, which inputs have that are not
	// given, rather than their defaults.
	Recorded map[string]json.RawMessage
}

// MaxInputBytes bounds the inputs of a run, which are in its first event.
const MaxInputBytes = 32 << 10

// InputBytes is what inputs count against MaxInputBytes.
func InputBytes(inputs map[string]json.RawMessage) int {
	n := 0
	for name, value := range inputs {
		n += len(name) + len(value)
	}
	return n
}

// BindInputs returns the inputs of a run in canonical JSON: the given texts
// (as `-i name=text` has them) converted to the declared types, defaults for the
// others. Lists and maps are written as in a workflow file: [40, 60]. It reports
// unknown names, missing values and values of the wrong type, all at once; these
// problems have no place in the file.
func (w *Workflow) BindInputs(given map[string]string, o BindOptions) (map[string]json.RawMessage, Problems) {
	b := binder{w: w, out: make(map[string]json.RawMessage, len(w.Inputs))}
	for _, in := range w.Inputs {
		if text, ok := given[in.Name]; ok {
			b.given(in, text, o.CallerDir)
		} else {
			b.otherwise(in, o)
		}
	}
	b.end(sortedKeys(given))
	return b.out, b.problems
}

// BindValues does the same with values in JSON, as the `with` of a step holds
// them.
func (w *Workflow) BindValues(given map[string]json.RawMessage, o BindOptions) (map[string]json.RawMessage, Problems) {
	b := binder{w: w, out: make(map[string]json.RawMessage, len(w.Inputs))}
	for _, in := range w.Inputs {
		text, ok := given[in.Name]
		if !ok {
			b.otherwise(in, o)
			continue
		}
		v, err := DecodeValue(text)
		if err != nil {
			b.report(CodeInputValue, "", "the input %s: %v", in.Name, err)
			continue
		}
		b.bind(in, v, o.CallerDir, converter{})
	}
	b.end(sortedKeys(given))
	return b.out, b.problems
}

// BindSchedule returns the inputs of a run that a schedule starts: what the schedule
// gives, defaults for the others.
func (w *Workflow) BindSchedule(s *Schedule, o BindOptions) (map[string]json.RawMessage, Problems) {
	b := binder{w: w, out: make(map[string]json.RawMessage, len(w.Inputs))}
	for _, in := range w.Inputs {
		i := slices.IndexFunc(s.Inputs, func(v *NamedValue) bool { return v.Name == in.Name })
		if i < 0 {
			b.missing(in, o.WorkflowDir)
			continue
		}
		b.bind(in, s.Inputs[i].Value.plain(), o.WorkflowDir, converter{written: true})
	}
	b.end(nil)
	return b.out, b.problems
}

type binder struct {
	w        *Workflow
	out      map[string]json.RawMessage
	problems Problems
}

// end looks for names that are no inputs, and at the size of all together.
func (b *binder) end(given []string) {
	var names []string
	for _, in := range b.w.Inputs {
		names = append(names, in.Name)
	}
	for _, name := range given {
		if slices.Contains(names, name) {
			continue
		}
		hint := didYouMean(name, names)
		if hint == "" && len(names) > 0 {
			hint = "it has " + alternatives(names)
		}
		b.report(CodeInputUnknown, hint, "the workflow has no input %q", name)
	}
	if n := InputBytes(b.out); n > MaxInputBytes {
		b.report(CodeInputValue, "give large values in a file, by an input of type file",
			"the inputs take %d bytes together; a run records at most %d", n, MaxInputBytes)
	}
}

func (b *binder) report(code ProblemCode, hint, format string, args ...any) {
	b.problems = append(b.problems, Problem{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (b *binder) given(in *Input, text, dir string) {
	v, err := readInput(in.Type, text)
	if err != nil {
		b.report(CodeInputValue, err.hint, "the input %s %s", in.Name, err.message)
		return
	}
	b.bind(in, v, dir, converter{})
}

// otherwise takes what an input has that is not given.
func (b *binder) otherwise(in *Input, o BindOptions) {
	if value, ok := o.Recorded[in.Name]; ok {
		b.recorded(in, value)
		return
	}
	b.missing(in, o.WorkflowDir)
}

// recorded takes the value of an earlier run, if it is one of the type.
func (b *binder) recorded(in *Input, value json.RawMessage) {
	if _, err := in.Type.Decode(value); err != nil {
		b.report(CodeInputValue, fmt.Sprintf("give another one with -i %s=…", in.Name), "the input %s of the earlier run: %v", in.Name, err)
		return
	}
	b.out[in.Name] = value
}

// missing takes the default of an input.
func (b *binder) missing(in *Input, dir string) {
	if in.Default == nil {
		b.report(CodeInputMissing, fmt.Sprintf("add -i %s=…", in.Name), "the input %q (%s) is missing", in.Name, in.Type)
		return
	}
	b.bind(in, in.Default.plain(), dir, converter{written: true})
}

func (b *binder) bind(in *Input, v any, dir string, conv converter) {
	out, err := conv.value(v, in.Type)
	if err == nil {
		out, err = absolute(out, in.Type, dir)
	}
	if err != nil {
		b.report(CodeInputValue, err.hint, "%s %s", joinLabel("the input "+in.Name, err.path...), err.message)
		return
	}
	text, fail := CanonicalJSON(out)
	if fail != nil {
		b.report(CodeInputValue, "", "the input %s: %v", in.Name, fail)
		return
	}
	b.out[in.Name] = text
}

// readInput reads what a person typed after `-i name=`.
func readInput(t Type, text string) (any, *valueError) {
	switch t.Kind {
	case String, File, Duration, Size:
		return text, nil
	case Int, Float:
		if isNumber(text) {
			return json.Number(text), nil
		}
		return nil, wrongType(t, text, "")
	case Bool:
		if text == "true" || text == "false" {
			return text == "true", nil
		}
		return nil, wrongType(t, text, "")
	}
	v, problems := ParseTree([]byte(text))
	switch {
	case len(problems) > 0:
		return nil, &valueError{message: "cannot be read: " + problems[0].Message, hint: problems[0].Hint}
	case v == nil:
		return nil, wrongType(t, nil, "")
	case v.hasExpression():
		return nil, &valueError{message: "takes no expression"}
	}
	return v.plain(), nil
}

// absolute makes the paths of files absolute, also inside lists and maps.
func absolute(v any, t Type, dir string) (any, *valueError) {
	switch v := v.(type) {
	case string:
		if t.Kind != File {
			return v, nil
		}
		if err := checkPath(v, LocalPath); err != nil {
			err.hint = strings.Replace(err.hint, "one relative to the workflow file", "a relative one", 1)
			return nil, err
		}
		if !filepath.IsAbs(v) {
			v = filepath.Join(dir, v)
		}
		return filepath.Clean(v), nil
	case []any:
		for i := range v {
			out, err := absolute(v[i], t.element(), dir)
			if err != nil {
				return nil, err.inside(fmt.Sprint(i))
			}
			v[i] = out
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			out, err := absolute(v[k], t.element(), dir)
			if err != nil {
				return nil, err.inside(k)
			}
			v[k] = out
		}
	}
	return v, nil
}

// Decode reads canonical JSON of the type for a [Scope]: numbers keep their
// source text, and what does not fit the type is an error.
func (t Type) Decode(text json.RawMessage) (any, error) {
	v, err := DecodeValue(text)
	if err != nil {
		return nil, err
	}
	out, bad := (&converter{}).value(v, t)
	if bad != nil {
		return nil, bad
	}
	return out, nil
}

// DecodeFields reads a JSON object for a [Scope] as [Type.Decode] does. Members
// that are no fields are dropped; absent members stay absent.
func DecodeFields(fields []Field, text json.RawMessage) (map[string]any, error) {
	v, err := DecodeValue(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, wrongType(Type{Kind: Object}, v, "")
	}
	out := make(map[string]any, len(fields))
	for _, f := range fields {
		given, ok := m[f.Name]
		if !ok {
			continue
		}
		e, bad := (&converter{}).value(given, f.Type)
		if bad != nil {
			return nil, bad.inside(f.Name)
		}
		out[f.Name] = e
	}
	return out, nil
}
