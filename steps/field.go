package steps

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// duration is a length of time in an input or output: a Go duration string in
// canonical JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// size is an amount of data in bytes.
type size int64

var (
	durationType = reflect.TypeFor[duration]()
	sizeType     = reflect.TypeFor[size]()
	rawType      = reflect.TypeFor[json.RawMessage]()
)

// fields describes the fields of a struct of inputs or outputs. The tags:
//
//	json     the name
//	doc      one sentence for people
//	type     the type where Go's does not say it, as workflow files write it
//	default  the value of an input that is not given, as JSON or bare text
//	enum     the allowed texts, separated by blanks
//	unit     what a number counts
//	is       words: required, secret, literal (no expression), local or remote
//	         (a path there), source (something must be at that path), defaults
//	         (falls back to the workflow's `defaults`)
//
// Embedded structs give their fields as if they stood here. A struct that this
// cannot describe is a mistake in this package, hence a panic.
func fields(t reflect.Type) []workflow.Field {
	var list []workflow.Field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			list = append(list, fields(f.Type)...)
			continue
		}
		list = append(list, field(f))
	}
	return list
}

func field(f reflect.StructField) workflow.Field {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	d := workflow.Field{
		Name: name, Type: typeOf(f.Type), Enum: strings.Fields(f.Tag.Get("enum")),
		Unit: f.Tag.Get("unit"), Doc: f.Tag.Get("doc"),
	}
	if text, ok := f.Tag.Lookup("type"); ok {
		parsed, err := workflow.ParseType(text)
		if err != nil {
			panic(fmt.Sprintf("steps: field %s: %v", f.Name, err))
		}
		d.Type = parsed
	}
	if text, ok := f.Tag.Lookup("default"); ok {
		d.Default = defaultOf(d.Type, text)
	}
	for _, word := range strings.Split(f.Tag.Get("is"), ",") {
		switch word {
		case "":
		case "required":
			d.Required = true
		case "secret":
			d.Secret = true
		case "literal":
			d.Literal = true
		case "local":
			d.Path = workflow.LocalPath
		case "remote":
			d.Path = workflow.RemotePath
		case "source":
			d.Source = true
		case "defaults":
			d.FromDefaults = true
		default:
			panic(fmt.Sprintf("steps: field %s is %q", f.Name, word))
		}
	}
	return d
}

func typeOf(t reflect.Type) workflow.Type {
	switch t {
	case durationType:
		return workflow.Type{Kind: workflow.Duration}
	case sizeType:
		return workflow.Type{Kind: workflow.Size}
	case rawType:
		return workflow.Type{Kind: workflow.Any}
	}
	switch t.Kind() {
	case reflect.String:
		return workflow.Type{Kind: workflow.String}
	case reflect.Int, reflect.Int64:
		return workflow.Type{Kind: workflow.Int}
	case reflect.Bool:
		return workflow.Type{Kind: workflow.Bool}
	case reflect.Slice:
		elem := typeOf(t.Elem())
		return workflow.Type{Kind: workflow.List, Elem: &elem}
	case reflect.Map:
		elem := typeOf(t.Elem())
		return workflow.Type{Kind: workflow.Map, Elem: &elem}
	case reflect.Struct:
		return workflow.Type{Kind: workflow.Object, Fields: fields(t)}
	}
	panic(fmt.Sprintf("steps: no workflow type for %v", t))
}

// defaultOf writes a default as canonical JSON.
func defaultOf(t workflow.Type, text string) json.RawMessage {
	if slices.Contains([]workflow.Kind{workflow.String, workflow.File, workflow.Duration}, t.Kind) {
		quoted, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		return quoted
	}
	if !json.Valid([]byte(text)) {
		panic(fmt.Sprintf("steps: default %q is not JSON", text))
	}
	return json.RawMessage(text)
}
