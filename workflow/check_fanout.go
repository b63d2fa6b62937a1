package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
)

// checkFanOut looks at matrix, for_each and the keys that only go with them.
func (c *checker) checkFanOut(s *stepCheck) {
	step := s.step
	if step.Matrix != nil && step.ForEach != nil {
		c.report(CodeFanOutTwice, step.ForEach.Pos, "name the matrix's step in for_each of a second step", "a step has either matrix or for_each")
	}
	if !s.fansOut() {
		if step.MaxParallel > 0 {
			c.report(CodeFanOutKey, step.place("max_parallel"), "remove it, or add matrix or for_each", "max_parallel goes only with matrix or for_each")
		}
		if step.FailFast {
			c.report(CodeFanOutKey, step.place("fail_fast"), "remove it, or add matrix or for_each", "fail_fast goes only with matrix or for_each")
		}
	}
	if step.Matrix != nil {
		c.matrixType(s)
		c.checkCombinations(s)
	}
	if step.ForEach != nil {
		c.checkForEach(s)
	}
}

func (s *stepCheck) fansOut() bool {
	return s.step.Matrix != nil || s.step.ForEach != nil
}

// memberNames lists what may follow steps.<id>.
func (s *stepCheck) memberNames() []string {
	if s.fansOut() {
		return []string{"instances", "state"}
	}
	return []string{"outputs", "state"}
}

// matrixType is the type of `matrix` in a step; the first call checks the
// dimensions.
func (c *checker) matrixType(s *stepCheck) Type {
	if s.matrix != nil {
		return *s.matrix
	}
	m := s.step.Matrix
	s.matrix = &Type{Kind: Object}
	for _, d := range m.Dimensions {
		elem := c.elements(s, d.Value, "matrix."+d.Name, place{where: "matrix"})
		s.matrix.Fields = append(s.matrix.Fields, Field{Name: d.Name, Type: elem})
	}
	if written, ok := s.step.Written.Member("matrix"); ok && len(written.Value.Members) == 0 {
		c.report(CodeMatrixEmpty, m.Pos, "add a list, such as dt: [30, 60]", "the matrix has no dimension")
	}
	if len(m.Dimensions) == 0 && m.Include != nil {
		c.includedDimensions(s.matrix, m.Include)
	}
	return *s.matrix
}

// includedDimensions takes the dimensions of a matrix that consists of its
// included combinations.
func (c *checker) includedDimensions(t *Type, include *Value) {
	for _, item := range include.Items {
		for _, m := range item.Members {
			if _, ok := t.field(m.Name); !ok {
				t.Fields = append(t.Fields, Field{Name: m.Name, Type: literalType(m.Value)})
			}
		}
	}
}

// elements checks a list to fan out over and returns the type of its elements.
func (c *checker) elements(s *stepCheck, v *Value, label string, at place) Type {
	unknown := Type{Kind: Any}
	switch {
	case v.Template != nil && v.Template.Whole() != nil:
		e := v.Template.Whole()
		t, program := c.expression(e, at)
		if program == nil {
			return unknown
		}
		s.step.plan.programs[e] = program
		if t.Kind != List && t.Kind != Any {
			c.report(CodeWrongType, e.start(), fitHint(t, Type{Kind: List}), "%s must be a list, but the expression gives %s", label, t.inWords())
			return unknown
		}
		return t.element()
	case v.Template != nil || v.Kind != SequenceValue:
		return unknown // said by Parse
	}
	if len(v.Items) == 0 {
		c.report(CodeMatrixEmpty, v.Pos, "", "%s is empty, so the step would never run", label)
	}
	c.value(v, Field{Type: Type{Kind: List}}, at, label, s.step.plan.programs)
	return literalType(v).element()
}

// literalType is the type of a value as written. Numbers of both kinds are
// float, other mixtures any.
func literalType(v *Value) Type {
	if v.Template != nil {
		return Type{Kind: Any}
	}
	switch v.Kind {
	case BoolValue:
		return Type{Kind: Bool}
	case TextValue:
		return Type{Kind: String}
	case NumberValue:
		if (&converter{written: true}).isInt(v.Text) {
			return Type{Kind: Int}
		}
		return Type{Kind: Float}
	case MappingValue:
		t := Type{Kind: Object}
		for _, m := range v.Members {
			t.Fields = append(t.Fields, Field{Name: m.Name, Type: literalType(m.Value)})
		}
		return t
	case SequenceValue:
		var elem Type
		for i, item := range v.Items {
			elem = commonType(elem, literalType(item), i == 0)
		}
		return Type{Kind: List, Elem: &elem}
	}
	return Type{Kind: Any}
}

func commonType(a, b Type, first bool) Type {
	switch {
	case first:
		return b
	case a.Kind == Object || b.Kind == Object:
		return Type{Kind: Any}
	case b.fits(a) && a.Kind != String:
		return a
	case a.fits(b) && b.Kind != String:
		return b
	case a.Kind == String && b.Kind == String:
		return a
	}
	return Type{Kind: Any}
}

func (c *converter) isInt(text string) bool {
	_, err := c.integer(json.Number(text), Type{Kind: Int})
	return err == nil
}

// checkCombinations compares include and exclude to the dimensions.
func (c *checker) checkCombinations(s *stepCheck) {
	dims := c.matrixType(s).Fields
	for _, part := range []struct {
		key   string
		value *Value
	}{{"include", s.step.Matrix.Include}, {"exclude", s.step.Matrix.Exclude}} {
		if part.value == nil || part.value.Template != nil {
			if part.value != nil {
				c.value(part.value, Field{Type: Type{Kind: List}}, place{where: "matrix"}, "matrix."+part.key, s.step.plan.programs)
			}
			continue
		}
		for _, item := range part.value.Items {
			c.checkCombination(s, part.key, item, dims)
		}
	}
}

