package crate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// maxValue is how long a value may be to be in the metadata.
const maxValue = 32 << 10

func decodeObject(text json.RawMessage) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	err := d.Decode(&object)
	return object, err
}

// plain is a value as text: a string is itself, anything else its JSON.
func plain(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(err) // it was decoded from JSON
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// param is an input or output of the workflow or of a step type, with values of
// one type.
type param struct {
	id, name    string
	kind        string
	description string
	required    bool
	isInput     bool
}

// param finds or makes the parameter for values of a type. One that has values of
// several types is as many parameters of the same name.
func (w *writer) param(id, name, kind string) *param {
	key := id + " " + kind
	if p := w.params[key]; p != nil {
		return p
	}
	if w.graph.has(id) {
		id += "/" + kind
	}
	p := &param{id: id, name: name, kind: kind}
	w.params[key] = p
	w.order = append(w.order, p)
	return p
}

func (p *param) entity() entity {
	e := entity{"@id": p.id, "@type": "FormalParameter", "name": p.name, "additionalType": p.kind}
	e.set("description", p.description)
	if p.isInput {
		e["valueRequired"] = map[bool]string{true: "True", false: "False"}[p.required]
	}
	if p.kind == structured {
		e["encodingFormat"] = "application/json"
	}
	return e
}

// structured is the type of lists and maps, whose values are JSON.
const structured = "PropertyValue"

// kindOf is the type of values of a declared type, in the words of the profile.
func kindOf(t workflow.Type) string {
	switch t.Kind {
	case workflow.String, workflow.Duration:
		return "Text"
	case workflow.Int, workflow.Size:
		return "Integer"
	case workflow.Float:
		return "Float"
	case workflow.Bool:
		return "Boolean"
	case workflow.File:
		return "File"
	}
	return structured
}

// kindOfValue is the type of a value of no declared type.
func kindOfValue(value any) string {
	switch v := value.(type) {
	case string:
		return "Text"
	case bool:
		return "Boolean"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "Integer"
		}
		return "Float"
	}
	return structured
}

// value adds a value of a parameter, once for all who share it, and returns its
// id.
func (w *writer) value(p *param, value any) string {
	text := plain(value)
	digest := workflow.NewBlob([]byte(text)).Digest
	id := p.id + "/" + digest[:16]
	if w.graph.has(id) {
		return id
	}
	e := entity{"@id": id, "@type": "PropertyValue", "name": p.name, "exampleOfWork": ref{p.id}}
	if len(text) <= maxValue {
		e["value"] = text
	} else {
		e["description"] = fmt.Sprintf("%d bytes, which are left out here", len(text))
		e["sha256"] = digest
	}
	w.graph.add(e)
	return id
}
