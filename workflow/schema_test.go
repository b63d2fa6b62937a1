package workflow_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fcflow/fcflow/schema"
	"github.com/fcflow/fcflow/workflow"
)

// visible are the mistakes that a JSON Schema can see: those in the shape of a
// file, not in its text and not in what one part says about another.
var visible = map[workflow.ProblemCode]bool{
	workflow.CodeUnknownKey:           true,
	workflow.CodeMissingKey:           true,
	workflow.CodeNull:                 true,
	workflow.CodeWrongType:            true,
	workflow.CodeBadName:              true,
	workflow.CodeNotInEnum:            true,
	workflow.CodeUnknownType:          true,
	workflow.CodeBadVersion:           true,
	workflow.CodeBadDuration:          true,
	workflow.CodeBadFactor:            true,
	workflow.CodeOutOfRange:           true,
	workflow.CodeEmptyList:            true,
	workflow.CodeExpressionNotAllowed: true,
	workflow.CodeUnknownStepType:      true,
	workflow.CodeUnknownStepInput:     true,
	workflow.CodeMissingStepInput:     true,
	workflow.CodeUnknownCause:         true,
}

// exceptions are files whose code says little about whether a JSON Schema sees
// the mistake, with the reason.
var exceptions = map[string]string{
	"bad_duration_colons.yaml":            "quotes are gone when a schema sees a text",
	"bad_duration_colons_with.yaml":       "quotes are gone when a schema sees a text",
	"bad_factor_shrink.yaml":              "a pattern cannot compare numbers",
	"bad_key_braces.yaml":                 "what is left after the bad key is a mapping in the place of a text",
	"expression_not_allowed_key.yaml":     "the reader of YAML has already refused the key",
	"expression_place_script.yaml":        "a script is known to be literal",
	"expression_place_child.yaml":         "the file is known to be literal",
	"missing_step_input_child.yaml":       "a schema sees one file",
	"missing_step_input_children.yaml":    "a schema sees one file",
	"unknown_step_input_child.yaml":       "a schema sees one file",
	"unknown_step_input_in_child.yaml":    "a schema sees one file",
	"wrong_type_child.yaml":               "a schema sees one file",
	"wrong_type_child_expression.yaml":    "a schema sees one file",
	"wrong_type_child_output.yaml":        "a schema sees one file",
	"if_not_expression.yaml":              "a list is no condition",
	"out_of_range_duration.yaml":          "a pattern cannot compare numbers",
	"unknown_type_bracket.yaml":           "a pattern cannot count brackets",
	"wrong_type_expression.yaml":          "the type of an expression is unknown to a schema",
	"wrong_type_expression_duration.yaml": "the type of an expression is unknown to a schema",
	"wrong_type_expression_float.yaml":    "the type of an expression is unknown to a schema",
	"wrong_type_for_each.yaml":            "the type of an expression is unknown to a schema",
	"wrong_type_if.yaml":                  "the type of an expression is unknown to a schema",
	"wrong_type_interpolation.yaml":       "the type of an expression is unknown to a schema",
	"wrong_type_output.yaml":              "the type of an expression is unknown to a schema",
}

func TestSchemaAgreesWithTheReader(t *testing.T) {
	t.Parallel()
	text, err := schema.Generate(workflow.CatalogueForTests())
	if err != nil {
		t.Fatal(err)
	}
	s := compileSchema(t, text)
	files, err := filepath.Glob("testdata/*valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			tree, _ := workflow.ParseTree(text)
			if tree == nil {
				t.Skip("there is nothing to validate: this is not YAML, or over a limit")
			}
			invalid := strings.Contains(path, "invalid") && visible[workflow.CodeOf(path)]
			name := filepath.Base(path)
			if _, other := exceptions[name]; other {
				invalid = !invalid
			}
			switch err := s.Validate(plain(t, tree)); {
			case invalid && err == nil:
				t.Error("the JSON Schema does not see the mistake")
			case !invalid && err != nil:
				t.Errorf("the JSON Schema is too strict: %v", err)
			}
		})
	}
	for name := range exceptions {
		if _, err := os.Stat(filepath.Join("testdata/invalid", name)); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	first, err := schema.Generate(workflow.CatalogueForTests())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, err := schema.Generate(workflow.CatalogueForTests()); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("two calls differ: %v", err)
		}
	}
}

// TestSchemaAndExamples: the schema that is published accepts every example.
func TestSchemaAndExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../schema/workflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s := compileSchema(t, text)
	files, err := filepath.Glob("../examples/workflows/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tree, problems := workflow.ParseTree(text)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if err := s.Validate(plain(t, tree)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func compileSchema(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("workflow.schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("workflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is a tree as an editor's YAML reader would hand it to a schema.
func plain(t *testing.T, v *workflow.Value) any {
	t.Helper()
	switch v.Kind {
	case workflow.BoolValue:
		return v.Bool
	case workflow.NumberValue:
		return json.Number(v.Text)
	case workflow.TextValue:
		if v.Template == nil { // reading took the escapes away
			return strings.ReplaceAll(v.Text, "${{", "$${{")
		}
		return v.Text
	case workflow.SequenceValue:
		list := make([]any, len(v.Items))
		for i, item := range v.Items {
			list[i] = plain(t, item)
		}
		return list
	case workflow.MappingValue:
		mapping := make(map[string]any, len(v.Members))
		for _, m := range v.Members {
			mapping[m.Name] = plain(t, m.Value)
		}
		return mapping
	}
	return nil
}
