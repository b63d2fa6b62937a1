package oracle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is that of a node of an expression.
type kind string

const (
	literalNode kind = "literal"
	listNode    kind = "list"
	nameNode    kind = "name"    // the root of a chain; "#" is the element of a closure
	memberNode  kind = "member"  // kids[0].text
	indexNode   kind = "index"   // kids[0][kids[1]]
	callNode    kind = "call"    // text(kids…)
	notNode     kind = "not"     // !kids[0]
	binaryNode  kind = "binary"  // kids[0] text kids[1]
	condNode    kind = "ternary" // kids[0] ? kids[1] : kids[2]
)

// node is a piece of an expression.
type node struct {
	kind     kind
	text     string
	value    any
	optional bool // of a member: written with ?.
	kids     []*node
}

// levels are the binary operators, from those that bind least on.
var levels = [][]string{
	{"||", "or"},
	{"&&", "and"},
	{"==", "!=", "<", "<=", ">", ">=", "in"},
	{"+", "-"},
}

// parser reads an expression. A mistake is thrown as an error.
type parser struct {
	tokens []string
	at     int
}

// parseExpression reads what stands between ${{ and }}.
func parseExpression(source string) (n *node, err error) {
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(error)
			if !ok {
				panic(p)
			}
			err = fmt.Errorf("%q: %w", source, failure)
		}
	}()
	p := &parser{tokens: tokens(source)}
	n = p.ternary()
	if p.peek() != "" {
		panic(fmt.Errorf("%q is too much", p.peek()))
	}
	return n, nil
}

// tokens cuts a source into words, numbers, quoted texts and signs.
func tokens(s string) []string {
	var out []string
	for s != "" {
		n := 0
		switch c := s[0]; {
		case c == ' ':
			s = s[1:]
			continue
		case wordByte(c) && !digit(c):
			for n < len(s) && wordByte(s[n]) {
				n++
			}
		case digit(c):
			for n < len(s) && (digit(s[n]) || s[n] == '.' && n+1 < len(s) && digit(s[n+1])) {
				n++
			}
		case c == '"' || c == '\'':
			end := strings.IndexByte(s[1:], c)
			if end < 0 {
				panic(fmt.Errorf("a quote is missing"))
			}
			n = end + 2
		default:
			n = 1
			for _, sign := range []string{"||", "&&", "==", "!=", "<=", ">=", "??", "?."} {
				if strings.HasPrefix(s, sign) {
					n = 2
				}
			}
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func wordByte(c byte) bool {
	return digit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) peek() string {
	if p.at == len(p.tokens) {
		return ""
	}
	return p.tokens[p.at]
}

func (p *parser) next() string {
	t := p.peek()
	p.at = min(p.at+1, len(p.tokens))
	return t
}

// take goes past a token if it comes next.
func (p *parser) take(token string) bool {
	if p.peek() != token {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(token string) {
	if !p.take(token) {
		panic(fmt.Errorf("%s expected, not %q", token, p.peek()))
	}
}

func (p *parser) ternary() *node {
	n := p.binary(0)
	if !p.take("?") {
		return n
	}
	yes := p.ternary()
	p.expect(":")
	return &node{kind: condNode, kids: []*node{n, yes, p.ternary()}}
}

func (p *parser) binary(level int) *node {
	if level == len(levels) {
		return p.unary()
	}
	n := p.binary(level + 1)
	for slices.Contains(levels[level], p.peek()) {
		op := p.next()
		n = &node{kind: binaryNode, text: op, kids: []*node{n, p.binary(level + 1)}}
	}
	return n
}

func (p *parser) unary() *node {
	if p.take("!") || p.take("not") {
		return &node{kind: notNode, kids: []*node{p.unary()}}
	}
	n := p.postfix()
	for p.take("??") { // binds most of all
		n = &node{kind: binaryNode, text: "??", kids: []*node{n, p.postfix()}}
	}
	return n
}

func (p *parser) postfix() *node {
	n := p.primary()
	for {
		switch {
		case p.peek() == "." || p.peek() == "?.":
			optional := p.next() == "?."
			n = &node{kind: memberNode, text: p.next(), optional: optional, kids: []*node{n}}
		case p.take("["):
			n = &node{kind: indexNode, kids: []*node{n, p.ternary()}}
			p.expect("]")
		default:
			return n
		}
	}
}

func (p *parser) primary() *node {
	switch t := p.next(); {
	case t == "":
		panic(fmt.Errorf("it ends too early"))
	case t == "(":
		n := p.ternary()
		p.expect(")")
		return n
	case t == "[":
		return &node{kind: listNode, kids: p.arguments("]")}
	case t == "true" || t == "false":
		return &node{kind: literalNode, value: t == "true"}
	case t[0] == '"' || t[0] == '\'':
		return &node{kind: literalNode, value: t[1 : len(t)-1]}
	case digit(t[0]):
		number, err := strconv.ParseFloat(t, 64)
		if err != nil {
			panic(err)
		}
		return &node{kind: literalNode, value: number}
	case t == "#":
		return &node{kind: nameNode, text: "#"}
	case t == ".": // .x in a closure is #.x
		p.at--
		return &node{kind: nameNode, text: "#"}
	case wordByte(t[0]) && p.take("("):
		return &node{kind: callNode, text: t, kids: p.arguments(")")}
	case wordByte(t[0]):
		return &node{kind: nameNode, text: t}
	default:
		panic(fmt.Errorf("%q has no meaning here", t))
	}
}

func (p *parser) arguments(end string) []*node {
	var list []*node
	for !p.take(end) {
		list = append(list, p.ternary())
		if p.peek() != end {
			p.expect(",")
		}
	}
	return list
}

// each calls f for a node and all below it.
func (n *node) each(f func(*node)) {
	f(n)
	for _, kid := range n.kids {
		kid.each(f)
	}
}

// chain is the root of a name with members, and the members: steps.a.outputs is
// steps with a and outputs. Anything else has none.
func (n *node) chain() (root string, members []*node) {
	switch n.kind {
	case nameNode:
		return n.text, nil
	case memberNode:
		root, members = n.kids[0].chain()
		return root, append(members, n)
	}
	return "", nil
}
