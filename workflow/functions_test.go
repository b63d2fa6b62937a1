package workflow

import (
	"strings"
	"testing"
)

// What is added or replaced among the functions gives the same text every time,
// in any order of a map.
func TestFunctions(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`keys(inputs.options)`:                                 `["x","y"]`,
		`values({"b": 2, "a": 1, "c": 3})`:                     `[1,2,3]`,
		`toPairs({"b": 2, "a": 1})`:                            `[["a",1],["b",2]]`,
		`fromPairs([["a", 1]])`:                                `{"a":1}`,
		`toJSON({"b": [1, nil], "a": "<"})`:                    `"{\"a\":\"<\",\"b\":[1,null]}"`,
		`string(1.0) + string(true) + string(inputs.walltime)`: `"1true1h30m0s"`,
		`basename("/a/b.nc") + " " + dirname("/a/b.nc")`:       `"b.nc /a"`,
		`join_path("a", "../b", "c/")`:                         `"b/c"`,
		`join([1, "x", true], "-")`:                            `"1-x-true"`,
		`replace("aaa", "a", "bc", 2)`:                         `"bcbca"`,
		`flatten([1, [2, [3]]])`:                               `[1,2,3]`,
		`repeat("ab", 3)`:                                      `"ababab"`,
		`"a" + "b"`:                                            `"ab"`,
		`inputs.options.x + 1`:                                 `2.5`,
		`inputs.walltime + duration("30m")`:                    `"2h0m0s"`,
		`inputs.walltime > duration("1h")`:                     `true`,
		`let a = inputs.n; a + a`:                              `14`,
		`inputs.n in [6, 7] && !(inputs.title in ["x"])`:       `true`,
		`(steps.a.outputs?.any?.no ?? 1) + 1`:                  `2`,
		`inputs.title | upper() | trim()`:                      `"A B"`,
		`inputs.levels[-1] + inputs["n"]`:                      `67`,
	} {
		for range 3 {
			w := load(t, evalHead+"outputs:\n  x: '${{ "+strings.ReplaceAll(source, "'", "''")+" }}'\n")
			got, err := w.EvalOutputs(evalScope(t))
			if err != nil || string(got) != `{"x":`+want+`}` {
				t.Errorf("%s: %s, %v; want %s", source, got, err, want)
			}
		}
	}
}

// Texts and lists that would fill the memory are refused before they are made.
func TestFunctionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`repeat("x", 1000000000)`,
		`let a = repeat("x", 1000000); let b = a + a; b + b`,
		`let a = repeat("x", 1000000); replace(a, "x", a)`,
		`let a = repeat("x", 1000000); join([a, a, a], a)`,
		`let a = repeat("x", 1000000); toJSON([a, a])`,
		`len(1..1000000000)`,
		`let a = 1..100; let b = map(a, a); let c = map(a, b); let d = map(a, c); flatten(d)`,
		`let a = 1..100; let b = map(a, a); let c = map(a, b); map(a, c)`,
	} {
		w := load(t, evalHead+"outputs:\n  x: '${{ "+source+" }}'\n")
		if got, err := w.EvalOutputs(evalScope(t)); err == nil {
			t.Errorf("%s gave %d bytes", source, len(got))
		}
	}
}
