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

// param is an input or output of the workflow or of a step type.
type param struct {
	id, name    string
	types       []string // as the values are represented, of all that were seen
	description string
	required    bool
	isInput     bool
}

// param finds or makes a parameter, and notes that a value of it is of a type.
func (w *writer) param(id, name, kind string) *param {
	p := w.params[id]
	if p == nil {
		p = &param{id: id, name: name}
		w.params[id] = p
		w.order = append(w.order, p)
	}
	for _, t := range p.types {
		if t == kind {
			return p
		}
	}
	p.types = append(p.types, kind)
	return p
}

func (p *param) entity() entity {
	e := entity{"@id": p.id, "@type": "FormalParameter", "name": p.name}
	e.set("additionalType", p.types)
	e.set("description", p.description)
	if p.isInput {
		e["valueRequired"] = map[bool]string{true: "True", false: "False"}[p.required]
	}
	for _, t := range p.types {
		if t == structured {
			e["encodingFormat"] = "application/json"
		}
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
