package workflow

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/vm/runtime"
)

// maxText bounds a text that an expression builds, in bytes: a text joined to
// itself forty times over would fill any memory.
const maxText = 1 << 20

// maxElements bounds the lists that one evaluation makes, in elements.
const maxElements = 4_000_000

var (
	errTextTooLong = errors.New("the text grows over 1 MiB")
	errListTooLong = errors.New("the list grows over 4,000,000 elements")
)

// addFunction stands for `+` between values that may be texts.
const addFunction = "\x00add"

// statusFunctions are answered by the scope.
var statusFunctions = []string{"success", "failure", "cancelled", "always"}

// refusedFunctions are built into the expression library and not offered, with
// what to do instead.
var refusedFunctions = map[string]string{
	"now":     "use run.started_at or run.scheduled_at, which are the same after a resume",
	"get":     "write the member's name: x.name, or x?.name ?? default",
	"reduce":  "use sum, count, min, max or join",
	"groupBy": "use filter",
}

// functions returns what fcflow adds to the built-in functions, or replaces
// among them: those that depend on the order of a Go map, print nothing as
// "<nil>", or make texts without a bound.
func functions() conf.FunctionsTable {
	table := conf.FunctionsTable{}
	add := func(name string, f func(args ...any) (any, error), signatures ...any) {
		fn := &builtin.Function{Name: name, Func: f}
		for _, s := range signatures {
			fn.Types = append(fn.Types, reflect.TypeOf(s))
		}
		table[name] = fn
	}
	text := func(f func(string) string) func(args ...any) (any, error) {
		return func(args ...any) (any, error) {
			s, ok := args[0].(string)
			if !ok {
				return nil, fmt.Errorf("takes text, not %s", describe(args[0]))
			}
			return f(s), nil
		}
	}
	add("basename", text(path.Base), func(string) string { return "" })
	add("dirname", text(path.Dir), func(string) string { return "" })
	add("join_path", joinPath, func(string, ...string) string { return "" })
	add("toJSON", toJSON, func(any) string { return "" })
	add("string", func(args ...any) (any, error) { return scalarText(args[0]) }, func(any) string { return "" })
	add("keys", eachMember(func(k string, _ any) any { return k }), func(map[string]any) []string { return nil })
	add("values", eachMember(func(_ string, v any) any { return v }), func(map[string]any) []any { return nil })
	add("toPairs", eachMember(func(k string, v any) any { return []any{k, v} }), func(map[string]any) [][]any { return nil })
	add("fromPairs", fromPairs, func([]any) map[string]any { return nil })
	add("repeat", repeat, strings.Repeat)
	add("replace", replace, strings.ReplaceAll, strings.Replace)
	add("join", join, func([]any, string) string { return "" }, func([]any) string { return "" },
		func([]string, string) string { return "" }, func([]string) string { return "" })
	add("flatten", flatten, func(any) []any { return nil })
	add(addFunction, plus, func(any, any) any { return nil })
	return table
}

func joinPath(args ...any) (any, error) {
	parts := make([]string, len(args))
	for i, a := range args {
		s, ok := a.(string)
		if !ok {
			return nil, fmt.Errorf("takes text, not %s", describe(a))
		}
		if i > 0 && path.IsAbs(s) {
			return nil, fmt.Errorf("%q is absolute and cannot follow %q", s, parts[0])
		}
		parts[i] = s
	}
	return path.Join(parts...), nil
}

func toJSON(args ...any) (any, error) {
	text, err := CanonicalJSON(args[0])
	if err == nil && len(text) > maxText {
		err = errTextTooLong
	}
	return string(text), err
}

// eachMember makes a function of the language that takes a mapping and returns
// something of each of its members, by their keys in order.
func eachMember(of func(k string, v any) any) func(...any) (any, error) {
	return func(args ...any) (any, error) {
		m, ok := mappingOf(args[0])
		if !ok {
			return nil, fmt.Errorf("takes a mapping, not %s", describe(args[0]))
		}
		out := []any{}
		for _, k := range sortedKeys(m) {
			out = append(out, of(k, m[k]))
		}
		return out, nil
	}
}

func fromPairs(args ...any) (any, error) {
	list := reflect.ValueOf(args[0])
	if !isListValue(list) {
		return nil, fmt.Errorf("takes a list of pairs, not %s", describe(args[0]))
	}
	out := make(map[string]any, list.Len())
	for i := range list.Len() {
		pair := reflect.ValueOf(list.Index(i).Interface())
		if !isListValue(pair) || pair.Len() != 2 {
			return nil, fmt.Errorf("takes pairs, not %s", describe(list.Index(i).Interface()))
		}
		name, err := scalarText(pair.Index(0).Interface())
		if err != nil {
			return nil, err
		}
		out[name] = pair.Index(1).Interface()
	}
	return out, nil
}

func repeat(args ...any) (any, error) {
	s, ok := args[0].(string)
	n := runtime.ToInt(args[1])
	switch {
	case !ok:
		return nil, fmt.Errorf("takes text, not %s", describe(args[0]))
	case n < 0:
		return nil, fmt.Errorf("cannot repeat %d times", n)
	case len(s) > 0 && n > maxText/len(s):
		return nil, errTextTooLong
	}
	return strings.Repeat(s, n), nil
}

func replace(args ...any) (any, error) {
	var s [3]string
	for i := range s {
		text, ok := args[i].(string)
		if !ok {
			return nil, fmt.Errorf("takes text, not %s", describe(args[i]))
		}
		s[i] = text
	}
	n := strings.Count(s[0], s[1])
	if len(args) == 4 {
		if most := runtime.ToInt(args[3]); most >= 0 {
			n = min(n, most)
		}
	}
	if len(s[2]) > 0 && n > (maxText-min(len(s[0]), maxText))/len(s[2]) {
		return nil, errTextTooLong
	}
	return strings.Replace(s[0], s[1], s[2], n), nil
}

func join(args ...any) (any, error) {
	glue := ""
	if len(args) == 2 {
		glue, _ = args[1].(string)
	}
	list := reflect.ValueOf(args[0])
	if !isListValue(list) {
		return nil, fmt.Errorf("takes a list, not %s", describe(args[0]))
	}
	var b strings.Builder
	for i := range list.Len() {
		text, err := scalarText(list.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString(glue)
		}
		b.WriteString(text)
		if b.Len() > maxText {
			return nil, errTextTooLong
		}
	}
	return b.String(), nil
}

func flatten(args ...any) (any, error) {
	out, visited := []any{}, 0
	var walk func(v any) error
	walk = func(v any) error {
		if visited++; visited > maxElements {
			return errListTooLong
		}
		r := reflect.ValueOf(v)
		if !isListValue(r) {
			out = append(out, v)
			return nil
		}
		for i := range r.Len() {
			if err := walk(r.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(args[0])
}

// plus is `+` with a bound on texts.
func plus(args ...any) (any, error) {
	a, aText := args[0].(string)
	b, bText := args[1].(string)
	if !aText || !bText {
		if args[0] == nil || args[1] == nil {
			return nil, errors.New("a value to add is missing")
		}
		return runtime.Add(args[0], args[1]), nil
	}
	if len(a)+len(b) > maxText {
		return nil, errTextTooLong
	}
	return a + b, nil
}
