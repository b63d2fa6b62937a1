package steps

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

var (
	_ workflow.Catalogue = (*Library)(nil)
	_ engine.Library     = (*Library)(nil)
)

// TestSpecs fails for a step type that leaves something unsaid.
func TestSpecs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, spec := range Catalogue().All() {
		missing := func(what string) { t.Errorf("%s: %s", spec.Name, what) }
		if spec.Name == "" || seen[spec.Name] {
			missing("no name of its own")
		}
		seen[spec.Name] = true
		switch {
		case spec.Group == "" || spec.Summary == "" || spec.Doc == "":
			missing("no group, summary or doc")
		case strings.HasSuffix(spec.Summary, "."):
			missing("the summary ends in a full stop")
		case spec.Causes == nil:
			missing("does not say what it can fail with")
		case !strings.HasPrefix(spec.Example, "- id: ") || !strings.Contains(spec.Example, "\n  uses: "+spec.Name+"\n"):
			missing("no example of itself")
		case !spec.Idempotent && !spec.Resumable && !spec.Fenced && spec.IdempotentWith == nil:
			missing("does not say what happens after an interruption")
		case spec.Version < 1 || spec.Decode == nil:
			missing("not made by define")
		}
		for _, c := range spec.RetryOnly {
			if !slices.Contains(workflow.FailureCauses(), c) {
				missing("retries an unknown cause")
			}
		}
		for _, c := range spec.Causes {
			if !slices.Contains(workflow.FailureCauses(), c) {
				missing("unknown cause " + string(c))
			}
		}
		checkFields(t, spec.Name+".inputs", spec.Inputs)
		checkFields(t, spec.Name+".outputs", spec.Outputs)
		if _, ok := spec.Input("system"); ok != spec.Remote {
			missing("a remote type has the input system, and only such a type")
		}
	}
}

func checkFields(t *testing.T, where string, list []workflow.Field) {
	t.Helper()
	for _, f := range list {
		at := where + "." + f.Name
		switch {
		case f.Name == "" || f.Name == "-" || f.Type.Kind == "":
			t.Errorf("%s: no name or type", at)
		case f.Doc == "" || !strings.HasSuffix(f.Doc, "."):
			t.Errorf("%s: no sentence about it", at)
		case f.Type.Kind == workflow.Int && f.Unit == "" && (strings.HasSuffix(f.Name, "_bytes") || f.Name == "nodes"):
			t.Errorf("%s: no unit", at)
		case f.Required && (f.Default != nil || f.FromDefaults):
			t.Errorf("%s: required, and yet has a default", at)
		}
		if f.Type.Kind == workflow.Object {
			checkFields(t, at, f.Type.Fields)
		}
		if f.Type.Elem != nil && f.Type.Elem.Kind == workflow.Object {
			checkFields(t, at, f.Type.Elem.Fields)
		}
	}
}

// examples are the workflows that people read first.
const examples = "../examples/workflows"

// TestExamples checks the example workflows, and that the example of every step
// type stands in one of them.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(withoutComments(string(text)))
		checkWorkflow(t, file, text)
	}
	for _, spec := range Catalogue().All() {
		if example := indent(spec.Example); !strings.Contains(all.String(), example) {
			t.Errorf("no example workflow has the example of %s:\n%s", spec.Name, example)
		}
	}
}

func checkWorkflow(t *testing.T, file string, text []byte) {
	t.Helper()
	_, problems := workflow.Load(file, text, Catalogue(), workflow.CheckOptions{DefaultSystem: "one", ReadFile: filesIn(filepath.Dir(file))})
	for _, p := range problems {
		t.Errorf("%s:%d:%d: %s (%s) %s", file, p.Pos.Line, p.Pos.Column, p.Message, p.Code, p.Hint)
	}
}

var comment = regexp.MustCompile(`(?m)[ \t]+# .*$`)

func withoutComments(text string) string { return comment.ReplaceAllString(text, "") }

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

