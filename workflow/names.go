package workflow

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
)

// rootNames are the names an expression can begin with.
var rootNames = []string{"inputs", "secrets", "matrix", "each", "steps", "run", "attempt"}

// runFields are the members of `run`.
var runFields = []Field{
	{Name: "id", Type: Type{Kind: String}},
	{Name: "name", Type: Type{Kind: String}},
	{Name: "started_at", Type: Type{Kind: String}},
	{Name: "scheduled_at", Type: Type{Kind: String}},
	{Name: "remote_dir", Type: Type{Kind: String}},
	{Name: "failed_steps", Type: Type{Kind: List, Elem: &Type{Kind: String}}},
}

// name resolves a name with its members; it returns the type where the whole
// chain is known.
func (r *nameReader) name(root *ast.IdentifierNode, members []member) (Type, bool) {
	offset := offsetOf(root)
	if len(members) == 0 && slices.Contains([]string{"steps", "secrets", "run"}, root.Value) {
		r.fail(CodeExpressionRefused, offset, "", "name a member of %s, such as %s", root.Value,
			map[string]string{"steps": "steps.mesh.outputs", "secrets": "secrets.TOKEN", "run": "run.id"}[root.Value])
		return Type{}, false
	}
	switch root.Value {
	case "inputs":
		return r.input(members)
	case "secrets":
		return r.secret(members[0])
	case "steps":
		return r.step(members)
	case "run":
		return r.runMember(members)
	case "matrix", "each":
		return r.fan(root.Value, offset, members)
	case "attempt":
		if !r.at.attempt {
			r.fail(CodeUnavailableName, offset, "", "attempt cannot be named in %s", r.at.where)
		}
		r.refs.attempt = true
		return Type{Kind: Int}, len(members) == 0
	case "$env":
		r.fail(CodeExpressionRefused, offset, "name what you need, such as inputs.mesh", "$env is not available")
	default:
		r.unknownRoot(root.Value, offset)
	}
	return Type{}, false
}

func (r *nameReader) unknownRoot(name string, offset int) {
	if slices.Contains(statusFunctions, name) || slices.Contains(r.check.functionNames(), name) {
		between := "…"
		if slices.Contains(statusFunctions, name) {
			between = ""
		}
		r.fail(CodeUnknownName, offset, fmt.Sprintf("write %s(%s)", name, between), "%s is a function", name)
		return
	}
	hint := didYouMean(name, rootNames)
	switch {
	case hint != "":
	case r.check.inputs[name] != nil:
		hint = "write inputs." + name
	case r.check.byID[name] != nil:
		hint = "write steps." + name
	default:
		hint = "a text needs quotes: \"" + name + "\""
	}
	r.fail(CodeUnknownName, offset, hint, "unknown name %q", name)
}

func (r *nameReader) input(members []member) (Type, bool) {
	if len(members) == 0 {
		t := Type{Kind: Object}
		for _, in := range r.check.w.Inputs {
			r.refs.inputs = append(r.refs.inputs, in.Name)
			t.Fields = append(t.Fields, Field{Name: in.Name, Type: in.Type})
		}
		return t, true
	}
	in := r.check.inputs[members[0].name]
	if in == nil {
		r.fail(CodeUnknownName, members[0].offset, r.check.hint(members[0].name, r.check.inputNames()), "there is no input %q", members[0].name)
		return Type{}, false
	}
	r.refs.inputs = append(r.refs.inputs, in.Name)
	return follow(in.Type, members[1:])
}

func (r *nameReader) secret(m member) (Type, bool) {
	names := make([]string, len(r.check.w.Secrets))
	for i, s := range r.check.w.Secrets {
		names[i] = s.Name
	}
	switch {
	case !slices.Contains(names, m.name):
		hint := didYouMean(m.name, names)
		if hint == "" {
			hint = "list it under secrets at the top of the file"
		}
		r.fail(CodeUnknownName, m.offset, hint, "there is no secret %q", m.name)
	case !r.at.secrets:
		r.fail(CodeSecretPlace, m.offset, r.at.secretHint(), "a secret may not stand in %s", r.at.where)
	}
	r.refs.secrets = append(r.refs.secrets, m.name)
	return Type{Kind: String}, false // a secret is never read around the program
}

// secretHint says how the step type takes secrets, if it does.
func (p place) secretHint() string {
	if p.step == nil || p.step.step.spec == nil {
		return ""
	}
	var takers []string
	for _, f := range p.step.step.spec.Inputs {
		if f.Secret {
			takers = append(takers, "with."+f.Name)
		}
	}
	if len(takers) == 0 {
		return "no input of " + p.step.step.Uses + " takes secrets"
	}
	return "secrets may stand in " + alternatives(takers)
}

