package workflow

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// ParseTree reads a YAML text by the rules of workflow files, which leave no
// room for surprises: numbers are JSON numbers, `true`, `false` and `null` are
// what they say, and every other plain word is text. Tags, merge keys, second
// documents and duplicate keys are problems. Without a tree there is at least
// one problem; a tree may come with problems too.
func ParseTree(text []byte) (*Value, Problems) {
	src, problems := newSource(string(text))
	if len(problems) > 0 {
		return nil, problems
	}
	return readTree(src)
}

func readTree(src *source) (*Value, Problems) {
	root, problems := parseYAML(src)
	if len(problems) > 0 {
		return nil, problems
	}
	t := &tree{src: src, open: map[*yaml.Node]bool{}}
	v := t.value(root, 1)
	if t.stopped {
		return nil, t.problems
	}
	return v, t.problems.sorted()
}

// parseYAML returns the content of the only document.
func parseYAML(src *source) (*yaml.Node, Problems) {
	lines := &lineReader{src: src}
	decoder := yaml.NewDecoder(lines)
	document, err := decode(decoder)
	switch {
	case errors.Is(err, io.EOF), err == nil && isEmpty(document):
		return nil, Problems{{
			Code: CodeEmptyFile, Message: "there is no workflow in this file",
			Hint: "`fcflow init` writes a workflow to start from",
		}}
	case err != nil:
		return nil, Problems{syntaxProblem(src, lines.read, err)}
	}
	second, err := decode(decoder)
	switch {
	case err == nil:
		return nil, Problems{{
			Code: CodeSecondDocument, Pos: Pos{Line: second.Line, Column: second.Column},
			Message: "a second YAML document begins here; a file holds one workflow",
			Hint:    "remove the line ---, or put this part in a file of its own",
		}}
	case !errors.Is(err, io.EOF):
		return nil, Problems{syntaxProblem(src, lines.read, err)}
	}
	return document.Content[0], nil
}

// isEmpty reports whether a document holds nothing, or the word null.
func isEmpty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].Tag == "!!null"
}

// decode reads the next document. The library panics on a few inputs that it
// takes for its own mistakes; for us they are wrong input like any other.
func decode(d *yaml.Decoder) (document *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	document = &yaml.Node{}
	return document, d.Decode(document)
}

// tree turns YAML nodes into values.
type tree struct {
	src      *source
	problems Problems
	values   int                 // made so far, repeats through aliases included
	aliases  int                 // followed so far
	via      Pos                 // of the outermost alias being followed
	open     map[*yaml.Node]bool // anchored nodes being read
	stopped  bool                // a limit was passed
}

