package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checkWith compares `with` to what the step type accepts.
func (c *checker) checkWith(s *stepCheck) {
	spec, before := s.step.spec, len(c.problems)
	if spec == nil {
		// Nothing is known about the inputs; their expressions still make
		// dependencies, and must be right.
		if s.step.With != nil {
			at := c.stepPlace(s, "with")
			at.secrets = true
			c.value(s.step.With, Field{Type: Type{Kind: Any}}, at, "with", s.step.plan.programs)
		}
		return
	}
	s.step.plan.inputs = c.inputsOf(spec)
	c.checkMembers(s.step.With, spec.Inputs, c.stepPlace(s, "with"), "with", s.step.UsesPos, s.step.plan.programs, spec.Name)
	c.checkSystem(s)
	wrong := c.problems[before:]
	c.checkTogether(s, wrong)
	if len(wrong) == 0 {
		c.settle(s)
	}
}

// inputsOf is the object that a step's `with` must be. The system of a remote
// step may also come from the profile, when the run is bound to it.
func (c *checker) inputsOf(spec *StepSpec) Type {
	t, ok := c.with[spec]
	if !ok {
		t = Type{Kind: Object, Fields: slices.Clone(spec.Inputs)}
		for i, f := range t.Fields {
			if f.Name == "system" && spec.Remote {
				t.Fields[i].Required, t.Fields[i].FromDefaults = false, true
			}
		}
		c.with[spec] = t
	}
	return t
}

// checkMembers compares a mapping to a closed set of fields. A missing member
// is reported at the place given by missing.
func (c *checker) checkMembers(v *Value, fields []Field, at place, label string, missing Pos, into programs, owner string) {
	if v != nil {
		for _, m := range v.Members {
			if c.full() {
				return
			}
			f, ok := findField(fields, m.Name)
			if !ok {
				names := fieldNames(fields)
				hint := didYouMean(m.Name, names)
				if hint == "" && len(names) > 0 {
					hint = "it has " + alternatives(names)
				}
				c.report(CodeUnknownStepInput, m.Pos, hint, "%s has no input %q", owner, m.Name)
				continue
			}
			c.value(m.Value, f, at, joinLabel(label, m.Name), into)
		}
	}
	for _, f := range fields {
		if _, ok := v.Member(f.Name); ok || !f.Required || f.Default != nil || c.fromDefaults(f) || f.Name == "system" && f.FromDefaults {
			continue
		}
		c.report(CodeMissingStepInput, missing, fieldHint(f), "%s needs %s", owner, joinLabel(label, f.Name))
	}
}

func (c *checker) fromDefaults(f Field) bool {
	return f.FromDefaults && c.index.defaults[f.Name] != nil
}

// fieldHint says what a field is for, in the first sentence of its own words.
func fieldHint(f Field) string {
	text, _, _ := strings.Cut(f.Doc, "\n")
	text, _, _ = strings.Cut(text, ". ")
	return strings.TrimSuffix(lowerFirst(text), ".")
}

func (c *checker) hasDefaultSystem() bool {
	return c.options.DefaultSystem != "" || c.index.defaults["system"] != nil
}

func (c *checker) checkSystem(s *stepCheck) {
	if !s.step.Remote() || c.hasDefaultSystem() {
		return
	}
	if _, ok := s.step.With.Member("system"); ok {
		return
	}
	c.report(CodeMissingSystem, s.step.UsesPos, "write `defaults: { system: … }` at the top of the file, or with.system here",
		"%s runs on a system, and none is named", s.step.Uses)
}

// value compares one value of the file to the field it stands in.
func (c *checker) value(v *Value, f Field, at place, label string, into programs) {
	if v == nil || v.broken {
		return
	}
	at.secrets = at.secrets || f.Secret
	if v.Template != nil {
		c.template(v.Template, f, at, label, into)
		return
	}
	inner := f
	inner.Type, inner.Enum = f.Type.element(), nil
	switch {
	case v.Kind == SequenceValue && (f.Type.Kind == List || f.Type.Kind == Any):
		for i, item := range v.Items {
			c.value(item, inner, at, joinLabel(label, strconv.Itoa(i)), into)
		}
	case v.Kind == MappingValue && (f.Type.Kind == Map || f.Type.Kind == Any):
		for _, m := range v.Members {
			c.value(m.Value, inner, at, joinLabel(label, m.Name), into)
		}
	case v.Kind == MappingValue && f.Type.Kind == Object:
		fields := slices.Clone(f.Type.Fields)
		for i := range fields {
			fields[i].Literal = fields[i].Literal || f.Literal
		}
		c.checkMembers(v, fields, at, label, v.Pos, into, label)
	default:
		c.literal(v, f, label, "")
	}
}

