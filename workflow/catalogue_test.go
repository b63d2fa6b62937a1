package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// testCatalogue is a small catalogue with one step type of each sort.
func testCatalogue() Catalogue {
	c := catalogueMap{}
	for _, spec := range []StepSpec{
		noopSpec(), runSpec(), uploadSpec(), downloadSpec(), compressSpec(), submitSpec(), waitSpec(), jobSpec(), notifySpec(), childSpec(),
	} {
		c[spec.Name] = spec
	}
	return c
}

type catalogueMap map[string]StepSpec

func (c catalogueMap) Step(uses string) (StepSpec, bool) {
	s, ok := c[uses]
	return s, ok
}

func (c catalogueMap) Names() []string { return sortedKeys(c) }

func text() Type     { return Type{Kind: String} }
func textMap() Type  { return Type{Kind: Map, Elem: new(text())} }
func textList() Type { return Type{Kind: List, Elem: new(text())} }

func system() Field {
	return Field{Name: "system", Type: text(), FromDefaults: true, Doc: "System to work on."}
}

func remotePath(name, doc string) Field {
	return Field{Name: name, Type: text(), Required: true, Path: RemotePath, Doc: doc}
}

// noop takes one input of every kind.
func noopSpec() StepSpec {
	value := func(name string, k Kind) Field { return Field{Name: name, Type: Type{Kind: k}} }
	outputs := []Field{value("text", String), value("int", Int), value("float", Float), value("any", Any),
		{Name: "list", Type: Type{Kind: List, Elem: &Type{Kind: Int}}}, {Name: "state", Type: text()}}
	return StepSpec{
		Name: "noop", Group: "control", Summary: "do nothing", Idempotent: true,
		Inputs: []Field{
			value("text", String), value("message", String), value("int", Int), value("float", Float), value("bool", Bool),
			value("duration", Duration), value("size", Size), value("file", File), value("any", Any),
			{Name: "list", Type: Type{Kind: List, Elem: &Type{Kind: Int}}},
			{Name: "map", Type: textMap()},
			{Name: "mode", Type: text(), Enum: []string{"fast", "careful"}, Default: json.RawMessage(`"fast"`)},
		},
		Outputs: outputs,
	}
}

func childSpec() StepSpec {
	return StepSpec{
		Name: "workflow", Group: "control", Summary: "run another workflow", SubWorkflow: true, Idempotent: true,
		Inputs: []Field{
			{Name: "file", Type: text(), Required: true, Literal: true, Path: LocalPath, Source: true},
			{Name: "inputs", Type: Type{Kind: Map}, Doc: "Its inputs, by name."},
		},
		Outputs: []Field{{Name: "run_id", Type: text(), Required: true}},
		Causes:  []Cause{CauseChild},
	}
}

func runSpec() StepSpec {
	return StepSpec{
		Name: "run", Group: "control", Summary: "run a local command",
		Inputs: []Field{
			{Name: "script", Type: text(), Required: true, Literal: true, Doc: "Commands for the shell."},
			{Name: "env", Type: textMap(), Secret: true},
			{Name: "dir", Type: text(), Path: LocalPath},
		},
		Outputs: []Field{{Name: "stdout", Type: text()}, {Name: "exit_code", Type: Type{Kind: Int}}},
		Causes:  []Cause{CauseExit},
	}
}

func uploadSpec() StepSpec {
	return StepSpec{
		Name: "upload", Group: "transfers", Summary: "upload files", Remote: true, Resumable: true,
		Inputs: []Field{
			system(),
			{Name: "from", Type: Type{Kind: File}, Required: true, Path: LocalPath, Doc: "File, directory or glob. It may be large."},
			remotePath("to", "Where it goes."),
			{Name: "workdir", Type: text(), Path: RemotePath, FromDefaults: true},
		},
		Outputs: []Field{{Name: "path", Type: text()}, {Name: "size", Type: Type{Kind: Size}}},
		Causes:  []Cause{CauseTransfer, CauseRejected},
	}
}

func downloadSpec() StepSpec {
	s := uploadSpec()
	s.Name, s.Summary = "download", "download files"
	s.Inputs = []Field{system(), remotePath("from", "What to fetch."), {Name: "to", Type: text(), Path: LocalPath, Default: json.RawMessage(`"."`)}}
	return s
}

func compressSpec() StepSpec {
	return StepSpec{
		Name: "compress", Group: "files", Summary: "pack a directory", Remote: true, Idempotent: true,
		Inputs: []Field{system(), remotePath("source", "What to pack."), remotePath("target", "The archive.")},
		Outputs: []Field{
			{Name: "source", Type: text(), Path: RemotePath}, {Name: "target", Type: text(), Path: RemotePath},
		},
		Causes: []Cause{CauseRejected},
	}
}