func (r *nameReader) step(members []member) (Type, bool) {
	id, offset := members[0].name, members[0].offset
	target := r.check.byID[id]
	switch {
	case !r.at.steps:
		hint := ""
		if r.at.where == "matrix" {
			hint = "use for_each over a list, which may come from other steps"
		}
		r.fail(CodeUnavailableName, offset, hint, "%s cannot name other steps", r.at.where)
		return Type{}, false
	case target == nil:
		r.fail(CodeUnknownStep, offset, r.check.hint(id, r.check.ids), "there is no step %q", id)
		return Type{}, false
	case r.at.step == target:
		r.fail(CodeSelfReference, offset, "", "step %q names itself", id)
		return Type{}, false
	case target.step.Finally && r.at.step != nil && !r.at.step.step.Finally:
		r.fail(CodeFinallyReference, offset, "", "%q is a finally step; it starts when every other step is done", id)
		return Type{}, false
	case len(members) == 1:
		r.fail(CodeExpressionRefused, offset, "", "name a member of steps.%s, such as steps.%s.%s", id, id, target.memberNames()[0])
		return Type{}, false
	}
	return r.stepMember(target, members)
}

func (r *nameReader) stepMember(target *stepCheck, members []member) (Type, bool) {
	id, m := target.step.ID, members[1]
	use := stepUse{id: id, offset: members[0].offset}
	t, known := Type{Kind: Any}, false
	switch {
	case m.name == "state":
		t, known = follow(Type{Kind: String}, members[2:])
	case m.name == "outputs" && !target.fansOut():
		use.value = !m.optional && (len(members) == 2 || !members[2].optional)
		t, known = r.outputs(fmt.Sprintf("step %q", id), r.check.outputs(target), members[2:])
	case m.name == "outputs":
		r.fail(CodeUnavailableName, m.offset, r.manyHint(target, members[2:]), "step %q has many instances and no outputs of its own", id)
	case m.name == "instances" && target.fansOut():
		t, known = follow(Type{Kind: List, Elem: new(r.check.instance(target))}, members[2:])
	case m.name == "instances":
		r.fail(CodeUnavailableName, m.offset, "use steps."+id+".outputs", "step %q has no fan-out and no instances", id)
	default:
		names := target.memberNames()
		r.fail(CodeUnknownName, m.offset, cmp.Or(didYouMean(m.name, names), "it has "+alternatives(names)),
			"step %q has no member %q", id, m.name)
	}
	r.refs.steps = append(r.refs.steps, use)
	return t, known
}

// outputs resolves what follows `outputs`; owner is the step for people.
func (r *nameReader) outputs(owner string, t Type, members []member) (Type, bool) {
	if len(members) == 0 || t.Kind != Object {
		return follow(t, members)
	}
	f, ok := t.field(members[0].name)
	if !ok {
		names := fieldNames(t.Fields)
		hint := didYouMean(members[0].name, names)
		if hint == "" && len(names) > 0 {
			hint = "it has " + alternatives(names)
		}
		r.fail(CodeUnknownName, members[0].offset, hint, "%s has no output %q", owner, members[0].name)
		return Type{}, false
	}
	return follow(f.Type, members[1:])
}

func (r *nameReader) runMember(members []member) (Type, bool) {
	m := members[0]
	f, ok := findField(runFields, m.name)
	switch {
	case !ok:
		names := fieldNames(runFields)
		r.fail(CodeUnknownName, m.offset, cmp.Or(didYouMean(m.name, names), "it has "+alternatives(names)), "run has no member %q", m.name)
		return Type{}, false
	case m.name == "failed_steps" && !r.at.failedSteps:
		r.fail(CodeUnavailableName, m.offset, "other steps may still fail", "run.failed_steps is known only in finally and in outputs")
	case m.name == "remote_dir" && !r.at.remoteDir:
		r.fail(CodeUnavailableName, m.offset, "", "run.remote_dir cannot be named in %s", r.at.where)
	case m.name == "remote_dir" && r.at.defaultSite:
		if !r.check.hasDefaultSystem() {
			r.fail(CodeMissingSystem, m.offset, "write `defaults: { system: … }` at the top of the file",
				"run.remote_dir is a directory on a system, and none is named")
		}
		r.check.index.defaultSite = true
	}
	r.refs.run = true
	return follow(f.Type, members[1:])
}

