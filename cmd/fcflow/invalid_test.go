package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/steps"
)

// TestInvalidFiles: each file of testdata/invalid holds the one mistake that its
// name says, found by a step type in its own inputs and told as the .want file
// beside it. No code of the step types is without a file.
func TestInvalidFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := testApp(t)
	seen := map[string]bool{}
	for _, file := range files {
		_, err := a.loadWorkflow(file, "")
		var invalid *problemsError
		if !errors.As(err, &invalid) || len(invalid.problems) != 1 {
			t.Errorf("%s: %v, want one problem", file, err)
			continue
		}
		code := string(invalid.problems[0].Code)
		if base := filepath.Base(file); !strings.HasPrefix(base, code) {
			t.Errorf("%s: code %s", file, code)
		}
		seen[code] = true
		var got strings.Builder
		if err := invalid.problems.Print(&got, filepath.Base(file), invalid.source); err != nil {
			t.Fatal(err)
		}
		wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
		if *update {
			if err := os.WriteFile(wantFile, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wantFile)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	for _, code := range steps.Codes() {
		if !seen[string(code)] {
			t.Errorf("no file shows %s", code)
		}
	}
}

// TestAllMistakesAtOnce: a mistake in one input hides none that a step type finds
// in others, and what only follows from it is not told.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	for with, want := range map[string][]string{
		`{ script: "#!/bin/sh", resources: { nodes: many }, outputs: { a: { regex: "(" }, B: { json: x, csv: y } } }`: {
			`with.resources.nodes must be a whole number, not the text "many"`,
			"output \"a\": error parsing regexp: missing closing ): `(`",
			`"B" cannot be the name of an output: use lower-case letters, digits and _`,
			"output \"B\" needs exactly one of `regex`, `json` and `csv`",
		},
		`{ script: "#!/bin/sh", outputs: { a: { regex: [x], json: x }, b: { regex: "(" } } }`: {
			`with.outputs.a.regex must be text, not a list`, "output \"b\": error parsing regexp: missing closing ): `(`",
		},
		`{ script: "#!/bin/sh", outputs: { a: { regx: x } } }`:           {`with.outputs.a has no input "regx"`},
		`{ script: "#!/bin/sh", outputs: { a: { regex: "${{ 1 }}" } } }`: {`with.outputs.a.regex takes no expression`},
		`{ scrpt: "#!/bin/sh", env: { 1A: x } }`:                         {`job has no input "scrpt"`, "1A"},
		`{ script: [x] }`:                                                {`with.script must be text, not a list`},
		`{ script: "#!/bin/sh", remote_script: [x], env: { 1A: x } }`:    {"exclude each other", "with.remote_script must be text, not a list", "1A"},
	} {
		file := filepath.Join(t.TempDir(), "w.yaml")
		text := "version: 1\nname: w\nsteps:\n  - id: a\n    uses: job\n    with: " + with + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, _, _ := testApp(t)
		_, err := a.loadWorkflow(file, "daint")
		var invalid *problemsError
		if !errors.As(err, &invalid) || len(invalid.problems) != len(want) {
			t.Errorf("%s: want %d problems, have %v", with, len(want), problemText(err))
			continue
		}
		for i, p := range invalid.problems {
			if !strings.Contains(p.Message, want[i]) {
				t.Errorf("%s: %q, want %q", with, p.Message, want[i])
			}
		}
	}
}

func problemText(err error) string {
	var invalid *problemsError
	if errors.As(err, &invalid) {
		return invalid.problems.Error()
	}
	return fmt.Sprint(err)
}
