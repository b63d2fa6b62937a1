package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// valueError says why a value does not fit where it stands.
type valueError struct {
	code    ProblemCode
	path    []string // from the converted value inwards: "resources", "time"
	message string
	hint    string
}

func (e *valueError) Error() string {
	text := e.message
	if len(e.path) > 0 {
		text = strings.Join(e.path, ".") + ": " + text
	}
	if e.hint != "" {
		text += "; " + e.hint
	}
	return text
}

// inside returns e as seen from the value around it.
func (e *valueError) inside(name string) *valueError {
	e.path = append([]string{name}, e.path...)
	return e
}

// converter brings values to the types of fields, in the form that
// [CanonicalJSON] writes: text, bool, [json.Number], []any, map[string]any.
type converter struct {
	// written values stand in a file: a size needs its unit there, so that nobody
	// has to guess what 64 means.
	written bool
	// fallback gives the workflow's default for a field that has none of its own;
	// nil = there are none.
	fallback func(name string) (any, bool)
	// nodes counts converted values, against values that hold themselves many
	// times over.
	nodes int
}

// maxValueNodes bounds one converted value.
const maxValueNodes = 4_000_000

// field converts v to what f asks for, including its enumeration and the rules
// of paths.
func (c *converter) field(v any, f Field) (any, *valueError) {
	out, err := c.value(v, f.Type)
	if err != nil {
		return nil, err
	}
	text, isText := out.(string)
	if isText && len(f.Enum) > 0 && !slices.Contains(f.Enum, text) {
		return nil, &valueError{
			code:    CodeNotInEnum,
			message: fmt.Sprintf("must be %s, not %q", alternatives(f.Enum), text),
			hint:    didYouMean(text, f.Enum),
		}
	}
	if f.Path != NoPath {
		if err := checkPaths(out, f.Path); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkPaths looks at a path or at each path of a list.
func checkPaths(v any, kind PathKind) *valueError {
	switch v := v.(type) {
	case string:
		return checkPath(v, kind)
	case []any:
		for i, e := range v {
			if text, ok := e.(string); ok {
				if err := checkPath(text, kind); err != nil {
					return err.inside(strconv.Itoa(i))
				}
			}
		}
	}
	return nil
}

// value converts v to type t.
func (c *converter) value(v any, t Type) (any, *valueError) {
	if c.nodes++; c.nodes > maxValueNodes {
		return nil, &valueError{code: CodeWrongType, message: "has more than 4,000,000 values in it"}
	}
	if _, ok := v.(secretValue); ok {
		return v, nil
	}
	if v == nil && t.Kind != Any {
		return nil, &valueError{code: CodeWrongType, message: "has no value", hint: "leave the key out, or write one"}
	}
	switch t.Kind {
	case String:
		text, err := scalarText(v)
		if err != nil {
			hint := ""
			if !c.written {
				hint = listHint(v)
			}
			return nil, wrongType(t, v, hint)
		}
		return text, nil
	case Int:
		return c.integer(v, t)
	case Float:
		return float(v, t)
	case Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, wrongType(t, v, boolHint(v))
	case Duration:
		return c.duration(v, t)
	case Size:
		return c.size(v, t)
	case File:
		if s, ok := v.(string); ok && s != "" {
			return s, nil
		}
		return nil, wrongType(t, v, "")
	case List:
		return c.list(v, t)
	case Map:
		return c.mapping(v, t)
	case Object:
		return c.object(v, t)
	}
	return c.any(v)
}

func (c *converter) integer(v any, t Type) (any, *valueError) {
	number, ok := v.(json.Number)
	if !ok {
		if number, ok = numberText(v); !ok {
			return nil, wrongType(t, v, numberHint(v))
		}
	}
	if _, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return number, nil
	}
	f, err := number.Float64()
	if err != nil || c.written || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, wrongType(t, v, "")
	}
	return json.Number(strconv.FormatInt(int64(f), 10)), nil
}