func (t *tree) add(code ProblemCode, at Pos, hint, format string, args ...any) {
	if len(t.problems) < maxProblems {
		t.problems = append(t.problems, Problem{Code: code, Pos: at, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// stop ends the reading: beyond a limit nothing more is worth saying. Inside
// of what an alias repeats, the alias is to blame.
func (t *tree) stop(p Problem) {
	t.stopped = true
	if t.via.Line > 0 {
		p.Pos = t.via
	}
	t.problems = Problems{p}
}

func (t *tree) value(n *yaml.Node, depth int) *Value {
	v := &Value{Kind: NullValue, Pos: Pos{Line: n.Line, Column: n.Column}}
	t.values++
	switch {
	case t.stopped:
		return v
	case t.values > maxValues:
		t.stop(tooManyValues(v.Pos))
		return v
	case depth > maxDepth:
		t.stop(Problem{Code: CodeTooDeep, Pos: v.Pos, Message: fmt.Sprintf("lists and mappings nest more than %d deep here", maxDepth)})
		return v
	}
	if n.Kind == yaml.AliasNode {
		return t.alias(n, v, depth)
	}
	if n.Anchor != "" {
		t.open[n] = true
		defer delete(t.open, n)
	}
	t.checkTag(n, v)
	switch n.Kind {
	case yaml.SequenceNode:
		v.Kind = SequenceValue
		v.Items = make([]*Value, 0, len(n.Content))
		for _, item := range n.Content {
			v.Items = append(v.Items, t.value(item, depth+1))
		}
	case yaml.MappingNode:
		v.Kind = MappingValue
		t.members(n, v, depth)
	default:
		t.scalar(n, v)
	}
	return v
}

func (t *tree) alias(n *yaml.Node, v *Value, depth int) *Value {
	t.aliases++
	switch {
	case t.aliases > maxAliases:
		t.stop(Problem{
			Code: CodeTooManyAliases, Pos: v.Pos, Message: fmt.Sprintf("the file uses more than %d aliases, counting repeats", maxAliases),
			Hint: "`matrix` and `for_each` repeat a step without copying it",
		})
		return v
	case t.open[n.Alias]:
		t.add(CodeAliasLoop, v.Pos, "", "the alias *%s stands inside what it repeats", n.Value)
		return v
	}
	if t.via.Line == 0 {
		t.via = v.Pos
		defer func() { t.via = Pos{} }()
	}
	t.values-- // the alias itself is not a value
	return t.value(n.Alias, depth)
}

// checkTag refuses `!tag` before a value and moves the place of the value past
// its anchor, to the character that people would point at.
func (t *tree) checkTag(n *yaml.Node, v *Value) {
	for {
		rest := t.src.text[t.src.offset(v.Pos):]
		switch {
		case strings.HasPrefix(rest, "!"):
			t.add(CodeTag, v.Pos, "remove it; values have the type of the key they belong to", "YAML tags such as %s are not part of the language", property(rest))
		case n.Anchor == "" || !strings.HasPrefix(rest, "&"):
			return
		}
		if n.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle == 0 || n.Kind == yaml.ScalarNode && n.Value == "" {
			return // a block, whose first key or dash is not its beginning, or nothing
		}
		v.Pos = t.src.afterProperty(v.Pos)
	}
}

// property is the tag or anchor that the text begins with.
func property(text string) string {
	if end := strings.IndexAny(text, " \t\r\n,[]{}"); end >= 0 {
		return text[:end]
	}
	return text
}

func (t *tree) members(n *yaml.Node, v *Value, depth int) {
	v.Members = make([]*NamedValue, 0, len(n.Content)/2)
	seen := make(map[string]Pos, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !t.stopped; i += 2 {
		key := n.Content[i]
		at := Pos{Line: key.Line, Column: key.Column}
		value := t.value(n.Content[i+1], depth+1)
		if !t.keyAllowed(key, at) {
			// {{ x }} is not a mapping with a bad key but a mistyped expression.
			v.broken = v.broken || key.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle != 0
			continue
		}
		if first, again := seen[key.Value]; again {
			t.add(CodeDuplicateKey, at, fmt.Sprintf("line %d has it already; keep one of them", first.Line), "key %q is written twice in this mapping", key.Value)
			continue
		}
		seen[key.Value] = at
		v.Members = append(v.Members, &NamedValue{Name: key.Value, Value: value, Pos: at})
	}
}

// keyAllowed reports a key that is not a plain piece of text.
func (t *tree) keyAllowed(key *yaml.Node, at Pos) bool {
	switch {
	case key.Kind != yaml.ScalarNode:
		hint := ""
		if key.Kind == yaml.MappingNode {
			hint = bracesHint
		}
		t.add(CodeBadKey, at, hint, "a key must be text, not a list, mapping or alias")
	case key.Style&yaml.TaggedStyle != 0 || strings.HasPrefix(t.src.text[t.src.offset(at):], "!"):
		t.add(CodeTag, at, "remove it", "YAML tags are not part of the language")
	case key.Value == "<<" && key.Style == 0:
		t.add(CodeMergeKey, at, "write the keys out, or use `defaults`", "merge keys are not part of the language")
	case key.Value == "":
		t.add(CodeBadKey, at, "", "there is no key before the colon")
	case strings.Contains(key.Value, openExpression):
		t.add(CodeExpressionNotAllowed, at, "put the expression into the value", "a key cannot hold an expression")
	default:
		return true
	}
	return false
}

// plainNumber is the only way to write a number; 010, 1_000, .5 and 0x10 mean
// different things to different readers and are therefore text.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (t *tree) scalar(n *yaml.Node, v *Value) {
	v.Kind, v.Text = TextValue, n.Value
	v.Quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if strings.Contains(n.Value, openExpression) {
		t.template(v)
		return
	}
	if v.Quoted {
		return
	}
	switch {
	case n.Value == "" || n.Value == "null":
		v.Kind, v.Text = NullValue, ""
	case n.Value == "true" || n.Value == "false":
		v.Kind, v.Bool, v.Text = BoolValue, n.Value == "true", ""
	case plainNumber.MatchString(n.Value):
		v.Kind = NumberValue
	}
}

// template finds the expressions of a text.
func (t *tree) template(v *Value) {
	places := t.src.places(v)
	pieces, unclosed := split(v.Text)
	if unclosed >= 0 {
		at := places.place(unclosed)
		if !v.Quoted && t.src.commentAt(places.end) {
			t.add(CodeUnclosedExpression, at, "put quotes around the value", "the expression is cut off here: a YAML comment starts at its #")
		} else {
			t.add(CodeUnclosedExpression, at, "", "this ${{ has no }} that closes it")
		}
		v.broken = true
		return
	}
	v.Template = template(pieces, places)
	if v.Template == nil {
		v.Text = pieces[0].text
	}
}
