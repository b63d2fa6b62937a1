package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// rewording puts one message of the expression library in our words.
type rewording struct {
	match *regexp.Regexp
	with  string
	hint  string
}

var rewordings = []rewording{
	{match: regexp.MustCompile(`^unexpected token EOF$|^unexpected end of expression$`), with: "the expression ends too early"},
	{match: regexp.MustCompile(`^unexpected token \w+\("(.*)"\)$`), with: `unexpected "$1"`},
	{match: regexp.MustCompile(`^Operator \((.*)\) and coalesce expressions \(\?\?\) cannot be mixed.*`),
		with: "$1 and ?? cannot be mixed", hint: "put parentheses round one of them"},
	{match: regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types (.*) and (.*)\)$`), with: "$1 does not work between $2 and $3"},
	{match: regexp.MustCompile(`^invalid operation: (\S+) \(mismatched type (.*)\)$`), with: "$1 does not work on $2"},
	{match: regexp.MustCompile(`^cannot use (.*) as argument \(type (.*)\) to call (\S+) ?$`), with: "$3() takes $2, not $1"},
	{match: regexp.MustCompile(`^not enough arguments to call (.*)$`), with: "$1() needs more between its parentheses"},
	{match: regexp.MustCompile(`^too many arguments to call (.*)$`), with: "$1() takes less between its parentheses"},
	{match: regexp.MustCompile(`^builtin (\S+) takes only array \(got (.*)\)$`), with: "$1() works on a list, not on $2"},
	{match: regexp.MustCompile(`^predicate should return boolean \(got (.*)\)$`), with: "the condition must give true or false, not $1"},
	{match: regexp.MustCompile(`^non-bool expression \(type (.*)\) used as condition$`), with: "the condition must give true or false, not $1"},
	{match: regexp.MustCompile(`^type (.*) has no (?:field|method) (.*)$`), with: "$1 has no member $2"},
	{match: regexp.MustCompile(`^cannot use (.*) as type (.*) in array$`), with: "the list holds $2, not $1"},
	{match: regexp.MustCompile(`^array elements can only be selected using an integer \(got (.*)\)$`), with: "an element of a list is named by its number, not by $1"},
	{match: regexp.MustCompile(`^error parsing regexp: (.*)$`), with: "the pattern is not a regular expression: $1"},
}

// goTypes are type names of the expression library and what we call them, the
// longer first.
var goTypes = strings.NewReplacer(
	"map[string]interface {}", "a mapping", "[]interface {}", "a list", "[]string", "a list of texts",
	"[]int", "a list of whole numbers", "interface {}", "a value", "time.Duration", "a duration",
	"time.Time", "a time", "float64", "a number", "string", "text", "int", "a whole number",
	"bool", "true or false", "unknown", "a value", "nil", "nothing",
)

var goTypeName = regexp.MustCompile(`^(map\[string\]interface \{\}|\[\]interface \{\}|\[\]string|\[\]int|interface \{\}|time\.Duration|time\.Time|float64|string|int|bool|unknown|nil)$`)

// inOurWords rewords a message of the expression library.
func inOurWords(message string) string {
	text, _ := reword(message)
	return text
}

func reword(message string) (text, hint string) {
	for _, r := range rewordings {
		groups := r.match.FindStringSubmatch(message)
		if groups == nil {
			continue
		}
		text := r.with
		for i, g := range groups[1:] {
			if goTypeName.MatchString(g) {
				g = goTypes.Replace(g)
			}
			text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i+1), g)
		}
		return text, r.hint
	}
	message, _, _ = strings.Cut(message, "\n")
	return lowerFirst(message), ""
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// libraryError takes an error of the expression library apart.
func libraryError(err error) (message string, offset int) {
	var in *file.Error
	if !errors.As(err, &in) {
		return err.Error(), 0
	}
	return in.Message, in.From
}

func syntaxError(source string, err error) *expressionError {
	message, offset := libraryError(err)
	text, hint := reword(message)
	if hint == "" {
		hint = syntaxHint(source, offset)
	}
	return &expressionError{code: CodeExpressionSyntax, offset: offset, message: text, hint: hint}
}

// syntaxHint knows the slips of people who come from other languages.
func syntaxHint(source string, offset int) string {
	switch rest := source[byteOffset(source, offset):]; {
	case strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "=="):
		return "compare with =="
	case strings.HasPrefix(rest, "&") && !strings.HasPrefix(rest, "&&"):
		return "write && or and"
	case strings.HasPrefix(rest, "$"):
		return "an expression stands between ${{ and }} once; name inputs as inputs.name"
	}
	return ""
}

func typeError(root ast.Node, err error) *expressionError {
	message, offset := libraryError(err)
	if name, ok := strings.CutPrefix(message, "unknown field "); ok {
		known := memberNamesAt(root, offset)
		hint := didYouMean(name, known)
		if hint == "" && len(known) > 0 {
			hint = "it has " + alternatives(known)
		}
		return &expressionError{code: CodeUnknownName, offset: offset, message: fmt.Sprintf("there is no member %q", name), hint: hint}
	}
	text, hint := reword(message)
	if hint == "" && strings.HasPrefix(text, "+ does not work between") && strings.Contains(text, "text") {
		hint = `write the texts side by side, as in "${{ a }}-${{ b }}", or use string(…)`
	}
	return &expressionError{code: CodeExpressionType, offset: offset, message: text, hint: hint}
}

// memberNamesAt lists what could have stood at the place of an unknown member.
func memberNamesAt(root ast.Node, offset int) []string {
	var names []string
	var find func(node ast.Node)
	find = func(node ast.Node) {
		if m, ok := node.(*ast.MemberNode); ok && offsetOf(m.Property) == offset {
			if n := m.Node.Nature(); n.TypeData != nil {
				names = slices.DeleteFunc(sortedKeys(n.Fields), func(s string) bool { return s == stateMark })
			}
			return
		}
		for _, child := range children(node) {
			find(child)
		}
	}
	find(root)
	return names
}

// afterTypes applies the rules that need the types of a tree: the library lets
// a missing member be nothing, and a misspelt state never be true.
func afterTypes(root ast.Node) *expressionError {
	switch n := root.Nature(); {
	case n.Nil:
		return &expressionError{code: CodeExpressionType, message: "the expression gives nothing"}
	case n.IsFunc():
		return &expressionError{code: CodeExpressionType, message: "the expression is a function that is not called"}
	case n.IsByteSlice():
		return &expressionError{code: CodeExpressionType, message: "bytes cannot stand in a workflow", hint: `write "…" instead of b"…"`}
	}
	var rules typedRules
	rules.visit(root, nil)
	return rules.err
}

type typedRules struct {
	err *expressionError
}

func (r *typedRules) visit(node, parent ast.Node) {
	if r.err != nil {
		return
	}
	switch n := node.(type) {
	case *ast.ChainNode:
		r.closed(n, parent)
	case *ast.MemberNode:
		r.computed(n)
	case *ast.BinaryNode:
		if slices.Contains([]string{"==", "!=", "in"}, n.Operator) {
			r.states(n.Left, n.Right)
			r.states(n.Right, n.Left)
		}
	}
	for _, child := range children(node) {
		r.visit(child, node)
	}
}

// closed wants `??` after a chain with `?.`, because a missing value is an error
// and never an empty text.
func (r *typedRules) closed(chain *ast.ChainNode, parent ast.Node) {
	if b, ok := parent.(*ast.BinaryNode); ok && b.Operator == "??" && b.Left == ast.Node(chain) {
		return
	}
	offset := offsetOf(chain.Node)
	if m, ok := chain.Node.(*ast.MemberNode); ok {
		offset = offsetOf(m.Property)
	}
	r.err = &expressionError{
		code: CodeUnclosedOptional, offset: offset,
		message: "a value taken with ?. may be missing", hint: "say what to use then: x?.y ?? 0",
	}
}

// computed refuses a member whose name is calculated: its type cannot be known.
// Elements of lists may be counted.
func (r *typedRules) computed(m *ast.MemberNode) {
	switch m.Property.(type) {
	case *ast.StringNode, *ast.IntegerNode:
		return
	}
	if m.Node.Nature().IsArray() || m.Property.Nature().IsInteger {
		return
	}
	r.err = &expressionError{
		code: CodeExpressionRefused, offset: offsetOf(m.Property),
		message: "the name of a member cannot be calculated", hint: "write the name: x.name",
	}
}

// states wants the literals that a step's state is compared with to be states.
func (r *typedRules) states(side, other ast.Node) {
	m, ok := side.(*ast.MemberNode)
	if !ok || !holdsState(m.Node.Nature()) {
		return
	}
	if name, ok := m.Property.(*ast.StringNode); !ok || name.Value != "state" {
		return
	}
	literals := []ast.Node{other}
	if list, ok := other.(*ast.ArrayNode); ok {
		literals = list.Nodes
	}
	var known []string
	for _, s := range States() {
		known = append(known, string(s))
	}
	for _, l := range literals {
		text, ok := l.(*ast.StringNode)
		if ok && !slices.Contains(known, text.Value) && r.err == nil {
			hint := didYouMean(text.Value, known)
			if hint == "" {
				hint = "states are " + alternatives(known)
			}
			r.err = &expressionError{
				code: CodeUnknownState, offset: offsetOf(text),
				message: fmt.Sprintf("no step is ever %q", text.Value), hint: hint,
			}
		}
	}
}
