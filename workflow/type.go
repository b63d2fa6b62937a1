package workflow

import (
	"fmt"
	"strings"
)

// Kind is the outer shape of a [Type].
type Kind string

const (
	String   Kind = "string"
	Int      Kind = "int"
	Float    Kind = "float"
	Bool     Kind = "bool"
	Duration Kind = "duration" // 6h, 90s; canonical JSON: a Go duration string
	Size     Kind = "size"     // 16GiB; canonical JSON: bytes as an integer
	File     Kind = "file"     // a local path; canonical JSON: an absolute path
	List     Kind = "list"     // of Elem
	Map      Kind = "map"      // text keys, values of Elem
	Object   Kind = "object"   // closed set of Fields
	Any      Kind = "any"
)

// Type is the type of an input, an output or an expression.
type Type struct {
	Kind   Kind
	Elem   *Type   // of a list or map
	Fields []Field // of an object
}

// maxTypeDepth bounds list<list<…>>; nobody needs more.
const maxTypeDepth = 8

// ParseType reads a type as workflow files write it: a word such as int, or
// list<…> or map<…> around another type.
func ParseType(text string) (Type, error) {
	return parseTypeDepth(strings.TrimSpace(text), 0)
}

func parseTypeDepth(text string, depth int) (Type, error) {
	if depth > maxTypeDepth {
		return Type{}, fmt.Errorf("types nest at most %d deep", maxTypeDepth)
	}
	switch k := Kind(text); k {
	case String, Int, Float, Bool, Duration, Size, File, Any:
		return Type{Kind: k}, nil
	}
	for _, outer := range []Kind{List, Map} {
		inside, ok := strings.CutPrefix(text, string(outer)+"<")
		if !ok {
			continue
		}
		inside, ok = strings.CutSuffix(inside, ">")
		if !ok {
			return Type{}, fmt.Errorf("type %q lacks its closing >", text)
		}
		elem, err := parseTypeDepth(strings.TrimSpace(inside), depth+1)
		if err != nil {
			return Type{}, err
		}
		return Type{Kind: outer, Elem: &elem}, nil
	}
	if text == string(List) || text == string(Map) {
		return Type{}, fmt.Errorf("%s of what? write %s<string>, %s<int> and so on", text, text, text)
	}
	words := []string{"string", "int", "float", "bool", "duration", "size", "file", "any", "list<…>", "map<…>"}
	return Type{}, fmt.Errorf("unknown type %q; known are %s", text, strings.Join(words, ", "))
}

// String returns the type as workflow files write it; an object reads
// "mapping".
func (t Type) String() string {
	switch t.Kind {
	case List, Map:
		if t.Elem == nil {
			return string(t.Kind) + "<any>"
		}
		return string(t.Kind) + "<" + t.Elem.String() + ">"
	case Object:
		return "mapping"
	case "":
		return string(Any)
	}
	return string(t.Kind)
}

// element returns the type of the members of a list or map.
func (t Type) element() Type {
	if t.Elem == nil {
		return Type{Kind: Any}
	}
	return *t.Elem
}

// field returns the member of an object.
func (t Type) field(name string) (Field, bool) {
	return findField(t.Fields, name)
}

func findField(fields []Field, name string) (Field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func fieldNames(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

// fits reports whether an expression of type t may stand where to is wanted.
// What only the value can tell is left to the run: any fits everywhere.
func (t Type) fits(to Type) bool {
	if t.Kind == Any || to.Kind == Any || t.Kind == "" || to.Kind == "" {
		return true
	}
	switch to.Kind {
	case String:
		// A scalar stands in text as it would between other text.
		switch t.Kind {
		case List, Map, Object:
			return false
		}
		return true
	case File:
		return t.Kind == File || t.Kind == String
	case Float:
		return t.Kind == Float || t.Kind == Int
	case Int, Size:
		return t.Kind == Int || t.Kind == Size
	case List:
		return t.Kind == List && t.element().fits(to.element())
	case Map:
		return t.fitsMap(to.element())
	case Object:
		return t.fitsObject(to)
	}
	return t.Kind == to.Kind
}

func (t Type) fitsMap(elem Type) bool {
	switch t.Kind {
	case Map:
		return t.element().fits(elem)
	case Object:
		for _, f := range t.Fields {
			if !f.Type.fits(elem) {
				return false
			}
		}
		return true
	}
	return false
}

func (t Type) fitsObject(to Type) bool {
	switch t.Kind {
	case Map:
		return true // the members show at run time
	case Object:
		for _, f := range t.Fields {
			want, ok := to.field(f.Name)
			if !ok || !f.Type.fits(want.Type) {
				return false
			}
		}
		return true
	}
	return false
}
