package workflow

import (
	"fmt"
	"slices"
	"strings"
)

// MaxUnits bounds the units of a run.
const MaxUnits = 100_000

// expansion is what a step fans out to.
type expansion struct {
	names []string // of the dimensions of a matrix, sorted
	// values of each unit: by names, or the item of a list alone.
	values [][]any
	keys   []string
}

// digest says which instances they are.
func (x *expansion) digest() string {
	return NewBlob([]byte(strings.Join(x.keys, "\n"))).Digest
}

// matrixOf evaluates the matrix of a step: the product of its dimensions, the
// last one changing fastest, without what is excluded, and then what is included.
func (w *Workflow) matrixOf(s *Step, sc *Scope) (*expansion, error) {
	if s.plan == nil {
		return nil, ErrNotChecked
	}
	m := s.Matrix
	lists := make([][]any, len(m.Dimensions))
	size := min(len(lists), 1) // of a matrix without dimensions: 0
	for i, d := range m.Dimensions {
		list, err := s.plan.list(d.Value, sc)
		if err != nil {
			return nil, fmt.Errorf("matrix.%s: %w", d.Name, err)
		}
		lists[i] = list
		if size *= len(list); size > MaxUnits {
			return nil, fmt.Errorf("the matrix has more than %d combinations; a run may have %[1]d instances in all", MaxUnits)
		}
	}
	exclude, err := s.plan.combinations("exclude", m.Exclude, sc)
	if err != nil {
		return nil, err
	}
	include, err := s.plan.combinations("include", m.Include, sc)
	if err != nil {
		return nil, err
	}
	names, order := sortedNames(m, include)
	x := &expansion{names: names}
	for n := range size {
		values := make([]any, len(names))
		for i := len(lists) - 1; i >= 0; i-- {
			values[order[i]] = lists[i][n%len(lists[i])]
			n /= len(lists[i])
		}
		if !excluded(names, values, exclude) {
			x.add(matrixKey(names, values), values)
		}
	}
	return x, x.include(include)
}

// sortedNames returns the names of the dimensions, sorted, and for each
// dimension of the file its place among them.
func sortedNames(m *Matrix, include []map[string]any) (names []string, order []int) {
	for _, d := range m.Dimensions {
		names = append(names, d.Name)
	}
	if len(names) == 0 {
		for _, combination := range include {
			names = append(names, sortedKeys(combination)...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, d := range m.Dimensions {
		at, _ := slices.BinarySearch(names, d.Name)
		order = append(order, at)
	}
	return names, order
}

func (x *expansion) add(key string, values []any) {
	x.keys = append(x.keys, key)
	x.values = append(x.values, values)
}

// include adds combinations that are not there already, and refuses values that
// a dimension lists twice.
func (x *expansion) include(combinations []map[string]any) error {
	known := make(map[string]bool, len(x.keys))
	for _, key := range x.keys {
		if known[key] {
			return fmt.Errorf("the matrix has the combination %s twice", key)
		}
		known[key] = true
	}
	for _, combination := range combinations {
		values := make([]any, len(x.names))
		for i, name := range x.names {
			v, ok := combination[name]
			if !ok {
				return fmt.Errorf("matrix.include: a combination lacks %q", name)
			}
			values[i] = v
		}
		if len(combination) > len(x.names) {
			return fmt.Errorf("matrix.include: a combination has members that are no dimension; the dimensions are %s", strings.Join(x.names, ", "))
		}
		if key := matrixKey(x.names, values); !known[key] {
			known[key] = true
			x.add(key, values)
		}
	}
	return nil
}

// excluded reports whether a combination agrees with one that is excluded, in
// all that this one says.
func excluded(names []string, values []any, exclude []map[string]any) bool {
	return slices.ContainsFunc(exclude, func(e map[string]any) bool {
		for name, unwanted := range e {
			i, ok := slices.BinarySearch(names, name)
			if !ok || keyText(values[i]) != keyText(unwanted) {
				return false
			}
		}
		return true
	})
}

// listOf evaluates the list that a step goes through.
func (w *Workflow) listOf(s *Step, sc *Scope) ([]any, error) {
	if s.plan == nil {
		return nil, ErrNotChecked
	}
	list, err := s.plan.list(s.ForEach.List, sc)
	if err != nil {
		return nil, fmt.Errorf("for_each: %w", err)
	}
	return list, nil
}

// itemsOf makes an expansion of the items of a list.
func itemsOf(items []any) *expansion {
	x, seen := &expansion{}, map[string]int{}
	for _, item := range items {
		key := itemKey(item)
		seen[key]++
		x.add(repeatedKey(key, seen[key]), []any{item})
	}
	return x
}

// list evaluates a value that must be a list, to what JSON decodes to.
func (p *plan) list(v *Value, sc *Scope) ([]any, error) {
	evaluated, err := p.programs.value(v, sc)
	if err != nil {
		return nil, err
	}
	text, err := CanonicalJSON(evaluated)
	if err != nil {
		return nil, err
	}
	decoded, err := DecodeValue(text)
	if err != nil {
		return nil, err
	}
	list, ok := decoded.([]any)
	if !ok {
		return nil, fmt.Errorf("must be a list, not %s", describe(decoded))
	}
	if slices.Contains(list, nil) {
		return nil, fmt.Errorf("must not hold null")
	}
	return list, nil
}

// combinations evaluates the include or exclude of a matrix.
func (p *plan) combinations(key string, v *Value, sc *Scope) ([]map[string]any, error) {
	if v == nil {
		return nil, nil
	}
	list, err := p.list(v, sc)
	if err != nil {
		return nil, fmt.Errorf("matrix.%s: %w", key, err)
	}
	combinations := make([]map[string]any, len(list))
	for i, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("matrix.%s: a combination is a mapping, not %s", key, describe(item))
		}
		combinations[i] = m
	}
	return combinations, nil
}
