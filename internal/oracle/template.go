package oracle

import (
	"fmt"
	"strings"
)

// template is a text of the file with expressions in it.
type template struct {
	texts []string // around the expressions, one more than there are of them
	exprs []*node
}

// parseTemplates puts a template in the place of each text with expressions.
func parseTemplates(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, "${{") {
			return v, nil
		}
		t := &template{}
		for {
			before, rest, more := strings.Cut(v, "${{")
			t.texts = append(t.texts, before)
			if !more {
				return t, nil
			}
			source, after, closed := strings.Cut(rest, "}}")
			if !closed {
				return nil, fmt.Errorf("%q: }} is missing", v)
			}
			n, err := parseExpression(source)
			if err != nil {
				return nil, err
			}
			t.exprs, v = append(t.exprs, n), after
		}
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = parseTemplates(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *object:
		o := newObject()
		for _, key := range v.keys {
			item, err := parseTemplates(v.values[key])
			if err != nil {
				return nil, err
			}
			o.set(key, item)
		}
		return o, nil
	}
	return v, nil
}

// fill evaluates all templates in a value. A text that is one expression has its
// value, any other becomes text.
func fill(v any, sc scope) (any, error) {
	switch v := v.(type) {
	case *template:
		return v.fill(sc)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = fill(item, sc); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *object:
		o := newObject()
		for _, key := range v.keys {
			item, err := fill(v.values[key], sc)
			if err != nil {
				return nil, err
			}
			o.set(key, item)
		}
		return o, nil
	}
	return v, nil
}

func (t *template) fill(sc scope) (any, error) {
	if len(t.exprs) == 1 && t.texts[0] == "" && t.texts[1] == "" {
		return evaluate(t.exprs[0], sc)
	}
	out := t.texts[0]
	for i, n := range t.exprs {
		v, err := evaluate(n, sc)
		if err != nil {
			return nil, err
		}
		s, ok := v.(string)
		if !ok {
			s = text(v)
		}
		out += s + t.texts[i+1]
	}
	return out, nil
}

// expressions calls f for every node of every expression in a value.
func expressions(v any, f func(*node)) {
	switch v := v.(type) {
	case *template:
		for _, n := range v.exprs {
			n.each(f)
		}
	case []any:
		for _, item := range v {
			expressions(item, f)
		}
	case *object:
		for _, item := range v.values {
			expressions(item, f)
		}
	}
}