// literal converts a value without expressions; code replaces the code of what
// is wrong.
func (c *checker) literal(v *Value, f Field, label string, code ProblemCode) {
	if c.unquotedTime(v, f.Type) {
		return
	}
	conv := converter{written: true}
	if _, err := conv.field(v.plain(), f); err != nil {
		at := v
		for _, name := range err.path {
			at = at.inside(name)
		}
		if code == "" {
			code = err.code
		}
		c.report(code, at.Pos, err.hint, "%s %s", joinLabel(label, err.path...), err.message)
	}
}

// unquotedTime reports times with colons that are not quoted, as reading does
// for the keys of the language itself.
func (c *checker) unquotedTime(v *Value, t Type) bool {
	found := false
	switch {
	case t.Kind == Duration && v.Kind == TextValue && !v.Quoted && strings.Contains(v.Text, ":"):
		c.report(CodeBadDuration, v.Pos, fmt.Sprintf("write %q or use units, such as 1h30m", v.Text),
			"a time with colons must stand in quotes, because YAML readers disagree on it")
		return true
	case t.Kind == List:
		for _, item := range v.Items {
			found = c.unquotedTime(item, t.element()) || found
		}
	case t.Kind == Map, t.Kind == Object:
		for _, m := range v.Members {
			elem := t.element()
			if f, ok := t.field(m.Name); ok {
				elem = f.Type
			}
			found = c.unquotedTime(m.Value, elem) || found
		}
	}
	return found
}

// inside returns the member or element of that name.
func (v *Value) inside(name string) *Value {
	if m, ok := v.Member(name); ok {
		return m.Value
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.Items) {
		return v.Items[i]
	}
	return v
}

// template checks the expressions of a text and what they make of it.
func (c *checker) template(t *Template, f Field, at place, label string, into programs) {
	if f.Literal {
		c.report(CodeExpressionPlace, t.first().start(), literalHint(label), "%s takes no expression", label)
		return
	}
	at.where = label
	if whole := t.Whole(); whole != nil {
		result, program := c.expression(whole, at)
		if program == nil {
			return
		}
		into[whole] = program
		if !result.fits(f.Type) {
			c.report(CodeWrongType, whole.start(), fitHint(result, f.Type), "%s must be %s, but the expression gives %s", label, f.Type.inWords(), result.inWords())
		}
		return
	}
	for _, part := range t.Parts {
		if part.Expr != nil {
			c.part(part.Expr, at, into)
		}
	}
	switch f.Type.Kind {
	case String, File, Any, Duration, Size:
	default:
		c.report(CodeWrongType, t.first().start(), "remove what stands around ${{ }}", "%s must be %s, and an expression with text around it is text", label, f.Type.inWords())
	}
}

// part checks an expression that stands in text.
func (c *checker) part(e *Expression, at place, into programs) {
	result, program := c.expression(e, at)
	if program == nil {
		return
	}
	into[e] = program
	switch result.Kind {
	case List, Map, Object:
		c.report(CodeExpressionType, e.start(), `use join(…, ", ") or toJSON(…)`, "%s cannot stand in text", result.inWords())
	}
}

// first returns the first expression of a template.
func (t *Template) first() *Expression {
	for _, p := range t.Parts {
		if p.Expr != nil {
			return p.Expr
		}
	}
	return &Expression{}
}

func literalHint(label string) string {
	if strings.HasSuffix(label, "script") {
		return "pass the value in env and read it in the script as $NAME; a literal ${{ is written $${{"
	}
	return "write the value itself; a literal ${{ is written $${{"
}

// fitHint knows the way from one type to another.
func fitHint(from, to Type) string {
	switch {
	case from.Kind == Float && (to.Kind == Int || to.Kind == Size):
		return "round it: int(…)"
	case from.Kind == String && to.Kind == Int:
		return "convert it: int(…)"
	case from.Kind == String && to.Kind == Float:
		return "convert it: float(…)"
	case from.Kind == String && to.Kind == Duration:
		return "convert it: duration(…)"
	case to.Kind == Duration && (from.Kind == Int || from.Kind == Float):
		return `give it a unit: "${{ … }}s"`
	case to.Kind == String && from.Kind == List:
		return `use join(…, ", ") or toJSON(…)`
	case to.Kind == String:
		return "use toJSON(…)"
	case to.Kind == List && from.Kind != List:
		return "put it in a list: [ … ]"
	}
	return ""
}

