package workflow

// ValueKind is the kind of a YAML value as fcflow reads it.
type ValueKind string

const (
	NullValue     ValueKind = "null"
	BoolValue     ValueKind = "bool"
	NumberValue   ValueKind = "number"
	TextValue     ValueKind = "text"
	SequenceValue ValueKind = "list"
	MappingValue  ValueKind = "mapping"
)

// Value is a YAML value as written: a tree with a place on every node, in which
// `${{ … }}` has been found but not evaluated.
type Value struct {
	Kind    ValueKind
	Pos     Pos
	Bool    bool          // of a BoolValue
	Text    string        // of a TextValue; the source text of a NumberValue
	Quoted  bool          // text that was quoted or a block in the file
	Items   []*Value      // of a SequenceValue
	Members []*NamedValue // of a MappingValue, in file order
	// Template is set when the text holds at least one expression.
	Template *Template
	// broken is set where nothing else about the value is worth saying, because
	// it was meant to be another: text with an expression that is not closed, or
	// `{{ x }}` without its dollar sign.
	broken bool
}

// Template is text with expressions in it.
type Template struct {
	Parts []Part
}

// Part is a piece of a template: literal text, or an expression.
type Part struct {
	Text string
	Expr *Expression // nil for literal text
}

// Expression is the inside of one `${{ … }}`.
type Expression struct {
	Source string
	Pos    Pos // of the first character of Source
	// Places maps the byte offset of each character of Source to its place in
	// the file, so that a caret is right also inside block scalars.
	Places func(offset int) Pos
}

// Whole returns the expression of a template that is exactly one expression, so
// that its value keeps its type; nil when there is text around it.
func (t *Template) Whole() *Expression {
	if len(t.Parts) == 1 {
		return t.Parts[0].Expr
	}
	return nil
}

// Member returns the value of a key of a mapping.
func (v *Value) Member(name string) (*NamedValue, bool) {
	if v == nil {
		return nil, false
	}
	for _, m := range v.Members {
		if m.Name == name {
			return m, true
		}
	}
	return nil, false
}
