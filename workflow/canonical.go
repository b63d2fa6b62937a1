package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Bounds of one value, so that a value that holds itself many times over cannot
// fill the memory.
const (
	maxValueBytes = 8 << 20
	maxValueDepth = 200
)

// ErrValueTooLarge is what becomes of a value that takes more than 8 MiB as
// JSON, or is nested too deeply.
var ErrValueTooLarge = errors.New("the value is larger than 8 MiB")

// canonical is JSON that already has the canonical form.
type canonical []byte

// secretValue stands for a value made from secrets in its recorded form.
type secretValue string

// CanonicalJSON returns v in the one form that digests are taken of: keys
// sorted, no spaces, numbers as they were written, durations as Go duration
// strings. It fails on what JSON cannot say, such as an infinite number, and on
// more than 8 MiB.
func CanonicalJSON(v any) ([]byte, error) {
	return appendCanonical(nil, v, 0)
}

// DecodeValue reads one JSON value; its numbers are [json.Number], so that they
// keep their source text.
func DecodeValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

func appendCanonical(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxValueDepth || len(b) > maxValueBytes {
		return nil, ErrValueTooLarge
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendText(b, v)
	case json.Number:
		if !json.Valid([]byte(v)) {
			return nil, fmt.Errorf("%q is not a number", string(v))
		}
		return append(b, v...), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case time.Duration:
		return appendText(b, v.String())
	case canonical:
		return append(b, v...), nil
	case secretValue:
		b = append(b, `{"secret":`...)
		b, err := appendText(b, string(v))
		return append(b, '}'), err
	case json.RawMessage:
		decoded, err := DecodeValue(v)
		if err != nil {
			return nil, err
		}
		return appendCanonical(b, decoded, depth)
	case []any:
		return appendList(b, len(v), func(i int) any { return v[i] }, depth)
	case map[string]any:
		return appendMapping(b, v, depth)
	}
	return appendReflected(b, v, depth)
}

// appendReflected takes the types that are rare here: typed lists and maps, and
// structs by way of their own JSON.
func appendReflected(b []byte, v any, depth int) ([]byte, error) {
	r := reflect.ValueOf(v)
	switch {
	case isListValue(r):
		return appendList(b, r.Len(), func(i int) any { return r.Index(i).Interface() }, depth)
	case r.Kind() == reflect.Map && r.Type().Key().Kind() == reflect.String:
		return appendMapping(b, stringMap(r), depth)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	switch r.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Interface:
		decoded, err := DecodeValue(text)
		if err != nil {
			return nil, err
		}
		return appendCanonical(b, decoded, depth)
	}
	return append(b, text...), nil
}

// isListValue reports whether r is a list to people: bytes are not.
func isListValue(r reflect.Value) bool {
	return (r.Kind() == reflect.Slice || r.Kind() == reflect.Array) && r.Type().Elem().Kind() != reflect.Uint8
}

func stringMap(r reflect.Value) map[string]any {
	m := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		m[it.Key().String()] = it.Value().Interface()
	}
	return m
}

func appendList(b []byte, n int, at func(int) any, depth int) ([]byte, error) {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendCanonical(b, at(i), depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMapping(b []byte, m map[string]any, depth int) ([]byte, error) {
	b = append(b, '{')
	for i, k := range sortedKeys(m) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, k); err != nil {
			return nil, err
		}
		if b, err = appendCanonical(append(b, ':'), m[k], depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendText writes a JSON string without the escapes that are only for HTML.
func appendText(b []byte, s string) ([]byte, error) {
	if len(b)+len(s) > maxValueBytes {
		return nil, ErrValueTooLarge
	}
	if isPlainText(s) {
		return append(append(append(b, '"'), s...), '"'), nil
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...), nil
}

// isPlainText reports whether s stands in JSON as it is.
func isPlainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