func resources() Field {
	return Field{Name: "resources", Type: Type{Kind: Object, Fields: []Field{
		{Name: "nodes", Type: Type{Kind: Int}, Default: json.RawMessage("1")},
		{Name: "time", Type: Type{Kind: Duration}},
		{Name: "memory", Type: Type{Kind: Size}},
		{Name: "partition", Type: text()},
		{Name: "account", Type: text(), FromDefaults: true},
		{Name: "exclusive", Type: Type{Kind: Bool}},
	}}}
}

func submitSpec() StepSpec {
	return StepSpec{
		Name: "submit", Group: "jobs", Summary: "submit a job", Remote: true, Fenced: true,
		Inputs: []Field{
			system(), resources(),
			{Name: "script", Type: text(), Required: true, Literal: true, Doc: "Text of the job script."},
			{Name: "env", Type: textMap()},
			{Name: "workdir", Type: text(), Path: RemotePath, FromDefaults: true},
		},
		Outputs:   []Field{{Name: "job_id", Type: text()}},
		Causes:    []Cause{CauseRejected},
		RetryOnly: []Cause{CauseAPI, CauseQueueTimeout},
		CheckWith: refuseDirectives,
	}
}

func waitSpec() StepSpec {
	return StepSpec{
		Name: "wait_for_job", Group: "jobs", Summary: "wait for a job", Remote: true, Idempotent: true, Job: true,
		Inputs:    []Field{system(), {Name: "job_id", Type: text(), Required: true}},
		Outputs:   []Field{{Name: "state", Type: text()}, {Name: "exit_code", Type: Type{Kind: Int}}},
		Causes:    []Cause{CauseWalltime, CauseExit, CauseQueueTimeout},
		RetryOnly: []Cause{CauseAPI, CauseQueueTimeout},
	}
}

// jobSpec has outputs that its inputs declare.
func jobSpec() StepSpec {
	s := submitSpec()
	s.Name, s.Summary, s.Job, s.RetryOnly = "job", "submit a job and wait for it", true, nil
	s.Inputs = append(s.Inputs,
		Field{Name: "secret_files", Type: textMap(), Secret: true},
		Field{Name: "outputs", Literal: true, Type: Type{Kind: Map, Elem: &Type{Kind: Object, Fields: []Field{
			{Name: "from", Type: text(), Default: json.RawMessage(`"stdout"`)},
			{Name: "regex", Type: text()},
			{Name: "type", Type: text(), Enum: []string{"text", "int", "float"}, Default: json.RawMessage(`"text"`)},
		}}}})
	s.Outputs = []Field{{Name: "job_id", Type: text()}, {Name: "workdir", Type: text()}}
	s.DynamicOutputs = declaredOutputs
	s.Causes = []Cause{CauseWalltime, CauseOutOfMemory, CauseNodeFail, CausePreempted, CauseExit, CauseRejected, CauseQueueTimeout}
	return s
}

func declaredOutputs(with json.RawMessage) []Field {
	var in struct {
		Outputs map[string]struct{ Type string }
	}
	if json.Unmarshal(with, &in) != nil {
		return nil
	}
	var fields []Field
	for _, name := range sortedKeys(in.Outputs) {
		kind := Kind(in.Outputs[name].Type)
		if kind == "text" {
			kind = String
		}
		fields = append(fields, Field{Name: name, Type: Type{Kind: kind}})
	}
	return fields
}

func refuseDirectives(with json.RawMessage, _ func(string) bool) []FieldProblem {
	var in struct{ Script string }
	if json.Unmarshal(with, &in) != nil {
		return nil
	}
	var ps []FieldProblem
	for i, line := range strings.Split(in.Script, "\n") {
		if strings.HasPrefix(line, "#SBATCH --wait") {
			ps = append(ps, FieldProblem{
				Path: []string{"script"}, Line: i + 1, Code: "refused_directive",
				Message: "the directive --wait cannot stand in a job script", Hint: "remove it: fcflow waits by itself",
			})
		}
	}
	return ps
}

func notifySpec() StepSpec {
	return StepSpec{
		Name: "notify", Group: "control", Summary: "tell somebody",
		Inputs: []Field{
			{Name: "webhook", Type: text(), Required: true, Secret: true, Doc: "Address to post to."},
			{Name: "text", Type: text(), Required: true, Doc: "What to say."},
			{Name: "to", Type: textList()},
		},
		Causes: []Cause{CauseRejected, CauseAPI},
	}
}

// sourceOf makes a workflow of step entries.
func sourceOf(steps ...string) string {
	return "version: 1\nname: test\nsteps:\n" + strings.Join(steps, "\n")
}

// codesAt renders problems as "line:column code", for tables.
func codesAt(ps Problems) []string {
	var out []string
	for _, p := range ps {
		out = append(out, fmt.Sprintf("%d:%d %s", p.Pos.Line, p.Pos.Column, p.Code))
	}
	return slices.Clip(out)
}
