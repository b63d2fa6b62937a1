package server

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// parameter is a parameter of the query of a route.
type parameter struct {
	name, about string
	kind        kind
	least       int      // of integers
	of          []string // the texts that it may be; nil is any
	required    bool
}

// kind is what a parameter is read as.
type kind string

const (
	text    kind = ""
	integer kind = "integer"
	boolean kind = "boolean"
	instant kind = "instant"
)

// maxNumber bounds the numbers of a query.
const maxNumber = 1<<31 - 1

// schema describes the parameter as OpenAPI does.
func (p *parameter) schema() map[string]any {
	switch {
	case p.kind == integer:
		return map[string]any{"type": "integer", "minimum": p.least, "maximum": maxNumber}
	case p.kind == boolean:
		return map[string]any{"type": "boolean"}
	case p.kind == instant:
		return map[string]any{"type": "string", "format": "date-time"}
	case p.of != nil:
		return map[string]any{"type": "string", "enum": p.of}
	case p.required:
		return map[string]any{"type": "string", "minLength": 1}
	}
	return map[string]any{"type": "string"}
}

// check refuses a value that the parameter cannot have.
func (p *parameter) check(value string) error {
	switch p.kind {
	case integer:
		if n, err := strconv.Atoi(value); err != nil || n < p.least || n > maxNumber {
			return badRequest("%s: want a number from %d to %d, not %q", p.name, p.least, maxNumber, value)
		}
	case boolean:
		if value != "true" && value != "false" {
			return badRequest("%s: want true or false, not %q", p.name, value)
		}
	case instant:
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return badRequest("%s: want an instant such as 2026-03-29T00:00:00Z, not %q", p.name, value)
		}
	case text:
		if p.of != nil && !slices.Contains(p.of, value) {
			return badRequest("%s: want %s, not %q", p.name, strings.Join(p.of, ", "), value)
		}
	}
	return nil
}

// checkQuery refuses a query that the route does not know, so that what is misspelt
// is not taken for missing.
func checkQuery(known []parameter, raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return badRequest("query: %v", err)
	}
	for i := range known {
		if p := &known[i]; p.required && query.Get(p.name) == "" {
			return badRequest("%s is missing: %s", p.name, p.about)
		}
	}
	for name, values := range query {
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == name })
		switch {
		case i < 0:
			return unknownParameter(known, name)
		case len(values) > 1:
			return badRequest("%s is given %d times", name, len(values))
		}
		if err := known[i].check(values[0]); err != nil {
			return err
		}
	}
	return nil
}

func unknownParameter(known []parameter, name string) error {
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.name
	}
	near := workflow.Suggest(name, names)
	switch {
	case near != "":
		return badRequest("there is no parameter %q: did you mean %q?", name, near)
	case len(names) == 0:
		return badRequest("there is no parameter %q, nor any other", name)
	}
	return badRequest("there is no parameter %q, but %s", name, strings.Join(names, ", "))
}

// number reads a parameter that was checked.
func number(query url.Values, name string, otherwise, most int) int {
	if !query.Has(name) {
		return otherwise
	}
	n, _ := strconv.Atoi(query.Get(name)) // it is one
	return min(n, most)
}

// at reads a parameter that was checked.
func at(query url.Values, name string) time.Time {
	t, _ := time.Parse(time.RFC3339, query.Get(name)) // it is one
	return t
}

// flag reads a parameter that was checked.
func flag(query url.Values, name string) bool { return query.Get(name) == "true" }
