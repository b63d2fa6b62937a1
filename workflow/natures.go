package workflow

import (
	"reflect"
	"time"

	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/types"
)

// stateMark is a member that no workflow can name. It marks the mappings whose
// `state` is one of [States].
const stateMark = "\x00state"

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// exprType is a type as the expression checker knows it.
func exprType(t Type) types.Type {
	switch t.Kind {
	case String, File:
		return types.String
	case Int, Size:
		return types.Int
	case Float:
		return types.Float64
	case Bool:
		return types.Bool
	case Duration:
		return types.TypeOf(time.Duration(0))
	case List:
		return types.Array(exprType(t.element()))
	case Map:
		return types.Map{types.Extra: exprType(t.element())}
	case Object:
		m := make(types.Map, len(t.Fields))
		for _, f := range t.Fields {
			m[f.Name] = exprType(f.Type)
		}
		return m
	}
	return types.Any
}

// typeOf is the reverse, as far as the expression checker still knows.
func typeOf(n *nature.Nature) Type {
	switch {
	case n == nil || n.Type == nil:
		return Type{Kind: Any}
	case n.Type == durationType:
		return Type{Kind: Duration}
	case n.Type == timeType:
		return Type{Kind: String}
	case n.IsInteger:
		return Type{Kind: Int}
	case n.IsFloat:
		return Type{Kind: Float}
	case n.IsBool():
		return Type{Kind: Bool}
	case n.IsString():
		return Type{Kind: String}
	case n.IsArray():
		var elem Type
		if n.Ref != nil {
			elem = typeOf(n.Ref)
		} else {
			e := nature.FromType(n.Type.Elem())
			elem = typeOf(&e)
		}
		return Type{Kind: List, Elem: &elem}
	case n.IsMap():
		return typeOfMap(n)
	}
	return Type{Kind: Any}
}

func typeOfMap(n *nature.Nature) Type {
	if n.TypeData == nil || !n.Strict {
		return Type{Kind: Map}
	}
	t := Type{Kind: Object}
	for _, name := range sortedKeys(n.Fields) {
		if name != stateMark {
			f := n.Fields[name]
			t.Fields = append(t.Fields, Field{Name: name, Type: typeOf(&f)})
		}
	}
	return t
}

// holdsState reports whether the `state` of a mapping is a unit's.
func holdsState(n *nature.Nature) bool {
	if n == nil || n.TypeData == nil {
		return false
	}
	_, ok := n.Fields[stateMark]
	return ok
}

// exprValue brings a value of type t to the Go type that expressions calculate
// with.
func exprValue(v any, t Type) any {
	switch t.Kind {
	case Duration:
		if text, ok := v.(string); ok {
			if d, err := time.ParseDuration(text); err == nil {
				return d
			}
		}
	case Float:
		if f, ok := floatOf(v); ok {
			return f
		}
	case List:
		return exprList(v, t.element())
	case Map:
		return exprMap(v, t.element())
	case Object:
		return exprObject(v, t)
	}
	return exprAny(v)
}

// exprAny is exprValue where the type is not known.
func exprAny(v any) any {
	unknown := Type{Kind: Any}
	switch v := v.(type) {
	case map[string]any:
		return exprMap(v, unknown)
	case []any:
		return exprList(v, unknown)
	case interface{ Int64() (int64, error) }: // json.Number
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, _ := floatOf(v)
		return f
	case int64:
		return int(v)
	}
	return v
}

func floatOf(v any) (float64, bool) {
	if n, ok := v.(interface{ Float64() (float64, error) }); ok { // json.Number
		f, err := n.Float64()
		return f, err == nil
	}
	r := reflect.ValueOf(v)
	switch {
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

func exprList(v any, elem Type) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = exprValue(e, elem)
	}
	return out
}

func exprMap(v any, elem Type) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = exprValue(e, elem)
	}
	return out
}

// exprObject takes the declared members only; nothing can name the others.
func exprObject(v any, t Type) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		if e, ok := m[f.Name]; ok {
			out[f.Name] = exprValue(e, f.Type)
		}
	}
	return out
}