// fan resolves matrix.* and each.*.
func (r *nameReader) fan(root string, offset int, members []member) (Type, bool) {
	var t Type
	switch {
	case !r.at.fanOut:
		r.fail(CodeUnavailableName, offset, "", "%s cannot be named in %s", root, r.at.where)
		return Type{}, false
	case root == "matrix" && r.at.step.step.Matrix == nil:
		r.fail(CodeUnavailableName, offset, "", "this step has no matrix")
		return Type{}, false
	case root == "each" && r.at.step.step.ForEach == nil:
		r.fail(CodeUnavailableName, offset, "", "this step has no for_each")
		return Type{}, false
	case root == "matrix":
		t = r.check.matrixType(r.at.step)
		r.refs.matrix = true
	default:
		t = r.check.eachType(r.at.step)
		r.refs.each = true
	}
	if len(members) == 0 || t.Kind != Object {
		return follow(t, members)
	}
	m := members[0]
	f, ok := t.field(m.name)
	if !ok {
		names := fieldNames(t.Fields)
		hint := cmp.Or(didYouMean(m.name, names), r.itemHint(t, m.name), "it has "+alternatives(names))
		r.fail(CodeUnknownName, m.offset, hint, "%s has no member %q", root, m.name)
		return Type{}, false
	}
	if root == "each" && m.name == "outputs" {
		r.refs.eachValue = r.refs.eachValue || !m.optional && (len(members) == 1 || !members[1].optional)
		return r.outputs("each", f.Type, members[1:])
	}
	return follow(f.Type, members[1:])
}

// follow returns the type at the end of a chain; false leaves the verdict to
// the type checker, which knows what may stand after a list or a scalar.
func follow(t Type, members []member) (Type, bool) {
	for _, m := range members {
		switch t.Kind {
		case Object:
			f, ok := t.field(m.name)
			if !ok {
				return Type{}, false
			}
			t = f.Type
		case Map:
			t = t.element()
		default:
			return Type{}, false
		}
	}
	return t, true
}

// root is a name that an expression begins with, and the type of what it uses
// of it.
type root struct {
	name string
	t    Type
}

// roots returns the names of an expression with their types, no more than it
// uses.
func (c *checker) roots(r *nameReader) []root {
	var roots []root
	if len(r.refs.inputs) > 0 {
		t := Type{Kind: Object}
		for _, name := range distinct(r.refs.inputs) {
			t.Fields = append(t.Fields, Field{Name: name, Type: c.inputs[name].Type})
		}
		roots = append(roots, root{"inputs", t})
	}
	if len(r.refs.secrets) > 0 {
		t := Type{Kind: Object}
		for _, name := range distinct(r.refs.secrets) {
			t.Fields = append(t.Fields, Field{Name: name, Type: Type{Kind: String}})
		}
		roots = append(roots, root{"secrets", t})
	}
	if len(r.refs.steps) > 0 {
		t := Type{Kind: Object}
		for _, use := range r.refs.steps {
			if _, ok := t.field(use.id); !ok {
				t.Fields = append(t.Fields, Field{Name: use.id, Type: c.stepType(c.byID[use.id])})
			}
		}
		roots = append(roots, root{"steps", t})
	}
	if r.refs.matrix {
		roots = append(roots, root{"matrix", c.matrixType(r.at.step)})
	}
	if r.refs.each {
		roots = append(roots, root{"each", marked(c.eachType(r.at.step))})
	}
	if r.refs.run {
		roots = append(roots, root{"run", Type{Kind: Object, Fields: runFields}})
	}
	if r.refs.attempt {
		roots = append(roots, root{"attempt", Type{Kind: Int}})
	}
	return roots
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// environment is what the expression checker knows of the roots.
func environment(roots []root, status []string) types.Map {
	env := types.Map{}
	for _, r := range roots {
		env[r.name] = exprType(r.t)
	}
	for _, name := range status {
		env[name] = types.TypeOf(func() bool { return false })
	}
	return env
}

// stepType is the type of steps.<id>, made once per step.
func (c *checker) stepType(s *stepCheck) Type {
	if s.unit == nil {
		t := Type{Kind: Object, Fields: []Field{{Name: "state", Type: Type{Kind: String}}}}
		if s.fansOut() {
			t.Fields = append(t.Fields, Field{Name: "instances", Type: Type{Kind: List, Elem: new(marked(c.instance(s)))}})
		} else {
			t.Fields = append(t.Fields, Field{Name: "outputs", Type: c.outputs(s)})
		}
		s.unit = new(marked(t))
	}
	return *s.unit
}

// marked marks a mapping whose `state` is one of [States].
func marked(t Type) Type {
	if t.Kind == Object {
		t.Fields = append(slices.Clone(t.Fields), Field{Name: stateMark, Type: Type{Kind: Bool}})
	}
	return t
}
