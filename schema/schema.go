// Package schema makes the JSON Schema of workflow files, for editors and for
// other tools that read them.
//
// It is generated from the tables that the reader of package workflow itself
// uses and from the fields of the step types, so it knows exactly the same keys.
// A JSON Schema sees less than `fcflow validate`: it knows nothing of
// references between steps, and it takes any `${{ … }}` for right.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fcflow/fcflow/workflow"
)

// Generate makes the JSON Schema (draft 2020-12) of workflow files with the step
// types of a catalogue. The result depends on nothing else, so two calls give
// the same bytes.
func Generate(c workflow.Catalogue) ([]byte, error) {
	g := &generator{definitions: map[string]object{}, catalogue: c}
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "fcflow workflow"},
		{"description", "A workflow file of fcflow."},
	}
	root = append(root, g.mapping(workflow.Language())...)
	root = append(root, member{"$defs", g.defs()})
	text, err := root.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("generate the JSON Schema: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("generate the JSON Schema: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order, and < and > as they are.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := encoder.Encode(m.name); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := encoder.Encode(m.value); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
