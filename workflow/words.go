package workflow

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func wrongType(t Type, v any, hint string) *valueError {
	return &valueError{
		code:    CodeWrongType,
		message: fmt.Sprintf("must be %s, not %s", t.inWords(), describe(v)),
		hint:    hint,
	}
}

// inWords returns what a person would call a value of the type.
func (t Type) inWords() string {
	switch t.Kind {
	case String:
		return "text"
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case Bool:
		return "true or false"
	case Duration:
		return "a duration such as 90s or 6h"
	case Size:
		return "a size such as 16GiB"
	case File:
		return "the path of a file"
	case List:
		if k := t.element().Kind; k == Any || k == List || k == Map || k == Object {
			return "a list"
		}
		return "a list of " + t.element().plural()
	case Map, Object:
		return "a mapping"
	}
	return "a value"
}

func (t Type) plural() string {
	switch t.Kind {
	case String:
		return "texts"
	case Int:
		return "whole numbers"
	case Float:
		return "numbers"
	case Bool:
		return "true and false"
	}
	return string(t.Kind) + "s"
}

// describe returns a short name for a value that is wrong.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the text %q", shorten(v))
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return "the number " + string(v)
	case time.Duration:
		return "the duration " + v.String()
	case time.Time:
		return "a time"
	case []byte:
		return "bytes"
	}
	if number, ok := numberText(v); ok {
		return "the number " + string(number)
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "a mapping"
	}
	return fmt.Sprintf("a %T", v)
}

// shorten keeps a quoted value on one line.
func shorten(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func alternatives(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func boolHint(v any) string {
	switch text, _ := v.(string); strings.ToLower(text) {
	case "true", "yes", "on", "y":
		return "write true, without quotes"
	case "false", "no", "off", "n":
		return "write false, without quotes"
	}
	return ""
}

func numberHint(v any) string {
	if text, ok := v.(string); ok && isNumber(text) {
		return fmt.Sprintf("write %s without quotes", text)
	}
	return ""
}

func listHint(v any) string {
	if r := reflect.ValueOf(v); isListValue(r) {
		return "use join(…) or toJSON(…)"
	}
	return ""
}

// isNumber reports whether text is a number as JSON writes it.
func isNumber(text string) bool {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return false
	}
	return json.Valid([]byte(text))
}
