package firecrest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
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
