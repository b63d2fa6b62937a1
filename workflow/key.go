package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxKey bounds the key of an instance, in bytes; a longer one ends in a digest
// of the whole.
const maxKey = 200

// matrixKey is the key of an instance of a matrix: `dt=30,levels=40`. The names
// are sorted, so that the order of dimensions in a file does not matter.
func matrixKey(names []string, values []any) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = name + "=" + keyText(values[i])
	}
	return boundedKey(strings.Join(parts, ","))
}

// itemKey is the key of an instance that stands for an item of a list: its text,
// or its members as those of a matrix.
func itemKey(item any) string {
	m, ok := item.(map[string]any)
	if !ok || len(m) == 0 {
		return boundedKey(keyText(item))
	}
	names := sortedKeys(m)
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = m[name]
		if !isBare(name) {
			return boundedKey(keyText(item))
		}
	}
	return matrixKey(names, values)
}

// repeatedKey tells the nth of equal items apart; n counts from 1.
func repeatedKey(key string, n int) string {
	if n == 1 {
		return key
	}
	return fmt.Sprintf("%s#%d", key, n)
}

// keyText is a value in a key: canonical JSON, with the quotes of a text left
// out where it cannot be taken for anything else.
func keyText(v any) string {
	if text, ok := v.(string); ok && isBare(text) {
		return text
	}
	text, err := CanonicalJSON(v)
	if err != nil {
		return fmt.Sprint(v) // what is fanned out over has a JSON form
	}
	return string(text)
}

// isBare reports whether a text stands in a key without quotes: it holds nothing
// that separates, and reads as no number, true, false or null.
func isBare(text string) bool {
	if text == "" || !utf8.ValidString(text) || json.Valid([]byte(text)) {
		return false
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._/:@%+-", r) {
			return false
		}
	}
	return true
}

func boundedKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	digest := NewBlob([]byte(key)).Digest[:16]
	end := maxKey - len(digest) - 1
	for !utf8.RuneStart(key[end]) {
		end--
	}
	return key[:end] + "~" + digest
}

// Match finds the units that a key names: the one with exactly that key, else
// all that have each of its comma-separated parts.
func (s *StepRun) Match(key string) []*Unit {
	if u, ok := s.byKey[key]; ok {
		return []*Unit{u}
	}
	wanted := splitKey(key)
	var found []*Unit
	for _, u := range s.Units {
		if hasParts(u.Instance, wanted) {
			found = append(found, u)
		}
	}
	return found
}

// Match lists the instances of a picture as [StepRun.Match] does.
func (s *StepView) Match(key string) []*UnitView {
	wanted := splitKey(key)
	var found []*UnitView
	for i := range s.Instances {
		u := &s.Instances[i]
		if u.Instance == key {
			return []*UnitView{u}
		}
		if hasParts(u.Instance, wanted) {
			found = append(found, u)
		}
	}
	return found
}

func hasParts(key string, wanted []string) bool {
	parts := splitKey(key)
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(parts, w) })
}

// splitKey takes a key apart at its commas, those within quotes and brackets
// left alone.
func splitKey(key string) []string {
	var parts []string
	start, depth, quoted := 0, 0, false
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, key[start:i])
			start = i + 1
		}
	}
	return append(parts, key[start:])
}
