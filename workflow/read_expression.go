package workflow

import "strings"

// literal reports whether a value is free of expressions.
func (r *reader) literal(v *Value, what string) bool {
	if v.Template != nil {
		r.noExpression(v, what)
		return false
	}
	good := true
	for _, item := range v.Items {
		good = r.literal(item, what) && good
	}
	for _, m := range v.Members {
		good = r.literal(m.Value, what) && good
	}
	return good
}

func (r *reader) noExpression(v *Value, what string) {
	at := v.Pos
	for _, p := range v.Template.Parts {
		if p.Expr != nil {
			at = p.Expr.Pos
			at.Column -= len(openExpression)
			break
		}
	}
	r.add(CodeExpressionNotAllowed, at, "write the value itself; expressions can stand in `with`, `if`, `matrix`, `for_each`, `defaults`, `outputs` and `concurrency.group`",
		"%s takes no expression", what)
}

// whole reports whether a text is exactly one expression.
func (r *reader) whole(v *Value, what string) bool {
	if v.Template.Whole() != nil {
		return true
	}
	r.add(CodeWrongType, v.Pos, "remove what stands around ${{ }}", "%s must be one expression here, not text with an expression in it", what)
	return false
}

// condition makes one expression of an `if`, which may be written without
// ${{ }}, or as true or false.
func (r *reader) condition(v *Value) bool {
	switch {
	case v.Kind == BoolValue:
		v.Kind, v.Text = TextValue, v.scalarText()
	case v.Kind != TextValue:
		r.add(CodeIf, v.Pos, "write a condition, such as if: failure()", "`if` must be a condition, not %s", v.words())
		return false
	case v.Template != nil && v.Template.Whole() == nil:
		r.add(CodeIf, v.Pos, "put all of it inside one ${{ }}", "`if` must be one expression, not text with an expression in it")
		return false
	case v.Template != nil:
		return true
	case strings.TrimSpace(v.Text) == "":
		r.add(CodeIf, v.Pos, "write a condition, such as if: failure()", "`if` has no condition")
		return false
	}
	places := r.src.places(v)
	if !v.Quoted && strings.Count(v.Text, "(") > strings.Count(v.Text, ")") && r.src.commentAt(places.end) {
		r.add(CodeUnclosedExpression, v.Pos, "put quotes around the value", "the condition is cut off: a YAML comment starts at its #")
		return false
	}
	v.Template = template([]piece{{text: v.Text, expression: true}}, places)
	return true
}

// forEach takes a step id, one expression, or a list.
func (r *reader) forEach(s *Shape, v *Value) bool {
	switch {
	case v.Template != nil:
		return r.whole(v, "`for_each`")
	case v.Kind == SequenceValue:
		return true
	case v.Kind == TextValue:
		return r.matches(s, v.Text, v.Pos, "the step in `for_each`")
	}
	r.add(CodeWrongType, v.Pos, "", "`for_each` must be a step id, an expression or a list, not %s", v.words())
	return false
}
