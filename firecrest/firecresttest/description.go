package firecresttest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the API description of release 2.5.6, reduced to the answers of
// its operations.
//
//go:embed testdata/openapi.json
var document []byte

// describedFrom is the oldest release whose answers are like that.
const describedFrom = "2.5.6"

// description knows what answers look like.
type description struct {
	operations []operation
	failure    *jsonschema.Schema
}

// operation is a method and path, and a schema by status: "200", "4XX". A nil
// schema is an answer without a JSON body.
type operation struct {
	method   string
	segments []string
	answers  map[string]*jsonschema.Schema
}

func openDescription() (*description, error) {
	var outline struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal(document, &outline); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	const name = "openapi.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(name, whole); err != nil {
		return nil, err
	}
	d := &description{}
	if d.failure, err = compiler.Compile(name + "#/components/schemas/ApiResponseError"); err != nil {
		return nil, err
	}
	for path, methods := range outline.Paths {
		for method, described := range methods {
			op := operation{strings.ToUpper(method), strings.Split(path, "/"), map[string]*jsonschema.Schema{}}
			for status, answer := range described.Responses {
				op.answers[status] = nil
				if ref := answer.Content["application/json"].Schema.Ref; ref != "" {
					if op.answers[status], err = compiler.Compile(name + ref); err != nil {
						return nil, err
					}
				}
			}
			d.operations = append(d.operations, op)
		}
	}
	return d, nil
}

// check says what is wrong with an answer. Paths that are not described, such
// as the description's own, may answer anything.
func (d *description) check(method, path string, status int, body []byte) error {
	schema, onPath, described := d.find(method, path, status)
	switch {
	case !onPath, method == http.MethodHead, status >= 300 && status < 400:
		return nil
	case status >= 400:
		schema = d.failure
	case !described:
		return errors.New("no such answer is described")
	case status == http.StatusNoContent && len(body) > 0:
		return fmt.Errorf("there is a body: %.100q", body)
	case schema == nil:
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("body %.100q: %w", body, err)
	}
	return schema.Validate(value)
}

// find returns the schema of an answer, and whether there is any operation on
// the path.
func (d *description) find(method, path string, status int) (schema *jsonschema.Schema, onPath, described bool) {
	for _, op := range d.operations {
		if !op.matches(path) {
			continue
		}
		onPath = true
		if op.method == method {
			schema, described = op.answers[strconv.Itoa(status)]
		}
	}
	return schema, onPath, described
}

func (op operation) matches(path string) bool {
	segments := strings.Split(strings.ToLower(path), "/")
	if len(segments) != len(op.segments) {
		return false
	}
	for i, want := range op.segments {
		if want != segments[i] && !strings.HasPrefix(want, "{") {
			return false
		}
	}
	return true
}

// checkedTransport checks every answer that the server wrote below its base
// URL. Gateways and token endpoints write what they like.
type checkedTransport struct {
	next        http.RoundTripper
	base        string
	description *description
	complain    func(format string, args ...any)
}

func (c *checkedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil || resp.Header.Get("Content-Type") == "application/octet-stream" {
		return resp, err
	}
	release := resp.Header.Get("F7T-AppVersion")
	base, err := url.Parse(c.base)
	if err != nil {
		return nil, err
	}
	path, below := strings.CutPrefix(req.URL.Path, strings.TrimRight(base.Path, "/"))
	if release == "" || older(release, describedFrom) || req.URL.Host != base.Host || !below {
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.description.check(req.Method, path, resp.StatusCode, body); err != nil {
		c.complain("%s %s answered %d, which is not as described: %v", req.Method, req.URL, resp.StatusCode, err)
	}
	return resp, nil
}