// literalPart is a value as JSON without what the run decides and what does not
// fit; false if nothing is left.
func literalPart(v *Value, f Field) (any, bool) {
	if v == nil || v.Template != nil || v.broken {
		return nil, false
	}
	if !v.hasExpression() {
		conv := converter{written: true}
		if out, err := conv.field(v.plain(), f); err == nil {
			return out, true
		}
	}
	if v.Kind != MappingValue || f.Type.Kind != Map && f.Type.Kind != Object && f.Type.Kind != Any {
		return nil, false
	}
	out := map[string]any{}
	for _, m := range v.Members {
		inner := Field{Type: f.Type.element()}
		if f.Type.Kind == Object {
			inner, _ = f.Type.field(m.Name)
		}
		if part, ok := literalPart(m.Value, inner); ok {
			out[m.Name] = part
		}
	}
	return out, true
}

// literalWith is the literal part of a step's `with` in canonical JSON.
func literalWith(s *Step) json.RawMessage {
	out := map[string]any{}
	if s.With != nil {
		for _, m := range s.With.Members {
			if f, ok := s.spec.Input(m.Name); ok {
				if part, ok := literalPart(m.Value, f); ok {
					out[m.Name] = part
				}
			}
		}
	}
	text, err := CanonicalJSON(out)
	if err != nil {
		return json.RawMessage("{}")
	}
	return text
}

// checkTogether asks the step type about its inputs as a whole. What it says of a
// value in which something is wrong already may follow from that.
func (c *checker) checkTogether(s *stepCheck, wrong Problems) {
	spec := s.step.spec
	if spec.CheckWith == nil {
		return
	}
	with := literalWith(s.step)
	var known map[string]json.RawMessage
	_ = json.Unmarshal(with, &known) // it was just made
	dynamic := func(name string) bool {
		m, ok := s.step.With.Member(name)
		return ok && (m.Value.hasExpression() || known[name] == nil)
	}
	for _, p := range spec.CheckWith(with, dynamic) {
		at, pos := c.problemPlace(s.step, p)
		if len(wrong) > 0 && (len(p.Path) == 0 || at.holds(wrong)) {
			continue
		}
		c.report(ProblemCode(p.Code), pos, p.Hint, "%s", p.Message)
	}
}

// holds reports whether a problem stands in a value, or may: those of expressions
// have places of their own.
func (v *Value) holds(problems Problems) bool {
	if v == nil {
		return false
	}
	at := func(pos Pos) bool {
		return slices.ContainsFunc(problems, func(p Problem) bool { return p.Pos == pos })
	}
	return v.Template != nil || at(v.Pos) ||
		slices.ContainsFunc(v.Items, func(item *Value) bool { return item.holds(problems) }) ||
		slices.ContainsFunc(v.Members, func(m *NamedValue) bool { return at(m.Pos) || m.Value.holds(problems) })
}

// problemPlace finds the value that a step type's problem is about, and its place
// in the file.
func (c *checker) problemPlace(s *Step, p FieldProblem) (*Value, Pos) {
	at, pos := s.With, s.UsesPos
	for _, name := range p.Path {
		m, ok := at.Member(name)
		if !ok {
			break
		}
		at, pos = m.Value, m.Value.Pos
	}
	if p.Line > 0 && at != nil && at.Kind == TextValue {
		pos = c.lineOf(at, p.Line)
	}
	return at, pos
}

// lineOf returns the place of a line of a block text; of other texts, whose
// lines are not those of the file, the place of the text.
func (c *checker) lineOf(v *Value, line int) Pos {
	lines := c.sourceLines()
	if v.Pos.Line < 1 || v.Pos.Line > len(lines) {
		return v.Pos
	}
	head := []rune(lines[v.Pos.Line-1])
	if v.Pos.Column > len(head) || !slices.Contains([]rune{'|', '>'}, head[v.Pos.Column-1]) {
		return v.Pos
	}
	at := v.Pos.Line + line
	if at > len(lines) {
		return v.Pos
	}
	text := lines[at-1]
	indent := len(text) - len(strings.TrimLeft(text, " "))
	return Pos{Line: at, Column: utf8.RuneCountInString(text[:indent]) + 1}
}

func (c *checker) sourceLines() []string {
	if c.lines == nil {
		c.lines = strings.Split(string(c.w.Source), "\n")
	}
	return c.lines
}

// settle evaluates what the run cannot change, once.
func (c *checker) settle(s *stepCheck) {
	p := s.step.plan
	constant := s.step.With == nil || !s.step.With.hasExpression()
	for _, name := range taken(p.inputs.Fields) {
		if c.index.defaults[name].hasExpression() { // a given path too may start at it
			constant = false
		}
	}
	if !constant {
		return
	}
	if out, err := p.evaluate(s.step, c.index, &Scope{}); err == nil {
		p.constant = out
	}
}

// taken lists the workflow defaults that have a place among fields.
func taken(fields []Field) []string {
	var names []string
	for _, f := range fields {
		if f.FromDefaults {
			names = append(names, f.Name)
		}
		if f.Type.Kind == Object {
			names = append(names, taken(f.Type.Fields)...)
		}
	}
	return names
}
