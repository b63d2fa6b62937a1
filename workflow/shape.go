package workflow

// Shape describes what may stand in one place of a workflow file. The reader
// checks values against shapes and the JSON Schema is made from the same ones,
// so the two agree.
type Shape struct {
	Kind ShapeKind
	// Title names a mapping in messages and in the JSON Schema: "step".
	Title string
	Doc   string

	// Keys of a mapping; the key of a Values mapping that is not among them has
	// a value of that shape and a name that Names allows. Without Values the
	// mapping is closed.
	Keys   []Key
	Values *Shape
	Names  *Shape
	// Misplaced are names that belong elsewhere, with where that is.
	Misplaced map[string]string

	// Items of a list; OrOne lets a single item stand for a list of one.
	Items *Shape
	OrOne bool
	// Min and Max bound a whole number, Min also the length of a list and the keys
	// of a mapping; a Max of 0 is none.
	Min, Max int

	// Enum lists the only texts; Pattern is a regular expression for them, and
	// Means says the same to people.
	Enum    []string
	Pattern string
	Means   string

	// Expression lets `${{ … }}` stand for the value, in an [AnyShape] also
	// inside it. Null lets null stand for it.
	Expression bool
	Null       bool

	// Code of the problem when a text or number is refused, where there is a
	// better one than the general code.
	Code ProblemCode
}

// ShapeKind is the outer form of a value.
type ShapeKind string

const (
	TextShape      ShapeKind = "text"
	IntShape       ShapeKind = "int"
	BoolShape      ShapeKind = "bool"
	DurationShape  ShapeKind = "duration"
	FactorShape    ShapeKind = "factor"    // x2
	ConditionShape ShapeKind = "condition" // an expression, with or without ${{ }}, or a bool
	ForEachShape   ShapeKind = "for_each"  // a step id, an expression, or a list
	TypeShape      ShapeKind = "type"      // of an input; see [ParseType]
	CauseShape     ShapeKind = "cause"     // of a failure; Check knows which
	ListShape      ShapeKind = "list"
	MappingShape   ShapeKind = "mapping"
	AnyShape       ShapeKind = "any"
)

// Key is a key of a mapping.
type Key struct {
	Name     string
	Doc      string
	Shape    *Shape
	Required bool
	// Default is what a missing key means, as it would be written; "" = nothing.
	Default string
	// set puts a value that has the shape where it belongs.
	set func(r *reader, into any, m *NamedValue)
}

// key makes an entry for mappings that are read into a T.
func key[T any](name string, shape *Shape, set func(*reader, *T, *NamedValue), doc string) Key {
	return Key{
		Name: name, Shape: shape, Doc: doc,
		set: func(r *reader, into any, m *NamedValue) { set(r, into.(*T), m) },
	}
}

func (k Key) required() Key {
	k.Required = true
	return k
}

func (k Key) otherwise(value string) Key {
	k.Default = value
	return k
}

// key returns the entry of that name.
func (s *Shape) key(name string) (Key, bool) {
	for _, k := range s.Keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

func (s *Shape) names() []string {
	names := make([]string, len(s.Keys))
	for i, k := range s.Keys {
		names[i] = k.Name
	}
	return names
}

// defaultValue is the default of a key as if it stood in the file.
func (k Key) defaultValue(at Pos) *NamedValue {
	v := &Value{Kind: TextValue, Text: k.Default, Pos: at}
	switch k.Shape.Kind {
	case IntShape:
		v.Kind = NumberValue
	case BoolShape:
		v.Kind, v.Bool = BoolValue, k.Default == "true"
	}
	return &NamedValue{Name: k.Name, Value: v, Pos: at}
}
