package oracle

import "testing"

// TestDecodeYAML: what the decoder makes of a text, as JSON; of others nothing.
func TestDecodeYAML(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, yaml, want string }{
		{"scalars", `[1, -2.5, true, null, yes, a b, "1", 'it''s', "a\"b\\"]`, `[1,-2.5,true,null,"yes","a b","1","it's","a\"b\\"]`},
		{"blocks", "a:\n  b: 1\n  c:\n    - x\n    - y: 2\n      z: 3\n    -\n      - 4\nd:\n- 5\ne:\nf: g # no\n", `{"a":{"b":1,"c":["x",{"y":2,"z":3},[4]]},"d":[5],"e":null,"f":"g"}`},
		{"flows", `{ a: [1, [2, {}], []], b: { c: "}, {" } } # no`, `{"a":[1,[2,{}],[]],"b":{"c":"}, {"}}`},
		{"expressions", "if: \"${{ a == 'b, c' }}\"\nwith: { n: \"${{ [1, 2][0] }}\" }", `{"if":"${{ a == 'b, c' }}","with":{"n":"${{ [1, 2][0] }}"}}`},
		{"a list in a list", "- - 1\n  - 2\n- 3\n", `[[1,2],3]`},
		{"a key twice", "a: 1\na: 2\n", ""},
		{"a key twice in a flow", "{ a: 1, a: 2 }", ""},
		{"too deep", "a: 1\n  b: 2\n", ""},
		{"no end", "a: [1, 2\n", ""},
		{"no quote", "a: \"b\n", ""},
		{"no comma", "a: [\"b\" \"c\"]\n", ""},
	} {
		v, err := decodeYAML(c.yaml)
		got := ""
		if err == nil {
			got = text(v)
		}
		if got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

// TestEvaluate: what expressions come to, as JSON; to nothing if they cannot be
// evaluated.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	sc := scope{
		roots: map[string]any{
			"matrix": mapping("d", 2.0, "e", "p"),
			"steps": mapping(
				"a", mapping("state", "failed"), "b", mapping("state", "succeeded", "outputs", mapping("n", 3.0)),
				"c", mapping("instances", []any{mapping("state", "failed"), mapping("state", "succeeded", "outputs", mapping("n", 4.0))}),
			),
		},
		status: map[string]bool{"success": false, "failure": true},
	}
	for _, c := range []struct{ expression, want string }{
		{`1 + 2 == 3 && !success()`, `true`},
		{`failure() and not success() or 1 > "a"`, `true`},
		{`matrix.d in [1, 2] ? matrix.e : 0`, `"p"`},
		{`steps.b.outputs.n - 1`, `2`},
		{`(steps.a.outputs?.n ?? 7) < 5`, `false`},
		{`steps.a.outputs?.n ?? 7 + 1`, `8`},
		{`[steps.a.state, "x"][1]`, `"x"`},
		{`map(filter(steps.c.instances, .state == 'succeeded'), .outputs.n)`, `[4]`},
		{`map([1, 2], # + 1)`, `[2,3]`},
		{`sum([1, 2]) + len([])`, `3`},
		{`any(steps.c.instances, .outputs?.n == 4) && all([], #)`, `true`},
		{`all(steps.c.instances, .state == 'succeeded' && .outputs.n == 4)`, `false`},
		{`steps.a.outputs.n`, ``},
		{`steps.a.outputs`, ``},
		{`map(steps.c.instances, .outputs.n)`, ``},
		{`[1][1]`, ``},
		{`matrix.e < 2`, ``},
		{`!matrix.d`, ``},
		{`nothing(1)`, ``},
		{`1 +`, ``},
		{`(1`, ``},
		{`1 2`, ``},
		{`'a`, ``},
	} {
		got := ""
		n, err := parseExpression(c.expression)
		if err == nil {
			var v any
			if v, err = evaluate(n, sc); err == nil {
				got = text(v)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.expression, got, err, c.want)
		}
	}
}

// TestReadRefuses: what the interpreter does not know it does not pass over.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"version: 1\ntimeout: 1h\nsteps: []\n",
		"version: 1\nsteps:\n  - { id: a, uses: act, timeout: 1h }\n",
		"version: 1\nsteps:\n  - { id: a, uses: act, with: { n: \"${{ 1 + }}\" } }\n",
		"- 1\n",
	} {
		if _, err := Read(source); err == nil {
			t.Errorf("no error for\n%s", source)
		}
	}
}
