package workflow

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryRuleHasASentence: whoever adds a rule says what it rests on.
func TestEveryRuleHasASentence(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "submission.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Rule" {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared++
		if rule := Rule(word); !slices.Contains(Rules(), rule) || rule.Sentence() == "" {
			t.Errorf("%s has no sentence", spec.Names[0].Name)
		}
		return true
	})
	if declared == 0 || declared != len(Rules()) {
		t.Errorf("%d rules are declared, %d have a sentence", declared, len(Rules()))
	}
	said := map[string]Rule{}
	for _, rule := range Rules() {
		s := rule.Sentence()
		if other, twice := said[s]; twice {
			t.Errorf("%s and %s say the same", rule, other)
		}
		said[s] = rule
		if strings.Contains(s, "\n") || strings.HasSuffix(s, ".") {
			t.Errorf("%s: %q is not one sentence within a line", rule, s)
		}
	}
	if got := Rule("of tomorrow").Sentence(); got != "" {
		t.Errorf("a rule that is not known says %q", got)
	}
}
