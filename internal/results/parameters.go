package results

import (
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// itemName is what the parameter of a fan-out over a list is called.
const itemName = "item"

// parameterNames lists what tells the instances of a step apart, in the order of
// the file; then, by name, what only combinations that were added have.
func parameterNames(s *source, rows []Row) []string {
	var names []string
	switch {
	case s.root.Matrix != nil:
		for _, d := range s.root.Matrix.Dimensions {
			names = append(names, d.Name)
		}
	case s.root.ForEach != nil:
		return []string{itemName}
	}
	var more []string
	for i := range rows {
		for name := range rows[i].Parameters {
			if !slices.Contains(names, name) && !slices.Contains(more, name) {
				more = append(more, name)
			}
		}
	}
	slices.Sort(more)
	return append(names, more...)
}

// parameters are the values by which an instance is named: those of a matrix, or
// an item of a list. A pair has those of its source.
func parameters(s *source, u *workflow.UnitView) map[string]json.RawMessage {
	switch {
	case u.Instance == "":
		return nil
	case s.root.Matrix != nil:
		return keyValues(u.Instance)
	case s.root.ForEach != nil:
		return map[string]json.RawMessage{itemName: keyValue(repeat.ReplaceAllString(u.Instance, ""))}
	}
	return nil
}

// repeat is how the key of an item that the list has several times ends.
var repeat = regexp.MustCompile(`#[0-9]+$`)

// keyValues reads `dt=30,name="a,b"`: values stand bare where nothing can be
// mistaken, and else as JSON.
func keyValues(key string) map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	for key != "" {
		name, rest, ok := strings.Cut(key, "=")
		if !ok {
			break
		}
		end := strings.IndexByte(rest, ',')
		if rest != "" && strings.IndexByte(`"[{`, rest[0]) >= 0 {
			if n := jsonLength(rest); n > 0 {
				end = n
			}
		}
		if end < 0 || end >= len(rest) {
			values[name] = keyValue(rest)
			break
		}
		values[name] = keyValue(rest[:end])
		key = rest[end+1:]
	}
	return values
}

// jsonLength is how long the JSON value is that a text begins with; 0 if there is
// none.
func jsonLength(text string) int {
	d := json.NewDecoder(strings.NewReader(text))
	var v json.RawMessage
	if err := d.Decode(&v); err != nil && err != io.EOF {
		return 0
	}
	return int(d.InputOffset())
}

// keyValue is a value of a key as JSON: a bare word is text.
func keyValue(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return nil
	}
	return quoted
}
