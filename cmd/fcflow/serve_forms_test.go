package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fcflow/fcflow/server"
)

// openAPI is the description that a server gives of itself.
type openAPI struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

func readOpenAPI(text string) (*openAPI, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return &openAPI{doc.(map[string]any), c}, c.AddResource("openapi.json", doc)
}

// check compares a JSON answer to GET with the description of its route.
func (o *openAPI) check(route string, answer []byte) error {
	at := strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D").Replace(route)
	schema, err := o.compiler.Compile("openapi.json#/paths/" + at + "/get/responses/200/content/application~1json/schema")
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// TestServedForms: the description has every member of what this program answers in
// types of its own, and no others.
func TestServedForms(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	server.NewHost(&host{}).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/openapi.json", nil))
	o, err := readOpenAPI(w.Body.String())
	if err != nil {
		t.Fatal(err)
	}
	for route, form := range map[string]any{
		"/v1/runs/{id}/why": explained{}, "/v1/runs/{id}/results": shownResults{}, "/v1/systems": []shownSystem{}, "/v1/systems/{name}": servedSite{},
		"/v1/runs": server.RunPage{}, "/v1/runs/{id}": server.ShownRun{},
	} {
		v := reflect.New(reflect.TypeOf(form)).Elem()
		fill(v)
		text, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if err := o.check(route, text); err != nil {
			t.Errorf("%s: %v", route, err)
		}
		for path, text := range strangers(t, text) {
			if o.check(route, text) == nil {
				t.Errorf("%s: a member that is not described at %q is passed over", route, path)
			}
		}
	}
}

// strangers returns copies of a JSON text, in each of which one object that is not
// a map by its values has one more member.
func strangers(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	var visit func(at string, v any)
	visit = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				visit(fmt.Sprintf("%s[%d]", at, i), item)
			}
		case map[string]any:
			if _, free := v["*"]; !free { // as fill names the key of a map
				v["stranger"] = true
				found[at], _ = json.Marshal(root)
				delete(v, "stranger")
			}
			for _, name := range slices.Sorted(maps.Keys(v)) {
				visit(at+"."+name, v[name])
			}
		}
	}
	visit("", root)
	return found
}
