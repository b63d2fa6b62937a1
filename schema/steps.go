package schema

import (
	"encoding/json"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

// stepTypes narrows a step by its `uses`: only known types, each with its own
// inputs.
func (g *generator) stepTypes() []object {
	names := g.catalogue.Names()
	cases := []object{{{"properties", object{{"uses", object{{"enum", names}}}}}}}
	for _, name := range names {
		spec, ok := g.catalogue.Step(name)
		if !ok {
			continue
		}
		with := g.define("with_"+name, func() object {
			return append(object{{"description", spec.Summary}}, g.fields(spec.Inputs)...)
		})
		then := object{{"properties", object{{"with", with}}}}
		if anyRequired(spec.Inputs) {
			then = append(then, member{"required", []string{"with"}})
		}
		cases = append(cases, object{
			{"if", object{{"properties", object{{"uses", object{{"const", name}}}}}, {"required", []string{"uses"}}}},
			{"then", then},
		})
	}
	return cases
}

// anyRequired reports whether a step without `with` lacks something: a field
// that must be given and has no default of any sort.
func anyRequired(fields []workflow.Field) bool {
	return slices.ContainsFunc(fields, isRequired)
}

func isRequired(f workflow.Field) bool {
	return f.Required && f.Default == nil && !f.FromDefaults
}

// fields is the schema of a closed mapping.
func (g *generator) fields(fields []workflow.Field) object {
	properties := make(object, 0, len(fields))
	var required []string
	for _, f := range fields {
		properties = append(properties, member{f.Name, g.field(f)})
		if isRequired(f) {
			required = append(required, f.Name)
		}
	}
	o := object{{"type", "object"}, {"properties", properties}}
	if required != nil {
		o = append(o, member{"required", required})
	}
	return append(o, member{"additionalProperties", false})
}

func (g *generator) field(f workflow.Field) object {
	value := g.typed(f.Type, f.Literal)
	if len(f.Enum) > 0 {
		value = object{{"enum", f.Enum}}
		if !f.Literal {
			value = anyOf(value, template())
		}
	}
	var o object
	if f.Doc != "" {
		o = object{{"description", f.Doc}}
	}
	o = append(o, value...)
	if f.Default != nil {
		o = append(o, member{"default", json.RawMessage(f.Default)})
	}
	return o
}

// typed is the schema of a type. Where the value is not literal, an expression
// may stand for it.
func (g *generator) typed(t workflow.Type, literal bool) object {
	value := g.plain(t, literal)
	switch {
	case t.Kind == workflow.Any, len(value) == 0:
		return value
	case literal && t.Kind == workflow.String:
		return append(value, member{"not", object{{"pattern", hasExpression}}})
	case literal, t.Kind == workflow.String, t.Kind == workflow.File:
		return value
	case t.Kind == workflow.List, t.Kind == workflow.Map, t.Kind == workflow.Object:
		return anyOf(value, reference("expression"))
	}
	return anyOf(value, template())
}

func (g *generator) plain(t workflow.Type, literal bool) object {
	switch t.Kind {
	case workflow.String:
		return object{{"type", []string{"string", "number", "boolean"}}}
	case workflow.File:
		return object{{"type", "string"}, {"minLength", 1}}
	case workflow.Int:
		return object{{"type", "integer"}}
	case workflow.Float:
		return object{{"type", "number"}}
	case workflow.Bool:
		return object{{"type", "boolean"}}
	case workflow.Duration:
		return object{{"type", "string"}, {"pattern", workflow.DurationPattern}}
	case workflow.Size:
		return object{{"type", "string"}, {"pattern", workflow.SizePattern}}
	case workflow.List:
		o := object{{"type", "array"}}
		if t.Elem != nil {
			o = append(o, member{"items", g.typed(*t.Elem, literal)})
		}
		return o
	case workflow.Map:
		o := object{{"type", "object"}}
		if t.Elem != nil {
			o = append(o, member{"additionalProperties", g.typed(*t.Elem, literal)})
		}
		return o
	case workflow.Object:
		return g.fields(t.Fields)
	}
	return object{}
}

// template is text with an expression in it, whose value the field converts.
func template() object { return object{{"type", "string"}, {"pattern", hasExpression}} }

func anyOf(alternatives ...object) object { return object{{"anyOf", alternatives}} }
