package firecrest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Releases differ in how they write the same fact: job ids became strings in
// 2.5.0, states may come as lists, numbers as text. The types below read all of
// it, so that the types callers see have one shape.

// text reads a JSON string, number or null.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		*t = ""
		return nil
	case len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b):
		*t = text(b[1 : len(b)-1]) // job lists hold thousands of them
		return nil
	case len(b) > 0 && b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("not a string or a number: %.40s", b)
	}
	*t = text(n)
	return nil
}

// number reads a JSON number, a number in a string, or null. Fractions are
// cut, and numbers out of range. Set tells a number from null.
type number struct {
	n   int64
	set bool
}

func (n *number) UnmarshalJSON(b []byte) error {
	if i, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*n = number{i, true}
		return nil
	}
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	*n = number{}
	if t == "" {
		return nil
	}
	if i, err := strconv.ParseInt(string(t), 10, 64); err == nil {
		*n = number{i, true}
		return nil
	}
	f, err := strconv.ParseFloat(string(t), 64) // too large a number is an infinity
	if math.IsNaN(f) || err != nil && !math.IsInf(f, 0) {
		return fmt.Errorf("not a number: %.40s", b)
	}
	*n = number{int64(min(max(f, -1<<62), 1<<62)), true}
	return nil
}

// ptr returns nil for null.
func (n number) ptr() *int64 {
	if !n.set {
		return nil
	}
	return &n.n
}

// words reads a string, a list of strings, or null. Schedulers also write
// "(null)" for none and commas between several.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var list []text
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
	} else {
		var t text
		if err := t.UnmarshalJSON(b); err != nil {
			return err
		}
		list = []text{t}
	}
	*w = nil
	for _, t := range list {
		for word := range strings.SplitSeq(string(t), ",") {
			if word = strings.TrimSpace(word); word != "" && word != "(null)" {
				*w = append(*w, word)
			}
		}
	}
	return nil
}

// states are the words as states: "mixed+drain*" is MIXED and DRAIN. The marks
// behind a state (*, ~, # and so on) say how the node is doing otherwise.
func (w words) states() []string {
	var states []string
	for _, word := range w {
		for state := range strings.SplitSeq(strings.ToUpper(word), "+") {
			if state = strings.TrimRight(state, "*~#!%$@^-"); state != "" {
				states = append(states, state)
			}
		}
	}
	return states
}

// folded reads an object into a struct whose tags are written in lower case
// without underscores, whichever way the release spells its members.
func folded(b []byte, into any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	same := make(map[string]json.RawMessage, len(object))
	for name, raw := range object {
		same[strings.ToLower(strings.ReplaceAll(name, "_", ""))] = raw
	}
	b, err := json.Marshal(same)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// member reads one member of an object. Without it the answer is not an
// answer: an empty object must not read as an empty list.
type member struct {
	name string
	into any
}

func (m *member) UnmarshalJSON(b []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	raw, ok := object[m.name]
	if !ok {
		return fmt.Errorf("no %q in it", m.name)
	}
	return json.Unmarshal(raw, m.into)
}
