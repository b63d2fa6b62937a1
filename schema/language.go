package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Patterns of texts with expressions. `$${{` prints `${{` and is none.
const (
	hasExpression = `(^|[^$])\$\{\{`
	isExpression  = `^\s*\$\{\{(.|\n)*\}\}\s*$`
)

// generator turns shapes into schemas; mappings with keys become definitions.
type generator struct {
	definitions map[string]object
	order       []string
	catalogue   workflow.Catalogue
}

func (g *generator) defs() object {
	all := object{{"expression", object{
		{"description", "One expression."}, {"type", "string"}, {"pattern", isExpression},
	}}}
	for _, name := range g.order {
		all = append(all, member{name, g.definitions[name]})
	}
	return all
}

// define returns a reference to a definition, which it makes at first use.
func (g *generator) define(name string, make func() object) object {
	if _, known := g.definitions[name]; !known {
		g.definitions[name] = nil // what refers to itself finds it
		g.order = append(g.order, name)
		g.definitions[name] = make()
	}
	return reference(name)
}

func reference(name string) object { return object{{"$ref", "#/$defs/" + name}} }

// shape is the schema of one place of the language.
func (g *generator) shape(s *workflow.Shape) object {
	value := g.value(s)
	if s.Expression && s.Kind != workflow.TextShape && s.Kind != workflow.AnyShape {
		return anyOf(value, reference("expression"))
	}
	return value
}

func (g *generator) value(s *workflow.Shape) object {
	switch s.Kind {
	case workflow.TextShape, workflow.TypeShape:
		return text(s)
	case workflow.CauseShape:
		return cause()
	case workflow.IntShape:
		return whole(s)
	case workflow.BoolShape:
		return object{{"type", "boolean"}}
	case workflow.DurationShape:
		return object{{"type", "string"}, {"pattern", workflow.DurationPattern}}
	case workflow.FactorShape:
		return object{{"type", "string"}, {"pattern", workflow.FactorPattern}}
	case workflow.ConditionShape:
		return object{{"type", []string{"string", "boolean"}}, {"minLength", 1}}
	case workflow.ForEachShape:
		return anyOf(
			object{{"description", "Id of the step to follow instance by instance."}, {"type", "string"}, {"pattern", s.Pattern}},
			reference("expression"),
			object{{"type", "array"}},
		)
	case workflow.ListShape:
		return g.list(s)
	case workflow.MappingShape:
		if len(s.Keys) == 0 {
			return g.mapping(s)
		}
		name := definitionName(s.Title)
		return g.define(name, func() object {
			if name == "step" {
				return append(g.mapping(s), member{"allOf", g.stepTypes()})
			}
			return g.mapping(s)
		})
	}
	if s.Null {
		return object{}
	}
	notNull := object{{"not", object{{"type", "null"}}}}
	if s.Expression {
		return notNull
	}
	return object{{"allOf", []object{notNull, g.define("literal", literal)}}}
}

// literal is a value without an expression anywhere in it.
func literal() object {
	return object{
		{"not", object{{"type", "string"}, {"pattern", hasExpression}}},
		{"items", reference("literal")},
		{"additionalProperties", reference("literal")},
	}
}

func definitionName(title string) string {
	return strings.ReplaceAll(strings.Trim(title, "`"), " ", "_")
}

func text(s *workflow.Shape) object {
	o := object{{"type", "string"}}
	switch {
	case len(s.Enum) > 0:
		return append(o, member{"enum", s.Enum})
	case s.Pattern != "":
		return append(o, member{"pattern", s.Pattern})
	}
	o = append(o, member{"minLength", 1})
	if !s.Expression {
		o = append(o, member{"not", object{{"pattern", hasExpression}}})
	}
	return o
}

func cause() object {
	var names []string
	for _, c := range workflow.FailureCauses() {
		names = append(names, string(c))
	}
	return anyOf(
		object{{"enum", names}},
		object{{"type", "string"}, {"pattern", `^exit\(([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\)$`}},
	)
}

func whole(s *workflow.Shape) object {
	if s.Min == s.Max {
		return object{{"const", s.Min}}
	}
	o := object{{"type", "integer"}, {"minimum", s.Min}}
	if s.Max > 0 {
		o = append(o, member{"maximum", s.Max})
	}
	return o
}

func (g *generator) list(s *workflow.Shape) object {
	items := g.shape(s.Items)
	o := object{{"type", "array"}, {"items", items}}
	if s.Min > 0 {
		o = append(o, member{"minItems", s.Min})
	}
	if s.OrOne {
		return anyOf(items, o)
	}
	return o
}

func (g *generator) mapping(s *workflow.Shape) object {
	o := object{{"type", "object"}}
	var properties object
	var required []string
	for _, k := range s.Keys {
		property := g.shape(k.Shape)
		property = append(object{{"description", k.Doc}}, property...)
		if k.Default != "" {
			property = append(property, member{"default", defaultOf(k)})
		}
		if k.Required {
			required = append(required, k.Name)
		}
		properties = append(properties, member{k.Name, property})
	}
	if properties != nil {
		o = append(o, member{"properties", properties})
	}
	if required != nil {
		o = append(o, member{"required", required})
	}
	if s.Min > 0 {
		o = append(o, member{"minProperties", s.Min})
	}
	if s.Values == nil {
		o = append(o, member{"additionalProperties", false})
	} else {
		o = append(o, member{"additionalProperties", g.shape(s.Values)})
	}
	if s.Names != nil {
		o = append(o, member{"propertyNames", names(s)})
	}
	return o
}

// names is the schema of the names in an open mapping.
func names(s *workflow.Shape) object {
	o := object{{"pattern", s.Names.Pattern}}
	if len(s.Misplaced) > 0 {
		o = append(o, member{"not", object{{"enum", slices.Sorted(maps.Keys(s.Misplaced))}}})
	}
	return o
}

// defaultOf is the default of a key as JSON.
func defaultOf(k workflow.Key) any {
	switch k.Shape.Kind {
	case workflow.IntShape, workflow.BoolShape:
		return json.RawMessage(k.Default)
	}
	return k.Default
}
