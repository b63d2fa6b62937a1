package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// checker collects the complaints about a request's parameters, so that one
// answer names them all.
type checker struct {
	fields []fieldError
	lines  []string
}

// add records a complaint; where is the full position shown in the message.
func (k *checker) add(location string, name any, where, message string) {
	k.fields = append(k.fields, fieldError{Location: location, Name: name, Message: message})
	k.lines = append(k.lines, fmt.Sprintf("  %s.%s: %s", location, where, strings.ToLower(message)))
}

// err is the validation answer, nil without complaints.
func (k *checker) err() error {
	if len(k.fields) == 0 {
		return nil
	}
	plural := "s"
	if len(k.fields) == 1 {
		plural = ""
	}
	message := fmt.Sprintf("%d validation error%s:\n%s", len(k.fields), plural, strings.Join(k.lines, "\n"))
	return &apiError{status: 400, message: message, fields: k.fields}
}

const (
	notBool = "Input should be a valid boolean, unable to interpret input"
	notInt  = "Input should be a valid integer, unable to parse string as an integer"
	notText = "Input should be a valid string"
	missing = "Field required"
)

// query reads query parameters. Unknown ones are ignored; an empty value is
// the same as none.
type query struct {
	checker
	values url.Values
}

func (c *call) query() *query { return &query{values: c.r.URL.Query()} }

func (q *query) boolean(name string) bool {
	text := q.values.Get(name)
	if text == "" {
		return false
	}
	v, ok := parseBool(text)
	if !ok {
		q.add("query", name, name, notBool)
	}
	return v
}

func (q *query) integer(name string, fallback int64) int64 {
	text := q.values.Get(name)
	if text == "" {
		return fallback
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		q.add("query", name, name, notInt)
	}
	return v
}

func (q *query) oneOf(name string, words ...string) string {
	text := q.values.Get(name)
	if text != "" && !slices.Contains(words, text) {
		q.add("query", name, name, wantOneOf(words))
	}
	return text
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on", "t", "y":
		return true, true
	case "false", "0", "no", "off", "f", "n":
		return false, true
	}
	return false, false
}

func wantOneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + w + "'"
	}
	last := len(quoted) - 1
	return "Input should be " + strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// object reads the members of a JSON object. Every member has several
// spellings, the first of which is named in complaints. Members of an inner
// object are all reported under that object's name, as the reference does.
type object struct {
	*checker
	members map[string]json.RawMessage
	within  string
}

// object is the request body. A body that is no object has no members.
func (c *call) object() object {
	o := object{checker: &checker{}}
	_ = json.Unmarshal(c.body, &o.members) // syntax was checked; another kind of value is an object without members
	return o
}

func (o object) complain(name, message string) {
	if o.within != "" {
		o.add("body", o.within, o.within+"."+name, message)
		return
	}
	o.add("body", name, name, message)
}

func (o object) find(names []string) (raw json.RawMessage, ok bool) {
	for _, name := range names {
		if raw, ok := o.members[name]; ok {
			return raw, true
		}
	}
	return nil, false
}

// required is a string that must be there.
func (o object) required(names ...string) string {
	if _, ok := o.find(names); !ok {
		o.complain(names[0], missing)
		return ""
	}
	return o.text(names...)
}

// text is a string that may be left out but not be null.
func (o object) text(names ...string) string {
	raw, ok := o.find(names)
	if !ok {
		return ""
	}
	text, ok := decodeText(raw)
	if !ok {
		o.complain(names[0], notText)
	}
	return text
}

// nullable is a string that may be left out or be null.
func (o object) nullable(names ...string) string {
	if raw, ok := o.find(names); ok && isNull(raw) {
		return ""
	}
	return o.text(names...)
}

// oneOf is a word of a fixed list.
func (o object) oneOf(name, fallback string, words ...string) string {
	raw, ok := o.members[name]
	if !ok {
		return fallback
	}
	text, ok := decodeText(raw)
	if !ok || !slices.Contains(words, text) {
		o.complain(name, wantOneOf(words))
	}
	return text
}

// boolean accepts what the query does, and numbers that are 0 or 1.
func (o object) boolean(names ...string) bool {
	raw, ok := o.find(names)
	if !ok {
		return false
	}
	var value any
	_ = json.Unmarshal(raw, &value) // part of a body that parsed
	switch v := value.(type) {
	case bool:
		return v
	case string:
		if b, ok := parseBool(v); ok {
			return b
		}
	case float64:
		if v == 0 || v == 1 {
			return v == 1
		}
	}
	o.complain(names[0], notBool)
	return false
}

// inner is a required member that is itself an object. The error is the answer
// without one: of what is not there no member is missed.
func (o object) inner(name string) (object, error) {
	in := object{checker: o.checker, within: name}
	raw, ok := o.members[name]
	if !ok {
		o.complain(name, missing)
	} else if isNull(raw) || json.Unmarshal(raw, &in.members) != nil {
		o.complain(name, "Input should be a valid dictionary or object to extract fields from")
	}
	return in, o.err()
}

func decodeText(raw json.RawMessage) (text string, ok bool) {
	return text, !isNull(raw) && json.Unmarshal(raw, &text) == nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(raw, []byte("null")) }

// integer is a number that may be left out or be null. A text of digits will do.
func (o object) integer(names ...string) (value int64, there bool) {
	raw, found := o.find(names)
	if !found || isNull(raw) {
		return 0, false
	}
	text, isText := decodeText(raw)
	if !isText {
		text = string(raw)
	}
	value, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), ".0"), 10, 64)
	if err != nil {
		o.complain(names[0], notInt)
	}
	return value, err == nil
}
