package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Values are what JSON has: nil, bool, float64, string, []any, and *object for
// mappings, whose keys stay in the order of the file.
type object struct {
	keys   []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

// mapping makes an object of keys and values in turn.
func mapping(pairs ...any) *object {
	o := newObject()
	for i := 0; i < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *object) set(key string, v any) {
	if _, there := o.values[key]; !there {
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

// get returns a member, nil if there is none; also of no object at all.
func (o *object) get(key string) any {
	if o == nil {
		return nil
	}
	return o.values[key]
}

func (o *object) has(key string) bool {
	if o == nil {
		return false
	}
	_, there := o.values[key]
	return there
}

// text is a value in canonical JSON: keys sorted, no blanks.
func text(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		out := "["
		for i, item := range v {
			if i > 0 {
				out += ","
			}
			out += text(item)
		}
		return out + "]"
	case *object:
		out := "{"
		for i, key := range slices.Sorted(slices.Values(v.keys)) {
			if i > 0 {
				out += ","
			}
			out += text(key) + ":" + text(v.values[key])
		}
		return out + "}"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// same compares by what is printed: values have no other identity.
func same(a, b any) bool { return text(a) == text(b) }
