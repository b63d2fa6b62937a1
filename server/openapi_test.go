package server

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func described(t *testing.T) (map[string]any, *jsonschema.Compiler) {
	t.Helper()
	text, err := json.Marshal(describe("1.0", diaryForms()))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any), c
}

// TestDescribedRoutes: the description has the routes of the table, no others, and
// each of them names its parameters.
func TestDescribedRoutes(t *testing.T) {
	t.Parallel()
	doc, _ := described(t)
	left := map[string]bool{}
	for path, at := range doc["paths"].(map[string]any) {
		for method := range at.(map[string]any) {
			left[strings.ToUpper(method)+" "+path] = true
		}
	}
	seen := map[any]bool{}
	for _, r := range routes(diaryForms()) {
		if !left[r.pattern] {
			t.Errorf("%s is not described", r.pattern)
		}
		delete(left, r.pattern)
		method, path, _ := strings.Cut(r.pattern, " ")
		o := doc["paths"].(map[string]any)[path].(map[string]any)[strings.ToLower(method)].(map[string]any)
		if id := o["operationId"]; seen[id] {
			t.Errorf("%s: the operation %s is there twice", r.pattern, id)
		} else {
			seen[id] = true
		}
		if (method == http.MethodPost) != (o["requestBody"] != nil) {
			t.Errorf("%s: a body is described: %v", r.pattern, o["requestBody"] != nil)
		}
	}
	for pattern := range left {
		t.Errorf("%s is described, and not there", pattern)
	}
}

// TestAnswersAsDescribed: what the handlers answer is what the description says,
// with every member set.
func TestAnswersAsDescribed(t *testing.T) {
	t.Parallel()
	_, compiler := described(t)
	_, handler := guardedDiary()
	for _, r := range routes(diaryForms()) {
		queries := []string{""}
		if r.orGives != nil {
			queries = append(queries, "fold=true")
		}
		for _, query := range queries {
			ctx, w := passBy(t)
			req := r.request(ctx)
			if query != "" {
				req.URL.RawQuery = query
			}
			handler.ServeHTTP(w, req)
			r.compare(t, compiler, w.ResponseRecorder)
		}
	}
}

// passerBy records an answer and leaves as soon as there is something of a stream, which
// would go on.
type passerBy struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func passBy(t *testing.T) (context.Context, *passerBy) {
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	return ctx, &passerBy{httptest.NewRecorder(), leave}
}

func (p *passerBy) Flush() {
	p.ResponseRecorder.Flush()
	p.leave()
}

func (r *route) compare(t *testing.T, compiler *jsonschema.Compiler, w *httptest.ResponseRecorder) {
	t.Helper()
	kind, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	known := r.gives != nil && kind == "application/json" || kind == "" && r.gives == nil
	for _, k := range r.kinds {
		k, _, _ = strings.Cut(k, ";")
		known = known || k == kind
	}
	if strings.Contains(r.pattern, "/blobs/") {
		return // the run has none
	}
	if !known {
		t.Errorf("%s answers %q, which is not described", r.pattern, kind)
	}
	if kind != "application/json" {
		return
	}
	method, path, _ := strings.Cut(r.pattern, " ")
	at := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path)
	schema, err := compiler.Compile("openapi.json#/paths/" + at + "/" + strings.ToLower(method) + "/responses/" +
		strconv.Itoa(r.status) + "/content/application~1json/schema")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(answer); err != nil {
		t.Errorf("%s: %v", r.pattern, err)
	}
}