func TestCatalogueExecutesNothing(t *testing.T) {
	t.Parallel()
	catalogue, library := Catalogue(), New(Config{})
	defer library.Close()
	if diff := cmp.Diff(catalogue.Names(), library.Names()); diff != "" {
		t.Errorf("-catalogue +library:\n%s", diff)
	}
	for _, name := range catalogue.Names() {
		if step, _ := catalogue.Lookup(name); step.Run != nil {
			t.Errorf("the catalogue executes %s", name)
		}
		if step, _ := library.Lookup(name); step.Run == nil {
			t.Errorf("%s cannot be executed", name)
		}
	}
	if _, ok := catalogue.Step("nothing"); ok {
		t.Error("finds a type that does not exist")
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	spec, _ := Catalogue().Step("job")
	got, err := spec.Decode(json.RawMessage(`{"script":"#!/bin/sh","resources":{"time":"1h30m0s","memory":1024,"nodes":2},"env":{"A":"b"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := jobIn{
		batchIn: batchIn{
			Script: "#!/bin/sh", Env: map[string]string{"A": "b"},
			Resources: resourcesIn{Time: duration(90 * time.Minute), Memory: 1024, Nodes: 2},
			Fence:     "auto",
		},
		KeepOutput: "failed",
	}
	if diff := cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{`{"scrip":"x"}`, `{"resources":{"node":1}}`, `{"resources":{"time":"soon"}}`, `[]`} {
		if got, err := spec.Decode(json.RawMessage(bad)); err == nil {
			t.Errorf("%s gives %+v", bad, got)
		}
	}
}

// TestCodes shows one mistake for each code that a step type reports.
func TestCodes(t *testing.T) {
	t.Parallel()
	tests := []struct{ uses, with, dynamic, code, path string }{
		{"head", `{"path":"x","lines":1,"bytes":2}`, "", codeExclusive, "bytes"},
		{"tail", `{"path":"x","lines":-1}`, "", codeOutOfRange, "lines"},
		{"upload", `{"from":"https://host/file"}`, "", codeStoreAddress, "from"},
		{"upload", `{"from":"x","to":"s3://bucket/key"}`, "", codeStoreAddress, "to"},
		{"download", `{"from":"s3://bucket/key"}`, "", codeStoreAddress, "from"},
		{"upload", `{"from":"in/*.nc"}`, "", "", ""},
		{"download", `{"from":"x","to":"s3://bucket/key"}`, "", "", ""},
		{"job", `{"script":"echo"}`, "", codeScript, "script"},
		{"job", `{"script":"#!/bin/sh\n#SBATCH --parsable"}`, "", codeDirective, "script"},
		{"submit", `{"script":"#!/bin/sh\n#SBATCH -N 2","resources":{"nodes":1}}`, "", codeDirective, "script"},
		{"job", `{"script":"#!/bin/sh\n#SBATCH -A me","account":"you"}`, "", codeDirective, "script"},
		{"job", `{"script":"#!/bin/sh","directives":["--wait"]}`, "", codeDirective, "directives"},
		{"job", `{"script":"#!/bin/sh","env":{"UID":"0"}}`, "", codeEnvName, "env.UID"},
		{"job", `{"script":"#!/bin/sh","resources":{"nodes":-1}}`, "", codeOutOfRange, "resources"},
		{"job", `{}`, "", codeExclusive, ""},
		{"job", `{"script":"#!/bin/sh"}`, "script_file", codeExclusive, "script_file"},
		{"job", `{"remote_script":"/x","env":{"A":"b"}}`, "", codeExclusive, "remote_script"},
		{"job", `{"script":"#!/bin/sh","outputs":{"e":{"regex":"("}}}`, "", codeJobOutput, "outputs.e"},
		{"job", `{"script":"#!/bin/sh","outputs":{"e":{"json":"a..b"}}}`, "", codeJobOutput, "outputs.e"},
		{"job", `{"script":"#!/bin/sh","outputs":{"e":{"regex":"x","csv":"y"}}}`, "", codeJobOutput, "outputs.e"},
		{"job", `{"script":"#!/bin/sh","outputs":{"state":{"regex":"x"}}}`, "", codeJobOutput, "outputs.state"},
		{"job", `{"script":"#!/bin/sh","outputs":{"E":{"regex":"x"}}}`, "", codeJobOutput, "outputs.E"},
		{"run", `{"script":"x","command":["y"]}`, "", codeExclusive, "command"},
		{"run", `{}`, "", codeExclusive, ""},
		{"run", `{"script":"x","env":{"a-b":""}}`, "", codeEnvName, "env.a-b"},
		{"s3_get", `{"from":"bucket/key"}`, "", codeStoreAddress, "from"},
		{"s3_put", `{"from":"x","to":"https://bucket/key"}`, "", codeStoreAddress, "to"},
		{"s3_list", `{"path":"s3://bucket","limit":10001}`, "", codeOutOfRange, "limit"},
		{"s3_list", `{"path":"s3://bucket","access_key":"x"}`, "", codeExclusive, ""},
		{"s3_list", `{"path":"s3://bucket","anonymous":true,"secret_key":"x"}`, "access_key", codeExclusive, "anonymous"},
		{"s3_list", `{"path":"s3://bucket","access_key":"x"}`, "secret_key", "", ""},
		{"http", `{"url":"ftp://host/x"}`, "", codeWebAddress, "url"},
		{"http", `{"url":"host/x"}`, "", codeWebAddress, "url"},
		{"http", `{"expect":[200,99]}`, "url", codeOutOfRange, "expect"},
		{"http", `{"url":"https://host","timeout":"-1s"}`, "", codeOutOfRange, "timeout"},
		{"http", `{"url":"http://host/x","expect":[404]}`, "", "", ""},
		{"notify", `{"webhook":"http://host/x","text":"x"}`, "", codeWebAddress, "webhook"},
		{"notify", `{"webhook":"http://127.0.0.1:1/x","text":"x"}`, "", "", ""},
		{"notify", `{"text":"x"}`, "webhook", "", ""},
		{"wait_for_file", `{}`, "", codeExclusive, ""},
		{"wait_for_file", `{"local":"x"}`, "remote", codeExclusive, ""},
		{"wait_for_file", `{"object":"bucket/key"}`, "", codeStoreAddress, "object"},
		{"wait_for_file", `{"local":"x","stable_for":"-1s"}`, "", codeOutOfRange, ""},
		{"wait_for_file", `{"object":"s3://bucket/key","min_size":1}`, "", "", ""},
		{"run", `{}`, "command", "", ""},
		{"job", `{}`, "script_file", "", ""},
		{"upload", `{"from":"notes.txt","to":"in/"}`, "", "", ""},
	}
	found := map[workflow.ProblemCode]bool{}
	for _, test := range tests {
		spec, _ := Catalogue().Step(test.uses)
		problems := spec.CheckWith(json.RawMessage(test.with), func(name string) bool { return name == test.dynamic })
		if test.code == "" {
			if len(problems) > 0 {
				t.Errorf("%s %s: %+v", test.uses, test.with, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Code != test.code || strings.Join(problems[0].Path, ".") != test.path || problems[0].Message == "" {
			t.Errorf("%s %s: %+v, want %s at %q", test.uses, test.with, problems, test.code, test.path)
			continue
		}
		found[workflow.ProblemCode(test.code)] = true
	}
	for _, code := range Codes() {
		if !found[code] {
			t.Errorf("no mistake shows %s", code)
		}
	}
}