func float(v any, t Type) (any, *valueError) {
	number, ok := v.(json.Number)
	if !ok {
		if number, ok = numberText(v); !ok {
			return nil, wrongType(t, v, numberHint(v))
		}
	}
	if _, err := number.Float64(); err != nil {
		return nil, wrongType(t, v, "")
	}
	return number, nil
}

func (c *converter) duration(v any, t Type) (any, *valueError) {
	switch v := v.(type) {
	case time.Duration:
		return v.String(), nil
	case string:
		if !c.written { // what was canonical once stays as it is
			if d, err := time.ParseDuration(v); err == nil {
				return d.String(), nil
			}
		}
		d, err := ParseDuration(v)
		if err != nil {
			return nil, wrongType(t, v, "")
		}
		return d.String(), nil
	case json.Number:
		return nil, wrongType(t, v, fmt.Sprintf("write the unit: %ss, %sm or %sh", v, v, v))
	}
	return nil, wrongType(t, v, "")
}

func (c *converter) size(v any, t Type) (any, *valueError) {
	if s, ok := v.(string); ok {
		n, err := ParseSize(s)
		if err != nil {
			return nil, wrongType(t, v, sizeHint(s))
		}
		return json.Number(strconv.FormatInt(n, 10)), nil
	}
	if number, ok := v.(json.Number); ok && c.written {
		return nil, wrongType(t, v, fmt.Sprintf("write the unit: %sMiB or %sGiB", number, number))
	}
	return c.integer(v, t)
}

// sizeHint completes a unit such as G, which schedulers take.
func sizeHint(text string) string {
	number := strings.TrimRight(text, "kKMGTP")
	if len(text)-len(number) != 1 || !isNumber(number) {
		return ""
	}
	return fmt.Sprintf("write %siB", strings.ToUpper(text))
}

func (c *converter) list(v any, t Type) (any, *valueError) {
	r := reflect.ValueOf(v)
	if !isListValue(r) {
		return nil, wrongType(t, v, "")
	}
	out := make([]any, r.Len())
	for i := range out {
		e, err := c.value(r.Index(i).Interface(), t.element())
		if err != nil {
			return nil, err.inside(strconv.Itoa(i))
		}
		out[i] = e
	}
	return out, nil
}

func (c *converter) mapping(v any, t Type) (any, *valueError) {
	m, ok := mappingOf(v)
	if !ok {
		return nil, wrongType(t, v, "")
	}
	out := make(map[string]any, len(m))
	for _, k := range sortedKeys(m) {
		e, err := c.value(m[k], t.element())
		if err != nil {
			return nil, err.inside(k)
		}
		out[k] = e
	}
	return out, nil
}

// object converts a mapping with a closed set of members and fills in defaults.
func (c *converter) object(v any, t Type) (any, *valueError) {
	m, ok := mappingOf(v)
	if !ok {
		return nil, wrongType(t, v, "")
	}
	for _, k := range sortedKeys(m) {
		if _, ok := t.field(k); !ok {
			return nil, &valueError{
				code:    CodeUnknownStepInput,
				message: fmt.Sprintf("has no member %q", k),
				hint:    didYouMean(k, fieldNames(t.Fields)),
			}
		}
	}
	out := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		given, ok := m[f.Name]
		e, ok, err := c.member(given, ok, f)
		if err != nil {
			return nil, err.inside(f.Name)
		}
		if ok {
			out[f.Name] = e
		}
	}
	return out, nil
}

// member converts what was given for a field, or else finds its default: the
// workflow's, then the field's own. The result is false if there is none.
func (c *converter) member(given any, ok bool, f Field) (any, bool, *valueError) {
	if !ok && f.FromDefaults && c.fallback != nil {
		given, ok = c.fallback(f.Name)
	}
	switch {
	case ok:
		e, err := c.field(c.fromDefault(given, f), f)
		return e, true, err
	case f.Default != nil:
		return canonical(f.Default), true, nil
	case f.Type.Kind == Object && c.reaches(f.Type):
		e, err := c.object(map[string]any{}, f.Type)
		return e, true, err
	case f.Required:
		return nil, false, &valueError{code: CodeMissingStepInput, message: "is required"}
	}
	return nil, false, nil
}

