package workflow

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	exprcheck "github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	exprcompile "github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Bounds of expressions. Evaluation is bounded by maxElements and maxText.
const (
	maxExpressionBytes = 4 << 10
	maxExpressionDepth = 50
	maxExpressions     = 12_000    // in one file
	maxSourcesBytes    = 512 << 10 // of all expressions in one file
)

// compiled is what Check makes of an expression.
type compiled struct {
	program *vm.Program
	result  Type
	refs    references
	// path is set when the expression only names a value, which then keeps its
	// exact text: inputs, tolerance.
	path  []string
	roots []root
}

// compiler turns expressions into programs. It holds what is the same for all
// expressions of a workflow.
type compiler struct {
	config  *conf.Config
	checker exprcheck.Checker
	// empty is the environment while parsing: the names of an earlier expression
	// must not change how the next one parses.
	empty nature.Nature
}

func newCompiler() *compiler {
	config := conf.CreateNew()
	config.Functions = functions()
	config.Optimize = false // folding constants would calculate while checking
	config.WithEnv(types.Map{})
	return &compiler{config: config, empty: config.Env}
}

// expressionError is a mistake at a place inside an expression.
type expressionError struct {
	code    ProblemCode
	offset  int // in characters of the source
	message string
	hint    string
}

// parse returns the syntax tree, or the first mistake in the text.
func (c *compiler) parse(source string) (ast.Node, *expressionError) {
	if len(source) > maxExpressionBytes {
		return nil, &expressionError{code: CodeExpressionLimit, message: "the expression is longer than 4 KiB", hint: "let a step compute this"}
	}
	if strings.TrimSpace(source) == "" {
		return nil, &expressionError{code: CodeExpressionSyntax, message: "the expression is empty"}
	}
	c.config.Env = c.empty
	tree, err := parser.ParseWithConfig(source, c.config)
	if err != nil {
		return nil, syntaxError(source, err)
	}
	return tree.Node, nil
}

// finish checks the types of a parsed expression in env and makes its program.
func (c *compiler) finish(source string, root ast.Node, env types.Map) (*compiled, *expressionError) {
	c.config.WithEnv(env)
	tree := &parser.Tree{Node: root, Source: file.NewSource(source)}
	if _, err := c.checker.Check(tree, c.config); err != nil {
		return nil, typeError(root, err)
	}
	result := typeOf(root.Nature())
	if err := afterTypes(root); err != nil {
		return nil, err
	}
	boundTexts(&tree.Node)
	program, err := exprcompile.Compile(tree, c.config)
	if err != nil {
		return nil, typeError(root, err)
	}
	return &compiled{program: program, result: result}, nil
}

// boundTexts replaces each `+` that may join texts by a function with a bound.
func boundTexts(root *ast.Node) {
	ast.Walk(root, textBounder{})
}

type textBounder struct{}

func (textBounder) Visit(node *ast.Node) {
	sum, ok := (*node).(*ast.BinaryNode)
	if !ok || sum.Operator != "+" {
		return
	}
	n := sum.Nature()
	if n.Type != nil && !n.IsString() {
		return
	}
	call := &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: addFunction},
		Arguments: []ast.Node{sum.Left, sum.Right},
	}
	call.SetNature(*n)
	ast.Patch(node, call)
}

// run evaluates the program. Errors carry no place; the caller adds it.
func (c *compiled) run(env map[string]any) (any, error) {
	machine := vm.VM{MemoryBudget: maxElements}
	out, err := machine.Run(c.program, env)
	if err != nil {
		return nil, runError(err)
	}
	return out, nil
}

// runError puts an error of the expression library in our words.
func runError(err error) error {
	var in *file.Error
	if !errors.As(err, &in) {
		return err
	}
	text := in.Message
	if in.Prev != nil {
		text = in.Prev.Error()
	}
	if name, ok := strings.CutPrefix(text, "cannot fetch "); ok {
		name, _, _ = strings.Cut(name, " from ")
		return fmt.Errorf("there is no value to take %s from", name)
	}
	if strings.Contains(text, "memory budget exceeded") {
		return errListTooLong
	}
	return errors.New(inOurWords(text))
}