func (c *checker) checkCombination(s *stepCheck, key string, item *Value, dims []Field) {
	for _, m := range item.Members {
		f, ok := findField(dims, m.Name)
		if !ok {
			c.report(CodeMatrixDimension, m.Pos, didYouMean(m.Name, fieldNames(dims)), "the matrix has no dimension %q", m.Name)
			continue
		}
		c.value(m.Value, Field{Type: f.Type}, place{where: "matrix"}, fmt.Sprintf("matrix.%s.%s", key, m.Name), s.step.plan.programs)
	}
	if key != "include" || item.Template != nil {
		return
	}
	for _, f := range dims {
		if _, ok := item.Member(f.Name); !ok {
			c.report(CodeMatrixDimension, item.Pos, "", "an included combination needs every dimension; %q is missing", f.Name)
		}
	}
}

// checkForEach looks at the source of a fan-out.
func (c *checker) checkForEach(s *stepCheck) {
	f := s.step.ForEach
	if f.Step == "" {
		c.eachType(s)
		return
	}
	switch source := c.byID[f.Step]; {
	case source == nil:
		c.report(CodeUnknownStep, f.Pos, c.hint(f.Step, c.ids), "there is no step %q", f.Step)
	case source == s:
		c.report(CodeSelfReference, f.Pos, "", "step %q goes through its own instances", f.Step)
	case source.step.Finally != s.step.Finally:
		c.report(CodeFinallyReference, f.Pos, "", "for_each pairs steps of the same list, and %q stands in the other", f.Step)
	case !source.fansOut():
		c.report(CodeUnavailableName, f.Pos, fmt.Sprintf("remove for_each, or give %q a matrix", f.Step), "step %q has no fan-out, so there is nothing to go through", f.Step)
	default:
		s.edges = append(s.edges, edge{to: source, pos: f.Pos, pair: true})
	}
}

// pairedWith returns the step whose instances s goes through, nil if it goes
// through a list.
func (c *checker) pairedWith(s *stepCheck) *stepCheck {
	if s.step.ForEach == nil || s.step.ForEach.Step == "" {
		return nil
	}
	source := c.byID[s.step.ForEach.Step]
	if source == nil || source == s || !source.fansOut() {
		return nil
	}
	return source
}

// eachType is the type of `each` in a step; the first call checks the list.
func (c *checker) eachType(s *stepCheck) Type {
	switch {
	case s.each != nil:
		return *s.each
	case s.eachBusy: // a cycle, which is reported as such
		return Type{Kind: Any}
	}
	s.eachBusy = true
	t := Type{Kind: Any}
	if f := s.step.ForEach; f.Step == "" && f.List != nil {
		at := c.stepPlace(s, "for_each")
		at.fanOut, at.attempt, at.status, at.remoteDir = false, false, false, false
		t = Type{Kind: Object, Fields: []Field{
			{Name: "item", Type: c.elements(s, f.List, "for_each", at)},
			{Name: "index", Type: Type{Kind: Int}},
		}}
	} else if source := c.pairedWith(s); source != nil {
		t = c.pairType(source)
	}
	s.each, s.eachBusy = &t, false
	return t
}

// pairType is the type of `each` where it is an instance of source. The matrix
// and the item of the first step of a chain of pairs go down the chain.
func (c *checker) pairType(source *stepCheck) Type {
	t := Type{Kind: Object, Fields: []Field{
		{Name: "outputs", Type: c.outputs(source)},
		{Name: "state", Type: Type{Kind: String}},
		{Name: "key", Type: Type{Kind: String}},
	}}
	if source.step.Matrix != nil {
		t.Fields = append(t.Fields, Field{Name: "matrix", Type: c.matrixType(source)})
		return t
	}
	origin := c.eachType(source)
	t.Fields = append(t.Fields, Field{Name: "origin", Type: origin})
	for _, name := range []string{"matrix", "item"} {
		if f, ok := origin.field(name); ok {
			t.Fields = append(t.Fields, f)
		}
	}
	return t
}

// instance is the type of an element of steps.<id>.instances.
func (c *checker) instance(s *stepCheck) Type {
	t := Type{Kind: Object, Fields: []Field{
		{Name: "key", Type: Type{Kind: String}},
		{Name: "outputs", Type: c.outputs(s)},
		{Name: "state", Type: Type{Kind: String}},
	}}
	if s.step.Matrix != nil {
		t.Fields = append(t.Fields, Field{Name: "matrix", Type: c.matrixType(s)})
	} else {
		t.Fields = append(t.Fields, Field{Name: "each", Type: c.eachType(s)})
	}
	return t
}

// outputs is the type of a step's outputs; any if its type is not known.
func (c *checker) outputs(s *stepCheck) Type {
	if s.outputType == nil {
		s.outputType = &Type{Kind: Any}
		if spec := s.step.spec; spec != nil && (!spec.SubWorkflow || s.step.child != nil) {
			fields := spec.Outputs
			if spec.DynamicOutputs != nil {
				fields = spec.AllOutputs(literalWith(s.step))
			}
			s.outputType = &Type{Kind: Object, Fields: slices.Clip(fields)}
		}
	}
	return *s.outputType
}
