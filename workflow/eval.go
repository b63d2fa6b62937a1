package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotChecked is returned when something is evaluated that [Check] has not
// seen, or found wrong.
var ErrNotChecked = errors.New("the workflow was not checked, or has problems")

// EvalIf returns the verdict on a step whose dependencies are met: without an
// `if` that is success(), in finally always(). An `if` that names no status
// function is and-ed with success(); in finally it is judged as it stands.
func (w *Workflow) EvalIf(s *Step, sc *Scope) (bool, error) {
	switch {
	case s.If == nil:
		return s.Finally || sc.Success, nil
	case !s.StatusIf && !s.Finally && !sc.Success:
		return false, nil
	case s.plan == nil || s.If.Template == nil:
		return false, ErrNotChecked
	}
	v, err := s.plan.programs.value(s.If, sc)
	if err != nil {
		return false, fmt.Errorf("if: %w", err)
	}
	verdict, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("if: must be true or false, not %s", describe(v))
	}
	return verdict, nil
}

// EvalWith returns the inputs of a step in canonical JSON: evaluated, converted
// to the types of the step type, defaults filled in. Paths of local files stay
// as the workflow has them; the step knows where relative ones start. The
// caller must not change the result. Errors name the input and the place in the
// file, never the value of a secret.
func (w *Workflow) EvalWith(s *Step, sc *Scope) (json.RawMessage, error) {
	if s.plan == nil || s.spec == nil || w.index == nil {
		return nil, ErrNotChecked
	}
	if s.plan.constant != nil {
		return s.plan.constant, nil
	}
	return s.plan.evaluate(s, w.index, sc)
}

// EvalField returns one input of a step, evaluated and converted as EvalWith
// does: text, bool, [json.Number], []any or map[string]any. It is nil if the
// input was not given and has no default.
func (w *Workflow) EvalField(s *Step, name string, sc *Scope) (any, error) {
	if s.plan == nil || s.spec == nil || w.index == nil {
		return nil, ErrNotChecked
	}
	f, ok := s.plan.inputs.field(name)
	if !ok {
		return nil, fmt.Errorf("%s has no input %q", s.Uses, name)
	}
	given := map[string]any{}
	if m, ok := s.With.Member(name); ok {
		v, err := s.plan.programs.value(m.Value, sc)
		if err != nil {
			return nil, fmt.Errorf("with.%s: %w", name, err)
		}
		given[name] = v
	}
	f.Required = false
	out, err := w.index.convert(given, Type{Kind: Object, Fields: []Field{f}}, sc)
	if err != nil {
		return nil, fmt.Errorf("with.%w", err)
	}
	if text, ok := out[name].(canonical); ok {
		return DecodeValue(text)
	}
	return out[name], nil
}

// EvalOutputs returns the outputs of the workflow in canonical JSON.
func (w *Workflow) EvalOutputs(sc *Scope) (json.RawMessage, error) {
	if w.index == nil {
		return nil, ErrNotChecked
	}
	out := make(map[string]any, len(w.Outputs))
	for _, o := range w.Outputs {
		v, err := w.index.programs.value(o.Value, sc)
		if err != nil {
			return nil, fmt.Errorf("outputs.%s: %w", o.Name, err)
		}
		out[o.Name] = v
	}
	return CanonicalJSON(out)
}

// evaluate makes the whole `with` of a step.
func (p *plan) evaluate(s *Step, x *index, sc *Scope) (json.RawMessage, error) {
	given := map[string]any{}
	if s.With != nil {
		for _, m := range s.With.Members {
			v, err := p.programs.value(m.Value, sc)
			if err != nil {
				return nil, fmt.Errorf("with.%s: %w", m.Name, err)
			}
			given[m.Name] = v
		}
	}
	out, err := x.convert(given, p.inputs, sc)
	if err != nil {
		return nil, fmt.Errorf("with.%w", err)
	}
	return CanonicalJSON(out)
}

// convert converts evaluated inputs and fills in the workflow's defaults.
func (x *index) convert(given map[string]any, t Type, sc *Scope) (map[string]any, error) {
	var failed error
	conv := converter{fallback: func(name string) (any, bool) {
		d, ok := x.defaults[name]
		if !ok {
			return nil, false
		}
		v, err := x.programs.value(d, sc)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: from defaults: %w", name, err)
		}
		return v, err == nil
	}}
	out, err := conv.object(given, t)
	switch {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, err
	}
	return out.(map[string]any), nil
}

// value evaluates a value of the file; texts with expressions in it become what
// they mean.
func (ps programs) value(v *Value, sc *Scope) (any, error) {
	switch {
	case v.Template != nil:
		return ps.template(v.Template, sc)
	case v.Kind == SequenceValue:
		list := make([]any, len(v.Items))
		for i, item := range v.Items {
			e, err := ps.value(item, sc)
			if err != nil {
				return nil, err
			}
			list[i] = e
		}
		return list, nil
	case v.Kind == MappingValue:
		m := make(map[string]any, len(v.Members))
		for _, member := range v.Members {
			e, err := ps.value(member.Value, sc)
			if err != nil {
				return nil, err
			}
			m[member.Name] = e
		}
		return m, nil
	}
	return v.plain(), nil
}

// template evaluates a text: one expression keeps its type, anything else is
// text.
func (ps programs) template(t *Template, sc *Scope) (any, error) {
	if sc.Secrets == nil {
		if names := ps.secretsOf(t); len(names) > 0 {
			return secretValue(strings.Join(names, ", ")), nil
		}
	}
	if e := t.Whole(); e != nil {
		return ps.expression(e, sc)
	}
	var b strings.Builder
	for _, part := range t.Parts {
		if part.Expr == nil {
			b.WriteString(part.Text)
			continue
		}
		v, err := ps.expression(part.Expr, sc)
		if err != nil {
			return nil, err
		}
		text, err := scalarText(v)
		if err != nil {
			return nil, part.Expr.failed(err)
		}
		b.WriteString(text)
		if b.Len() > maxValueBytes {
			return nil, part.Expr.failed(ErrValueTooLarge)
		}
	}
	return b.String(), nil
}

// secretsOf lists the secrets that a text is made from.
func (ps programs) secretsOf(t *Template) []string {
	var names []string
	for _, part := range t.Parts {
		if program := ps[part.Expr]; part.Expr != nil && program != nil {
			names = append(names, program.refs.secrets...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// expression evaluates one expression. Its result is never nil.
func (ps programs) expression(e *Expression, sc *Scope) (any, error) {
	program := ps[e]
	if program == nil {
		return nil, ErrNotChecked
	}
	v, err := program.evaluate(sc)
	switch {
	case err != nil && len(program.refs.secrets) > 0 && !errors.Is(err, errSecret):
		return nil, e.failed(errors.New("cannot be evaluated (the reason is not shown, because it may hold a secret)"))
	case err != nil:
		return nil, e.failed(err)
	case v == nil:
		return nil, e.failed(errors.New("gives nothing; say what to use then: … ?? value"))
	}
	return v, nil
}

// failed adds the place to an error of an expression.
func (e *Expression) failed(err error) error {
	return fmt.Errorf("${{ %s }} on line %d: %w", shorten(strings.TrimSpace(e.Source)), e.Pos.Line, err)
}

var errSecret = errors.New("secret")

func (c *compiled) evaluate(sc *Scope) (any, error) {
	if c.path != nil {
		return sc.lookup(c.path), nil
	}
	env, err := sc.environment(c)
	if err != nil {
		return nil, err
	}
	return c.run(env)
}