// fromDefault lets a relative remote path start at the workflow's default for
// it: a step's workdir lies below that of `defaults`.
func (c *converter) fromDefault(given any, f Field) any {
	text, ok := given.(string)
	if !ok || !f.FromDefaults || f.Path != RemotePath || c.fallback == nil || text == "" || path.IsAbs(text) {
		return given
	}
	base, ok := c.fallback(f.Name)
	if !ok || base == given {
		return given
	}
	if dir, ok := base.(string); ok {
		return path.Join(dir, text)
	}
	return given
}

// reaches reports whether a workflow default has a place inside an object that
// was not given.
func (c *converter) reaches(t Type) bool {
	if c.fallback == nil {
		return false
	}
	for _, f := range t.Fields {
		if f.FromDefaults {
			if _, ok := c.fallback(f.Name); ok {
				return true
			}
		}
	}
	return false
}

// any keeps a value as it is, in the canonical kinds.
func (c *converter) any(v any) (any, *valueError) {
	switch v := v.(type) {
	case nil, bool, string, json.Number, secretValue:
		return v, nil
	case json.RawMessage:
		decoded, err := DecodeValue(v)
		if err != nil {
			return nil, &valueError{code: CodeWrongType, message: "is not JSON: " + err.Error()}
		}
		return c.any(decoded)
	}
	if r := reflect.ValueOf(v); isListValue(r) {
		return c.list(v, Type{Kind: List})
	}
	if _, ok := mappingOf(v); ok {
		return c.mapping(v, Type{Kind: Map})
	}
	if number, ok := numberText(v); ok {
		return number, nil
	}
	text, err := scalarText(v)
	if err != nil {
		return nil, &valueError{code: CodeWrongType, message: err.Error()}
	}
	return text, nil
}

func mappingOf(v any) (map[string]any, bool) {
	if m, ok := v.(map[string]any); ok {
		return m, true
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Map && r.Type().Key().Kind() == reflect.String {
		return stringMap(r), true
	}
	return nil, false
}

// numberText returns the JSON text of a Go number.
func numberText(v any) (json.Number, bool) {
	if _, ok := v.(time.Duration); ok {
		return "", false
	}
	r := reflect.ValueOf(v)
	if !r.IsValid() || !r.CanInt() && !r.CanUint() && !r.CanFloat() {
		return "", false
	}
	text, err := json.Marshal(v)
	return json.Number(text), err == nil // an infinite number has no text
}

// scalarText returns a scalar as it reads between other text.
func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", fmt.Errorf("there is no value")
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return string(v), nil
	case time.Duration:
		return v.String(), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	}
	if number, ok := numberText(v); ok {
		return string(number), nil
	}
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.String {
		return r.String(), nil
	}
	return "", fmt.Errorf("%s cannot stand in text; use join(…) or toJSON(…)", describe(v))
}

// checkPath refuses paths that mean something else to a shell or to nobody.
func checkPath(text string, kind PathKind) *valueError {
	problem := func(message, hint string) *valueError {
		return &valueError{code: CodeBadPath, message: message, hint: hint}
	}
	switch {
	case text == "":
		return problem("is an empty path", "")
	case text == "~" || strings.HasPrefix(text, "~/"):
		if kind == RemotePath {
			return problem(fmt.Sprintf("%q: ~ is not expanded", text), "write the full path, or one relative to workdir")
		}
		return problem(fmt.Sprintf("%q: ~ is not expanded", text), "write the full path, or one relative to the workflow file")
	case strings.ContainsAny(text, "\x00\n\r"):
		return problem("a path cannot hold a line break or a NUL", "")
	case kind == RemotePath && strings.Contains(text, "'"):
		return problem(fmt.Sprintf("%q: a remote path cannot hold a single quote", path.Base(text)), "the server puts paths between single quotes; rename the file")
	}
	return nil
}
