package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// openapi answers the description of the routes. It is made of the table and of
// the types themselves, so that neither can change alone.
func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	version, _ := s.host.Identity()
	return writeJSON(w, http.StatusOK, describe(version, s.host.Forms()))
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func describe(version string, of Forms) map[string]any {
	b := schemas{defs: map[string]any{}, names: map[reflect.Type]string{}}
	failed := answer("application/json", b.of(reflect.TypeFor[failure]()))
	failed["description"] = "an error"
	paths := map[string]any{}
	for _, r := range routes(of) {
		method, path, _ := strings.Cut(r.pattern, " ")
		at, _ := paths[path].(map[string]any)
		if at == nil {
			at = map[string]any{}
			paths[path] = at
		}
		at[strings.ToLower(method)] = r.describe(&b, path, failed)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": "fcflow serve", "version": version},
		"paths":   paths, "security": []any{map[string]any{"token": []any{}}},
		"components": map[string]any{
			"schemas":         b.defs,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	}
}

func (r *route) describe(b *schemas, path string, failed any) map[string]any {
	var parameters []any
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, map[string]any{
			"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"},
		})
	}
	for _, p := range r.query {
		parameters = append(parameters, map[string]any{
			"name": p.name, "in": "query", "description": p.about, "required": p.required, "schema": p.schema(),
		})
	}
	good := map[string]any{"description": r.about}
	content := map[string]any{}
	if r.gives != nil {
		schema := b.of(reflect.TypeOf(r.gives))
		if r.orGives != nil {
			schema = map[string]any{"anyOf": []any{schema, b.of(reflect.TypeOf(r.orGives))}}
		}
		content["application/json"] = map[string]any{"schema": schema}
	}
	for _, kind := range r.kinds {
		kind, _, _ = strings.Cut(kind, ";")
		content[kind] = map[string]any{"schema": map[string]any{"type": "string"}}
	}
	if len(content) > 0 {
		good["content"] = content
	}
	method, _, _ := strings.Cut(r.pattern, " ")
	o := map[string]any{
		"summary": r.about, "operationId": strings.ToLower(method) + pathParameter.ReplaceAllString(strings.ReplaceAll(path, "/", "_"), "$1"),
		"responses": map[string]any{fmt.Sprint(r.status): good, "default": failed},
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if r.takes != nil {
		o["requestBody"] = b.request(reflect.TypeOf(r.takes))
	}
	if r.open {
		o["security"] = []any{}
	}
	return o
}

// request describes a body. Who asks may be left out, although it is always known
// where the same type stands in an answer.
func (b *schemas) request(t reflect.Type) map[string]any {
	body := answer("application/json", b.of(t))
	body["required"] = true
	if object, ok := b.defs[b.names[t]].(map[string]any); ok {
		object["required"] = slices.DeleteFunc(object["required"].([]any), func(name any) bool { return name == "by" })
	}
	return body
}

func answer(kind string, schema any) map[string]any {
	return map[string]any{"content": map[string]any{kind: map[string]any{"schema": schema}}}
}

// schemas makes JSON schemas of types, as encoding/json writes them.
type schemas struct {
	defs  map[string]any
	names map[reflect.Type]string
}

func (b *schemas) of(t reflect.Type) any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case reflect.TypeFor[anything]():
		return map[string]any{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{b.of(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": []any{"array", "null"}, "items": b.of(t.Elem())}
	case reflect.Array:
		return map[string]any{"type": "array", "items": b.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": b.of(t.Elem())}
	case reflect.Struct:
		return b.object(t)
	case reflect.Interface:
		return map[string]any{} // whatever it is
	}
	panic("no schema for " + t.String())
}

// object refers to the schema of a struct, which it makes the first time.
func (b *schemas) object(t reflect.Type) any {
	name, known := b.names[t]
	if !known {
		name = t.Name()
		if name == "" {
			name = "Object" // of a struct without a name
		}
		name = strings.ToUpper(name[:1]) + name[1:]
		for _, taken := b.defs[name]; taken; _, taken = b.defs[name] {
			name += "_"
		}
		b.names[t], b.defs[name] = name, nil
		properties, required := map[string]any{}, []any{}
		b.fields(t, properties, &required)
		b.defs[name] = map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// fields adds the members of a struct; those of one that is embedded count as its
// own.
func (b *schemas) fields(t reflect.Type, properties map[string]any, required *[]any) {
	for f := range fieldsOf(t) {
		tag, named := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && !named:
			b.fields(f.Type, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		if _, again := properties[name]; !again && !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
		properties[name] = b.of(f.Type)
	}
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
