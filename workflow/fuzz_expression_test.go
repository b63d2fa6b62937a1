package workflow

import (
	"strings"
	"testing"
	"time"
)

// expressionSeeds are right, wrong and hostile.
var expressionSeeds = []string{
	"inputs.n + 1", "inputs.title + 'x'", "steps.a.outputs?.int ?? 0", "map(inputs.levels, # * 2)",
	"filter(steps.sweep.instances, .state == 'succeeded')", "let x = inputs.n; x + x", "date(run.started_at).Year()",
	"inputs", "steps", "$env", "$env['inputs']", "inputs[inputs.title]", "::now()", "now()", "get(inputs, 'n')",
	"reduce(1..10, #acc + #)", "toJSON(inputs)", "keys(inputs.options)", "(" + strings.Repeat("!", 60) + "true)",
	strings.Repeat("[", 500), strings.Repeat("(", 2000), strings.Repeat("{a:", 300), "1..1000000000", "repeat('x', 1000000000)",
	"let a = repeat('x', 1000000); let b = a + a; b + b", "flatten([[[[[[1]]]]]])", "'\\u00e4' matches '['", "a?.b?.c ?? d",
	"true ? 1 : 'x'", "if true { 1 } else { 2 }", "1; 2; inputs.n", "b'x'", "0x7fffffffffffffff + 1", "1 / 0", "1 % 0", "9223372036854775807 + 1",
	"inputs.levels[10]", "inputs.levels[-1]", "first([])", "sum([])", "inputs.on and not inputs.on", "each.item", "matrix.dt", "secrets.HOOK",
	"é.ü", "'" + strings.Repeat("é", 100) + "' + 1", "success() || failure()", "fromJSON('{\"a\":[1]}').a[0]", "max(1..100)", "run.failed_steps",
	"inputs.walltime > duration('1h')", "upper(nil)", "nil", "#", ".x", "map([1], map([2], # + #index))", "split(inputs.title, '')[0:1]",
}

const fuzzHead = evalHead + "  - { id: sweep, uses: noop, matrix: { dt: [1, 2] } }\n"

// FuzzExpression compiles and evaluates without the file around.
func FuzzExpression(f *testing.F) {
	for _, s := range expressionSeeds {
		f.Add(s)
	}
	w := load(f, fuzzHead+"  - { id: z, uses: noop }\n")
	f.Fuzz(func(t *testing.T, source string) {
		once := func() (string, string) {
			k := newChecker(w, testCatalogue(), CheckOptions{})
			k.checkStepTypes()
			e := &Expression{Source: source, Pos: Pos{Line: 1, Column: 1}}
			at := k.stepPlace(k.byID["z"], "with")
			at.secrets = true
			_, program := k.expression(e, at)
			if program == nil {
				if len(k.problems) != 1 || k.problems[0].Message == "" {
					t.Fatalf("no program, and problems %v", k.problems)
				}
				return "", k.problems.Error()
			}
			if len(k.problems) > 0 {
				t.Fatalf("a program in spite of %v", k.problems)
			}
			if slow(source) {
				return "", ""
			}
			v, err := programs{e: program}.expression(e, fuzzScope(t))
			if err != nil {
				return "", err.Error()
			}
			text, err := CanonicalJSON(v)
			if err != nil {
				return "", err.Error()
			}
			return string(text), ""
		}
		judge(t, once)
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range expressionSeeds {
		f.Add("a ${{ " + s + " }} b $${{ c ${{ inputs.n }}")
	}
	f.Add("${{")
	f.Add("}}")
	f.Add("${{ '}}' }}")
	f.Fuzz(func(t *testing.T, text string) {
		source := fuzzHead + "  - id: z\n    uses: noop\n    with: { any: " + quoted(text) + " }\n"
		judge(t, func() (string, string) { return loadAndEvaluate(t, source, slow(text)) })
	})
}

// judge wants the same result and the same problem twice, soon.
func judge(t *testing.T, once func() (result, problem string)) {
	start := cpu(t)
	result, problem := once()
	if d := cpu(t) - start; d > 5*time.Second {
		t.Fatalf("took %v", d)
	}
	if again, problemAgain := once(); again != result || problemAgain != problem {
		t.Fatalf("first %q %q, then %q %q", result, problem, again, problemAgain)
	}
}

// slow expressions can hold loops inside loops over long lists, which nothing
// bounds in time; they are only compiled here.
func slow(source string) bool {
	return strings.Count(source, "(") > 1 && (strings.Contains(source, "..") || strings.Contains(source, "repeat"))
}

func loadAndEvaluate(t *testing.T, source string, onlyLoad bool) (result, problem string) {
	w, problems := Load("fuzz.yaml", []byte(source), testCatalogue(), CheckOptions{})
	for _, p := range problems {
		if p.Message == "" || p.Pos.Line < 1 || p.Pos.Line > strings.Count(source, "\n")+1 {
			t.Fatalf("a problem without message or place: %+v", p)
		}
	}
	if len(problems) > 0 || onlyLoad {
		return "", problems.Error()
	}
	out, err := w.EvalWith(stepNamed(t, w, "z"), fuzzScope(t))
	if err != nil {
		return "", err.Error()
	}
	return string(out), ""
}

func fuzzScope(t *testing.T) *Scope {
	sc := evalScope(t)
	sc.Step = func(id string) StepFacts {
		if id == "sweep" {
			one := map[string]any{"key": "dt=1", "state": "succeeded", "matrix": map[string]any{"dt": 1}, "outputs": map[string]any{"int": 1}}
			return StepFacts{State: Succeeded, Instances: []any{one, one}}
		}
		return StepFacts{State: Succeeded, Outputs: map[string]any{"int": 3, "text": "x"}}
	}
	return sc
}

// quoted is a text as a YAML double-quoted scalar.
func quoted(text string) string {
	b, err := CanonicalJSON(strings.ToValidUTF8(text, "?"))
	if err != nil {
		return `""`
	}
	return string(b)
}
