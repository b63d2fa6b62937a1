package workflow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTreeScalars(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1": "number 1", "-1": "number -1", "1.10": "number 1.10", "1e3": "number 1e3", "0": "number 0",
		"010": "text 010", "1_000": "text 1_000", ".5": "text .5", "0x10": "text 0x10", "+1": "text +1", "1.": "text 1.", "-": "null",
		"true": "bool true", "false": "bool false", "True": "text True", "no": "text no", "on": "text on", "y": "text y",
		"null": "null", "Null": "text Null", "~": "text ~", "": "null", `""`: "text ", `"1"`: "text 1", "'true'": "text true",
		"2026-01-01": "text 2026-01-01", "12:30:00": "text 12:30:00", ".inf": "text .inf", "0o7": "text 0o7",
		"$${{ x }}": "text ${{ x }}", "'$${{'": "text ${{", "a $$${{ b": "text a $${{ b",
	} {
		v, problems := ParseTree([]byte("- " + text + "\n"))
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, problems)
			continue
		}
		if v.Kind == SequenceValue && text == "-" {
			v = v.Items[0]
		}
		if got := scalarWords(v.Items[0]); got != want {
			t.Errorf("%q reads as %q, want %q", text, got, want)
		}
	}
}

func scalarWords(v *Value) string {
	if v.Kind == NullValue {
		return "null"
	}
	return string(v.Kind) + " " + v.scalarText()
}

// Every character of an expression must be found in the file again, however
// YAML folded, indented or escaped the text around it.
func TestExpressionPlaces(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":               "a: x ${{ @one }} y ${{ @two }}\n",
		"plain, folded":       "a: x\n  y ${{ @one\n\n   and ${{ @two }}\n",
		"single quotes":       "a: 'it''s ${{ @one }}''${{ @two }}'\n",
		"double quotes":       `a: "\t\x41\u00e9 ${{ @one }} \"${{ @two }}"` + "\n",
		"double, joined":      "a: \"x \\\n     ${{ @one }} \\\n\n  ${{ @two }}\"\n",
		"double, folded":      "a: \"x\n     ${{ @one }}\n\n\n  ${{ @two }}\"\n",
		"literal":             "a: |\n  x\n\n    ${{ @one }}\n  ${{ @two }}\n",
		"literal, indicators": "a: |2-  # comment\n    x ${{ @one }}\n   ${{ @two }}\n",
		"literal, keep":       "a: |+\n\n  ${{ @one }}\n\n  ${{ @two }}\n\n\n",
		"folded":              "a: >\n  x\n  ${{ @one }}\n\n    more\n\n  y\n  ${{ @two }}\n",
		"folded, strip":       "a: >-\n\n\n   x ${{ @one }}\n   ${{ @two }}\n\n\n",
		"wide characters":     "a: \"日本 ${{ @one }} é ${{ @two }}\"\n",
		"flow":                "a: [1, {b: \"${{ @one }}\"}, '${{ @two }}']\n",
		"anchor":              "a: [&x \"${{ @one }}\", &y '${{ @two }}']\n",
		"anchor before":       "a:\n  - &x # é\n\n    \"${{ @one }}\"\n  - &y\n    plain ${{ @two }}\n",
		"anchored block":      "a: &x |\n  ${{ @one }}\n  ${{ @two }}\n",
		"long":                "a: " + strings.Repeat("wörd ", 500) + "${{ @one }} ${{ @two }}\n",
		"windows":             "a: |\r\n  x\r\n  ${{ @one }}\r\n  ${{ @two }}\r\nb: >\r\n  x\r\n  y\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "plain, folded" {
				text = strings.Replace(text, "and ${{", "}} ${{", 1)
			}
			v, problems := ParseTree([]byte(text))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			lines := strings.Split(text, "\n")
			var found []string
			for _, e := range expressions(v) {
				at := strings.Index(e.Source, "@")
				for i, want := range e.Source[at : at+4] {
					p := e.Places(at + i)
					line := []rune(lines[p.Line-1])
					if p.Column > len(line) || line[p.Column-1] != want {
						t.Errorf("character %q of %q is said to be at %d:%d", want, e.Source, p.Line, p.Column)
					}
				}
				found = append(found, e.Source[at:at+4])
				if got := e.Places(0); got != e.Pos {
					t.Errorf("the first character is at %v, Pos is %v", got, e.Pos)
				}
			}
			if diff := cmp.Diff([]string{"@one", "@two"}, found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// expressions lists the expressions of a tree in file order.
func expressions(v *Value) []*Expression {
	var list []*Expression
	if v.Template != nil {
		for _, p := range v.Template.Parts {
			if p.Expr != nil {
				list = append(list, p.Expr)
			}
		}
	}
	for _, item := range v.Items {
		list = append(list, expressions(item)...)
	}
	for _, m := range v.Members {
		list = append(list, expressions(m.Value)...)
	}
	return list
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"${{ a }}":               "<a>",
		"x${{ a }}y":             "x<a>y",
		"${{ {'}}': {}} }}!":     "<{'}}': {}}>!",
		`${{ "}}" + '\'}}' }}`:   `<"}}" + '\'}}'>`,
		"${{ `}}` }}":            "<`}}`>",
		"${{ don't }} ${{ x }}":  "<don't> <x>",
		"${{ } }} ${{ x }}":      "<}> <x>",
		"$${{ a }} ${{ b }}":     "${{ a }} <b>",
		"${{ a }}${{ b }}":       "<a><b>",
		"${{ a":                  "unclosed at 0",
		"ab ${{ a ${{ b }}":      "unclosed at 3",
		"{{ a }} ${ b } $ {{ c ": "{{ a }} ${ b } $ {{ c ",
		"${{}}":                  "<>",
	} {
		pieces, unclosed := split(text)
		var got strings.Builder
		if unclosed >= 0 {
			fmt.Fprintf(&got, "unclosed at %d", unclosed)
		}
		for _, p := range pieces {
			if p.expression {
				got.WriteString("<" + strings.TrimSpace(p.text) + ">")
			} else {
				got.WriteString(p.text)
			}
		}
		if got.String() != want {
			t.Errorf("%q: got %q, want %q", text, got.String(), want)
		}
	}
}
