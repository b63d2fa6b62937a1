package oracle

import (
	"fmt"
	"slices"
)

// Workflow is what the interpreter knows of a file.
type Workflow struct {
	inputs  *object // defaults
	steps   []*step // with those of finally at the end
	outputs *object
}

type step struct {
	id, uses string
	finally  bool

	needs     []string
	condition *node // nil if there is none
	with      *object

	matrix   *object // dimensions, include, exclude; nil if there is none
	pairWith string  // for_each: a step
	list     any     // for_each: a list, or a template that gives one

	maxParallel     int // 0: no limit
	failFast        bool
	continueOnError bool
	retry           []retryRule
	maxAttempts     int

	// What follows from the above.
	statusIf  bool     // the condition names a status function
	barriers  []string // steps that must be done
	values    []string // steps whose outputs are named without ?.
	eachValue bool     // each.outputs is named without ?.
	// listValues are those of values that the list of for_each names.
	listValues []string
}

type retryRule struct {
	causes []string
	max    int
}

// defaultAttempts bounds the attempts of a step that says nothing else.
const defaultAttempts = 10

var statusFunctions = []string{"success", "failure", "cancelled", "always"}

func (s *step) fansOut() bool { return s.matrix != nil || s.pairWith != "" || s.list != nil }

// Read reads a workflow file. A key that the interpreter does not know is an error.
func Read(source string) (*Workflow, error) {
	tree, err := decodeYAML(source)
	if err != nil {
		return nil, err
	}
	top, ok := tree.(*object)
	if !ok {
		return nil, fmt.Errorf("a workflow is a mapping")
	}
	w := &Workflow{inputs: newObject(), outputs: newObject()}
	for _, key := range top.keys {
		if err := w.read(key, top.values[key]); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	for _, s := range w.steps {
		s.depend()
	}
	return w, nil
}

func (w *Workflow) read(key string, v any) error {
	switch key {
	case "version", "name":
		return nil
	case "inputs":
		for _, name := range v.(*object).keys {
			w.inputs.set(name, v.(*object).get(name).(*object).get("default"))
		}
		return nil
	case "outputs":
		t, err := parseTemplates(v)
		if err == nil {
			w.outputs = t.(*object)
		}
		return err
	case "steps", "finally":
		for _, item := range v.([]any) {
			s := &step{finally: key == "finally", with: newObject(), maxAttempts: defaultAttempts}
			o := item.(*object)
			for _, name := range o.keys {
				if err := s.read(name, o.values[name]); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			w.steps = append(w.steps, s)
		}
		return nil
	}
	return fmt.Errorf("this interpreter does not know the key")
}

func (s *step) read(key string, v any) error {
	v, err := parseTemplates(v)
	if err != nil {
		return err
	}
	switch key {
	case "id":
		s.id = v.(string)
	case "uses":
		s.uses = v.(string)
	case "needs":
		s.needs = texts(v)
	case "if":
		s.condition = v.(*template).exprs[0]
	case "with":
		s.with = v.(*object)
	case "matrix":
		s.matrix = v.(*object)
	case "for_each":
		if name, ok := v.(string); ok {
			s.pairWith = name
		} else {
			s.list = v
		}
	case "max_parallel":
		s.maxParallel = int(v.(float64))
	case "fail_fast":
		s.failFast = v.(bool)
	case "continue_on_error":
		s.continueOnError = v.(bool)
	case "max_attempts":
		s.maxAttempts = int(v.(float64))
	case "retry":
		for _, item := range v.([]any) {
			rule := item.(*object)
			s.retry = append(s.retry, retryRule{causes: texts(rule.get("cause")), max: int(rule.get("max").(float64))})
		}
	default:
		return fmt.Errorf("this interpreter does not know the key")
	}
	return nil
}

// texts is a list of texts, or the only one.
func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return []string{v.(string)}
	}
	var out []string
	for _, item := range list {
		out = append(out, item.(string))
	}
	return out
}

// depend finds what a step waits for.
func (s *step) depend() {
	s.barriers = slices.Clone(s.needs)
	note := func(n *node) {
		root, members := n.chain()
		switch {
		case n.kind == callNode && slices.Contains(statusFunctions, n.text):
			s.statusIf = s.statusIf || s.condition != nil && contains(s.condition, n)
		case root == "steps" && len(members) == 1: // each longer chain holds this one
			s.barriers = append(s.barriers, members[0].text)
		case root == "steps" && len(members) > 2 && members[1].text == "outputs" && required(members[1:]):
			s.values = append(s.values, members[0].text)
		case root == "each" && len(members) > 1 && members[0].text == "outputs" && required(members):
			s.eachValue = true
		}
	}
	if s.condition != nil {
		s.condition.each(note)
	}
	expressions(s.with, note)
	values := len(s.values)
	expressions(s.list, note)
	s.listValues = s.values[values:]
}

// required reports whether outputs and what follows are named without ?.
func required(outputs []*node) bool { return !outputs[0].optional && !outputs[1].optional }

func contains(n, sought *node) bool {
	found := false
	n.each(func(m *node) { found = found || m == sought })
	return found
}
