package workflow

import (
	"fmt"
	"slices"
)

// EvalDefault evaluates a value of the workflow's `defaults`; "" if it has none
// of that name.
func (w *Workflow) EvalDefault(name string, sc *Scope) (string, error) {
	if w.index == nil {
		return "", ErrNotChecked
	}
	value, ok := w.index.defaults[name]
	if !ok {
		return "", nil
	}
	v, err := w.index.programs.value(value, sc)
	if err != nil {
		return "", fmt.Errorf("defaults.%s: %w", name, err)
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("defaults.%s: must be text, not %s", name, describe(v))
	}
	return text, nil
}

// NeedsDefaultSite reports whether an expression names run.remote_dir where only
// the default system can be meant: in a step that is not remote, a condition,
// finally or the outputs. A run then is bound to that system before anything of
// it starts.
func (w *Workflow) NeedsDefaultSite() bool { return w.index != nil && w.index.defaultSite }

// inputsOf lists the inputs of the workflow that a step is made from: its
// condition, its instances and its `with`, what that takes from `defaults` included.
func (w *Workflow) inputsOf(s *Step) []string {
	if s.plan == nil || w.index == nil {
		return nil
	}
	var names []string
	for _, program := range s.plan.programs {
		names = append(names, program.refs.inputs...)
	}
	for _, name := range taken(s.plan.inputs.Fields) {
		value := w.index.defaults[name]
		if value == nil || value.Template == nil {
			continue
		}
		for _, part := range value.Template.Parts {
			if program := w.index.programs[part.Expr]; program != nil {
				names = append(names, program.refs.inputs...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
