package workflow

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// references are the names an expression uses.
type references struct {
	inputs  []string
	secrets []string
	steps   []stepUse
	matrix  bool
	each    bool
	run     bool
	attempt bool
	// eachValue: each.outputs was named without `?.`.
	eachValue bool
	status    []string
}

// stepUse is a step named in an expression.
type stepUse struct {
	id     string
	value  bool // its outputs are named without `?.`
	offset int
}

// place says where in the file an expression stands, hence what it may name.
type place struct {
	// where is the place for people: "with", "if", "a default".
	where string
	step  *stepCheck // nil outside a step

	steps       bool // steps.*
	fanOut      bool // matrix.*, each.*
	secrets     bool
	attempt     bool
	status      bool // success() and its like
	remoteDir   bool // run.remote_dir
	defaultSite bool // run.remote_dir is that of the default system
	failedSteps bool // run.failed_steps
}

// member is one `.name` of a chain such as steps.mesh.outputs?.path.
type member struct {
	name     string
	optional bool
	offset   int
}

// nameReader walks a syntax tree, collects its references and finds what may not be
// named. It stops at the first mistake: what follows in the same expression
// would mostly be noise.
type nameReader struct {
	check  *checker
	at     place
	source string
	refs   references
	vars   []string
	err    *expressionError
	// whole is the type of the expression if it only names a value.
	whole *Type
	path  []string
}

// offsetOf returns the place of a node, in characters of the source.
func offsetOf(node ast.Node) int { return node.Location().From }

func byteOffset(source string, characters int) int {
	offset := 0
	for range characters {
		_, size := utf8.DecodeRuneInString(source[offset:])
		offset += size
	}
	return offset
}

func (r *nameReader) fail(code ProblemCode, offset int, hint, format string, args ...any) {
	if r.err == nil {
		r.err = &expressionError{code: code, offset: offset, message: fmt.Sprintf(format, args...), hint: hint}
	}
}

func (r *nameReader) read(root ast.Node) {
	if root, members, ok := chainOf(root); ok {
		t, known := r.name(root, members)
		if known && r.err == nil && !slices.ContainsFunc(members, func(m member) bool { return m.optional }) {
			r.whole = &t
			r.path = []string{root.Value}
			for _, m := range members {
				r.path = append(r.path, m.name)
			}
		}
		return
	}
	r.visit(root, 1)
}

// visit walks one node; children last.
func (r *nameReader) visit(node ast.Node, depth int) {
	if r.err != nil {
		return
	}
	if depth > maxExpressionDepth {
		r.fail(CodeExpressionLimit, offsetOf(node), "let a step compute this", "the expression nests more than %d deep", maxExpressionDepth)
		return
	}
	if root, members, ok := chainOf(node); ok && !slices.Contains(r.vars, root.Value) {
		r.name(root, members)
		return
	}
	switch n := node.(type) {
	case *ast.CallNode:
		r.call(n, depth)
	case *ast.BuiltinNode:
		r.builtin(n, depth)
	case *ast.VariableDeclaratorNode:
		r.let(n, depth)
	default:
		for _, child := range children(node) {
			r.visit(child, depth+1)
		}
	}
}

func (r *nameReader) let(n *ast.VariableDeclaratorNode, depth int) {
	if slices.Contains(rootNames, n.Name) {
		r.fail(CodeExpressionRefused, offsetOf(n), "choose another name for the variable", "%q already means something", n.Name)
		return
	}
	r.visit(n.Value, depth+1)
	r.vars = append(r.vars, n.Name)
	r.visit(n.Expr, depth+1)
	r.vars = r.vars[:len(r.vars)-1]
}

func (r *nameReader) call(n *ast.CallNode, depth int) {
	if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
		r.function(callee, len(n.Arguments))
	} else if method, ok := n.Callee.(*ast.MemberNode); ok {
		if name, ok := method.Property.(*ast.StringNode); ok && name.Value == "Local" {
			r.fail(CodeExpressionRefused, offsetOf(name), `use In(timezone("Europe/Zurich"))`, "Local() depends on the machine")
		}
		r.visit(method.Node, depth+1)
	} else {
		r.visit(n.Callee, depth+1)
	}
	for _, a := range n.Arguments {
		r.visit(a, depth+1)
	}
}

// function resolves a called name that is no plain built-in.
func (r *nameReader) function(callee *ast.IdentifierNode, arguments int) {
	name, offset := callee.Value, offsetOf(callee)
	switch {
	case slices.Contains(statusFunctions, name):
		if !r.at.status {
			r.fail(CodeUnavailableName, offset, "status functions stand in if and with", "%s() cannot be asked in %s", name, r.at.where)
		}
		if arguments > 0 {
			r.fail(CodeExpressionType, offset, "", "%s() takes nothing between its parentheses", name)
		}
		r.refs.status = append(r.refs.status, name)
	case r.check.compiler.config.Functions[name] == nil:
		if hint, ok := refusedFunctions[name]; ok {
			r.fail(CodeExpressionRefused, offset, hint, "%s() is not available", name)
			return
		}
		r.fail(CodeUnknownName, offset, didYouMean(name, r.check.functionNames()), "there is no function %q", name)
	}
}

func (r *nameReader) builtin(n *ast.BuiltinNode, depth int) {
	if hint, ok := refusedFunctions[n.Name]; ok {
		r.fail(CodeExpressionRefused, offsetOf(n), hint, "%s() is not available", n.Name)
		return
	}
	if r.check.compiler.config.Functions[n.Name] != nil {
		r.fail(CodeExpressionRefused, offsetOf(n), fmt.Sprintf("write %s(…)", n.Name), "::%s() is not available", n.Name)
		return
	}
	for _, a := range n.Arguments {
		r.visit(a, depth+1)
	}
}

// chainOf takes a node apart that is a name with members: steps.mesh.outputs.
func chainOf(node ast.Node) (*ast.IdentifierNode, []member, bool) {
	var members []member
	for {
		switch n := node.(type) {
		case *ast.IdentifierNode:
			slices.Reverse(members)
			return n, members, true
		case *ast.ChainNode:
			node = n.Node
		case *ast.MemberNode:
			name, ok := n.Property.(*ast.StringNode)
			if !ok || n.Method || len(members) > maxExpressionDepth {
				return nil, nil, false
			}
			members = append(members, member{name: name.Value, optional: n.Optional, offset: offsetOf(name)})
			node = n.Node
		default:
			return nil, nil, false
		}
	}
}

// children lists the direct children of the nodes that visit does not treat by
// themselves.
func children(node ast.Node) []ast.Node {
	var out []ast.Node
	switch n := node.(type) {
	case *ast.UnaryNode:
		out = []ast.Node{n.Node}
	case *ast.BinaryNode:
		out = []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		out = []ast.Node{n.Node}
	case *ast.MemberNode:
		out = []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		out = []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		out = append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		out = n.Arguments
	case *ast.PredicateNode:
		out = []ast.Node{n.Node}
	case *ast.VariableDeclaratorNode:
		out = []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		out = n.Nodes
	case *ast.ConditionalNode:
		out = []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		out = n.Nodes
	case *ast.MapNode:
		out = n.Pairs
	case *ast.PairNode:
		out = []ast.Node{n.Key, n.Value}
	}
	return slices.DeleteFunc(slices.Clone(out), func(n ast.Node) bool { return n == nil })
}
