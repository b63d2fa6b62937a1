package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonValues reads JSON as a scope holds it.
func jsonValues(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := DecodeValue([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

const evalHead = `version: 1
name: test
inputs:
  n: { type: int, default: 7 }
  tolerance: { type: float, default: 1.10 }
  walltime: { type: duration, default: 90m }
  memory: { type: size, default: 2GiB }
  mesh: { type: file, default: ./mesh.nc }
  title: { type: string, default: a b }
  levels: { type: "list<int>", default: [40, 60] }
  options: { type: "map<any>", default: { x: 1.50, y: null } }
  on: { type: bool, default: true }
secrets: [HOOK, KEY]
defaults: { system: daint, account: "acc-${{ inputs.n }}", workdir: "${{ run.remote_dir }}" }
steps:
  - { id: a, uses: noop }
`

func evalScope(t testing.TB) *Scope {
	return &Scope{
		Inputs: jsonValues(t, `{"n":7,"tolerance":1.10,"walltime":"1h30m0s","memory":2147483648,"mesh":"/w/mesh.nc",
			"title":"a b","levels":[40,60],"options":{"x":1.50,"y":null},"on":true}`),
		Run:     RunFacts{ID: "01J", Name: "test", StartedAt: "2026-03-01T02:30:00Z", RemoteDir: "/scratch/me/01J"},
		Attempt: 2,
		Success: true,
		Secrets: func(name string) (string, error) {
			if name == "KEY" {
				return "", errors.New("no such file")
			}
			return "s3cret-" + name, nil
		},
		Step: func(id string) StepFacts {
			if id != "a" {
				t.Errorf("asked for step %q, which no expression names", id)
			}
			return StepFacts{State: Succeeded, Outputs: jsonValues(t, `{"text":"out","int":3,"float":2.50,"list":[1,2],"any":{"deep":[1.10]},"state":"x"}`)}
		},
	}
}

func TestEvalWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ step, want string }{
		"defaults of the step type": {"uses: noop", `{"mode":"fast"}`},
		"literals": {`uses: noop, with: { int: 4, float: 1.10, text: 1.10, bool: false, duration: 1d, size: 64GiB, list: [1, 2], any: { b: 1.0, a: [x, null] } }`,
			`{"any":{"a":["x",null],"b":1.0},"bool":false,"duration":"24h0m0s","float":1.10,"int":4,"list":[1,2],"mode":"fast","size":68719476736,"text":"1.10"}`},
		"slurm time":                   {`uses: noop, with: { duration: "1-02:00:00" }`, `{"duration":"26h0m0s","mode":"fast"}`},
		"whole expressions keep types": {`uses: noop, with: { int: "${{ inputs.n }}", float: "${{ inputs.tolerance }}", duration: "${{ inputs.walltime }}", size: "${{ inputs.memory }}", list: "${{ inputs.levels }}", bool: "${{ inputs.on }}", any: "${{ inputs.options }}" }`, `{"any":{"x":1.50,"y":null},"bool":true,"duration":"1h30m0s","float":1.10,"int":7,"list":[40,60],"mode":"fast","size":2147483648}`},
		"arithmetic":                   {`uses: noop, with: { int: "${{ inputs.n * 2 + 1 }}", float: "${{ inputs.n / 2 }}", duration: "${{ inputs.walltime * 2 }}", size: "${{ inputs.memory * 2 }}" }`, `{"duration":"3h0m0s","float":3.5,"int":15,"mode":"fast","size":4294967296}`},
		"an int is a float":            {`uses: noop, with: { float: "${{ inputs.n }}" }`, `{"float":7,"mode":"fast"}`},
		"scalars as text":              {`uses: noop, with: { map: { a: "${{ inputs.n }}", b: "${{ inputs.tolerance }}", c: "${{ inputs.walltime }}", d: "${{ inputs.on }}", e: "${{ inputs.mesh }}", f: 7 } }`, `{"map":{"a":"7","b":"1.10","c":"1h30m0s","d":"true","e":"/w/mesh.nc","f":"7"},"mode":"fast"}`},
		"interpolation":                {`uses: noop, with: { text: "n=${{ inputs.n }} t=${{ inputs.tolerance }} w=${{ inputs.walltime }} $${{ x }} ${{ inputs.tolerance * 1 }}" }`, `{"mode":"fast","text":"n=7 t=1.10 w=1h30m0s ${{ x }} 1.1"}`},
		"units by interpolation":       {`uses: noop, with: { duration: "${{ inputs.n }}h", size: "${{ inputs.n }}GiB" }`, `{"duration":"7h0m0s","mode":"fast","size":7516192768}`},
		"enum from an expression":      {`uses: noop, with: { mode: "${{ inputs.on ? 'careful' : 'fast' }}" }`, `{"mode":"careful"}`},
		"outputs":                      {`uses: noop, with: { any: "${{ steps.a.outputs.any }}", float: "${{ steps.a.outputs.float }}", text: "${{ steps.a.state }}", list: "${{ steps.a.outputs.list }}" }`, `{"any":{"deep":[1.10]},"float":2.50,"list":[1,2],"mode":"fast","text":"succeeded"}`},
		"optional":                     {`uses: noop, with: { int: "${{ steps.a.outputs?.int ?? 0 }}" }`, `{"int":3,"mode":"fast"}`},
		"closures":                     {`uses: noop, with: { list: "${{ map(filter(inputs.levels, # > 40), # / 10 | int()) }}", text: '${{ join(inputs.levels, ":") }}' }`, `{"list":[6],"mode":"fast","text":"40:60"}`},
		"functions":                    {`uses: noop, with: { text: "${{ join_path(dirname(inputs.mesh), 'out', basename(inputs.mesh)) }}", any: "${{ toJSON(inputs.options) }}" }`, `{"any":"{\"x\":1.5,\"y\":null}","mode":"fast","text":"/w/out/mesh.nc"}`},
		"dates":                        {`uses: noop, with: { text: '${{ date(run.started_at).Format("2006-01-02") }}' }`, `{"mode":"fast","text":"2026-03-01"}`},
		"workflow defaults":            {`uses: submit, with: { script: x }`, `{"resources":{"account":"acc-7","nodes":1},"script":"x","system":"daint","workdir":"/scratch/me/01J"}`},
		"own values win":               {`uses: submit, with: { script: x, system: eiger, workdir: /w, resources: { account: mine, nodes: "${{ attempt }}" } }`, `{"resources":{"account":"mine","nodes":2},"script":"x","system":"eiger","workdir":"/w"}`},
		"object defaults":              {`uses: job, with: { script: x, outputs: { e: { regex: "E=(.*)" } } }`, `{"outputs":{"e":{"from":"stdout","regex":"E=(.*)","type":"text"}},"resources":{"account":"acc-7","nodes":1},"script":"x","system":"daint","workdir":"/scratch/me/01J"}`},
		"secrets":                      {`uses: notify, with: { webhook: "https://x/${{ secrets.HOOK }}", text: t }`, `{"text":"t","webhook":"https://x/s3cret-HOOK"}`},
		"status":                       {`uses: noop, with: { text: '${{ failure() ? "bad" : "good" }}' }`, `{"mode":"fast","text":"good"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := load(t, evalHead+"  - { id: z, "+tc.step+" }\n")
			got, err := w.EvalWith(stepNamed(t, w, "z"), evalScope(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEvalWithFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ step, want string }{
		"missing output":      {`uses: noop, with: { text: "${{ steps.a.outputs.any.nothing }}" }`, `with.text: ${{ steps.a.outputs.any.nothing }} on line 17: gives nothing; say what to use then: … ?? value`},
		"missing in a call":   {`uses: noop, with: { text: "${{ string(steps.a.outputs.any.nothing) }}" }`, `with.text: ${{ string(steps.a.outputs.any.nothing) }} on line 17: there is no value`},
		"no value below":      {`uses: noop, with: { text: "${{ upper(steps.a.outputs.any.no.thing) }}" }`, `with.text: ${{ upper(steps.a.outputs.any.no.thing) }} on line 17: there is no value to take thing from`},
		"type at run time":    {`uses: noop, with: { int: "${{ steps.a.outputs.any.deep }}" }`, `with.int: must be a whole number, not a list`},
		"fraction":            {`uses: noop, with: { int: "${{ steps.a.outputs.any.deep[0] }}" }`, `with.int: must be a whole number, not the number 1.1`},
		"list in text":        {`uses: noop, with: { text: "x ${{ steps.a.outputs.any }}" }`, `with.text: ${{ steps.a.outputs.any }} on line 17: a mapping cannot stand in text; use join(…) or toJSON(…)`},
		"enum":                {`uses: noop, with: { mode: "${{ inputs.title }}" }`, `with.mode: must be fast or careful, not "a b"`},
		"tilde":               {`uses: compress, with: { source: "~${{ inputs.n > 0 ? '/x' : '' }}", target: t }`, `with.source: "~/x": ~ is not expanded; write the full path, or one relative to workdir`},
		"quote in a path":     {`uses: compress, with: { source: "${{ inputs.title }}'", target: t }`, `with.source: "a b'": a remote path cannot hold a single quote; the server puts paths between single quotes; rename the file`},
		"unresolvable secret": {`uses: notify, with: { webhook: "${{ secrets.KEY }}", text: t }`, `with.webhook: ${{ secrets.KEY }} on line 17: secret KEY: no such file`},
		"secret in an error":  {`uses: notify, with: { webhook: "${{ string(int(secrets.HOOK)) }}", text: t }`, `with.webhook: ${{ string(int(secrets.HOOK)) }} on line 17: cannot be evaluated (the reason is not shown, because it may hold a secret)`},
		"text without end":    {`uses: noop, with: { text: '${{ repeat("ab", 1000000) }}' }`, `with.text: ${{ repeat("ab", 1000000) }} on line 17: the text grows over 1 MiB`},
		"list without end":    {`uses: noop, with: { int: '${{ len(1..5000000) }}' }`, `with.int: ${{ len(1..5000000) }} on line 17: the list grows over 4,000,000 elements`},
		"absolute join":       {`uses: noop, with: { text: '${{ join_path("a", inputs.mesh) }}' }`, `with.text: ${{ join_path("a", inputs.mesh) }} on line 17: "/w/mesh.nc" is absolute and cannot follow "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := load(t, evalHead+"  - { id: z, "+tc.step+" }\n")
			got, err := w.EvalWith(stepNamed(t, w, "z"), evalScope(t))
			if err == nil {
				t.Fatalf("got %s", got)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRemoteDirIsAnErrorWhereNoSystemIsBound(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead+"  - { id: z, uses: submit, with: { script: x } }\n")
	sc := evalScope(t)
	sc.Run.RemoteDir = ""
	s := stepNamed(t, w, "z")
	if _, err := w.EvalWith(s, sc); err == nil || !strings.Contains(err.Error(), "workdir: from defaults: ${{ run.remote_dir }} on line 14: gives nothing") {
		t.Errorf("%v", err)
	}
	// The system is asked for before it is bound.
	if v, err := w.EvalField(s, "system", sc); v != "daint" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
}

func TestEvalField(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead+"  - { id: z, uses: noop, with: { int: '${{ inputs.n }}', list: [1] } }\n")
	s := stepNamed(t, w, "z")
	for name, want := range map[string]any{
		"int": json.Number("7"), "list": []any{json.Number("1")}, "mode": "fast", "text": nil,
	} {
		if got, err := w.EvalField(s, name, evalScope(t)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	if _, err := w.EvalField(s, "txt", evalScope(t)); err == nil {
		t.Error("a field that does not exist was evaluated")
	}
}

func TestRecordedFormNamesSecrets(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead+"  - { id: z, uses: run, with: { script: x, env: { A: '${{ secrets.HOOK }}', B: 'x-${{ secrets.HOOK }}-${{ secrets.KEY }}', C: '${{ inputs.n }}' } } }\n")
	sc := evalScope(t)
	sc.Secrets = nil
	got, err := w.EvalWith(stepNamed(t, w, "z"), sc)
	want := `{"env":{"A":{"secret":"HOOK"},"B":{"secret":"HOOK, KEY"},"C":"7"},"script":"x"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestEvalIf(t *testing.T) {
	t.Parallel()
	type facts struct{ success, failure, cancelled bool }
	good, bad, stopped := facts{success: true}, facts{failure: true}, facts{cancelled: true}
	for name, tc := range map[string]struct {
		cond    string
		finally bool
		facts   facts
		want    bool
	}{
		"default":                    {"", false, good, true},
		"default after a failure":    {"", false, bad, false},
		"plain":                      {"inputs.n > 3", false, good, true},
		"plain and false":            {"inputs.n > 30", false, good, false},
		"plain after a failure":      {"inputs.n > 3", false, bad, false},
		"status":                     {"failure() && inputs.n > 3", false, bad, true},
		"status unmet":               {"failure()", false, good, false},
		"always":                     {"always()", false, bad, true},
		"cancelled":                  {"cancelled()", false, stopped, true},
		"finally default":            {"", true, bad, true},
		"finally plain":              {"inputs.n > 3", true, bad, true},
		"finally status":             {"failure()", true, good, false},
		"name of a function in text": {`"failure()" != ""`, false, bad, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := "  - { id: z, uses: noop"
			if tc.cond != "" {
				step += ", if: '${{ " + tc.cond + " }}'"
			}
			step += " }\n"
			if tc.finally {
				step = "finally:\n" + step
			}
			w := load(t, evalHead+step)
			sc := evalScope(t)
			sc.Success, sc.Failure, sc.Cancelled = tc.facts.success, tc.facts.failure, tc.facts.cancelled
			if got, err := w.EvalIf(stepNamed(t, w, "z"), sc); got != tc.want || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestEvalIfReportsErrors(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead+"  - { id: z, uses: noop, if: '${{ steps.a.outputs.any.x > 3 }}' }\n")
	_, err := w.EvalIf(stepNamed(t, w, "z"), evalScope(t))
	if err == nil || !strings.HasPrefix(err.Error(), "if: ${{ steps.a.outputs.any.x > 3 }} on line 17: ") {
		t.Errorf("%v", err)
	}
	w = load(t, evalHead+"  - { id: z, uses: noop, if: '${{ steps.a.outputs.any }}' }\n")
	if _, err := w.EvalIf(stepNamed(t, w, "z"), evalScope(t)); err == nil || err.Error() != "if: must be true or false, not a mapping" {
		t.Errorf("%v", err)
	}
}

func TestEvalOutputs(t *testing.T) {
	t.Parallel()
	w := load(t, `version: 1
name: test
steps:
  - { id: a, uses: noop }
  - { id: sweep, uses: job, matrix: { dt: [30, 60, 90] }, with: { script: x, outputs: { energy: { regex: E, type: float } } } }
outputs:
  energies: ${{ map(filter(steps.sweep.instances, .state == "succeeded"), .outputs.energy) }}
  slow: ${{ filter(steps.sweep.instances, .matrix.dt >= 60) | map(.key) }}
  fixed: { b: 1.10, a: [x] }
  text: "${{ len(steps.sweep.instances) }} runs, ${{ steps.a.outputs.float }}"
`)
	instance := func(dt int, state, outputs string) any {
		m := map[string]any{"key": "dt=" + string(rune('0'+dt/10)) + "0", "matrix": map[string]any{"dt": dt}, "state": state}
		if outputs != "" {
			m["outputs"] = jsonValues(t, outputs)
		}
		return m
	}
	sc := &Scope{Step: func(id string) StepFacts {
		if id == "a" {
			return StepFacts{State: Succeeded, Outputs: jsonValues(t, `{"float":2.50}`)}
		}
		return StepFacts{State: Failed, Instances: []any{
			instance(30, "succeeded", `{"energy":-1.5}`), instance(60, "failed", ""), instance(90, "succeeded", `{"energy":3}`),
		}}
	}}
	got, err := w.EvalOutputs(sc)
	want := `{"energies":[-1.5,3],"fixed":{"a":["x"],"b":1.10},"slow":["dt=60","dt=90"],"text":"3 runs, 2.50"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

func TestEvaluationIsRefusedBeforeCheck(t *testing.T) {
	t.Parallel()
	w, problems := Parse("test.yaml", []byte(evalHead))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if _, err := w.EvalWith(w.Steps[0], &Scope{}); !errors.Is(err, ErrNotChecked) {
		t.Errorf("EvalWith: %v", err)
	}
	if _, err := w.EvalOutputs(&Scope{}); !errors.Is(err, ErrNotChecked) {
		t.Errorf("EvalOutputs: %v", err)
	}
}

func TestBindInputs(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead)
	o := BindOptions{WorkflowDir: "/flows", CallerDir: "/home/me"}
	for name, tc := range map[string]struct {
		given map[string]string
		want  map[string]string
	}{
		"defaults": {nil, map[string]string{
			"n": "7", "tolerance": "1.10", "walltime": `"1h30m0s"`, "memory": "2147483648", "mesh": `"/flows/mesh.nc"`,
			"title": `"a b"`, "levels": "[40,60]", "options": `{"x":1.50,"y":null}`, "on": "true",
		}},
		"given": {
			map[string]string{"n": "8", "tolerance": "1e-3", "walltime": "1-00:00:00", "memory": "1MB", "mesh": "../m.nc",
				"title": "true", "levels": "[]", "options": "{ a: [1.0, x] }", "on": "false"},
			map[string]string{"n": "8", "tolerance": "1e-3", "walltime": `"24h0m0s"`, "memory": "1000000", "mesh": `"/home/m.nc"`,
				"title": `"true"`, "levels": "[]", "options": `{"a":[1.0,"x"]}`, "on": "false"}},
	} {
		got, problems := w.BindInputs(tc.given, o)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		texts := map[string]string{}
		for k, v := range got {
			texts[k] = string(v)
		}
		if diff := cmp.Diff(tc.want, texts); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	_, problems := w.BindInputs(map[string]string{"n": "8.5", "on": "yes", "levels": "[a", "memory": "12", "titel": "x"}, o)
	if len(problems) != 5 {
		t.Errorf("all problems at once, got %v", problems)
	}
}

// One checked workflow serves many runs at once.
func TestEvaluationIsConcurrent(t *testing.T) {
	t.Parallel()
	w := load(t, evalHead+"  - { id: z, uses: noop, with: { int: '${{ sum(map(inputs.levels, # + attempt)) }}', text: 'x ${{ steps.a.outputs.text + inputs.title }}' } }\n")
	s := stepNamed(t, w, "z")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				got, err := w.EvalWith(s, evalScope(t))
				if want := `{"int":104,"mode":"fast","text":"x outa b"}`; err != nil || string(got) != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
			}
		})
	}
	group.Wait()
}

// TestWorkdirStartsAtDefault: a relative workdir of a step lies below that of
// `defaults`; an absolute one stands for itself.
func TestWorkdirStartsAtDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ base, own, want string }{
		{"/scratch/x", "run1", "/scratch/x/run1"},
		{"/scratch/x", "../y", "/scratch/y"},
		{"/scratch/x", "/data", "/data"},
		{"/scratch/x", "", "/scratch/x"},
		{"${{ run.remote_dir }}/w", "run1", "/r/w/run1"},
	} {
		with := "{ from: a, to: b }"
		if c.own != "" {
			with = "{ from: a, to: b, workdir: " + c.own + " }"
		}
		text := "version: 1\nname: w\ndefaults: { system: daint, workdir: \"" + c.base + "\" }\nsteps:\n  - { id: a, uses: upload, with: " + with + " }\n"
		w, problems := Load("w.yaml", []byte(text), testCatalogue(), CheckOptions{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got, err := w.EvalField(w.Steps[0], "workdir", &Scope{Run: RunFacts{RemoteDir: "/r"}})
		if err != nil || got != c.want {
			t.Errorf("%s below %s is %v (%v), want %s", c.own, c.base, got, err, c.want)
		}
	}
}

// TestBindInputsBounded: inputs that a run could not record are refused before it
// begins.
func TestBindInputsBounded(t *testing.T) {
	t.Parallel()
	w := load(t, "version: 1\nname: w\ninputs: { text: { type: string } }\nsteps: [{ id: a, uses: noop }]\n")
	for size, want := range map[int]int{MaxInputBytes - 100: 0, MaxInputBytes: 1} {
		_, problems := w.BindInputs(map[string]string{"text": strings.Repeat("x", size)}, BindOptions{})
		if len(problems) != want || want > 0 && problems[0].Code != CodeInputValue {
			t.Errorf("%d bytes: %v", size, problems)
		}
	}
}
